//! What is taken for an async request: sizes, fields and their ranges, as the platform documents them. The
//! words of refusals are ours, but for those about the size.

use http::Uri;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::delivery;
use crate::route::Kind;

/// The largest body, in bytes.
const MAX_BODY: usize = 262_144;

/// Whole numbers, none of which has to be there, with their least and their most.
const RANGES: [(&str, u64, u64); 5] = [
    ("/priority", 0, 2),
    ("/max_time_in_queue_seconds", 10, 259_200),
    ("/inference_retry_config/max_attempts", 1, 10),
    ("/inference_retry_config/initial_delay_ms", 0, 10_000),
    ("/inference_retry_config/max_delay_ms", 0, 60_000),
];

/// Reads the body of a submission; what is wrong with it becomes the answer.
///
/// A chain's input stands bare in the specification, enveloped in the documentation: both are taken, and an
/// object that has `model_input` is an envelope.
pub(crate) fn read(kind: Kind, body: &[u8]) -> Result<Value, Answer> {
    if body.len() > MAX_BODY {
        let size = body.len();
        let text = format!("payload size of {size} bytes exceeds maximum size of {MAX_BODY} bytes");
        return Err(refusal(413, &text));
    }
    let submission: Value =
        serde_json::from_slice(body).map_err(|_| Answer::platform_error(400))?;
    let enveloped = submission.get("model_input").is_some();
    if !enveloped && kind == Kind::Model {
        return Err(refusal(400, "model_input: field required"));
    }
    if !submission.is_object() {
        return Err(refusal(400, "the arguments of run_remote must be an object"));
    }
    match fault(&submission).filter(|_| enveloped) {
        Some(text) => Err(refusal(400, &text)),
        None => Ok(submission),
    }
}

/// What is wrong with an envelope.
fn fault(envelope: &Value) -> Option<String> {
    for (path, least, most) in RANGES {
        let given = envelope.pointer(path).filter(|value| !value.is_null());
        let fits = |value: &Value| value.as_u64().is_some_and(|n| (least..=most).contains(&n));
        if given.is_some_and(|value| !fits(value)) {
            let name = path[1..].replace('/', ".");
            return Some(format!("{name}: must be a whole number from {least} to {most}"));
        }
    }
    let given = |name| envelope.get(name).filter(|value: &&Value| !value.is_null());
    if given("inference_retry_config").is_some_and(|config| !config.is_object()) {
        return Some("inference_retry_config: must be an object".into());
    }
    let url = given("webhook_endpoint")?;
    let fits = url.as_str().is_some_and(|url| is_https(url) || delivery::is_local(url));
    (!fits).then(|| "webhook_endpoint: must be an https URL, or http to localhost".into())
}

fn is_https(url: &str) -> bool {
    let uri = url.parse::<Uri>();
    uri.is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some())
}

fn refusal(status: u16, text: &str) -> Answer {
    Answer::json(json!({ "error": text })).with_status(status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Kind, read};

    #[test]
    fn each_field_has_its_range() {
        // (field, what is taken, what is not)
        let table = [
            ("priority", json!([0, 1, 2, null]), json!([3, -1, 1.5, "1", true])),
            ("max_time_in_queue_seconds", json!([10, 259_200]), json!([9, 259_201])),
            (
                "inference_retry_config",
                json!([{}, null, {"max_attempts": 1}, {"max_attempts": 10, "max_delay_ms": 0},
                    {"initial_delay_ms": 10_000, "max_delay_ms": 60_000}]),
                json!([{"max_attempts": 0}, {"max_attempts": 11}, {"initial_delay_ms": 10_001},
                    {"initial_delay_ms": -1}, {"max_delay_ms": 60_001}, 3]),
            ),
            (
                "webhook_endpoint",
                json!([
                    "https://example.com/h",
                    "http://localhost:1/h",
                    "http://127.0.0.1:1",
                    null
                ]),
                json!(["http://example.com/h", "ftp://localhost", "example.com", "", 7]),
            ),
        ];
        for (field, good, bad) in table {
            for (values, taken) in [(good, true), (bad, false)] {
                for value in values.as_array().unwrap() {
                    let body = json!({"model_input": 1, field: value}).to_string();
                    for kind in [Kind::Model, Kind::Chain] {
                        let refused = read(kind, body.as_bytes()).err().map(|answer| answer.status);
                        assert_eq!(refused, (!taken).then_some(400), "{body}");
                    }
                }
            }
        }
    }

    #[test]
    fn models_need_an_envelope_and_chains_an_object() {
        // (kind, body, status, reason)
        for (kind, body, status, reason) in [
            (Kind::Model, r#"{"model_input": null}"#, None, "any JSON is an input"),
            (Kind::Model, r#"{"n": 1}"#, Some(400), "no envelope"),
            (Kind::Model, "[1]", Some(400), "no envelope"),
            (Kind::Chain, r#"{"n": 1}"#, None, "bare arguments"),
            (Kind::Chain, r#"{"priority": 9}"#, None, "an argument of that name"),
            (Kind::Chain, "{}", None, "no arguments"),
            (Kind::Chain, "[1]", Some(400), "arguments have names"),
            (Kind::Chain, "{", Some(400), "not JSON"),
        ] {
            let refused = read(kind, body.as_bytes()).err().map(|answer| answer.status);
            assert_eq!(refused, status, "{reason}");
        }
    }
}
