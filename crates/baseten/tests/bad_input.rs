//! Ranges, limits and combinations that are not allowed, read as a user would: which field, what it was,
//! and what is allowed. Nothing is sent of any of them. And what zero counts as, where it is taken. Both
//! facades.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use std::time::Duration;

use baseten::{
    AsyncRequest, CallOptions, Clock, Credential, Error, ErrorKind, Hosts, InferenceRetry, Method,
    Pool, RetryPolicy, Timeouts,
};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Fault, When};
use serde_json::Value;

/// What is wrong with it, and nothing was sent.
fn check(error: Option<Error>, expect: &str) {
    let error = error.unwrap_or_else(|| panic!("no error, where was expected: {expect}"));
    let told = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Request, "{told}");
    // The call stands before it, if there is one, and behind it that nothing was sent.
    assert!(told.contains(expect), "expected: {expect}\n    told: {told}");
    assert!(!told.contains("s3cret") && !format!("{error:#?}").contains("s3cret"), "{error:#?}");
}

/// As long as no id may be.
fn long(bytes: usize) -> String {
    "x".repeat(bytes)
}

const SEGMENT: &str = "allowed are ASCII letters, digits, '-' and '_'";
const LABEL: &str = "allowed are ASCII letters, digits and '-'";

both! {
    #[rustfmt::skip]
    fn ids_and_names() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let model = || client.model("abc").unwrap();
        let chain = || client.chain("c1").unwrap();
        //   what was given                          field, value, what is allowed
        check(client.model("").err(), "model id is empty");
        check(client.model("a/b").err(), &format!("model id has '/' at byte 1; {LABEL}"));
        check(client.model("a.b").err(), &format!("model id has '.' at byte 1; {LABEL}"));
        check(client.model("a_b").err(), &format!("model id has '_' at byte 1; {LABEL}"));
        check(client.model("-a").err(), "model id starts or ends with '-', which no host name may");
        check(client.model(long(58)).err(), "model id is 58 bytes long, at most 57 fit");
        check(client.chain("a/b").err(), &format!("chain id has '/' at byte 1; {LABEL}"));
        check(client.chain(long(58)).err(), "chain id is 58 bytes long, at most 57 fit");
        check(model().environment("").err(), "environment name is empty");
        check(model().environment("a/b").err(), &format!("environment name has '/' at byte 1; {SEGMENT}"));
        check(chain().environment("a b").err(), &format!("environment name has ' ' at byte 1; {SEGMENT}"));
        check(model().environment(long(129)).err(), "environment name is 129 bytes long, at most 128 fit");
        check(model().deployment("..").err(), &format!("deployment id has '.' at byte 0; {SEGMENT}"));
        check(chain().deployment(long(129)).err(), "deployment id is 129 bytes long, at most 128 fit");
        check(model().regional("us_east").err(), &format!("regional environment name has '_' at byte 2; {LABEL}"));
        check(chain().regional(long(60)).err(), "host label of id and environment is 69 bytes long, at most 63 fit");
        check(model().job("a/b").err(), &format!("async request id has '/' at byte 1; {SEGMENT}"));
        check(chain().job("").err(), "async request id is empty");
        assert_eq!(emulator.seen().opened(), 0);
    }

    fn deployments_that_exclude_each_other() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let regional = || client.model("abc").unwrap().regional("eu").unwrap();
        let chain = || client.chain("c1").unwrap();
        let expect = "a regional environment was combined with another deployment, and its host has \
                      no other: name one of them";
        check(regional().deployment("d1").err(), expect);
        check(regional().environment("staging").err(), expect);
        check(regional().development().err(), expect);
        check(client.model("abc").unwrap().deployment("d1").unwrap().regional("eu").err(), expect);
        check(chain().regional("eu").unwrap().deployment("d1").err(), expect);
        check(chain().development().unwrap().regional("eu").err(), expect);
        // Of a kind the last one counts.
        assert!(regional().regional("us").is_ok());
        assert!(client.model("abc").unwrap().deployment("d1").unwrap().environment("qa").is_ok());
        let development = client.model("abc").unwrap().development().unwrap();
        check(development.grpc().err(), "gRPC was asked of a development deployment, which has none");
        let gateway = facade::Client::builder().api_key("k").base_url("https://example.com/b10");
        let gateway = gateway.build().unwrap().model("abc").unwrap();
        check(gateway.grpc().err(), "gRPC was asked of a base URL with a path, which gRPC has no room for");
        assert_eq!(emulator.seen().opened(), 0);
    }

    fn a_regional_environment_that_the_host_does_not_name() {
        let emulator = Emulator::start().unwrap();
        let at = |url: &str| facade::Client::builder().api_key("k").base_url(url).build().unwrap();
        let expect = |label: &str, host: &str| {
            format!(
                "regional environment \"eu\" was combined with a base URL or Host header at host \
                 \"{host}\", which does not name it: leave one of them out, or give {label}.… as the host"
            )
        };
        let host = "model-abc.api.baseten.co";
        let own = at(&format!("https://{host}"));
        check(own.model("abc").unwrap().regional("eu").err(), &expect("model-abc-eu", host));
        let url = emulator.chain_base_url("c1");
        let (_, place) = url.split_once("://").unwrap();
        let expect = expect("chain-c1-eu", place.split_once('/').unwrap().0);
        check(at(&url).chain("c1").unwrap().regional("eu").err(), &expect);
        assert_eq!(emulator.seen().opened(), 0);
        // What names it is a host like any other.
        assert!(at("https://model-abc-eu.api.baseten.co").model("abc").unwrap().regional("eu").is_ok());
    }

    #[rustfmt::skip]
    fn headers_routes_and_queries() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let model = || client.model("abc").unwrap();
        for name in [
            "Authorization", "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Expect",
            "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept",
        ] {
            let expect = format!("header {} is set by the client and cannot be given", name.to_lowercase());
            check(model().header(name, "s3cret").err(), &expect);
            check(model().openai().unwrap().header(name, "s3cret").err(), &expect);
            check(client.chain("c1").unwrap().header(name, "s3cret").err(), &expect);
            check(wait(model().request().header(name, "s3cret").send()).err(), &expect);
            check(facade::Client::builder().api_key("k").header(name, "s3cret").build().err(), &expect);
        }
        let headed = model().header("baseten-authorization", "s3cret").unwrap();
        check(headed.grpc().err(), "metadata baseten-authorization is set by the client and cannot be given as a header");
        check(model().header("a b", "").err(), "header name \"a b\" is not a token");
        check(model().header("", "").err(), "header name \"\" is not a token");
        check(model().header("x-a", "s3cret\r\nx-b: 1").err(), "the value of header x-a has a control byte at 6 and cannot stand in a header");
        let url = "path and query are 70035 bytes long once encoded, at most 65534 fit; send it as a body";
        check(model().query("q", &long(70_000)).err(), url);
        check(wait(model().request().query("q", &long(70_000)).send()).err(), url);
        check(model().request_id("").err(), "request id is empty");
        check(model().request_id("a b").err(), "request id has ' ' at byte 1; allowed are visible ASCII characters");
        check(model().request_id(&long(257)).err(), "request id is 257 bytes long, at most 256 fit");
        let get = |route: &str| wait(model().sync(Method::GET, route).send()).err();
        check(get("a/../b"), "route has the segment \"..\", which would leave its place");
        check(get("a/%2e%2E/b"), "route has the segment \"..\", which would leave its place");
        check(get("a\nb"), "route has the control character '\\n' at byte 1");
        check(get("a#b"), "route has '#' at byte 1, which no request carries; write %23");
        check(get(&long(50_000)), "route is 50000 bytes once encoded, more than 49152; send it as a body");
        let tunnel = "method CONNECT asks a proxy for a tunnel, and has no answer to read";
        check(wait(model().sync(Method::CONNECT, "a").send()).err(), tunnel);
        check(wait(model().openai().unwrap().request(Method::CONNECT, "a").send()).err(), tunnel);
        check(get("a%b"), "route has '%' at byte 1 without two hex digits; write %25");
        let engine = |route: &str| wait(model().openai().unwrap().request(Method::GET, route).send()).err();
        check(engine("../x"), "route has the segment \"..\"");
        check(engine("a#b"), "route has '#' at byte 1, which no request carries; write %23"); // as it was written
        check(wait(model().predict_bytes("a\nb", "x")).err(), "the content type has a control byte at 1 and cannot stand in a header");
        check(wait(model().predict_bytes("", "x")).err(), "the content type is empty");
        let form = || facade::Multipart::new().bytes("f", "f.bin", "a\nb", "x");
        check(wait(model().request().multipart(form()).send()).err(), "the content type of part \"f\" has a control byte at 1 and cannot stand in a header");
        assert_eq!(emulator.seen().opened(), 0);
    }

    #[rustfmt::skip]
    fn queued_runs() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let (model, chain) = (client.model("abc").unwrap(), client.chain("c1").unwrap());
        let new = || AsyncRequest::new("s3cret");
        let retry = |attempts, first, most| new().retry(InferenceRetry {
            max_attempts: Some(attempts),
            initial_delay: Some(Duration::from_millis(first)),
            max_delay: Some(Duration::from_millis(most)),
        });
        for (request, expect) in [
            (new().priority(3), "priority is 3, allowed are 0, 1 and 2"),
            (new().max_time_in_queue(Duration::from_secs(9)), "max_time_in_queue_seconds is 9, allowed are whole seconds from 10 to 259200"),
            (new().max_time_in_queue(Duration::from_secs(259_201)), "max_time_in_queue_seconds is 259201, allowed are whole seconds from 10 to 259200"),
            (retry(0, 0, 0), "inference_retry_config.max_attempts is 0, allowed are 1 to 10"),
            (retry(11, 0, 0), "inference_retry_config.max_attempts is 11, allowed are 1 to 10"),
            (retry(1, 10_001, 0), "inference_retry_config.initial_delay_ms is 10001, allowed are whole milliseconds from 0 to 10000"),
            (retry(1, 0, 60_001), "inference_retry_config.max_delay_ms is 60001, allowed are whole milliseconds from 0 to 60000"),
            (new().webhook("http://example.com/s3cret"), "webhook_endpoint is http://example.com…, allowed are https URLs, and http ones to this machine"),
            (new().webhook("example.com"), "webhook_endpoint is no absolute URL, allowed are https URLs"),
            (new().max_body(10), "the body is 24 bytes long, at most 10 are allowed; send a URL of the data, or raise AsyncRequest::max_body"),
        ] {
            check(wait(model.submit(&request)).err(), expect);
            check(wait(chain.submit(&request)).err(), expect);
        }
        let large = AsyncRequest::new(long(262_127));
        check(wait(model.submit(&large)).err(), "the body is 262145 bytes long, at most 262144 are allowed");
        let bare = || AsyncRequest::bare("s3cret");
        check(wait(model.submit(&bare())).err(), "the body is bare, which only a chain takes; use AsyncRequest::new for a model");
        check(wait(chain.submit(&bare().priority(1))).err(), "priority is set, but a bare body has no place for it");
        assert_eq!(emulator.seen().opened(), 0);
    }

    fn zeros_are_the_least_that_makes_sense_or_no_time() {
        let (zero, least) = (Duration::ZERO, Duration::from_millis(1));
        let set = |timeouts| CallOptions { timeouts, ..CallOptions::default() };
        let none = Timeouts::default();
        //   set                                                    the clock that runs out   requests
        for (timeouts, clock, arrived) in [
            (Timeouts { first_byte: Some(zero), ..none }, (Clock::FirstByte, least), None), // perhaps in part
            (Timeouts { total: Some(zero), ..none }, (Clock::Total, zero), Some(0)),
        ] {
            let emulator = Emulator::start().unwrap();
            emulator.inject(When::EveryRequest, Fault::stall());
            let model = client!(emulator, set(timeouts)).model("abc").unwrap();
            let error = wait(model.predict::<_, Value>(&1)).unwrap_err();
            assert_eq!(error.clock(), Some(clock), "{error}");
            assert!(arrived.is_none_or(|count| emulator.seen().arrivals().len() == count), "{error}");
        }
        // One attempt, and one connection.
        let emulator = Emulator::start().unwrap();
        let once = RetryPolicy { max_attempts: 0, ..RetryPolicy::default() };
        emulator.model("abc").then(Answer::platform_error(503));
        let pool = Pool { max_connections_per_origin: Some(0), ..Pool::default() };
        let client = facade::Client::builder().api_key(DUMMY_KEY).base_url(emulator.base_url("abc"));
        let options = CallOptions { retry: once, ..set(Timeouts { queue: Some(zero), ..none }) };
        let model = client.pool(pool).options(options).build().unwrap().model("abc").unwrap();
        let error = wait(model.predict::<_, Value>(&1)).unwrap_err();
        assert_eq!((error.attempts().len(), emulator.seen().arrivals().len()), (1, 1), "{error}");
        let held = wait(model.predict_stream(&1)).unwrap();
        let error = wait(model.predict::<_, Value>(&1)).unwrap_err();
        assert_eq!(error.clock(), Some((Clock::Queue, zero)), "{error}");
        drop(held);
    }

    #[rustfmt::skip]
    fn clients() {
        let builder = facade::Client::builder;
        let hosts = |hosts: Result<Hosts, baseten_core::InvalidUrl>| hosts.err().map(Error::from);
        let base = |url: &str| builder().api_key("k").base_url(url).build().err();
        check(builder().build().err(), "no API key was given; `Credential::none()` calls without one");
        check(builder().api_key("").build().err(), "API key is empty");
        check(builder().api_key("s3cret\nx").build().err(), "API key has a byte at 6 that is not visible ASCII and cannot stand in a header");
        check(Credential::token(" ").err().map(Error::from), "token is empty");
        check(base("example.com"), "base URL at host \"example.com\" is not absolute");
        check(base("ftp://example.com"), "base URL at host \"example.com\" has a scheme that is neither http nor https");
        check(base("https://example.com/?key=s3cret"), "base URL at host \"example.com\" has a query");
        check(base("https://user:s3cret@example.com/"), "has '@' in it");
        check(base("https://example.com:99999"), "base URL at host \"example.com:99999\" has a port that is no number from 1 to 65535");
        check(base(&format!("https://example.com/{}", long(9000))), "base URL at host \"example.com\" has a path of 9001 bytes, at most 8192 fit");
        check(hosts(Hosts::root("127.0.0.1:80")), "root at host \"127.0.0.1:80\" is an IP address, before which no name can stand; use a base URL for that");
        check(hosts(Hosts::baseten().with_host_header("a:b")), "Host header at host \"a:b\" has a port that is no number from 1 to 65535");
        check(hosts(Hosts::root("api.example.com/v1")), "root at host \"api.example.com\" has a path; use a base URL for that");
        check(hosts(Hosts::baseten().with_host_header("a b")), "is no host name with an optional port");
        let plain = builder().api_key("s3cret.s3cret").base_url("http://example.com").build().unwrap();
        let clear = "the key would go over plain HTTP; use https, or say Hosts::allow_plain_http";
        check(plain.model("abc").err(), clear);
        check(plain.model_apis().err(), clear);
    }
}
