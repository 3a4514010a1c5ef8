//! The Model APIs over literal bytes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod common;

use baseten_emulator::{Answer, DUMMY_KEY, Emulator};
use common::{Reply, exchange, post};
use serde_json::{Value, json};

fn chat(emulator: &Emulator, request: &Value) -> Reply {
    exchange(emulator, post("/v1/chat/completions", &request.to_string()).as_bytes())
}

fn get(emulator: &Emulator, host: &str, path: &str) -> Reply {
    let key = format!("Authorization: Api-Key {DUMMY_KEY}");
    exchange(emulator, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{key}\r\n\r\n").as_bytes())
}

fn read(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn one_model_is_listed_on_a_host_of_its_own_and_on_the_address() {
    let emulator = Emulator::start().unwrap();
    let host = format!("inference.localhost:{}", emulator.addr().port());
    for host in [&*host, "127.0.0.1"] {
        let listed = read(&get(&emulator, host, "/v1/models"));
        assert_eq!(
            (&listed["object"], &listed["data"][0]["id"]),
            (&json!("list"), &json!("emulated/echo"))
        );
    }
    // (host, path, status, reason)
    for (host, path, status, reason) in [
        (&*host, "/v1/embeddings", 404, "there are none"),
        (&host, "/v1/chat/completions", 405, "a POST"),
        (&host, "/model/abc/predict", 404, "models have hosts of their own"),
        (&host, "/models", 404, "outside of v1"),
    ] {
        let reply = get(&emulator, host, path);
        assert_eq!(reply.status, status, "{reason}");
        assert!(!read(&reply)["error"].is_null(), "{reason}");
    }
}

#[test]
fn a_chat_says_back_what_it_was_told() {
    let emulator = Emulator::start().unwrap();
    let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    for (content, said) in [(json!("hi"), "hi"), (parts, "ab"), (json!(null), "")] {
        let request = json!({"model": "org/m", "messages": [{"role": "user", "content": content}]});
        let answer = read(&chat(&emulator, &request));
        assert_eq!(
            (&answer["model"], &answer["object"]),
            (&json!("org/m"), &json!("chat.completion"))
        );
        let choice = &answer["choices"][0];
        assert_eq!(
            (&choice["message"]["content"], &choice["finish_reason"]),
            (&json!(said), &json!("stop"))
        );
        assert_eq!(answer["usage"]["total_tokens"], 2);
    }
}

#[test]
fn a_stream_tells_usage_as_often_as_it_was_asked_for() {
    let emulator = Emulator::start().unwrap();
    // (stream_options, events, those with usage, reason)
    for (options, events, with_usage, reason) in [
        (json!(null), 2, 0, "not asked for"),
        (json!({"include_usage": true}), 3, 1, "once, in an event without choices"),
        (json!({"include_usage": true, "continuous_usage_stats": true}), 3, 3, "in each"),
    ] {
        let messages = json!([{"role": "user", "content": "hi"}]);
        let request =
            json!({"model": "m", "messages": messages, "stream": true, "stream_options": options});
        let reply = chat(&emulator, &request);
        assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let text = reply.text().strip_suffix("data: [DONE]\n\n").unwrap();
        let told: Vec<Value> = text
            .split_terminator("\n\n")
            .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
            .collect();
        assert_eq!(told.len(), events, "{reason}");
        assert_eq!(
            told.iter().filter(|event| event["usage"].is_object()).count(),
            with_usage,
            "{reason}"
        );
        assert_eq!(told[0]["choices"][0]["delta"]["content"], "hi");
        assert_eq!(told[1]["choices"][0]["finish_reason"], "stop");
    }
}

#[test]
fn what_is_refused_looks_as_an_engine_s_error() {
    let emulator = Emulator::start().unwrap();
    let hi = json!([{"role": "user", "content": "hi"}]);
    // (request, what the message has, reason)
    for (request, told, reason) in [
        (json!({"messages": hi}), "model", "no model"),
        (json!({"model": "m"}), "messages", "no messages"),
        (json!({"model": "m", "messages": []}), "messages", "no messages"),
        (json!({"model": "m", "messages": hi, "n": 2}), "n", "one choice only"),
        (json!({"model": "m", "messages": hi, "temperature": 4.5}), "temperature", "up to 4"),
        (json!({"model": "m", "messages": hi, "top_p": 0}), "top_p", "above 0"),
        (json!({"model": "m", "messages": hi, "max_tokens": 262_145}), "max_tokens", "too many"),
    ] {
        let reply = chat(&emulator, &request);
        let error = read(&reply)["error"].clone();
        assert_eq!((reply.status, &error["code"]), (400, &json!(400)), "{reason}");
        assert!(
            error["message"].as_str().unwrap().starts_with(&format!("{told}: ")),
            "{reason}: {error}"
        );
    }
    for n in [json!(1), json!(null)] {
        let request = json!({"model": "m", "messages": hi, "n": n, "top_p": 1, "temperature": 4});
        assert_eq!(chat(&emulator, &request).status, 200);
    }
    let image =
        json!([{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "x"}}]);
    let request = json!({"model": "m", "messages": [{"role": "user", "content": image}]});
    let reply = chat(&emulator, &request);
    let flat = json!({
        "message": "This model does not support multimodal (image/video/audio) inputs.",
        "type": "Bad Request", "code": 400,
    });
    assert_eq!((reply.status, read(&reply)), (400, flat));
}

#[test]
fn an_installed_answer_comes_first() {
    let emulator = Emulator::start().unwrap();
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    emulator.model_apis().then(Answer::platform_error(529));
    emulator.model_apis().at("v1/messages").answer(Answer::status(204));
    assert_eq!([chat(&emulator, &request).status, chat(&emulator, &request).status], [529, 200]);
    assert_eq!(exchange(&emulator, post("/v1/messages", "{}").as_bytes()).status, 204);
}
