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

/// Numbers that a chat may have, with their least and their most.
const RANGES: [(&str, f64, f64); 6] = [
    ("n", 1.0, 1.0),
    ("best_of", 1.0, 1.0),
    ("max_tokens", 1.0, 262_144.0),
    ("temperature", 0.0, 4.0),
    ("top_p", f64::MIN_POSITIVE, 1.0), // 0 is excluded
    ("top_logprobs", 0.0, 20.0),
];

fn chat(request: &Value) -> Answer {
    let Some(model) = request["model"].as_str() else {
        return refused(400, "model: field required");
    };
    let Some(last) = request["messages"].as_array().and_then(|messages| messages.last()) else {
        return refused(400, "messages: at least one is required");
    };
    for (name, least, most) in RANGES {
        let given = request.get(name).filter(|value| !value.is_null());
        let fits = |value: &Value| value.as_f64().is_some_and(|n| (least..=most).contains(&n));
        if given.is_some_and(|value| !fits(value)) {
            return refused(400, &format!("{name}: out of range"));
        }
    }
    match said(&last["content"]) {
        Some(said) if request["stream"] == true => streamed(request, model, &said),
        Some(said) => {
            let message = json!({"role": "assistant", "content": said});
            let mut answer = head("chat.completion", model);
            answer["choices"] = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
            answer["usage"] = usage();
            Answer::json(answer)
        }
        None => not_multimodal(),
    }
}

fn streamed(request: &Value, model: &str, said: &str) -> Answer {
    let wants = |option: &str| request["stream_options"][option] == true;
    let running = wants("continuous_usage_stats");
    let event = |choices: Value| {
        let mut event = head("chat.completion.chunk", model);
        event["choices"] = choices;
        if running {
            event["usage"] = usage();
        }
        event
    };
    let delta = json!({"role": "assistant", "content": said});
    let mut events = vec![
        event(json!([{"index": 0, "delta": delta, "finish_reason": null}])),
        event(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])),
    ];
    if wants("include_usage") {
        let mut last = event(json!([]));
        last["usage"] = usage();
        events.push(last);
    }
    Answer::sse(events.iter().map(Value::to_string))
}

/// The text of a message: its content, or the parts of it; `None` if it has more than text.
fn said(content: &Value) -> Option<String> {
    let Some(parts) = content.as_array() else {
        return Some(content.as_str().unwrap_or_default().to_owned());
    };
    parts.iter().map(|part| part["text"].as_str()).collect()
}

fn head(object: &str, model: &str) -> Value {
    json!({"id": "chatcmpl-1", "object": object, "created": 0, "model": model})
}

fn usage() -> Value {
    json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
}

/// The text and the flat shape are Baseten's.
fn not_multimodal() -> Answer {
    let message = "This model does not support multimodal (image/video/audio) inputs.";
    Answer::json(json!({"message": message, "type": "Bad Request", "code": 400})).with_status(400)
}

fn refused(status: u16, message: &str) -> Answer {
    let error = json!({"message": message, "type": "invalid_request_error", "code": status});
    Answer::json(json!({ "error": error })).with_status(status)
}
