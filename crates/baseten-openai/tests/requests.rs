//! Each kind of request as it goes over the wire: members in the order of the fields, and no `null`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use baseten_openai::{
    Aggregation, ChatRequest, ClassifyRequest, CompletionRequest, EmbeddingRequest, Extra, Message,
    Part, RerankRequest, Tool, ToolChoice,
};
use serde_json::{Value, json};

fn chat() -> ChatRequest {
    let history = [Message::system("s"), Message::user("u"), Message::tool("c", "1")];
    let mut request = ChatRequest::new("org/m", history)
        .tool(Tool::function("f", json!({"type": "object"})))
        .tool_choice(ToolChoice::Required)
        .temperature(0.0)
        .max_tokens(1)
        .streamed();
    request.logit_bias = [("2".to_owned(), 1.0), ("1".to_owned(), -1.0)].into();
    request.engine.top_k = Some(2);
    request
}

fn completion() -> CompletionRequest {
    let mut request = CompletionRequest::new("m", vec![vec![1, 2], vec![3]]).max_tokens(1);
    (request.logprobs, request.suffix, request.engine.min_p) =
        (Some(1), Some("s".into()), Some(0.5));
    request
}

fn rerank() -> RerankRequest {
    let mut request = RerankRequest::new("q", ["a", "b"]);
    (request.truncate, request.return_text, request.model) =
        (Some(true), Some(true), Some("m".into()));
    request
}

fn classify() -> ClassifyRequest {
    let mut request = ClassifyRequest::new(["a", "b"]);
    (request.truncate, request.raw_scores) = (Some(true), Some(false));
    request
}

/// Each request with a few members set, in another order than they are written, and with none.
#[rustfmt::skip]
fn bodies() -> Vec<(&'static str, String, &'static str)> {
    let text = |body: Result<String, serde_json::Error>| body.unwrap();
    vec![
        ("chat", text(serde_json::to_string(&chat())),
            r#"{"model":"org/m","messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"tool","content":"1","tool_call_id":"c"}],"max_tokens":1,"temperature":0.0,"logit_bias":{"1":-1.0,"2":1.0},"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required","stream":true,"stream_options":{"include_usage":true},"top_k":2}"#),
        ("chat, bare", text(serde_json::to_string(&ChatRequest::new("m", []))),
            r#"{"model":"m","messages":[]}"#),
        ("completion", text(serde_json::to_string(&completion())),
            r#"{"model":"m","prompt":[[1,2],[3]],"suffix":"s","max_tokens":1,"logprobs":1,"min_p":0.5}"#),
        ("completion, bare", text(serde_json::to_string(&CompletionRequest::new("m", "p"))),
            r#"{"model":"m","prompt":"p"}"#),
        ("embeddings", text(serde_json::to_string(&EmbeddingRequest::new("m", ["a"]).as_numbers().dimensions(8))),
            r#"{"model":"m","input":["a"],"encoding_format":"float","dimensions":8}"#),
        ("embeddings, bare: base64 is asked for", text(serde_json::to_string(&EmbeddingRequest::new("m", "a"))),
            r#"{"model":"m","input":"a","encoding_format":"base64"}"#),
        ("rerank", text(serde_json::to_string(&rerank())),
            r#"{"query":"q","texts":["a","b"],"return_text":true,"truncate":true,"model":"m"}"#),
        ("rerank, bare", text(serde_json::to_string(&RerankRequest::new("q", ["a"]))),
            r#"{"query":"q","texts":["a"]}"#),
        ("classify", text(serde_json::to_string(&classify())),
            r#"{"inputs":[["a"],["b"]],"raw_scores":false,"truncate":true}"#),
        ("classify, bare", text(serde_json::to_string(&ClassifyRequest::new(["a"]))),
            r#"{"inputs":[["a"]]}"#),
        ("entities", text(serde_json::to_string(&ClassifyRequest::entities(["a"], Aggregation::Max))),
            r#"{"inputs":[["a"]],"aggregation_strategy":"max"}"#),
    ]
}

#[test]
fn every_request_is_written_in_the_order_of_its_fields_without_nulls() {
    for (name, body, expected) in bodies() {
        assert_eq!(body, expected, "{name}");
    }
}

#[test]
fn parts_are_written_as_the_api_has_them() {
    let other: Part = serde_json::from_value(json!({"type": "video_url", "video_url": 1})).unwrap();
    for (part, expected) in [
        (Part::text("t"), json!({"type": "text", "text": "t"})),
        (Part::image_url("u"), json!({"type": "image_url", "image_url": {"url": "u"}})),
        (
            Part::image("image/png", b"png"),
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}),
        ),
        (
            Part::image_url("u").detail("low"),
            json!({"type": "image_url", "image_url": {"url": "u", "detail": "low"}}),
        ),
        (Part::text("t").detail("low"), json!({"type": "text", "text": "t"})),
        (Part::file_id("i"), json!({"type": "file", "file": {"file_id": "i"}})),
        (
            Part::audio("wav", b"wav"),
            json!({"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}}),
        ),
        (
            Part::file("a.pdf", "application/pdf", b"pdf"),
            json!({"type": "file", "file": {
                "filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm",
            }}),
        ),
        (other, json!({"type": "video_url", "video_url": 1})),
    ] {
        assert_eq!(serde_json::to_value(&part).unwrap(), expected);
    }
}

#[test]
fn extra_members_go_over_the_fields_of_every_request_in_the_order_of_their_names() {
    let patch = json!({"model": "z", "a": {"b": 1}});
    let patch: &Extra = patch.as_object().unwrap();
    let texts = |body: Value| body.to_string();
    let mut rerank = rerank();
    rerank.extra.clone_from(patch);
    let mut classify = classify();
    classify.extra.clone_from(patch);
    let mut completion = CompletionRequest::new("m", "p");
    completion.extra.clone_from(patch);
    let mut embedding = EmbeddingRequest::new("m", "a");
    embedding.extra.clone_from(patch);
    let chat = ChatRequest::new("m", []).merge(patch);
    for (body, expected) in [
        (serde_json::to_string(&chat), json!({"a": {"b": 1}, "messages": [], "model": "z"})),
        (serde_json::to_string(&completion), json!({"a": {"b": 1}, "model": "z", "prompt": "p"})),
        (
            serde_json::to_string(&embedding),
            json!({"a": {"b": 1}, "encoding_format": "base64", "input": "a", "model": "z"}),
        ),
        (
            serde_json::to_string(&rerank),
            json!({"a": {"b": 1}, "model": "z", "query": "q", "return_text": true, "texts": ["a", "b"],
                "truncate": true}),
        ),
        (
            serde_json::to_string(&classify),
            json!({"a": {"b": 1}, "inputs": [["a"], ["b"]], "model": "z", "raw_scores": false,
                "truncate": true}),
        ),
    ] {
        assert_eq!(body.unwrap(), texts(expected));
    }
}
