//! The payload: what is read, kept, written again and refused, and how old it may be.

use std::time::{Duration, SystemTime};

use baseten_webhook::{
    Error, Event, JobError, JobErrorCode, OutputError, Secret, Verifier, Webhook, sign,
};
use serde_json::{Value, json};

/// 2024-04-30T01:01:08.883423Z
fn sent() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(1_714_438_868_883_423)
}

fn model() -> Value {
    json!({
        "request_id": "9876543210abcdef1234567890fedcba", "model_id": "abcd1234",
        "deployment_id": "efgh5678", "type": "async_request_completed",
        "time": "2024-04-30T01:01:08.883423Z", "data": {"size": 42}, "errors": [],
    })
}

fn model_with(key: &str, value: Value) -> Value {
    let mut body = model();
    body[key] = value;
    body
}

fn model_without(key: &str) -> Value {
    let mut body = model();
    body.as_object_mut().expect("it is an object").remove(key);
    body
}

fn parse(body: &Value) -> Result<Webhook, Error> {
    Webhook::parse(body.to_string().as_bytes())
}

#[test]
fn the_documented_body_is_read() {
    let webhook = parse(&model()).unwrap();
    assert_eq!(webhook.request_id, "9876543210abcdef1234567890fedcba");
    assert_eq!(webhook.model_id.as_deref(), Some("abcd1234"));
    assert_eq!(webhook.chain_id, None);
    assert_eq!(webhook.deployment_id.as_deref(), Some("efgh5678"));
    assert_eq!(webhook.event, Event::AsyncRequestCompleted);
    assert_eq!(webhook.time, sent());
    assert!(webhook.succeeded());

    #[derive(serde::Deserialize)]
    struct Output {
        size: u32,
    }
    assert_eq!(webhook.output::<Output>().unwrap().size, 42);
}

#[test]
fn output_is_any_json() {
    for data in [
        json!("text"),
        json!("{\"json\": \"in a text\"}"),
        json!([1, 2.5, null]),
        json!(true),
        json!(null),
        json!({"deep": [[[[{}]]]]}),
    ] {
        let webhook = parse(&model_with("data", data.clone())).unwrap();
        assert_eq!(webhook.output::<Value>().unwrap(), data);
    }
    // Exact, whatever a number is: nothing goes through a float on the way.
    let exact = r#"{"request_id":"r","type":"async_request_completed","time":"2024-04-30T01:01:08.883423Z","data":[ 1e999, 123456789012345678901234567890 ]}"#;
    let webhook = Webhook::parse(exact.as_bytes()).unwrap();
    assert_eq!(webhook.data.as_ref().unwrap().get(), "[ 1e999, 123456789012345678901234567890 ]");
    assert!(serde_json::to_string(&webhook).unwrap().contains("[ 1e999, 1234567890123456789"));
    // However deep: reading it as a value may refuse, nothing overflows.
    let deep = exact.replace("1e999", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    let webhook = Webhook::parse(deep.as_bytes()).unwrap();
    let error = webhook.output::<Value>().unwrap_err().to_string();
    assert!(error.contains("recursion limit"), "{error}");
    // Without a copy, for a type that borrows.
    let webhook = parse(&model_with("data", json!("text"))).unwrap();
    assert_eq!(webhook.output::<&str>().unwrap(), "text");
}

#[test]
fn the_wrong_type_or_a_failure_is_no_output() {
    let webhook = parse(&model()).unwrap();
    let error = webhook.output::<Vec<f32>>().unwrap_err();
    assert!(matches!(error, OutputError::Unexpected { .. }));
    assert!(error.to_string().contains("expected a sequence at line 1"), "{error}");
    // A long output of the wrong type is not quoted in full.
    let long = parse(&model_with("data", json!("9".repeat(5000)))).unwrap();
    assert!(long.output::<Vec<f32>>().unwrap_err().to_string().len() < 300);

    let errors = json!([{"code": "MODEL_PREDICT_ERROR", "message": "it broke"}]);
    let mut body = model_with("errors", errors);
    body["data"] = json!(null);
    let webhook = parse(&body).unwrap();
    assert!(!webhook.succeeded());
    assert_eq!(webhook.errors, [JobError::new(JobErrorCode::ModelPredictError, "it broke")]);
    // Even for a type that would take null: a failure is never taken for an empty output.
    let error = webhook.output::<Option<u8>>().unwrap_err();
    assert_eq!(error.to_string(), "the async request failed: MODEL_PREDICT_ERROR: it broke");
}

#[test]
fn codes_and_events_are_open() {
    for (text, code) in [
        ("MODEL_PREDICT_ERROR", JobErrorCode::ModelPredictError),
        ("MODEL_PREDICT_TIMEOUT", JobErrorCode::ModelPredictTimeout),
        ("MODEL_NOT_READY", JobErrorCode::ModelNotReady),
        ("MODEL_UNAVAILABLE", JobErrorCode::ModelUnavailable),
        ("INTERNAL_SERVER_ERROR", JobErrorCode::InternalServerError),
        ("MODEL_DOES_NOT_EXIST", JobErrorCode::ModelDoesNotExist),
        ("MODEL_INVALID_INPUT", JobErrorCode::ModelInvalidInput),
        ("ASYNC_REQUEST_NOT_SUPPORTED", JobErrorCode::AsyncRequestNotSupported),
        ("GPU_ON_FIRE", JobErrorCode::Other("GPU_ON_FIRE".into())),
        ("model_not_ready", JobErrorCode::Other("model_not_ready".into())), // spelled as it came
        ("", JobErrorCode::Other("".into())),
    ] {
        assert_eq!(serde_json::from_value::<JobErrorCode>(json!(text)).unwrap(), code);
        assert_eq!(serde_json::to_value(&code).unwrap(), json!(text));
        assert_eq!(code.to_string(), text);
    }
    let webhook = parse(&model_with("type", json!("async_request_started"))).unwrap();
    assert_eq!(webhook.event, Event::Other("async_request_started".into()));
}

#[test]
fn unknown_fields_survive() {
    let mut body = model_without("model_id");
    body["chain_id"] = json!("chain123");
    body["usage"] = json!({"gpu_seconds": 1.25, "parts": [null, -7, u64::MAX]});
    body["errors"] =
        json!([{"code": "NEW_CODE", "message": "m", "stack": ["a", "b"], "retryable": null}]);
    let webhook = parse(&body).unwrap();
    assert_eq!(webhook.chain_id.as_deref(), Some("chain123"));
    assert_eq!(webhook.other["usage"]["gpu_seconds"], 1.25);
    assert_eq!(webhook.errors[0].other["stack"][1], "b");
    assert_eq!(serde_json::to_value(&webhook).unwrap(), body);
}

#[test]
fn no_output_is_lost_over_what_is_told_beside_it() {
    let untold = || JobErrorCode::Other("".into());
    let raw = |json: &str| JobError::new(untold(), json);
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    //   `errors`                               what is read
    for (errors, expect) in [
        ("null", vec![]),
        ("[]", vec![]),
        (
            r#"[{"code": "MODEL_NOT_READY", "message": null}]"#,
            vec![JobError::new(JobErrorCode::ModelNotReady, "")],
        ),
        (r#"[{"message": "m"}]"#, vec![raw("m")]),
        (r#"[{"code": null}, "it broke"]"#, vec![raw(""), raw("it broke")]),
        (
            r#"[{"code": 500, "message": 7}]"#,
            vec![JobError::new(JobErrorCode::Other("500".into()), "7")],
        ),
        (r#"{"message": "m"}"#, vec![raw("m")]), // not in a list
        (r#""it broke""#, vec![raw("it broke")]),
        // Nothing that a value could hold, so all of it as it stood.
        (r#"[{"code": 1e999}]"#, vec![raw(r#"[{"code": 1e999}]"#)]),
        (r#"[{"message": "\ud800"}]"#, vec![raw(r#"[{"message": "\ud800"}]"#)]),
        (&deep, vec![raw(&deep)]),
    ] {
        let body = format!(
            r#"{{"request_id": "r", "type": "async_request_completed",
            "time": "2024-04-30T01:01:08.883423Z", "data": [0.5], "errors": {errors}}}"#
        );
        let webhook = Webhook::parse(body.as_bytes()).unwrap();
        assert_eq!(webhook.errors, expect, "{errors:.80}");
        assert_eq!(webhook.data.as_ref().unwrap().get(), "[0.5]");
        assert_eq!(webhook.output::<Vec<f32>>().is_ok(), expect.is_empty(), "{errors:.80}");
    }

    //   a field, what it says, and what is read: of ids their texts, of the event its own
    for (key, value, expect) in [
        ("request_id", json!(35), json!("35")),
        ("model_id", json!(7), json!("7")),
        ("model_id", json!(null), json!(null)),
        ("chain_id", json!({"a": 1}), json!(r#"{"a":1}"#)),
        ("deployment_id", json!(null), json!(null)),
        ("type", json!(null), json!("")),
        ("type", json!(2), json!("2")),
        ("type", json!("async_request_completed"), json!("async_request_completed")),
    ] {
        let webhook = parse(&model_with(key, value.clone())).unwrap();
        let written = serde_json::to_value(&webhook).unwrap();
        assert_eq!(written.get(key).unwrap_or(&Value::Null), &expect, "{key}: {value}");
        assert!(webhook.succeeded() && webhook.output::<Value>().is_ok(), "{key}: {value}");
    }
    for key in ["model_id", "deployment_id", "type", "data", "errors"] {
        let webhook = parse(&model_without(key)).unwrap();
        assert!(webhook.succeeded(), "{key}");
    }
    assert_eq!(parse(&model_without("type")).unwrap().event, Event::Other("".into()));
}

#[test]
fn nor_over_a_new_field_that_no_value_holds() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for json in ["1e999", r#"{"a": "\ud800"}"#, &deep] {
        let body = model().to_string().replacen('{', &format!(r#"{{"usage": {json}, "#), 1);
        let webhook = Webhook::parse(body.as_bytes()).unwrap();
        assert_eq!(webhook.other["usage"], json);
        assert_eq!(webhook.output::<Value>().unwrap(), json!({"size": 42}));
        assert_eq!(
            (&*webhook.request_id, webhook.time),
            (&*parse(&model()).unwrap().request_id, sent())
        );
    }
}

#[test]
fn a_body_that_is_no_webhook_is_named() {
    let data = "9".repeat(5000);
    for (body, expect) in [
        ("", "EOF"),
        ("[]", "expected struct Webhook"),
        (&model().to_string()[..100], "EOF"),
        (&format!("{}x", model()), "trailing characters"),
        (&model_without("request_id").to_string(), "missing field `request_id`"),
        (&model_without("time").to_string(), "missing field `time`"), // how old is it?
        (&model_with("time", json!(null)).to_string(), "invalid type: null"),
        (&model_with("time", json!(1_714_438_868)).to_string(), "invalid type: integer"),
        (&model_with("request_id", json!(null)).to_string(), "the id is null"), // which one is it?
        (&json!(data).to_string(), "at line 1 column"),                         // and no 5000 nines
        (r#"{"request_id":"a","request_id":"b"}"#, "duplicate field `request_id`"),
        (&model().to_string().replace("42", "NaN"), "expected value"), // no JSON, though Python's
    ] {
        let error = Webhook::parse(body.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::NotAWebhook(_)) && !error.is_about_signature());
        let message = error.to_string();
        assert!(message.contains(expect), "{body:.80}: {message}");
        assert!(message.contains("verify_signature"), "what to do next: {message}");
        assert!(format!("{error:?}").len() < 300 && message.len() < 400, "{message}");
    }
    let error = Webhook::parse(b"\xff\xfe{}").unwrap_err();
    assert!(matches!(error, Error::NotAWebhook(_)), "{error}");

    // A time that is none has an error of its own.
    let error = parse(&model_with("time", json!("2024-04-31T01:01:08.883423Z"))).unwrap_err();
    assert!(matches!(error, Error::InvalidTime(_)), "{error:?}");
    assert!(error.to_string().contains("2024-04-31") && error.to_string().contains("calendar"));
}

#[test]
fn age_is_tolerated_both_ways() {
    let secret = Secret::new("whsec_1").unwrap();
    let body = model().to_string();
    let header = sign([&secret], body.as_bytes());
    let verifier = Verifier::new(secret);
    let micro = Duration::from_micros(1);
    let minutes = Duration::from_secs(300);
    let ever = Duration::MAX;
    //   tolerance  now                            expected
    for (tolerance, now, expect) in [
        (None, sent(), ""),
        (None, sent() + minutes, ""), // exactly so far is accepted
        (None, sent() - minutes, ""),
        (None, sent() + minutes + micro, "was sent 300.0s ago, more than the 300s allowed"),
        (None, sent() - minutes - micro, "time is 300.0s ahead, more than the 300s allowed"),
        (None, SystemTime::UNIX_EPOCH - minutes, "s ahead"), // a clock that was never set
        (Some(Duration::ZERO), sent(), ""),
        (Some(Duration::ZERO), sent() + micro, "may be a replay"),
        (Some(Duration::ZERO), sent() - micro, "check this machine's clock"),
        (Some(ever), sent() + 1_000_000 * minutes, ""),
        (Some(ever), SystemTime::UNIX_EPOCH, ""),
        (Some(ever), SystemTime::UNIX_EPOCH - minutes, ""),
    ] {
        let verifier = match tolerance {
            Some(tolerance) => verifier.clone().with_tolerance(tolerance),
            None => verifier.clone(),
        };
        match verifier.verify([&header], body.as_bytes(), now) {
            Ok(webhook) => assert!(expect.is_empty() && webhook.time == sent(), "{expect}"),
            Err(error) => {
                let message = error.to_string();
                assert!(!expect.is_empty() && message.contains(expect), "{message}");
                assert!(!error.is_about_signature());
            }
        }
    }
}

#[test]
fn the_signature_comes_first() {
    // Neither the age nor the shape of an unsigned body is told to whoever sent it.
    let verifier = Verifier::new(Secret::new("whsec_1").unwrap());
    let other = Secret::new("whsec_2").unwrap();
    for body in [&b"not JSON"[..], b"", model().to_string().as_bytes()] {
        let header = sign([&other], body);
        let result = verifier.verify([header], body, SystemTime::UNIX_EPOCH);
        assert_eq!(result.unwrap_err(), Error::WrongSignature);
    }
}
