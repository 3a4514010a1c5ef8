//! What of a queued run is refused before it is sent, read as a user would, and what is sent.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::time::Duration;

use baseten_core::{
    Access, AsyncRequest, ChainId, Credential, ErrorKind, Hosts, InferenceRetry, ModelId, Target,
};
use serde_json::{Value, json};

fn access() -> Access {
    Access::new(Hosts::baseten(), Credential::api_key("k.s3cret").unwrap())
}

fn model() -> Target {
    Target::model(ModelId::new("abc").unwrap())
}

fn chain() -> Target {
    Target::chain(ChainId::new("xyz").unwrap())
}

fn new() -> AsyncRequest<Value> {
    AsyncRequest::new(json!({"n": 1}))
}

fn retry(max_attempts: u32, initial_ms: u64, max_ms: u64) -> InferenceRetry {
    InferenceRetry {
        max_attempts: Some(max_attempts),
        initial_delay: Some(Duration::from_millis(initial_ms)),
        max_delay: Some(Duration::from_millis(max_ms)),
    }
}

#[test]
#[rustfmt::skip]
fn what_is_out_of_range_is_named_with_its_range() {
    let queue = |time| new().max_time_in_queue(time);
    let seconds = Duration::from_secs;
    //   request                                       what the user reads
    for (request, expect) in [
        (new().priority(3), "priority is 3, allowed are 0, 1 and 2"),
        (new().priority(255), "priority is 255, allowed are 0, 1 and 2"),
        (queue(seconds(9)), "max_time_in_queue_seconds is 9, allowed are whole seconds from 10 to 259200"),
        (queue(seconds(259_201)), "max_time_in_queue_seconds is 259201, allowed are whole seconds from 10 to 259200"),
        (queue(Duration::from_millis(10_500)), "max_time_in_queue_seconds is 10.5, allowed are whole seconds"),
        (queue(Duration::ZERO), "max_time_in_queue_seconds is 0, allowed are whole seconds"),
        (queue(seconds(1_000_000)), "max_time_in_queue_seconds is 1000000, allowed are whole seconds"),
        (queue(Duration::from_nanos(10_000_000_001)), "max_time_in_queue_seconds is 10.000000001, allowed are whole seconds"),
        (queue(Duration::MAX), "max_time_in_queue_seconds is 18446744073709551615.999999999, allowed are"),
        (new().retry(retry(1, 10_008, 0)), "inference_retry_config.initial_delay_ms is 10008, allowed are whole milliseconds from 0 to 10000"),
        (new().retry(retry(0, 0, 0)), "inference_retry_config.max_attempts is 0, allowed are 1 to 10"),
        (new().retry(retry(11, 0, 0)), "inference_retry_config.max_attempts is 11, allowed are 1 to 10"),
        (new().retry(retry(1, 10_001, 0)), "inference_retry_config.initial_delay_ms is 10001, allowed are whole milliseconds from 0 to 10000"),
        (new().retry(retry(1, 0, 60_001)), "inference_retry_config.max_delay_ms is 60001, allowed are whole milliseconds from 0 to 60000"),
        (new().retry(InferenceRetry { initial_delay: Some(Duration::from_micros(1500)), ..InferenceRetry::default() }), "inference_retry_config.initial_delay_ms is 1.5, allowed are whole milliseconds"),
        (new().webhook("http://example.com/s3cret"), "webhook_endpoint is http://example.com…, allowed are https URLs, and http ones to this machine"),
        (new().webhook("ftp://example.com/x"), "webhook_endpoint is ftp://example.com…, allowed are https"),
        (new().webhook("http://localhost.example.com/"), "webhook_endpoint is http://localhost.example.com…"),
        (new().webhook("https:///x"), "webhook_endpoint is no absolute URL"),
        (new().webhook("example.com/s3cret"), "webhook_endpoint is no absolute URL, allowed are https URLs"),
        (new().webhook("https://exa mple.com/s3cret"), "webhook_endpoint is no absolute URL"),
        (new().webhook(""), "webhook_endpoint is no absolute URL"),
        (new().max_body(10), "the body is 23 bytes long, at most 10 are allowed; send a URL of the data, or raise AsyncRequest::max_body"),
        (AsyncRequest::new(json!("x".repeat(262_127))), "the body is 262145 bytes long, at most 262144 are allowed"),
        (AsyncRequest::bare(json!(1)), "the body is bare, which only a chain takes; use AsyncRequest::new for a model"),
    ] {
        let error = request.to_request(&access(), &model()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        let told = error.to_string();
        assert!(told.contains(expect), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[test]
fn a_bare_body_has_no_place_for_options() {
    let bare = || AsyncRequest::bare(json!({"n": 1}));
    for (request, field) in [
        (bare().webhook("https://example.com"), "webhook_endpoint"),
        (bare().priority(1), "priority"),
        (bare().max_time_in_queue(Duration::from_secs(60)), "max_time_in_queue_seconds"),
        (bare().retry(InferenceRetry::default()), "inference_retry_config"),
    ] {
        let error = request.to_request(&access(), &chain()).unwrap_err().to_string();
        let expect = format!("{field} is set, but a bare body has no place for it");
        assert!(error.contains(&expect), "{error}");
    }
}

#[test]
#[rustfmt::skip]
fn what_is_in_range_is_sent_as_it_was_given() {
    let full = new()
        .webhook("https://hook.example/x?y=1")
        .priority(0)
        .max_time_in_queue(Duration::from_secs(10))
        .retry(retry(10, 10_000, 60_000));
    //   request                                 target   path                      body
    for (request, target, path, body) in [
        (new(), model(), "async_predict", json!({"model_input": {"n": 1}})),
        (new(), chain(), "async_run_remote", json!({"model_input": {"n": 1}})),
        (AsyncRequest::bare(json!({"n": 1})), chain(), "async_run_remote", json!({"n": 1})),
        (AsyncRequest::new(json!(null)), model(), "async_predict", json!({"model_input": null})),
        (full, model(), "async_predict", json!({
            "model_input": {"n": 1}, "webhook_endpoint": "https://hook.example/x?y=1", "priority": 0,
            "max_time_in_queue_seconds": 10,
            "inference_retry_config": {"max_attempts": 10, "initial_delay_ms": 10_000, "max_delay_ms": 60_000},
        })),
        (new().max_time_in_queue(Duration::from_secs(259_200)).retry(InferenceRetry { max_attempts: Some(1), ..InferenceRetry::default() }), model(), "async_predict", json!({
            "model_input": {"n": 1}, "max_time_in_queue_seconds": 259_200, "inference_retry_config": {"max_attempts": 1},
        })),
    ] {
        let request = request.to_request(&access(), &target).unwrap();
        let sent: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(sent, body);
        assert_eq!(request.endpoint().method(), "POST");
        assert_eq!(request.endpoint().path(), format!("/environments/production/{path}"));
        assert!(!request.endpoint().is_repeatable(), "a job is not queued twice");
    }
    for url in ["http://localhost:8080/x", "http://127.0.0.1/x", "http://[::1]:1/x", "http://a.localhost/", "HTTPS://example.com", "http://LOCALHOST:8080/x", "HTTP://A.LocalHost/"] {
        assert!(new().webhook(url).to_request(&access(), &model()).is_ok(), "{url}");
    }
    let most = AsyncRequest::new(json!("x".repeat(262_126))).to_request(&access(), &model()).unwrap();
    assert_eq!(most.body().len(), 262_144);
    assert!(AsyncRequest::new("x".repeat(300_000)).max_body(1 << 20).to_request(&access(), &model()).is_ok());
}

#[test]
fn an_input_that_does_not_serialize_is_told() {
    let odd = std::collections::HashMap::from([((1, 2), "tuple key")]);
    let error = AsyncRequest::new(odd).to_request(&access(), &model()).unwrap_err();
    assert!(error.to_string().contains("the input does not serialize to JSON"), "{error}");
}
