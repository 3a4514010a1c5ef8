//! What real servers say when they do not serve, and what that tells of the job. Rules without a
//! recording are in the tables of `src/delivery.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{fs, str};

use baseten_core::{
    Access, Answer, Budget, Call, CallOptions, Credential, Delivery, Error, Hosts, ModelId,
    Operation, RetryPolicy, Route, Start, Step, Target,
};
use bytes::Bytes;

/// Where the server stands that answers.
#[derive(Clone, Copy)]
enum Asked {
    /// It runs the model, on Baseten.
    Predict,
    /// The same, on a route of its own.
    Sync,
    /// Anywhere, under a base URL.
    Gateway,
}
use Asked::{Gateway, Predict, Sync};
use Delivery::{Answered, MaybeRan, Refused};

/// The recording's name, who was asked, the status, the message (`…`: and more), the pause asked for in
/// seconds, what may have happened, and why.
type Row = (&'static str, Asked, u16, &'static str, Option<u64>, Delivery, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Of the model's server, marked as such: whatever it says, it is the answer.
    ("truss-model-raises", Predict, 500, "Internal Server Error (in model/chainlet).", None, Answered, "the model ran, and raised"),
    ("truss-model-http-exception-422", Predict, 422, "model said no", None, Answered, "the model raised this status"),
    ("truss-model-http-exception-429", Predict, 429, "model said no", None, Answered, "the model raised it: no word of the platform's"),
    ("truss-model-http-exception-503", Predict, 503, "model said no", None, Answered, "the model raised it: it was loaded"),
    ("truss-model-custom-response-429", Predict, 429, r#"{"custom":true}"#, Some(1), Answered, "the model made this response"),
    ("truss-model-not-serializable", Predict, 500, "Unhandled exception: TypeError: Object of type bytes is not JSON serializable", None, Answered, "the model ran to its end"),
    ("truss-invalid-json", Predict, 400, "Invalid JSON payload: Expecting value: line 1 column 12 (char 11)", None, Answered, "the body is at fault"),
    ("truss-invalid-utf8", Predict, 500, "Unhandled exception: UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 12: invalid start byte", None, Answered, "the body is at fault, whatever the status"),
    ("truss-chat-not-implemented", Sync, 404, "`chat_completions` must only be called if model has it.", None, Answered, "the model has no such method"),
    ("truss-schema-none-404", Sync, 404, "No schema found", None, Answered, "the model has none"),
    ("truss-ws-predict-on-ws-model", Predict, 500, "Unhandled exception: AssertionError: `predict` must only be called if model has it.", None, Answered, "the model has no such method"),
    ("chain-missing-arg", Predict, 400, "Input Parsing Error:\n  `n`: Field required.", None, Answered, "the input is at fault"),
    ("chain-inner-direct-raises", Predict, 500, "n must not be negative", None, Answered, "the chainlet ran, and raised"),
    ("chain-inner-raises", Predict, 500, "ValueError: n must not be negative", None, Answered, "a chainlet further in ran, and raised"),
    ("chain-inner-down", Predict, 500, "Cannot connect to host 127.0.0.1:18106 ssl:default [Connect call failed ('127.0.0.1', 18106)]", None, Answered, "the outer chainlet ran"),
    // Of the same server, unmarked: routes that it does not have.
    ("truss-unknown-route-404", Sync, 404, "Not Found", None, Answered, "no such route"),
    ("truss-ws-wrong-path", Sync, 403, "", None, Answered, "no such route for a WebSocket"),
    ("truss-metrics", Sync, 307, "", None, Answered, "a redirect is never followed"),
    // Of an engine, and of the nginx before it.
    ("llamacpp-embeddings-not-enabled", Sync, 501, "This server does not support embeddings. Start it with `--embeddings`", None, Answered, "the engine cannot do it"),
    ("llamacpp-too-long", Sync, 400, "request (6042 tokens) exceeds the available context size (1024 tokens), try increasing it", None, Answered, "the input is too long"),
    ("llamacpp-embeddings-too-long", Sync, 500, "input (6002 tokens) is too large to process. increase the physical batch size (current batch size: 512)", None, MaybeRan, "a 500 may be anything, for all that the text is clear"),
    ("llamacpp-not-found", Sync, 404, "File Not Found", None, Answered, "no such route"),
    ("trussnginx-bad-json", Sync, 500, "[json.exception.parse_error.101] parse error at line 1, column 11: syntax error while…", None, MaybeRan, "a 500 may be anything"),
    ("trussnginx-auth-missing", Sync, 401, "Invalid API Key", None, Answered, "the engine wants a key of its own"),
    ("trussnginx-too-large-413", Sync, 413, "413 Request Entity Too Large", None, Answered, "the body is too large"),
    ("trussnginx-upstream-down-502", Sync, 502, "502 Bad Gateway", None, MaybeRan, "the engine may have died of this request"),
    // Of gateways, unmarked.
    ("envoy-abort-429", Gateway, 429, "fault filter abort", None, Refused, "usually a limit before the server"),
    ("envoy-abort-503", Gateway, 503, "fault filter abort", None, Refused, "usually no server to pass it on to"),
    ("envoy-bad-request", Gateway, 400, "", None, Answered, "the request is at fault"),
    ("envoy-too-many-header-bytes", Gateway, 431, "Request Header Fields Too Large", None, Answered, "the headers are too large"),
    ("haproxy-deny-429", Gateway, 429, "", Some(1), Refused, "usually a limit before the server, which names its pause"),
    ("haproxy-server-timeout-504", Gateway, 504, "<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n</body></html>", None, MaybeRan, "the server had it, and was not waited for"),
    ("haproxy-bad-request-400", Gateway, 400, "<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n</body></html>", None, Answered, "the request is at fault"),
    ("mitmproxy-status-429", Gateway, 429, "injected", Some(1), Refused, "a status without a reason is one, too"),
    ("litellm-upstream-402", Gateway, 402, "litellm.APIError: APIError: OpenAIException - Error code: 402 - {'error': 'payment…", None, Answered, "the account is empty"),
    ("litellm-upstream-408", Gateway, 408, "litellm.Timeout: Timeout Error: OpenAIException - Error code: 408 - {'error':…", None, MaybeRan, "somebody gave up waiting"),
    ("litellm-upstream-429", Gateway, 429, "litellm.RateLimitError: RateLimitError: OpenAIException - Error code: 429 - {'error':…", Some(2), Refused, "a limit, whose pause has LiteLLM's name"),
    ("litellm-upstream-500", Gateway, 500, "litellm.InternalServerError: InternalServerError: OpenAIException - Error code: 500…", None, MaybeRan, "the model raised, and the mark of its server is gone"),
    ("litellm-upstream-502", Gateway, 502, "litellm.BadGatewayError: BadGatewayError: OpenAIException - <html><h1>502 Bad…", None, MaybeRan, "whoever died may have died of this request"),
    ("litellm-upstream-503", Gateway, 503, "litellm.ServiceUnavailableError: ServiceUnavailableError: OpenAIException - Error code: 503 - {'error': 'Model with name model is not ready.'}…", None, Refused, "the model is not loaded, and the mark of its server is gone"),
    ("litellm-upstream-504", Gateway, 504, "litellm.Timeout: Timeout Error: OpenAIException - Error code: 504 - {'error':…", None, MaybeRan, "it may have run to its limit"),
    ("litellm-upstream-529", Gateway, 529, "litellm.APIError: APIError: OpenAIException - Error code: 529 - {'error': 'overloaded'}…", None, Refused, "no capacity"),
    ("litellm-upstream-200-not-json", Gateway, 500, "litellm.InternalServerError: InternalServerError: OpenAIException - Expecting value:…", None, MaybeRan, "it ran, and LiteLLM cannot read the answer"),
    ("litellm-upstream-close", Gateway, 500, "litellm.InternalServerError: InternalServerError: OpenAIException - Connection error.…", None, MaybeRan, "LiteLLM does not tell what it had sent"),
];

/// The first attempt gets this answer; there is no second.
fn rejected(asked: Asked, answer: &[u8]) -> Error {
    let hosts = match asked {
        Predict | Sync => Hosts::baseten(),
        Gateway => Hosts::base_url("https://gateway.example.com").unwrap(),
    };
    let operation = match asked {
        Predict => Operation::Predict,
        Sync | Gateway => Operation::Sync(http::Method::POST, Route::new("v1/x").unwrap()),
    };
    let access = Access::new(hosts, Credential::none());
    let target = Target::model(ModelId::new("abc").unwrap());
    let request = access.template(&target, &operation, Answer::Json).unwrap().empty();
    let options = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
    let start = Start { wall: SystemTime::UNIX_EPOCH, seed: 1 };
    let mut call = Call::new(&request, &options, &Budget::new(), start);
    assert!(matches!(call.step(Duration::ZERO), Step::Send(_)));

    let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let mut lines = str::from_utf8(&answer[..at]).unwrap().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let head = lines.fold(http::Response::builder().status(status), |head, line| {
        let (name, value) = line.split_once(':').unwrap();
        head.header(name, value.trim())
    });
    let head = head.body(()).unwrap().into_parts().0;
    call.on_rejected(Duration::ZERO, head, Bytes::copy_from_slice(&answer[at + 4..]));
    let Step::Fail(error) = call.step(Duration::ZERO) else { panic!("it goes on") };
    error
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refused")
}

#[test]
fn recorded_answers_tell_what_may_have_happened_and_why() {
    for &(name, asked, status, message, pause, delivery, reason) in ROWS {
        let answer = fs::read(folder().join(name).with_extension("http")).unwrap();
        let error = rejected(asked, &answer);
        assert_eq!(error.status().unwrap().as_u16(), status, "{name}");
        assert_eq!(error.delivery(), delivery, "{name}: {reason}");
        let said = error.api().unwrap().message();
        match message.strip_suffix('…') {
            Some(beginning) => assert!(said.starts_with(beginning), "{name}: {said:?}"),
            None => assert_eq!(said, message, "{name}"),
        }
        assert_eq!(error.retry_after(), pause.map(Duration::from_secs), "{name}");
    }
}

#[test]
fn every_recording_has_its_row() {
    let mut files: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            Some(entry.unwrap().file_name().to_str()?.strip_suffix(".http")?.into())
        })
        .collect();
    let mut rows: Vec<&str> = ROWS.iter().map(|row| row.0).collect();
    files.sort();
    rows.sort_unstable();
    assert_eq!(rows, files);
}
