//! Settings of one call, and defaults of all calls of a client. Both facades.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use std::time::{Duration, SystemTime};

use baseten::openai::{ChatRequest, CompletionRequest, EmbeddingRequest, Message, RerankRequest};
use baseten::{AsyncRequest, CallOptions, Clock, ErrorKind, Method, RetryPolicy, Timeouts, header};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator};
use serde_json::json;

both! {
    fn a_call_has_headers_query_accept_and_options_of_its_own() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let (model, chain) = (client.model("abc").unwrap(), client.chain("c1").unwrap());
        let openai = model.openai().unwrap();
        let root = "/environments/production";
        for (request, path) in [
            (model.request(), "/predict"),
            (chain.request(), "/run_remote"),
            (model.sync(Method::POST, "x?y=1"), "/sync/x?y=1"),
            (chain.sync(Method::POST, "x"), "/sync/x"),
            (openai.request(Method::POST, "audio/transcriptions"), "/sync/v1/audio/transcriptions"),
            (openai.request(Method::POST, "/audio/speech"), "/sync/v1/audio/speech"),
        ] {
            let request = request.query("a b", "1&2=é").query("c", "").accept("audio/wav, */*;q=0.1");
            let request = request.header(header::TRACEPARENT, "00-1").header("X-Own", "1");
            let once = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
            drop(wait(request.options(once).json(&1).send()));
            let seen = emulator.seen();
            let arrival = seen.last().unwrap();
            let mark = if path.contains('?') { '&' } else { '?' };
            assert_eq!(arrival.path, format!("{root}{path}{mark}a%20b=1%262%3D%C3%A9&c="));
            assert_eq!(arrival.header("accept"), Some("audio/wav, */*;q=0.1"));
            assert_eq!(arrival.header("traceparent"), Some("00-1"));
            assert_eq!(arrival.header("x-own"), Some("1"));
            assert_eq!(arrival.text(), Some("1"));
        }
    }

    fn accept_is_the_operations_own_unless_given() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let model = client.model("abc").unwrap();
        let own = model.clone().header("accept", "a/b").unwrap();
        //   request                           whole                 streamed
        for (request, whole, streamed) in [
            ((|m, _| m.request()) as fn(&facade::Model, &facade::Chain) -> facade::RequestBuilder, "application/json", "*/*"),
            (|_, c| c.request(), "application/json", "*/*"),
            (|m, _| m.sync(Method::GET, "x"), "*/*", "*/*"),
            (|m, _| m.request().accept("c/d"), "c/d", "c/d"),
            (|m, _| m.request().header("Accept", "c/d"), "c/d", "c/d"),
        ] {
            let chain = client.chain("c1").unwrap();
            wait(request(&model, &chain).json(&json!({})).send()).unwrap();
            assert_eq!(emulator.seen().last().unwrap().header("accept"), Some(whole));
            drop(wait(request(&model, &chain).json(&json!({})).stream()).unwrap());
            assert_eq!(emulator.seen().last().unwrap().header("accept"), Some(streamed));
        }
        for request in [own.request(), own.sync(Method::GET, "x")] {
            drop(wait(request.json(&1).stream()).unwrap());
            assert_eq!(emulator.seen().last().unwrap().header("accept"), Some("a/b"), "its handle's");
        }
    }

    fn each_attempt_has_an_id_of_its_own() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        let busy = Answer::platform_error(429).header("retry-after-ms", "1");
        emulator.model("abc").then(busy.clone()).then(busy);
        wait(model.request().request_id("job-7").json(&1).send()).unwrap();
        let ids: Vec<_> = emulator.seen().arrivals().iter().map(|arrival| {
            arrival.header(header::CUSTOMER_REQUEST_ID).unwrap().to_owned()
        }).collect();
        assert_eq!(ids, ["job-7-1", "job-7-2", "job-7-3"]);
    }

    fn each_attempt_tells_the_server_what_is_left_if_asked_to() {
        let emulator = Emulator::start().unwrap();
        let busy = Answer::platform_error(503).header("retry-after-ms", "50");
        let timeouts = Timeouts { total: Some(Duration::from_secs(30)), ..Timeouts::default() };
        let silent = CallOptions { timeouts, ..CallOptions::default() };
        let telling = CallOptions { send_deadline: true, ..silent.clone() };
        let model = client!(emulator, silent).model("abc").unwrap();
        for (options, tells) in [(Some(telling), true), (None, false)] {
            emulator.forget();
            emulator.model("abc").then(busy.clone());
            let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let model = match options {
                Some(options) => model.clone().options(options),
                None => model.clone(),
            };
            wait(model.predict::<_, serde_json::Value>(&1)).unwrap();
            let told = |name: &str| -> Vec<u64> {
                let seen = emulator.seen();
                let values = seen.arrivals().iter().flat_map(|arrival| arrival.header(name));
                values.map(|value| value.parse().unwrap()).collect()
            };
            let (left, at) = (told("request-timeout-ms"), told("request-deadline-ms"));
            let ([first, second], [deadline, still]) = (&left[..], &at[..]) else {
                assert!(left.is_empty() && at.is_empty() && !tells, "{left:?} {at:?}");
                continue;
            };
            assert_eq!((tells, *first), (true, 30_000));
            assert!(*second <= first - 50, "the pause is over, and so is what it took: {left:?}");
            let earliest = began.as_millis() as u64 + 30_000;
            assert!((earliest..earliest + 10_000).contains(deadline), "{at:?}");
            assert!(deadline.abs_diff(*still) <= 1, "the same time of day, rounded: {at:?}");
        }
    }

    fn clocks_of_one_call_are_not_those_of_the_next() {
        let emulator = Emulator::start().unwrap();
        emulator.model("abc").answer(Answer::json(1.into()).delayed(Duration::from_millis(300)));
        let model = client!(emulator).model("abc").unwrap();
        let limit = Duration::from_millis(50);
        let set = |change: fn(&mut Timeouts, Option<Duration>)| {
            let mut timeouts = Timeouts::default();
            change(&mut timeouts, Some(limit));
            CallOptions { timeouts, ..CallOptions::default() }
        };
        for (options, clock) in [
            (set(|timeouts, limit| timeouts.first_byte = limit), Clock::FirstByte),
            (set(|timeouts, limit| timeouts.total = limit), Clock::Total),
        ] {
            let call = model.request().json(&1).options(options.clone());
            let error = wait(call.send()).unwrap_err();
            assert_eq!(error.clock(), Some((clock, limit)), "{error}");
            let own = model.clone().options(options);
            let error = wait(own.predict::<_, u64>(&1)).unwrap_err();
            assert_eq!(error.clock(), Some((clock, limit)), "{error}");
            assert_eq!(wait(model.predict::<_, u64>(&1)).unwrap().value, 1, "the client's own");
            assert_eq!(wait(model.request().json(&1).send()).unwrap().value, "1");
        }
    }

    fn every_typed_call_has_the_settings_of_its_handle() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let model = client.model("abc").unwrap();
        let set = |model: facade::Model| {
            let model = model.header("accept", "a/b").unwrap().query("q", "1&2").unwrap();
            model.request_id("turn-7").unwrap().header(header::SESSION_AFFINITY, "s").unwrap()
        };
        let (set_model, set_engine) = (set(model.clone()), set(model.clone()).openai().unwrap());
        let own = model.openai().unwrap().header("accept", "a/b").unwrap().query("q", "1&2").unwrap();
        let own = own.request_id("turn-7").unwrap().header(header::SESSION_AFFINITY, "s").unwrap();
        let chain = client.chain("c1").unwrap().request_id("turn-7").unwrap().query("q", "1&2").unwrap();
        let chain = chain.header("accept", "a/b").unwrap().header(header::SESSION_AFFINITY, "s").unwrap();
        let chat = ChatRequest::new("m", [Message::user("hi")]);
        let (completion, embedding) = (CompletionRequest::new("m", "hi"), EmbeddingRequest::new("m", ["hi"]));
        for engine in [&own, &set_engine] {
            let busy = Answer::platform_error(429).header("retry-after-ms", "1");
            emulator.model("abc").at("sync/v1/chat/completions").then(busy);
            drop(wait(engine.chat(&chat)));
            drop(wait(engine.chat_stream(&chat)));
            drop(wait(engine.completion(&completion)));
            drop(wait(engine.completion_stream(&completion)));
            drop(wait(engine.embeddings(&embedding)));
            drop(wait(engine.models()));
        }
        drop(wait(set_model.rerank(&RerankRequest::new("q", ["a"]))));
        drop(wait(set_model.predict::<_, serde_json::Value>(&1)));
        drop(wait(set_model.predict_stream(&1)));
        drop(wait(set_model.environment("staging").unwrap().predict::<_, serde_json::Value>(&1)));
        drop(wait(chain.run_remote::<_, serde_json::Value>(&json!({}))));
        drop(wait(chain.submit(&AsyncRequest::new(1))));
        let seen = emulator.seen();
        let mut ids = Vec::new();
        for arrival in seen.arrivals() {
            assert!(arrival.path.ends_with("?q=1%262"), "{}", arrival.path);
            assert_eq!(arrival.header(header::SESSION_AFFINITY), Some("s"), "{}", arrival.path);
            assert_eq!(arrival.header("accept"), Some("a/b"), "{}", arrival.path);
            ids.push(arrival.header(header::CUSTOMER_REQUEST_ID).unwrap().rsplit('-').next().unwrap());
        }
        let chats = ["1", "2", "1", "1", "1", "1", "1"];
        assert_eq!(ids, [&chats[..], &chats, &["1"; 6]].concat(), "a number for each attempt");
        wait(model.predict::<_, serde_json::Value>(&1)).unwrap();
        let seen = emulator.seen();
        assert_eq!(seen.last().unwrap().header(header::CUSTOMER_REQUEST_ID), None, "the others are as before");
        let long = "x".repeat(70_000);
        for (refused, says) in [
            (model.clone().request_id("a b").err(), "request id has ' ' at byte 1"),
            (chain.request_id("").err(), "request id is empty"),
            (own.clone().request_id("\u{e9}").err(), "request id has 'é' at byte 0"),
            (own.query("q", &long).err(), "bytes long once encoded, at most 65534 fit"),
            (model.query("q", &long).err(), "path and query are 70035 bytes long once encoded"),
        ] {
            let error = refused.unwrap();
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    fn what_is_wrong_with_a_request_is_told_before_anything_leaves() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        let long = "x".repeat(70_000);
        for (request, says) in [
            (model.request().header("Host", "other"), "header host is set by the client"),
            (model.request().accept("a\nb"), "the value of header accept has a control byte at 1"),
            (model.request().request_id(""), "request id is empty"),
            (model.request().request_id("a b"), "request id has ' ' at byte 1"),
            (model.request().request_id(&long), "request id is 70000 bytes long, at most 256 fit"),
            (model.request().query("q", &long), "path and query are 70035 bytes long once encoded"),
            (model.request().bytes("a\nb", ""), "the content type has a control byte at 1"),
            (model.request().upload("é\n", facade::Upload::new(&b""[..])), "the content type has a control byte at 2"),
            (model.sync(Method::GET, "../x").query("a", "b"), "route has the segment"),
        ] {
            let error = wait(request.send()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Request);
            assert!(error.to_string().contains(says), "{error}");
        }
        assert_eq!(emulator.seen().opened(), 0);
    }

    fn a_client_has_headers_for_every_call() {
        let emulator = Emulator::start().unwrap();
        let hosts = || baseten::Hosts::root(&format!("http://{}", emulator.root())).unwrap();
        let builder = || facade::Client::builder().api_key(DUMMY_KEY).hosts(hosts());
        let client = builder().header("X-Team", "a").header("x-own", "1").build().unwrap();
        let model = client.model("abc").unwrap().header("x-own", "2").unwrap();
        wait(model.predict::<_, serde_json::Value>(&1)).unwrap();
        let seen = emulator.seen();
        assert_eq!(seen.last().unwrap().header("x-team"), Some("a"));
        assert_eq!(seen.last().unwrap().header("x-own"), Some("2"), "the nearer one counts");
        wait(client.chain("c1").unwrap().sync(Method::GET, "x").send()).unwrap();
        assert_eq!(emulator.seen().last().unwrap().header("x-own"), Some("1"));
        let error = builder().header("Authorization", "Bearer other").build().unwrap_err();
        assert!(error.to_string().contains("header authorization is set by the client"), "{error}");
    }
}
