//! Shapes of streams and answers that servers were reported to send, each with what it must come to.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use baseten_openai::{
    ChatChunk, ChatDecoder, ChatRequest, ChatResponse, CompletionResponse, Progress, StreamEnd,
    StreamErrorKind,
};
use bytes::Bytes;
use serde_json::{Value, json};

/// How it ended, and the answer as far as it came.
type Outcome = Result<(StreamEnd, ChatResponse), Box<(String, ChatResponse)>>;

/// Runs a body through a decoder, whole and cut at every place, and gives what it comes to.
fn run(body: &str) -> Outcome {
    let whole = run_cut(body, body.len());
    for at in 0..body.len() {
        assert_eq!(run_cut(body, at), whole, "{body:?} cut at {at}");
    }
    whole
}

fn run_cut(body: &str, at: usize) -> Outcome {
    let mut decoder = ChatDecoder::new();
    let (first, second) = body.as_bytes().split_at(at);
    let mut pieces = [first, second].into_iter();
    loop {
        match decoder.advance() {
            Ok(Progress::Chunk | Progress::Other) => {}
            Ok(Progress::More) => match pieces.next() {
                Some(piece) => decoder.push(Bytes::copy_from_slice(piece)),
                None => decoder.finish(),
            },
            Ok(Progress::End) => return Ok((decoder.end().unwrap(), decoder.into_answer())),
            Err(error) => {
                let kind = match error.kind() {
                    StreamErrorKind::Truncated => "truncated".to_owned(),
                    StreamErrorKind::Failed(error) => format!("failed: {error}"),
                    StreamErrorKind::Undecodable(error) => format!("undecodable: {error}"),
                    kind => format!("{kind:?}"),
                };
                return Err(Box::new((kind, error.into_parts().1)));
            }
        }
    }
}

/// An event with this delta.
fn delta(delta: Value) -> String {
    format!("data: {}\n\n", json!({"id": "c1", "choices": [{"index": 0, "delta": delta}]}))
}

const ONE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one \"}}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
#[rustfmt::skip]
fn every_end_has_its_name() {
    use StreamEnd::{Document, Done, DoneWithoutReason, ReasonWithoutDone};
    let whole = json!({"choices": [{"message": {"content": "one "}, "finish_reason": "stop"}]});
    let gathered = serde_json::to_string(&format!("{ONE}{STOP}{DONE}")).unwrap();
    for (why, body, end) in [
        ("as it should be", format!("{ONE}{STOP}{DONE}"), Ok(Done)),
        ("an engine that gives no reason", format!("{ONE}{DONE}"), Ok(DoneWithoutReason)),
        ("a reason that is empty", format!("{ONE}{}{DONE}", STOP.replace("stop", "")), Ok(DoneWithoutReason)),
        ("a server that sends no end marker", format!("{ONE}{STOP}"), Ok(ReasonWithoutDone)),
        ("neither: cut", ONE.to_owned(), Err("truncated")),
        ("nothing at all", String::new(), Err("truncated")),
        ("only comments", ": keep-alive\n\n".to_owned(), Err("truncated")),
        ("cut within the marker", format!("{ONE}{STOP}data: [DO"), Ok(ReasonWithoutDone)),
        ("the marker without its blank line", format!("{ONE}{STOP}data: [DONE]"), Ok(Done)),
        ("the last event without its blank line", format!("{ONE}{}", STOP.trim_end()), Ok(ReasonWithoutDone)),
        ("more after the marker", format!("{ONE}{STOP}{DONE}data: {{nonsense\n\n"), Ok(Done)),
        ("blanks around the marker", format!("{ONE}{STOP}data:  [DONE] \n\n"), Ok(Done)),
        ("the marker as JSON", format!("{ONE}{STOP}data: \"[DONE]\"\n\n"), Ok(Done)),
        ("an answer in one piece", whole.to_string(), Ok(Document)),
        ("the same after a byte order mark", format!("\u{feff}{whole}"), Ok(Document)),
        ("the same with blanks before it", format!("\n \n{whole}"), Ok(Document)),
        ("an answer in one piece, cut", whole.to_string()[..40].to_owned(), Err("truncated")),
        ("a stream gathered into a JSON text", gathered, Ok(Done)),
        ("a reason alone, after an empty event", format!("data:\n\n{ONE}{STOP}{DONE}"), Ok(Done)),
        ("an event of blanks", format!("data:  \n\n{ONE}{STOP}data: \t \n\n{DONE}"), Ok(Done)),
        ("a page of a proxy", "<html>oops</html>".to_owned(), Err("undecodable: the answer cannot be read")),
        ("an event that is no JSON", format!("{ONE}data: oops\n\n"), Err("undecodable: an event of the stream cannot be read")),
        ("an event that is no object", format!("{ONE}data: 5\n\n"), Err("undecodable: an event of the stream cannot be read")),
    ] {
        match (run(&body), end) {
            (Ok((got, response)), Ok(end)) => {
                assert_eq!(got, end, "{why}");
                assert_eq!(response.text(), "one ", "{why}");
            }
            (Err(error), Err(end)) => {
                let (got, partial) = *error;
                assert_eq!(got, end, "{why}");
                let had_text = body.contains("one ") && !body.starts_with('{');
                assert_eq!(partial.text(), if had_text { "one " } else { "" }, "{why}");
            }
            (got, _) => panic!("{why}: {got:?}"),
        }
    }
}

#[test]
#[rustfmt::skip]
fn every_shape_of_an_error_in_a_stream_fails_it() {
    for (why, event, message) in [
        ("OpenAI, LiteLLM", r#"data: {"error":{"message":"boom","type":null,"code":"500"}}"#, "boom"),
        ("LM Studio: no type", r#"data: {"error":{"message":"boom"}}"#, "boom"),
        ("text", r#"data: {"error":"boom"}"#, "boom"),
        ("vLLM", r#"data: {"object":"error","message":"boom","type":"BadRequestError","code":400}"#, "boom"),
        ("named", "event: error\ndata: {\"message\":\"boom\"}", "boom"),
        ("named, as text", "event: error\ndata: boom", "boom"),
        ("named in another case", "event: Error\ndata: boom", "boom"),
        ("named, and no word", "event: error\ndata:", ""),
        ("llama.cpp through 2025: a field of its own", r#"error: {"code":400,"message":"boom","type":"invalid_request_error"}"#, "boom"),
        ("Anthropic", r#"data: {"type":"error","error":{"type":"overloaded_error","message":"boom"}}"#, "boom"),
        ("FastAPI", r#"data: {"detail":"boom"}"#, "boom"),
        ("flat", r#"data: {"message":"boom","type":"Bad Request","code":400}"#, "boom"),
        ("OpenRouter: beside a choice", r#"data: {"id":"c","error":{"code":502,"message":"boom"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#, "boom"),
        ("with a member of an odd type", r#"data: {"error":{"message":"boom"},"choices":"none"}"#, "boom"),
        ("in place of the stream", r#"{"error":{"message":"boom"}}"#, "boom"),
    ] {
        let in_place = event.starts_with('{');
        let body = if in_place { event.to_owned() } else { format!("{ONE}{event}\n\n{ONE}{DONE}") };
        let (kind, partial) = *run(&body).expect_err(why);
        assert_eq!(kind, format!("failed: {message}"), "{why}");
        assert_eq!(partial.text(), if in_place { "" } else { "one " }, "{why}");
    }
    for (why, fine) in [
        ("an error that is null", r#"data: {"error":null,"choices":[]}"#),
        ("that is false", r#"data: {"error":false,"choices":[{"index":0,"delta":{}}]}"#),
        ("that is empty", r#"data: {"error":{},"choices":[{"index":0,"delta":{}}]}"#),
        ("an empty list of them", r#"data: {"error":[],"choices":[],"usage":{}}"#),
        ("Anthropic's first event", r#"data: {"type":"message_start","message":{"role":"assistant"}}"#),
        ("a message alone", r#"data: {"message":"still loading"}"#),
    ] {
        let (end, answer) = run(&format!("{fine}\n\n{ONE}{STOP}{DONE}")).unwrap();
        assert_eq!((end, &*answer.text()), (StreamEnd::Done, "one "), "{why} is none");
    }
}

#[test]
fn an_event_that_repeats_all_but_its_choices_is_read_as_by_itself() {
    let event = |choices: &str| format!("{{\"id\":\"c\",\"choices\":{choices},\"x\":[1]}}");
    let text =
        |text: &str| event(&format!("[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]"));
    let counted = |new: &str, usage: &str| {
        format!("{},\"usage\":{usage},\"y\":2}}", text(new).strip_suffix('}').unwrap())
    };
    let flat = |choices: &str| format!("{{\"message\":\"boom\",\"code\":1,\"choices\":{choices}}}");
    let last = r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#;
    #[rustfmt::skip]
    let table = [
        ("another form of choices, then the first again", vec![text("a"), text("b"), event(last), text("c")]),
        ("two choices, then one", vec![
            text("a"), event(r#"[{"index":1,"delta":{"content":"x"}},{"index":0,"delta":{"content":"y"}}]"#), text("b"),
        ]),
        ("members that a choice had are not left behind", vec![
            event(r#"[{"index":0,"delta":{"content":"a"},"y":1,"logprobs":{"content":[]}}]"#),
            event(r#"[{"index":0,"delta":{"content":"b"}}]"#), text("c"),
        ]),
        ("what has the shape of choices within them", vec![text("a"), event(r#"[{"index":0,"delta":{"choices":[]}}]"#)]),
        ("blanks around the choices", vec![text("a"), event(" [ ] "), event(&format!(" {last} "))]),
        ("none, or null", vec![text("a"), event("[]"), event("null"), text("b")]),
        ("a usage behind them", vec![text("a"), text("b").replace("[1]", "[1],\"usage\":{}"), text("c")]),
        ("a usage in each, of its own", vec![
            counted("a", "{\"total_tokens\":9}"), counted("b", "{\"total_tokens\":10}"), counted("c\\\"", "{\"total_tokens\":11}"),
            counted("}}],\\\"x\\\":[1],\\\"usage\\\":{}", "{\"total_tokens\":12}"), counted("e", " {\"x\":{\"y\":[{}]}} "), counted("f", "{}"),
        ]),
        ("a usage in each, then none", vec![counted("a", "{}"), counted("b", "null"), counted("c", "\"\""), text("d"), counted("e", "{}")]),
        ("a usage before the choices", vec![
            text("a").replace("\"id\"", "\"usage\":{\"total_tokens\":1},\"id\""), text("b").replace("\"id\"", "\"usage\":{\"total_tokens\":2},\"id\""),
        ]),
        ("a usage in each, beside choices of another form", vec![
            counted("a", "{\"total_tokens\":1}"), counted("b", "{\"total_tokens\":2}").replace("\"index\":0", "\"index\":1"), counted("c", "{\"total_tokens\":3}"),
        ]),
    ];
    for (why, events) in table {
        let mut decoder = ChatDecoder::new();
        decoder.push(
            events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>().into(),
        );
        for event in &events {
            assert_eq!(decoder.advance().unwrap(), Progress::Chunk, "{why}");
            let alone: ChatChunk = serde_json::from_str(event).unwrap();
            assert_eq!(*decoder.chunk(), alone, "{why}: {event}");
        }
    }
    // What is an error without choices is one, whatever the event before it had.
    let mut decoder = ChatDecoder::new();
    decoder.push(format!("data: {}\n\ndata: {}\n\n", flat(last), flat("[]")).into());
    assert_eq!(decoder.advance().unwrap(), Progress::Chunk);
    assert!(matches!(decoder.advance().unwrap_err().kind(), StreamErrorKind::Failed(_)));
}

#[test]
fn events_of_another_kind_are_told_and_do_not_end_the_stream() {
    let body = "event: tool.started\ndata: {\"tool\":\"search\"}\n\nevent: ping\ndata: pong\n\n";
    let mut decoder = ChatDecoder::new();
    decoder.push(format!("{body}{ONE}").into());
    assert_eq!(decoder.advance().unwrap(), Progress::Other);
    assert_eq!(decoder.other().unwrap().name, "tool.started");
    assert_eq!(decoder.advance().unwrap(), Progress::Other);
    assert_eq!(decoder.other().unwrap().data, "pong");
    assert_eq!(decoder.advance().unwrap(), Progress::Chunk);
    assert_eq!((decoder.other(), decoder.chunk().text()), (None, "one "));
}

#[test]
fn usage_in_a_named_event_counts_where_it_is_a_chunk() {
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
    let usage = r#""usage":{"completion_tokens":7}"#;
    for (why, event, tokens) in [
        ("no choices", event("usage", &format!("{{\"choices\":[],{usage}}}")), Some(7)),
        ("another API's", event("message_delta", &format!("{{\"delta\":{{}},{usage}}}")), None),
        ("none of it", event("ping", r#"{"choices":[]}"#), None),
    ] {
        let body = format!("{ONE}{STOP}{event}{DONE}");
        let (_, answer) = run(&body).unwrap();
        assert_eq!(answer.usage.and_then(|usage| usage.completion_tokens), tokens, "{why}");
        let answer = CompletionResponse::decode(body.as_bytes()).unwrap();
        assert_eq!(answer.usage.and_then(|usage| usage.completion_tokens), tokens, "{why}");
    }
}

#[test]
fn the_marker_ends_the_stream_before_the_body_does() {
    let mut decoder = ChatDecoder::new();
    decoder.push(format!("{ONE}{STOP}{DONE}").into());
    assert_eq!(decoder.advance().unwrap(), Progress::Chunk);
    assert_eq!(decoder.advance().unwrap(), Progress::Chunk);
    assert_eq!(decoder.end(), None);
    assert_eq!(decoder.advance().unwrap(), Progress::End, "without finish()");
    decoder.push("data: {\"error\":\"late\"}\n\n".into());
    assert_eq!(decoder.advance().unwrap(), Progress::End, "what comes after is not read");
    assert_eq!(decoder.end(), Some(StreamEnd::Done));
}

#[test]
fn with_several_choices_all_must_be_done() {
    let second = STOP.replace("\"index\":0", "\"index\":1");
    let both = format!("{second}{STOP}");
    let asked = |n: Option<u32>, extra: Option<u32>| {
        let mut request = ChatRequest::default();
        request.n = n;
        match extra {
            Some(n) => request.extra("n", n),
            None => request,
        }
    };
    for (request, body, whole) in [
        (asked(Some(2), None), STOP, false),
        (asked(Some(2), None), &*both, true),
        (asked(None, Some(2)), STOP, false),
        (asked(None, Some(2)), &both, true),
        (asked(Some(2), Some(1)), STOP, true), // what is in `extra` is what is sent
    ] {
        let mut decoder = ChatDecoder::for_request(&request);
        decoder.push(body.to_owned().into());
        decoder.finish();
        let end = loop {
            match decoder.advance() {
                Ok(Progress::Chunk) => {}
                other => break other,
            }
        };
        assert_eq!(end.is_ok(), whole, "{request:?}: {body}");
        let order: Vec<_> = decoder.partial().choices.iter().map(|choice| choice.index).collect();
        assert!(order.is_sorted());
    }
}

/// A part of a call: `(id, index, name, arguments)`.
type Part = (&'static str, Option<u32>, &'static str, &'static str);
/// A call that must come of it: `(id, name, arguments)`.
type Call = (&'static str, &'static str, &'static str);

type ToolCallShape = (&'static str, &'static [&'static [Part]], &'static [Call]);

/// Shapes of streamed tool calls: events, each a list of parts, and the calls they are.
#[rustfmt::skip]
const TOOL_CALLS: &[ToolCallShape] = &[
    ("OpenAI: head with id and name, tails by index", &[
        &[("a", Some(0), "f", "")], &[("", Some(0), "", "{\"x\":")], &[("", Some(0), "", "1}")],
        &[("b", Some(1), "g", "")], &[("", Some(1), "", "{}")],
    ], &[("a", "f", "{\"x\":1}"), ("b", "g", "{}")]),
    ("vLLM, speculative: two entries of one index in the first event", &[
        &[("a", Some(0), "f", ""), ("", Some(0), "", "{\"city\":")], &[("", Some(0), "", " 1}")],
    ], &[("a", "f", "{\"city\": 1}")]),
    ("calls interleaved", &[
        &[("a", Some(0), "f", "{"), ("b", Some(1), "g", "[")], &[("", Some(1), "", "]"), ("", Some(0), "", "}")],
    ], &[("a", "f", "{}"), ("b", "g", "[]")]),
    ("deepseek behind ollama: the second head has the first index, its tail the second", &[
        &[("a", Some(0), "f", "{\"q\":1}")], &[("b", Some(0), "f", "{\"r\":")], &[("", Some(1), "", "2}")],
    ], &[("a", "f", "{\"q\":1}"), ("b", "f", "{\"r\":2}")]),
    ("Gemini behind a gateway: whole calls, all with index 0", &[
        &[("a", Some(0), "f", "{\"q\":1}")], &[("b", Some(0), "f", "{\"q\":2}")], &[("c", Some(0), "f", "{\"q\":3}")],
    ], &[("a", "f", "{\"q\":1}"), ("b", "f", "{\"q\":2}"), ("c", "f", "{\"q\":3}")]),
    ("all with index 0, each in parts", &[
        &[("a", Some(0), "f", "{")], &[("", Some(0), "", "}")], &[("b", Some(0), "g", "[")], &[("", Some(0), "", "]")],
    ], &[("a", "f", "{}"), ("b", "g", "[]")]),
    ("no index at all, ids on the heads", &[
        &[("a", None, "f", "{")], &[("", None, "", "}")], &[("b", None, "g", "{")], &[("", None, "", "}")],
    ], &[("a", "f", "{}"), ("b", "g", "{}")]),
    ("no index, the id on every part", &[
        &[("a", None, "f", "{"), ("b", None, "g", "[")], &[("a", None, "", "}")], &[("b", None, "", "]")],
    ], &[("a", "f", "{}"), ("b", "g", "[]")]),
    ("the id and name repeated on every part", &[
        &[("a", Some(0), "f", "{\"x\"")], &[("a", Some(0), "f", ":1")], &[("a", Some(0), "f", "}")],
    ], &[("a", "f", "{\"x\":1}")]),
    ("a known id with a wrong index", &[
        &[("a", Some(0), "f", "{")], &[("b", Some(1), "g", "[")], &[("a", Some(1), "", "}")], &[("", Some(1), "", "]")],
    ], &[("a", "f", "{}"), ("b", "g", "[]")]),
    ("neither ids nor indexes, whole calls", &[
        &[("", None, "f", "{\"x\":1}")], &[("", None, "f", "{\"x\":2}")], &[("", None, "g", "{}")],
    ], &[("", "f", "{\"x\":1}"), ("", "f", "{\"x\":2}"), ("", "g", "{}")]),
    ("the name blank on later parts", &[
        &[("a", Some(0), "f", "")], &[("", Some(0), "", "{}")], &[("", Some(0), "", "")],
    ], &[("a", "f", "{}")]),
    ("the name repeated on a last, empty part", &[
        &[("", Some(0), "f", "{}")], &[("", Some(0), "f", "")],
    ], &[("", "f", "{}")]),
    ("a new id on every part, the name on the first only", &[
        &[("a", Some(0), "f", "{")], &[("a2", Some(0), "", "\"x\":1")], &[("a3", Some(0), "", "}")],
    ], &[("a", "f", "{\"x\":1}")]),
    ("indexes from 1", &[
        &[("a", Some(1), "f", "{")], &[("", Some(1), "", "}")], &[("b", Some(2), "g", "{}")],
    ], &[("a", "f", "{}"), ("b", "g", "{}")]),
    ("whole arguments, then a blank part that repeats the name", &[
        &[("", Some(0), "f", "{}")], &[("", Some(0), "f", "\n")], &[("", Some(0), "f", " ")],
    ], &[("", "f", "{}\n ")]),
    ("the name on every part, without ids", &[
        &[("", None, "f", "{\"x\":")], &[("", None, "f", "[1")], &[("", None, "f", "]}")], &[("", None, "f", "{}")],
    ], &[("", "f", "{\"x\":[1]}"), ("", "f", "{}")]),
    ("DeepSeek: one id for two calls", &[
        &[("a", Some(0), "f", "{}"), ("a", Some(1), "g", "[]")],
    ], &[("a", "f", "{}"), ("a", "g", "[]")]),
    ("one id for two calls of one function, in parts, told apart by the index", &[
        &[("a", Some(0), "f", "{"), ("a", Some(1), "f", "[")], &[("a", Some(0), "f", "}")], &[("a", Some(1), "", "]")],
    ], &[("a", "f", "{}"), ("a", "f", "[]")]),
    ("GLM: one id and one index for two calls", &[
        &[("a", Some(0), "f", "{")], &[("a", Some(0), "", "}")], &[("a", Some(0), "g", "[")], &[("a", Some(0), "", "]")],
    ], &[("a", "f", "{}"), ("a", "g", "[]")]),
    ("the same, their parts in turn", &[
        &[("a", Some(0), "f", "{"), ("a", Some(0), "g", "[")], &[("a", Some(0), "f", "}"), ("a", Some(0), "g", "]")],
    ], &[("a", "f", "{}"), ("a", "g", "[]")]),
    ("one id for two calls without an index", &[
        &[("a", None, "f", "{}")], &[("a", None, "g", "[")], &[("a", None, "", "]")],
    ], &[("a", "f", "{}"), ("a", "g", "[]")]),
    ("an index that comes later than the id and the name", &[
        &[("a", None, "f", "{")], &[("a", Some(0), "f", "}")],
    ], &[("a", "f", "{}")]),
    ("a call without arguments", &[&[("a", Some(0), "now", "")]], &[("a", "now", "")]),
];

fn part(&(id, index, name, arguments): &Part) -> Value {
    let mut part = json!({"function": {"arguments": arguments}});
    if !id.is_empty() {
        part["id"] = id.into();
    }
    if !name.is_empty() {
        part["function"]["name"] = name.into();
    }
    if let Some(index) = index {
        part["index"] = index.into();
    }
    part
}

#[test]
fn parts_of_tool_calls_find_their_call() {
    for (why, events, expected) in TOOL_CALLS {
        let body: String = events
            .iter()
            .map(|parts| delta(json!({"tool_calls": parts.iter().map(part).collect::<Vec<_>>()})))
            .collect();
        let (_, response) = run(&format!("{body}{DONE}")).unwrap();
        let calls: Vec<_> = response
            .tool_calls()
            .iter()
            .map(|call| (&*call.id, &*call.function.name, &*call.function.arguments))
            .collect();
        assert_eq!(calls, *expected, "{why}");
    }
}

#[test]
fn arguments_that_are_an_object_are_read_as_its_text() {
    let call = json!({"id": "a", "index": 0, "function": {"name": "f", "arguments": {"x": 1}}});
    let (_, response) = run(&format!("{}{DONE}", delta(json!({"tool_calls": [call]})))).unwrap();
    assert_eq!(response.tool_calls()[0].function.arguments, r#"{"x":1}"#);
}

#[test]
fn every_framing_gives_the_same_chunks() {
    let plain = format!("{ONE}{STOP}{DONE}");
    let (end, expected) = run(&plain).unwrap();
    for (why, body) in [
        ("CRLF", plain.replace('\n', "\r\n")),
        ("CR", plain.replace('\n', "\r")),
        ("no blank after the colon", plain.replace("data: ", "data:")),
        ("several data lines", plain.replace(",\"delta\"", ",\ndata: \"delta\"")),
        ("comments", plain.replace("data: ", ": keep-alive\n\ndata: ")),
        ("a byte order mark", format!("\u{feff}{plain}")),
        ("other fields", plain.replace("data: ", "id: 1\nretry: 5\ndata: ")),
    ] {
        assert_eq!(run(&body).unwrap(), (end, expected.clone()), "{why}");
    }
}

#[test]
#[rustfmt::skip]
fn a_whole_answer_is_read_in_every_form() {
    let whole = json!({"choices": [{"message": {"content": "one "}, "finish_reason": "stop"}]});
    let as_delta = json!({"choices": [{"delta": {"content": "one "}}]});
    for (why, body) in [
        ("JSON", whole.to_string()),
        ("JSON after blanks", format!(" \n{whole}")),
        ("`delta` for `message`", as_delta.to_string()),
        ("a stream that nobody asked for", format!("{ONE}{STOP}{DONE}")),
        ("a stream that begins with a comment", format!(": hello\n\n{ONE}{STOP}{DONE}")),
        ("a stream gathered into a text", json!(format!("{ONE}{STOP}{DONE}")).to_string()),
        ("JSON after a byte order mark", format!("\u{feff}{whole}")),
        ("a stream after one", format!("\u{feff}{ONE}{STOP}{DONE}")),
        ("an error that is none", r#"{"error":{},"choices":[{"message":{"content":"one "}}]}"#.to_owned()),
    ] {
        assert_eq!(ChatResponse::decode(body.as_bytes()).unwrap().text(), "one ", "{why}");
    }
}

#[test]
#[rustfmt::skip]
fn what_is_no_whole_answer_says_so() {
    let whole = json!({"choices": [{"message": {"content": "one "}, "finish_reason": "stop"}]});
    for (why, body, message) in [
        ("an error", r#"{"error":{"message":"boom"}}"#.to_owned(), "the answer is an error of the server: boom"),
        ("an error in a stream", format!("{ONE}data: {{\"error\":\"boom\"}}\n\n"), "the answer is an error of the server: boom"),
        ("a stream cut", ONE.to_owned(), "the answer is a stream that broke off"),
        ("cut", whole.to_string()[..30].to_owned(), "the answer cannot be read"),
        ("a page", "<html>".to_owned(), "the answer cannot be read"),
        ("the pieces that a model of one's own gave, gathered by Truss", include_str!("wire/truss-stream-accept-json-gathers.json").to_owned(), "the answer is a stream that broke off"),
        ("a stream without a choice", DONE.to_owned(), "the answer has no `choices`"),
        ("the same with usage", format!("data: {{\"choices\":[],\"usage\":{{}}}}\n\n{DONE}"), "the answer has no `choices`"),
        ("JSON after a byte order mark, cut", "\u{feff}{\"choices\":".to_owned(), "the answer cannot be read"),
        ("nothing", String::new(), "the answer is a stream that broke off"),
        ("NaN", r#"{"choices":[],"created":NaN}"#.to_owned(), "the answer cannot be read"),
        ("an object of something else", "{}".to_owned(), "the answer has no `choices`"),
        ("the output of a model that is no engine", r#"{"output":"one "}"#.to_owned(), "the answer has no `choices`"),
        ("a gateway that failed and does not say so", r#"{"id":"c1","object":"chat.completion","choices":null}"#.to_owned(), "the answer has no `choices`"),
        ("a message that may be no error: nothing else says it is", r#"{"message":"boom"}"#.to_owned(), "the answer has no `choices`"),
        ("choices of another kind", r#"{"choices":{"0":{"text":"one "}}}"#.to_owned(), "the answer cannot be read"),
    ] {
        let error = ChatResponse::decode(body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message, "{why}");
        assert!(body.trim_start_matches('\u{feff}').starts_with(error.start()), "{why}");
        let error = CompletionResponse::decode(body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message, "{why}, asked for a completion");
    }
    let none = ChatResponse::decode(br#"{"choices":[],"usage":{"prompt_tokens":1}}"#).unwrap();
    assert_eq!(none.choices, [], "that there are none is an answer if the server says so");
}

#[test]
fn an_object_that_is_no_answer_does_not_end_a_stream_as_finished() {
    let (kind, partial) = *run(r#"{"output":"one "}"#).unwrap_err();
    assert_eq!(kind, "undecodable: the answer has no `choices`");
    assert_eq!(partial, ChatResponse::default());
}

#[test]
fn a_decoder_that_wants_more_holds_no_buffer() {
    let mut decoder = ChatDecoder::new();
    for body in [format!("{ONE}{ONE}data: {{\"cho"), "ices\":[]}\n\n: comment".to_owned()] {
        let pushed = Bytes::from(body.into_bytes());
        decoder.push(pushed.clone());
        while decoder.advance().unwrap() == Progress::Chunk {}
        assert!(pushed.is_unique(), "the reader of the body could not use its buffer again");
    }
}

#[test]
fn an_event_over_the_limit_fails_the_stream() {
    for body in [ONE.to_owned() + ONE, "{".repeat(80)] {
        let mut decoder = ChatDecoder::with_limit(ONE.len() - 2);
        decoder.push(body.clone().into());
        let long = format!("data: {}", "x".repeat(100));
        decoder.push(long.into());
        let error = loop {
            match decoder.advance() {
                Ok(progress) => assert_eq!(progress, Progress::Chunk),
                Err(error) => break error,
            }
        };
        assert!(matches!(error.kind(), StreamErrorKind::TooLong(_)), "{error}");
        let text = if body.starts_with('{') { "" } else { "one one " };
        assert_eq!(error.partial().text(), text);
    }
    // An answer in one piece may have a limit of its own.
    let whole = json!({"choices": [{"message": {"content": "x".repeat(100)}}]}).to_string();
    for (limit, fits) in [(whole.len(), true), (whole.len() - 1, false)] {
        let mut decoder = ChatDecoder::new().event_limit(10).document_limit(limit);
        decoder.push(whole.clone().into());
        decoder.finish();
        assert_eq!(decoder.advance().is_ok(), fits, "{limit}");
    }
}
