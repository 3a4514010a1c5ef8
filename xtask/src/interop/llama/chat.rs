//! What a model says, whole and streamed: text, tools, structure, and the end of it.
//!
//! The weights are random, so no case knows the words. A grammar forces what must be known, and all
//! else is compared with another answer to the same question.

use std::time::{Duration, Instant};

use baseten::Error;
use baseten::openai::{
    ChatRequest, ChatResponse, CompletionRequest, Message, ResponseFormat, Tool, ToolCall,
    ToolChoice,
};
use serde::Deserialize;
use serde_json::json;

use super::{Llama, MODEL};
use crate::interop::case::{Case, Found, SOON, told};
use crate::interop::edge::Edge;
use crate::interop::engine::{ending, reason, tokens};

#[rustfmt::skip]
pub(super) const CASES: &[Case<Llama>] = &[
    Case { name: "a chat", requests: 1, run: chat,
        expect: "acme/tiny says something, \"length\", 31 + 24 = 55 tokens, attempts: 1" },
    Case { name: "a chat, streamed", requests: 2, run: streamed,
        expect: "piece by piece the same text, \"length\", 31 + 24 = 55 tokens, Done" },
    Case { name: "a chat, streamed and collected", requests: 2, run: collected,
        expect: "the same answer" },
    Case { name: "a tool is called and answered", requests: 2, run: tool,
        expect: "\"tool_calls\", add {\"a\":1,\"b\":true}, then something is said" },
    Case { name: "a tool is called, streamed", requests: 2, run: tool_streamed,
        expect: "\"tool_calls\", add {\"a\":1,\"b\":true}, but for the id the same as whole" },
    Case { name: "a JSON schema", requests: 1, run: structured,
        expect: "ok: true, colour: red" },
    Case { name: "a JSON schema, streamed", requests: 1, run: structured_streamed,
        expect: "ok: true, colour: red" },
    Case { name: "a completion", requests: 1, run: completion,
        expect: "something, Some(\"length\"), 6 + 8 = 14 tokens" },
    Case { name: "a completion, streamed", requests: 2, run: completion_streamed,
        expect: "piece by piece the same text" },
    Case { name: "which models there are", requests: 1, run: models,
        expect: "acme/tiny" },
    Case { name: "connections are reused", requests: 3, run: reused,
        expect: "connections: 1" },
    Case { name: "a half-read stream, dropped", requests: 1, run: dropped,
        expect: "3 pieces, then the server is left, and idle before it was done" },
];

/// What nginx keeps from the client: the server closes its connection after every stream, though it has
/// promised to keep it. A chat that is asked for before that has come through goes into a dead connection,
/// and nobody can tell whether it has run; so the case waits until it is closed, by the server or by the
/// client, which does not keep one whose answer has not quite ended.
#[rustfmt::skip]
pub(super) const BARE: &[Case<Llama>] = &[
    Case { name: "a stream read to its end, then a chat", requests: 2,
        run: then_a_chat,
        expect: "Done, the connection closes, then attempts: 1, connections: 2" },
];

/// What only nginx answers.
#[rustfmt::skip]
pub(super) const PROXIED: &[Case<Llama>] = &[
    Case { name: "predict leads to the endpoint that the truss names", requests: 1, run: predict,
        expect: "acme/tiny says something" },
    Case { name: "readiness leads to the server's own", requests: 1, run: readiness,
        expect: "{\"status\":\"ok\"}" },
    Case { name: "a body over nginx's limit", requests: 1, run: too_large,
        expect: "Status, 413, Answered: 413 Request Entity Too Large" },
];

/// The form of [`in_form`].
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    colour: String,
}

pub(super) fn question() -> ChatRequest {
    ChatRequest::new(MODEL, [Message::user("hello world")]).seed(7).max_tokens(24)
}

fn chat(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let answer = llama.engine.chat(&question())?;
    let attempts = answer.meta.attempts();
    let answer = answer.value;
    Ok(format!(
        "{} says {}, {}, attempts: {attempts}",
        answer.model,
        something(&answer.text()),
        ending(&answer)
    )
    .into())
}

/// The pieces as they come, and the answer collected beside them, are those of the whole answer.
fn streamed(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let whole = llama.engine.chat(&question())?.value;
    let mut stream = llama.engine.chat_stream(&question())?;
    let (mut text, mut pieces) = (String::new(), 0);
    while let Some(chunk) = stream.chunk()? {
        text += chunk.text();
        pieces += usize::from(!chunk.text().is_empty());
    }
    let all = stream.partial();
    let how = if pieces > 10 { "piece by piece" } else { "all at once" };
    let same = same(&whole.text(), &[&text, &all.text()]);
    let end = stream.end().map_or_else(String::new, |end| format!("{end:?}"));
    Ok(format!("{how} {same}, {}, {end}", ending(all)).into())
}

/// Members that are only one of them's are told.
fn collected(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let whole = llama.engine.chat(&question())?.value;
    let streamed = llama.engine.chat_stream(&question())?.collect()?.value;
    Ok(difference(whole, streamed).into())
}

fn tool(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let request = calling();
    let answer = llama.engine.chat(&request)?.value;
    let words = called(&answer);
    let message = answer.message().cloned().unwrap_or_default();
    let mut next = request.max_tokens(24).tool_choice(ToolChoice::None);
    next.logit_bias.clear();
    let next = llama.engine.chat(&next.answer(&message, |_| "2"))?.value;
    Ok(format!("{words}, then {} is said", something(&next.text())).into())
}

fn tool_streamed(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let whole = llama.engine.chat(&calling())?.value;
    let streamed = llama.engine.chat_stream(&calling())?.collect()?.value;
    let functions = |answer: &ChatResponse| -> Vec<_> {
        answer.tool_calls().iter().map(|call| call.function.clone()).collect()
    };
    let same = functions(&whole) == functions(&streamed);
    let same = if same { "the same" } else { "other" };
    Ok(format!("{}, but for the id {same} as whole", called(&streamed)).into())
}

fn structured(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    Ok(parsed(&llama.engine.chat(&in_form())?.value))
}

fn structured_streamed(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    Ok(parsed(&llama.engine.chat_stream(&in_form())?.collect()?.value))
}

fn completion(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let answer = llama.engine.completion(&prompt())?.value;
    let first = answer.choices.first().cloned().unwrap_or_default();
    let reason = first.finish_reason.map(|reason| reason.as_str().to_owned());
    Ok(format!("{}, {reason:?}, {}", something(&first.text), tokens(&answer.usage)).into())
}

fn completion_streamed(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let whole = llama.engine.completion(&prompt())?.value;
    let whole = whole.choices.first().map_or("", |choice| choice.text.as_str());
    let mut stream = llama.engine.completion_stream(&prompt())?;
    let (mut text, mut pieces) = (String::new(), 0);
    while let Some(chunk) = stream.chunk()? {
        let piece = chunk.choices.first().map_or("", |choice| choice.text.as_str());
        text += piece;
        pieces += usize::from(!piece.is_empty());
    }
    let all = stream.partial().choices.first().map_or("", |choice| choice.text.as_str());
    let how = if pieces > 3 { "piece by piece" } else { "all at once" };
    Ok(format!("{how} {}", same(whole, &[&text, all])).into())
}

fn models(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let models = llama.engine.models()?.value;
    Ok(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>().join(", ").into())
}

fn reused(llama: &Llama, edge: &Edge) -> Result<Found, Error> {
    for _ in 0..3 {
        llama.engine.chat(&question())?;
    }
    Ok(format!("connections: {}", edge.seen().opened).into())
}

fn then_a_chat(llama: &Llama, edge: &Edge) -> Result<Found, Error> {
    let mut stream = llama.engine.chat_stream(&question())?;
    while stream.chunk()?.is_some() {}
    let end = stream.end().map_or_else(String::new, |end| format!("{end:?}"));
    drop(stream);
    let closed = edge.wait(SOON, |seen| seen.left_by_server + seen.left_by_client == 1);
    let closed = if closed { "the connection closes" } else { "the connection stays" };
    let attempts = llama.engine.chat(&question())?.meta.attempts();
    let opened = edge.seen().opened;
    Ok(format!("{end}, {closed}, then attempts: {attempts}, connections: {opened}").into())
}

/// There are 16,000 tokens to be made, which takes seconds; the time told is from the drop to the
/// server's slots being free.
fn dropped(llama: &Llama, edge: &Edge) -> Result<Found, Error> {
    let mut stream = llama.engine.chat_stream(&question().max_tokens(16_000))?;
    let mut pieces = 0;
    while pieces < 3 && stream.chunk()?.is_some() {
        pieces += 1;
    }
    let start = Instant::now();
    drop(stream);
    let left = edge.wait(SOON, |seen| seen.left_by_client == 1);
    let left = if left { "the server is left" } else { "the connection stays" };
    let idle =
        |slots: &Vec<serde_json::Value>| slots.iter().all(|slot| slot["is_processing"] == false);
    let mut slots = llama.slots();
    while !slots.as_ref().is_some_and(idle) && start.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(5));
        slots = llama.slots();
    }
    let took = start.elapsed();
    let made = slots.iter().flatten().filter_map(|slot| slot["n_prompt_tokens"].as_u64()).max();
    let when = match made {
        Some(made) if made < 15_000 => "idle before it was done".to_owned(),
        made => format!("done only after {made:?} tokens"),
    };
    Ok(Found::from(format!("{pieces} pieces, then {left}, and {when}")).after(took))
}

fn predict(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let answer = llama.model.predict::<_, ChatResponse>(&question())?.value;
    Ok(format!("{} says {}", answer.model, something(&answer.text())).into())
}

fn readiness(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let body = llama.model.get("v1/models/model")?.value;
    Ok(String::from_utf8_lossy(&body).into_owned().into())
}

fn too_large(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let body = vec![b' '; (100 << 20) + 1];
    let refused = llama.model.post("v1/chat/completions", body);
    Ok(refused.map_or_else(|error| told(&error), |_| "an answer".to_owned()).into())
}

/// The biases choose to call at all, and to end as soon as the grammar lets it.
fn calling() -> ChatRequest {
    let parameters = json!({
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"const": true}},
        "required": ["a", "b"],
    });
    let mut request = question().max_tokens(400).tool(Tool::function("add", parameters));
    request.logit_bias = [("<tool_call>\n".to_owned(), 100.0), ("2".to_owned(), 400.0)].into();
    request.tool_choice(ToolChoice::Required)
}

fn in_form() -> ChatRequest {
    let schema = json!({
        "type": "object",
        "properties": {"ok": {"const": true}, "colour": {"enum": ["red"]}},
        "required": ["ok", "colour"],
        "additionalProperties": false,
    });
    question().max_tokens(400).response_format(ResponseFormat::json_schema("answer", schema))
}

fn prompt() -> CompletionRequest {
    let mut request = CompletionRequest::new(MODEL, "hello").max_tokens(8);
    request.seed = Some(7);
    request
}

fn parsed(answer: &ChatResponse) -> Found {
    match answer.parse::<Answer>() {
        Ok(Answer { ok, colour }) => format!("ok: {ok}, colour: {colour}").into(),
        Err(error) => format!("{error}: {}", error.text()).into(),
    }
}

/// Why it ended, and each call with its arguments.
fn called(answer: &ChatResponse) -> String {
    let call = |call: &ToolCall| format!("{} {}", call.function.name, call.function.arguments);
    let calls: Vec<String> = answer.tool_calls().iter().map(call).collect();
    format!("{}, {}", reason(answer), calls.join(", "))
}

fn something(text: &str) -> &'static str {
    if text.trim().is_empty() { "nothing" } else { "something" }
}

fn same(whole: &str, others: &[&str]) -> String {
    match others.iter().find(|other| **other != whole) {
        Some(other) => format!("{other:?} where the whole is {whole:?}"),
        None => "the same text".to_owned(),
    }
}

/// What is not the same of two answers, apart from what names each.
fn difference(whole: ChatResponse, streamed: ChatResponse) -> String {
    let value = |answer| serde_json::to_value(answer).unwrap_or_default();
    let (whole, streamed) = (value(whole), value(streamed));
    let members = |value: &serde_json::Value| value.as_object().cloned().unwrap_or_default();
    let (whole, streamed) = (members(&whole), members(&streamed));
    let own = ["id", "created", "object", "timings"];
    let names = whole.keys().chain(streamed.keys()).filter(|name| !own.contains(&name.as_str()));
    let other: Vec<String> = names
        .filter(|name| whole.get(*name) != streamed.get(*name))
        .map(|name| format!("{name}: {:?} and {:?}", whole.get(name), streamed.get(name)))
        .collect();
    if other.is_empty() { "the same answer".to_owned() } else { other.join("; ") }
}
