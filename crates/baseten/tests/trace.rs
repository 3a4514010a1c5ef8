//! What a `tracing` subscriber is told of calls: one span a call, one event an attempt, by the names of
//! OpenTelemetry, and never a key or a text. Both facades, with a subscriber that collects.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baseten::openai::{ChatRequest, EmbeddingRequest, Message};
use baseten::{CallOptions, CancelToken, RetryPolicy};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Fault, When};
use facades::{Facade, each_with};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

type Fields = BTreeMap<String, String>;

/// What was told, and what is canceled when an attempt is told to have failed.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<Span>>>, Option<CancelToken>);

#[derive(Clone, Debug, Default)]
struct Span {
    name: String,
    declared: Vec<String>,
    fields: Fields,
    events: Vec<Fields>,
    handles: usize,
    closed: bool,
}

struct Values<'a>(&'a mut Fields);

impl Visit for Values<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl Subscriber for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut spans = self.0.lock().unwrap();
        let declared = attributes.metadata().fields().iter().map(|field| field.name().into());
        let name = attributes.metadata().name().into();
        let mut span = Span { name, declared: declared.collect(), handles: 1, ..Span::default() };
        attributes.record(&mut Values(&mut span.fields));
        spans.push(span);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.with(span, |span| values.record(&mut Values(&mut span.fields)));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Values(&mut fields));
        if let Some(token) = &self.1
            && fields["message"] == "attempt failed"
        {
            token.cancel();
        }
        let parent = event.parent().expect("every event belongs to a call");
        self.with(parent, |span| span.events.push(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn clone_span(&self, span: &Id) -> Id {
        self.with(span, |span| span.handles += 1);
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        self.with(&span, |span| {
            span.handles -= 1;
            span.closed = span.handles == 0;
            span.closed
        })
    }
}

impl Told {
    fn with<T>(&self, span: &Id, change: impl FnOnce(&mut Span) -> T) -> T {
        change(&mut self.0.lock().unwrap()[span.into_u64() as usize - 1])
    }

    /// The spans so far.
    fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }
}

/// Runs a test against both facades; what is told goes to a subscriber of the test's own.
fn each(test: impl Fn(&Facade, &Emulator, &Told)) {
    each_with(CallOptions::default(), |facade, emulator| {
        let told = Told::default();
        tracing::subscriber::with_default(told.clone(), || test(facade, emulator, &told));
        let all = format!("{:?}", told.spans());
        for secret in [DUMMY_KEY, "s3cret"] {
            assert!(!all.contains(secret), "{}: {all}", facade.name());
        }
    });
}

/// That a span has these fields with these values, and no others but `otel.name` and what is in `any`.
fn has(span: &Span, expect: &[(&str, &str)], any: &[&str]) {
    let mut left = span.fields.clone();
    for (name, value) in expect {
        assert_eq!(left.remove(*name).as_deref(), Some(*value), "{name}: {span:#?}");
    }
    for name in any {
        assert!(left.remove(*name).is_some(), "{name}: {span:#?}");
    }
    assert!(left.is_empty(), "{left:?}");
    assert!(span.closed, "{span:?}");
}

fn port(emulator: &Emulator) -> String {
    emulator.addr().port().to_string()
}

fn chat_request() -> ChatRequest {
    let mut request = ChatRequest::new("org/model", [Message::user("s3cret question")]);
    request.temperature = Some(0.5);
    request.seed = Some(7);
    request.user = Some("s3cret user".into());
    request.max_tokens(100)
}

/// What a chat is told with, as it begins.
fn asked(port: &str) -> Vec<(&str, &str)> {
    vec![
        ("otel.name", "chat org/model"),
        ("otel.kind", "client"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "baseten"),
        ("gen_ai.request.model", "org/model"),
        ("gen_ai.request.max_tokens", "100"),
        ("gen_ai.request.temperature", "0.5"),
        ("gen_ai.request.seed", "7"),
        ("server.address", "127.0.0.1"),
        ("server.port", port),
        ("http.request.method", "POST"),
    ]
}

/// What is told of an answer.
const ANSWERED: [(&str, &str); 7] = [
    ("http.response.status_code", "200"),
    ("gen_ai.response.id", "c-1"),
    ("gen_ai.response.model", "org/model-v2"),
    ("gen_ai.response.finish_reasons", "[\"stop\"]"),
    ("gen_ai.usage.input_tokens", "11"),
    ("gen_ai.usage.output_tokens", "5"),
    ("gen_ai.usage.cache_read.input_tokens", "3"),
];

fn usage() -> serde_json::Value {
    json!({"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 3}})
}

#[test]
fn a_chat() {
    each(|facade, emulator, told| {
        emulator.model("abc").every_route().answer(Answer::json(json!({
            "id": "c-1", "model": "org/model-v2", "usage": usage(),
            "choices": [{"message": {"content": "s3cret answer"}, "finish_reason": "stop"}],
        })));
        facade.chat(&chat_request()).unwrap();
        let (spans, port) = (told.spans(), port(emulator));
        assert_eq!((spans.len(), spans[0].events.len()), (1, 1));
        has(&spans[0], &[&asked(&port)[..], &ANSWERED].concat(), &[]);
        assert_eq!(spans[0].events[0]["http.response.status_code"], "200");
        assert_eq!(spans[0].events[0]["http.request.resend_count"], "0");
    });
}

#[test]
fn a_streamed_chat_ends_with_its_stream() {
    each(|facade, emulator, told| {
        let chunk = |delta: serde_json::Value, reason: Option<&str>| {
            json!({"id": "c-1", "model": "org/model-v2", "choices":
                [{"index": 0, "delta": delta, "finish_reason": reason}]})
        };
        let events = [
            chunk(json!({"content": "s3cret"}), None).to_string(),
            chunk(json!({}), Some("stop")).to_string(),
            json!({"id": "c-1", "model": "org/model-v2", "choices": [], "usage": usage()})
                .to_string(),
            "[DONE]".into(),
        ];
        emulator.model("abc").every_route().answer(Answer::sse(events));
        macro_rules! chunk {
            ($model:expr, $wait:expr) => {{
                let mut stream =
                    $wait($model.openai().unwrap().chat_stream(&chat_request())).unwrap();
                while $wait(stream.chunk()).unwrap().is_some() {
                    assert!(!told.spans()[0].closed, "the stream goes on");
                }
                // Kept, and over all the same.
                assert!(told.spans()[0].closed, "{}: {:?}", facade.name(), told.spans());
                drop(stream);
            }};
        }
        match facade {
            Facade::Async(runtime, model) => chunk!(model, |wait| runtime.block_on(wait)),
            Facade::Blocking(model) => chunk!(model, std::convert::identity),
        }
        let (spans, port) = (told.spans(), port(emulator));
        assert_eq!((spans.len(), spans[0].events.len()), (1, 1));
        let streamed = [("gen_ai.request.stream", "true")];
        let expect = [&asked(&port)[..], &ANSWERED, &streamed].concat();
        has(&spans[0], &expect, &["gen_ai.response.time_to_first_chunk"]);
        let first = &spans[0].fields["gen_ai.response.time_to_first_chunk"];
        assert!(first.parse::<f64>().unwrap() > 0.0);
    });
}

#[test]
fn a_stream_that_fails_and_one_that_is_dropped() {
    each(|facade, emulator, told| {
        let text = json!({"choices": [{"index": 0, "delta": {"content": "s3cret"}}]}).to_string();
        let error = json!({"error": {"message": "s3cret", "code": 500}}).to_string();
        emulator.model("abc").every_route().answer(Answer::sse([text.clone(), error]));
        assert!(facade.chat_stream(&chat_request()).error.is_some());
        let dropped = Answer::sse([text.clone(), text]).paced(Duration::from_secs(600));
        emulator.model("abc").every_route().answer(dropped);
        facade.first_chat_chunk(&chat_request());
        let spans = told.spans();
        assert_eq!(spans.len(), 2);
        let (failed, dropped) = (&spans[0], &spans[1]);
        assert_eq!(failed.fields["error.type"], "stream");
        assert_eq!(failed.fields["otel.status_code"], "ERROR");
        assert!(failed.closed && dropped.closed, "{}", facade.name());
        assert!(!dropped.fields.contains_key("error.type"));
    });
}

#[test]
fn embeddings() {
    each(|facade, emulator, told| {
        emulator.model("abc").every_route().answer(Answer::json(json!({
            "model": "e", "data": [{"index": 0, "embedding": [0.5]}],
            "usage": {"prompt_tokens": 2, "total_tokens": 2},
        })));
        facade.embeddings(&EmbeddingRequest::new("e", ["s3cret"]).dimensions(1)).unwrap();
        let (spans, port) = (told.spans(), port(emulator));
        assert_eq!(spans.len(), 1);
        let expect = [
            ("otel.name", "embeddings e"),
            ("otel.kind", "client"),
            ("gen_ai.operation.name", "embeddings"),
            ("gen_ai.provider.name", "baseten"),
            ("gen_ai.request.model", "e"),
            ("gen_ai.request.encoding_formats", "[\"base64\"]"),
            ("gen_ai.embeddings.dimension.count", "1"),
            ("gen_ai.response.model", "e"),
            ("gen_ai.usage.input_tokens", "2"),
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("http.request.method", "POST"),
            ("http.response.status_code", "200"),
        ];
        has(&spans[0], &expect, &[]);
    });
}

#[test]
fn every_attempt_of_any_call() {
    each(|facade, emulator, told| {
        let busy = Answer::platform_error(503).header("retry-after-ms", "1");
        emulator.model("abc").then(busy);
        facade.predict(&json!("s3cret")).unwrap();
        let (spans, port) = (told.spans(), port(emulator));
        assert_eq!(spans.len(), 1);
        let path = emulator.seen().arrivals()[0].path.clone();
        let expect = [
            ("otel.name", &*format!("POST {path}")),
            ("otel.kind", "client"),
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("http.request.method", "POST"),
            ("http.response.status_code", "200"),
            ("http.request.resend_count", "1"),
        ];
        has(&spans[0], &expect, &[]);
        let events = &spans[0].events;
        assert_eq!(events.len(), 2, "{events:?}");
        assert_eq!(events[0]["http.response.status_code"], "503");
        assert_eq!(
            (&*events[0]["baseten.delivery"], &*events[0]["message"]),
            ("Refused", "attempt failed")
        );
        assert_eq!(
            (&*events[1]["message"], &*events[1]["http.request.resend_count"]),
            ("attempt answered", "1")
        );
        assert_ne!(events[0]["baseten.request_id"], events[1]["baseten.request_id"]);
    });
}

#[test]
fn an_id_that_is_the_key_is_not_told() {
    each(|facade, emulator, told| {
        for (header, status) in [("x-request-id", 503), ("x-baseten-request-id", 200)] {
            let head = format!("HTTP/1.1 {status} Whatever\r\n{header}: {DUMMY_KEY}\r\n");
            let rest = "retry-after-ms: 1\r\nconnection: close\r\ncontent-length: 1\r\n\r\n1";
            emulator.model("abc").then(Answer::raw(format!("{head}{rest}")));
        }
        facade.predict(&json!(1)).unwrap();
        let spans = told.spans();
        let ids: Vec<&str> =
            spans[0].events.iter().map(|event| &*event["baseten.request_id"]).collect();
        assert_eq!(ids, ["[redacted]", "[redacted]"], "{}", facade.name());
    });
}

#[test]
fn a_call_that_fails() {
    each(|facade, emulator, told| {
        emulator.model("abc").answer(Answer::platform_error(500));
        facade.predict(&json!(1)).unwrap_err();
        emulator.inject(When::Request(0), Fault::reset());
        facade.predict(&json!(1)).unwrap_err();
        emulator.model("abc").answer(Answer::stream(["one"]).fault(Fault::cut().at_body(1)));
        let (_, error) = facade.stream(&json!(1)).unwrap().rest();
        assert!(error.is_some());
        //   the call's             error.type      status
        for (span, (error, status)) in told.spans().iter().zip([
            ("500", Some("500")),
            ("disconnected", None),
            ("truncated", Some("200")),
        ]) {
            assert_eq!(span.fields["error.type"], error, "{}", facade.name());
            let found = span.fields.get("http.response.status_code");
            assert_eq!(found.map(String::as_str), status);
            assert_eq!(span.fields["otel.status_code"], "ERROR");
            assert_eq!((span.events.len(), span.closed, &*span.name), (1, true, "call"));
        }
    });
}

#[test]
fn a_call_canceled_in_the_pause_was_sent_once() {
    for blocking in [false, true] {
        let (emulator, token) = (Emulator::start().unwrap(), CancelToken::new());
        let options = CallOptions::default().canceled_by(&token);
        let facade = Facade::new(blocking, &emulator.base_url("abc"), options);
        emulator.model("abc").answer(Answer::platform_error(503));
        let told = Told(Arc::default(), Some(token));
        let call = || facade.predict(&json!(1)).unwrap_err();
        tracing::subscriber::with_default(told.clone(), call);
        let spans = told.spans();
        assert_eq!((spans.len(), spans[0].events.len()), (1, 1), "{spans:?}");
        let fields = &spans[0].fields;
        assert!(!fields.contains_key("http.request.resend_count"), "{fields:?}");
        assert_eq!(fields["error.type"], "canceled", "{}", facade.name());
        assert_eq!(fields["http.response.status_code"], "503", "of the last answer there was");
        assert_eq!(emulator.seen().arrivals().len(), 1);
    }
}

/// The names of OpenTelemetry's conventions for HTTP clients and for generative AI (status Development,
/// in a repository of their own), and the three that tracing-opentelemetry reads.
const NAMES: [&str; 31] = [
    "otel.name",
    "otel.kind",
    "otel.status_code",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.request.stream",
    "gen_ai.request.max_tokens",
    "gen_ai.request.temperature",
    "gen_ai.request.top_p",
    "gen_ai.request.frequency_penalty",
    "gen_ai.request.presence_penalty",
    "gen_ai.request.seed",
    "gen_ai.request.choice.count",
    "gen_ai.request.encoding_formats",
    "gen_ai.embeddings.dimension.count",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "server.address",
    "server.port",
    "http.request.method",
    "http.response.status_code",
    "http.request.resend_count",
    "error.type",
    "message",
];

#[test]
fn the_names_are_those_of_the_conventions() {
    each(|facade, _, told| {
        let _ = facade.chat(&chat_request());
        facade.predict(&json!(1)).unwrap();
        let spans = told.spans();
        let [chat, predict] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!(chat.declared.len(), NAMES.len() - 1, "each name, and no other");
        for name in chat.declared.iter().chain(&predict.declared) {
            assert!(NAMES.contains(&name.as_str()), "{name}");
        }
        for name in chat.events.iter().chain(&predict.events).flat_map(BTreeMap::keys) {
            assert!(NAMES.contains(&name.as_str()) || name.starts_with("baseten."), "{name}");
        }
    });
}

#[test]
fn without_a_subscriber_calls_are_the_same() {
    let retry = RetryPolicy::never();
    each_with(CallOptions { retry, ..CallOptions::default() }, |facade, _| {
        facade.predict(&json!(1)).unwrap();
        let _ = facade.chat_stream(&chat_request());
    });
}
