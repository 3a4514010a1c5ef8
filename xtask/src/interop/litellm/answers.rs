//! What the gateway passes on: requests as the engine gets them, answers as the caller does.

use std::time::{Duration, Instant};

use baseten::Error;
use baseten::openai::{ChatRequest, ChatResponse, EmbeddingRequest, EmbeddingResponse, Message};
use baseten_emulator::{Answer, Body, Ending, Outcome};
use serde_json::{Value, json};

use super::{Gateway, MODEL, NATIVE};
use crate::interop::case::{Case, Found, SOON};
use crate::interop::edge::Edge;
use crate::interop::engine::{ending, reason};

#[rustfmt::skip]
pub(super) const CASES: &[Case<Gateway>] = &[
    Case { name: "which models there are", requests: 1, run: models,
        expect: "native, org/model" },
    Case { name: "a chat", requests: 1, run: chat,
        expect: "\"Grüße, 日本\", \"stop\", 3 + 2 = 5 tokens; upstream: org/model at \
            /model/abcd1234/environments/production/sync/v1/chat/completions, Bearer" },
    Case { name: "a chat by LiteLLM's own provider for Baseten", requests: 1, run: native,
        expect: "\"Grüße, 日本\", \"stop\", 3 + 2 = 5 tokens; upstream: org/model at \
            /model/abcd1234/environments/production/sync/v1/chat/completions, Bearer" },
    Case { name: "members that LiteLLM does not know", requests: 1, run: extra,
        expect: "upstream: top_k: 40, chat_template_args: {\"enable_thinking\":false}" },
    Case { name: "a chat, streamed", requests: 1, run: streamed,
        expect: "\"Grüße, \" \"日本\", \"stop\", 3 + 2 = 5 tokens, Done" },
    Case { name: "a stream is not held back", requests: 1, run: paced,
        expect: "\"Grüße, \" before the engine has sent the rest" },
    Case { name: "a tool is called, streamed", requests: 1, run: tool,
        expect: "\"tool_calls\", add {\"a\":1}" },
    Case { name: "reasoning, streamed", requests: 1, run: reasoning,
        expect: "Some(\"Well.\"), \"So.\"" },
    Case { name: "embeddings", requests: 1, run: base64,
        expect: "[[1.0, -0.5], [0.25, 3.4028235e38]]; upstream: \"base64\"" },
    Case { name: "embeddings as numbers", requests: 1, run: numbers,
        expect: "[[1.0, -0.5], [0.25, 3.4028235e38]]; upstream: \"float\"" },
    Case { name: "a half-read stream, dropped", requests: 1, run: dropped,
        expect: "LiteLLM leaves the engine" },
];

/// A chat that every case asks for.
pub(super) fn question() -> ChatRequest {
    ChatRequest::new(MODEL, [Message::user("hello world")])
}

/// One event of a stream.
pub(super) fn event(delta: Value, reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    })
}

/// A streamed answer in two pieces, with its token counts.
fn events() -> Vec<String> {
    let mut usage = event(json!({}), Some("stop"));
    usage["choices"] = json!([]);
    usage["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    let events = [
        event(json!({"role": "assistant", "content": "Grüße, "}), None),
        event(json!({"content": "日本"}), None),
        event(json!({}), Some("stop")),
        usage,
    ];
    events.iter().map(Value::to_string).collect()
}

/// The two pieces one after the other, then neither a reason nor the marker but this ending.
pub(super) fn unfinished(ending: Ending) -> Answer {
    let mut answer = Answer::sse(&events()[..2]);
    if let Body::Stream(stream) = &mut answer.body {
        stream.chunks.pop();
    }
    answer.paced(Duration::from_millis(200)).ending(ending)
}

fn models(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    let models = gateway.engine.models()?.value;
    Ok(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>().join(", ").into())
}

fn chat(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    one_chat(gateway, &question())
}

fn native(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    let request = ChatRequest::new(NATIVE, [Message::user("hello world")]);
    one_chat(gateway, &request)
}

fn one_chat(gateway: &Gateway, request: &ChatRequest) -> Result<Found, Error> {
    gateway.chats().answer(whole());
    let answer = gateway.engine.chat(request)?.value;
    let upstream = match gateway.arrivals().as_slice() {
        [arrival] => {
            let scheme = arrival.header("authorization").unwrap_or_default().split(' ').next();
            let model = sent(gateway)["model"].as_str().unwrap_or_default().to_owned();
            format!("{model} at {}, {}", arrival.path, scheme.unwrap_or_default())
        }
        arrivals => format!("{} requests", arrivals.len()),
    };
    Ok(format!("{}; upstream: {upstream}", told(&answer)).into())
}

fn extra(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(whole());
    let args = json!({"enable_thinking": false});
    gateway.engine.chat(&question().extra("top_k", 40).extra("chat_template_args", args))?;
    let sent = sent(gateway);
    let args = &sent["chat_template_args"];
    Ok(format!("upstream: top_k: {}, chat_template_args: {args}", sent["top_k"]).into())
}

fn streamed(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(Answer::sse(events()));
    let mut stream = gateway.engine.chat_stream(&question())?;
    let mut pieces = Vec::new();
    while let Some(chunk) = stream.chunk()? {
        if !chunk.text().is_empty() {
            pieces.push(format!("{:?}", chunk.text()));
        }
    }
    let answer = stream.partial();
    let end = stream.end().map_or_else(String::new, |end| format!("{end:?}"));
    Ok(format!("{}, {}, {end}", pieces.join(" "), ending(answer)).into())
}

/// The engine waits longer between its pieces than the case may take.
fn paced(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(Answer::sse(events()).paced(SOON * 3));
    let mut stream = gateway.engine.chat_stream(&question())?;
    let mut text = String::new();
    while text.is_empty() {
        match stream.chunk()? {
            Some(chunk) => text = chunk.text().to_owned(),
            None => return Ok("the end".into()),
        }
    }
    Ok(format!("{text:?} before the engine has sent the rest").into())
}

fn tool(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    let part = |part: Value| event(json!({"tool_calls": [part]}), None);
    let first = json!({"index": 0, "id": "c1", "type": "function",
        "function": {"name": "add", "arguments": "{\"a\""}});
    let rest = json!({"index": 0, "function": {"arguments": ":1}"}});
    let events = [part(first), part(rest), event(json!({}), Some("tool_calls"))];
    gateway.chats().answer(Answer::sse(events.iter().map(Value::to_string)));
    let answer = gateway.engine.chat_stream(&question())?.collect()?.value;
    let calls = answer.tool_calls().iter().map(|call| &call.function);
    let calls: Vec<_> = calls.map(|call| format!("{} {}", call.name, call.arguments)).collect();
    Ok(format!("{}, {}", reason(&answer), calls.join(", ")).into())
}

fn reasoning(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    let events = [
        event(json!({"role": "assistant", "reasoning_content": "Well."}), None),
        event(json!({"content": "So."}), None),
        event(json!({}), Some("stop")),
    ];
    gateway.chats().answer(Answer::sse(events.iter().map(Value::to_string)));
    let answer = gateway.engine.chat_stream(&question())?.collect()?.value;
    Ok(format!("{:?}, {:?}", answer.reasoning(), answer.text()).into())
}

fn base64(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    // Little-endian: 1, -0.5; 0.25, the largest f32.
    let vectors = json!(["AACAPwAAAL8=", "AACAPv//f38="]);
    embedded(gateway, &vectors, &EmbeddingRequest::new(MODEL, ["a", "b"]))
}

fn numbers(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    let vectors = json!([[1.0, -0.5], [0.25, 3.402_823_5e38]]);
    embedded(gateway, &vectors, &EmbeddingRequest::new(MODEL, ["a", "b"]).as_numbers())
}

fn embedded(
    gateway: &Gateway,
    vectors: &Value,
    request: &EmbeddingRequest,
) -> Result<Found, Error> {
    gateway.embeddings().answer(Answer::json(json!({
        "object": "list", "model": MODEL, "usage": {"prompt_tokens": 2, "total_tokens": 2},
        "data": [
            {"object": "embedding", "index": 0, "embedding": vectors[0]},
            {"object": "embedding", "index": 1, "embedding": vectors[1]},
        ],
    })));
    let answer: EmbeddingResponse = gateway.engine.embeddings(request)?.value;
    let vectors: Vec<&[f32]> = answer.iter().collect();
    Ok(format!("{vectors:?}; upstream: {}", sent(gateway)["encoding_format"]).into())
}

/// The time is from the drop to the emulator having seen it.
fn dropped(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(unfinished(Ending::Repeat));
    let mut stream = gateway.engine.chat_stream(&question())?;
    stream.chunk()?;
    let start = Instant::now();
    drop(stream);
    let left = gateway.emulator.wait_until(SOON, |seen| {
        let outcome = seen.last().and_then(|arrival| arrival.outcome);
        matches!(outcome, Some(Outcome::PeerLeft { .. }))
    });
    let left = if left.is_ok() { "LiteLLM leaves the engine" } else { "LiteLLM stays" };
    Ok(Found::from(left).after(start.elapsed()))
}

/// The body that the engine got last.
fn sent(gateway: &Gateway) -> Value {
    let arrivals = gateway.arrivals();
    let body = arrivals.last().map(|arrival| arrival.body.clone()).unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_default()
}

fn whole() -> Answer {
    Answer::json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Grüße, 日本"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }))
}

fn told(answer: &ChatResponse) -> String {
    format!("{:?}, {}", answer.text(), ending(answer))
}
