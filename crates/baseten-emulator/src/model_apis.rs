//! The Model APIs behind which nobody has installed an answer: a list of one model, and a chat that says
//! back what it was told. Shapes are literals, after Baseten's description of its Model APIs.

use serde_json::{Value, json};

use crate::answer::Answer;

/// The one model that is served.
const MODEL: &str = "emulated/echo";

/// What is asked for by any other route is not there: embeddings, for one, are not on the Model APIs.
pub(crate) fn answer(method: &str, route: &str, body: &[u8]) -> Answer {
    match (method, route) {
        ("GET", "v1/models") => {
            let model =
                json!({"id": MODEL, "object": "model", "created": 0, "owned_by": "emulator"});
            Answer::json(json!({"object": "list", "data": [model]}))
        }
        ("POST", "v1/chat/completions") => match serde_json::from_slice::<Value>(body) {
            Ok(request) => chat(&request),
            Err(_) => refused(400, "the body is not JSON"),
        },
        ("GET" | "POST", "v1/models" | "v1/chat/completions") => Answer::platform_error(405),
        _ => refused(404, "there is no such route"),
    }
}

fn chat(request: &Value) -> Answer {
    let Some(last) = request["messages"].as_array().and_then(|messages| messages.last()) else {
        return refused(400, "messages: at least one is required");
    };
    let model = request["model"].as_str().unwrap_or(MODEL);
    let said = last["content"].as_str().unwrap_or_default();
    let head =
        |object: &str| json!({"id": "chatcmpl-1", "object": object, "created": 0, "model": model});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    if request["stream"] != true {
        let message = json!({"role": "assistant", "content": said});
        let mut answer = head("chat.completion");
        answer["choices"] = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        answer["usage"] = usage;
        return Answer::json(answer);
    }
    let event = |choices: Value| {
        let mut event = head("chat.completion.chunk");
        event["choices"] = choices;
        event
    };
    let delta = json!({"role": "assistant", "content": said});
    let mut events = vec![
        event(json!([{"index": 0, "delta": delta, "finish_reason": null}])),
        event(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])),
    ];
    if request["stream_options"]["include_usage"] == true {
        let mut last = event(json!([]));
        last["usage"] = usage;
        events.push(last);
    }
    Answer::sse(events.iter().map(Value::to_string))
}

fn refused(status: u16, message: &str) -> Answer {
    let error = json!({"message": message, "type": "invalid_request_error", "code": status});
    Answer::json(json!({ "error": error })).with_status(status)
}
