//! Which events of a stream are the time of a token.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::{Duration, SystemTime};

use baseten_core::{
    Answer, Budget, Call, CallOptions, Credential, Endpoint, Hosts, Meta, ModelId, Operation,
    Start, Step, Target, Template,
};
use baseten_openai::{ChatDecoder, Progress, StreamReader};
use serde_json::{Value, json};

/// What is known of an answer with status 200.
fn accepted() -> Meta {
    let target = Target::model(ModelId::new("abcd1234").unwrap());
    let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict).unwrap();
    let template = Template::new(endpoint, &Credential::none(), Answer::Stream).unwrap();
    let start = Start { wall: SystemTime::UNIX_EPOCH, seed: 1 };
    let request = template.empty();
    let mut call = Call::new(&request, &CallOptions::default(), &Budget::new(), start);
    assert!(matches!(call.step(Duration::ZERO), Step::Send(_)));
    let (head, ()) = http::Response::new(()).into_parts();
    call.accept(Duration::ZERO, head).meta().clone()
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
fn only_what_the_model_wrote_has_a_time() {
    let call = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]});
    let usage = r#"data: {"choices":[],"usage":{"completion_tokens":5}}"#;
    let probable = r#"data: {"choices":[{"delta":{"content":""},"logprobs":{"content":[{"token":"","logprob":-1.0,"bytes":[195]}]}}]}"#;
    for (why, event, counts) in [
        ("text", delta(json!({"content": "Hi"})), true),
        ("thinking", delta(json!({"reasoning_content": "Hm"})), true),
        ("thinking, under its other name", delta(json!({"reasoning": "Hm"})), true),
        ("a refusal", delta(json!({"refusal": "No"})), true),
        ("the head of a tool call", delta(call), true),
        ("the first byte of a letter", format!("{probable}\n\n"), true),
        ("the role", delta(json!({"role": "assistant", "content": ""})), false),
        ("the role, without a text", delta(json!({"role": "assistant", "content": null})), false),
        ("the reason of the end", STOP.to_owned(), false),
        ("usage", format!("{usage}\n\n"), false),
    ] {
        let times = [3, 5, 9].map(Duration::from_secs);
        let meta = accepted();
        let mut reader = StreamReader::new(ChatDecoder::new());
        reader.push(Some(format!("{ONE}{ONE}{event}{DONE}").into()));
        let mut now = times.into_iter();
        while reader.advance(&meta, || now.next().unwrap()).unwrap() != Progress::End {}
        let timings = reader.timings();
        assert_eq!(timings.first, times[0], "{why}");
        assert_eq!(timings.last, times[if counts { 2 } else { 1 }], "{why}");
        assert_eq!(timings.chunks, if counts { 3 } else { 2 }, "{why}");
        let rate = if counts { 2.0 } else { 6.0 };
        assert_eq!(timings.tokens_per_second(13), Some(rate), "{why}: the first one waits");
    }
}
