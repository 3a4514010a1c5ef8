//! What comes back when nothing breaks: predict, bytes, streams, routes, and answers that are not
//! what was asked for. Both facades.

mod facades;

use std::time::Duration;

use baseten::{Bytes, Delivery, ErrorKind, Framing, Method};
use baseten_emulator::Answer;
use facades::{body, each};
use serde_json::{Value, json};

#[test]
fn any_json_goes_in_and_comes_out() {
    each(|facade, emulator| {
        emulator.model("abc").answer_with(|arrival| body_of(&arrival.body));
        for value in [
            json!({"prompt": "Grüße, 日本 \u{1F600}", "n": [1, 2.5, null, true]}),
            json!("a bare string"),
            json!(7),
            json!(null),
            json!([]),
            json!("x".repeat(1_000_000)),
        ] {
            let answer = facade.predict(&value).unwrap();
            assert_eq!(answer.value, value, "{}", facade.name());
            assert_eq!((answer.meta.attempts(), answer.meta.status().as_u16()), (1, 200));
            let timings = answer.meta.timings();
            assert!(timings.head > Duration::ZERO && timings.total >= timings.head);
        }
        let seen = emulator.seen();
        assert_eq!(seen.arrivals().len(), 6);
        assert_eq!(seen.opened(), 1, "{}: one connection serves them all", facade.name());
    });
}

fn body_of(body: &Bytes) -> Answer {
    Answer::bytes("application/json", body.clone())
}

#[test]
fn the_request_is_what_the_platform_expects() {
    each(|facade, emulator| {
        let answer = facade.predict(&json!({"x": 1})).unwrap();
        let seen = emulator.seen();
        let arrival = seen.last().unwrap();
        assert_eq!((&*arrival.method, &*arrival.body), ("POST", b"{\"x\":1}".as_slice()));
        assert!(arrival.path.ends_with("/environments/production/predict"), "{}", arrival.path);
        for (name, value) in [
            ("authorization", "Bearer dummy-key-0000"), // a base URL: what gateways take
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("content-length", "7"),
            ("host", &emulator.addr().to_string()),
        ] {
            assert_eq!(arrival.header(name), Some(value), "{}", facade.name());
        }
        assert!(arrival.header("user-agent").unwrap().starts_with("baseten-rust/"));
        assert_eq!(answer.meta.request_id(), Some(&*arrival.request_id));
    });
}

#[test]
fn raw_bytes_pass_through_both_ways() {
    each(|facade, emulator| {
        emulator.model("abc").answer_with(|arrival| {
            assert_eq!(arrival.header("content-type"), Some("application/octet-stream"));
            assert_eq!(arrival.header("accept"), Some("*/*"));
            Answer::bytes("audio/wav", arrival.body.clone())
        });
        let every_byte = Bytes::from_iter(0..=255u8);
        let answer = facade.predict_bytes("application/octet-stream", every_byte.clone()).unwrap();
        assert_eq!(answer.value, every_byte);
        assert_eq!(answer.meta.headers()["content-type"], "audio/wav");
        assert_eq!(answer.meta.framing(), Framing::Length(256));
    });
}

#[test]
fn a_stream_comes_as_it_is_sent() {
    each(|facade, emulator| {
        let pieces = ["one ", "two ", "three"];
        emulator.model("abc").answer(Answer::stream(pieces).paced(Duration::from_millis(30)));
        let mut stream = facade.stream(&json!({})).unwrap();
        assert_eq!(stream.meta().framing(), Framing::Chunked);
        for piece in pieces {
            assert_eq!(stream.chunk().unwrap().unwrap(), piece, "{}", facade.name());
        }
        assert_eq!(stream.chunk().unwrap(), None);
        assert_eq!(stream.chunk().unwrap(), None, "and stays at its end");
        // The same model asked for one JSON value gathers itself into a string.
        assert_eq!(facade.predict(&json!({})).unwrap().value, json!("one two three"));
        assert_eq!(
            emulator.seen().opened(),
            1,
            "{}: a finished stream gives its connection back",
            facade.name()
        );
    });
}

#[test]
fn a_route_takes_any_method_query_and_header() {
    each(|facade, emulator| {
        emulator.model("abc").every_route().answer_with(|arrival| {
            let own = arrival.header("x-own").unwrap_or("-").to_owned();
            let said = format!("{} {} {own} {}", arrival.method, arrival.path, arrival.body.len());
            Answer::bytes("text/plain", said)
        });
        let prefix = "/model/abc/environments/production/sync";
        for (method, route, headers, body, expect) in [
            (Method::GET, "health", &[][..], None, format!("GET {prefix}/health - 0")),
            (
                Method::POST,
                "/items/1 2?q=a b",
                &[("x-own", "1")],
                Some(json!([1])),
                format!("POST {prefix}/items/1%202?q=a%20b 1 3"),
            ),
            (Method::PUT, "a/b/c/", &[], Some(json!("é")), format!("PUT {prefix}/a/b/c/ - 4")),
            (Method::DELETE, "ü", &[], None, format!("DELETE {prefix}/%C3%BC - 0")),
            (Method::PATCH, "", &[], Some(json!({})), format!("PATCH {prefix}/ - 2")),
        ] {
            let answer = facade.sync(method, route, headers, body.as_ref()).unwrap();
            assert_eq!(answer.value, expect, "{}", facade.name());
        }
        let head = facade.sync(Method::HEAD, "health", &[], None).unwrap();
        assert!(head.value.is_empty());
        assert_eq!(facade.sync(Method::GET, "after-head", &[], None).unwrap().meta.status(), 200);
    });
}

#[test]
fn bad_requests_are_refused_before_anything_is_sent() {
    each(|facade, emulator| {
        for (route, headers, expect) in [
            ("a/../../b", &[][..], "\"..\""),
            ("a\nb", &[], "control character"),
            ("ok", &[("bad name", "1")], "is not a token"),
            ("ok", &[("x", "a\r\nb")], "control byte"),
            ("ok", &[("Authorization", "Bearer other")], "set by the client"),
        ] {
            let error = facade.sync(Method::GET, route, headers, None).unwrap_err();
            assert_eq!((error.kind(), error.delivery()), (ErrorKind::Request, Delivery::NotSent));
            assert!(error.to_string().contains(expect), "{error}");
        }
        let error = facade.predict_bytes("text/\0", Bytes::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        assert_eq!(emulator.seen().opened(), 0, "{}", facade.name());
    });
}

#[test]
fn a_200_that_is_not_the_json_expected_keeps_its_body() {
    each(|facade, emulator| {
        //   content type      body                        what the error names
        for (content_type, bytes, expect) in [
            ("text/html", b"<html>hi</html>".as_slice(), "at byte 0 of 15 (text/html)"),
            ("application/json", b"", "the answer is empty, not JSON"),
            ("application/json", b"{\"y\": NaN}", "at byte 6 of 10 (application/json)"),
            ("application/json", b"{\"y\": \"\xff\"}", "not the JSON expected, at byte"),
            ("application/json", b"{} trailing", "at byte 3 of 11"),
            ("application/json", b"{\"y\": 1", "at byte 7 of 7"),
        ] {
            emulator.model("abc").answer(body(content_type, bytes));
            let error = facade.predict(&json!(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
            assert_eq!((&error.body()[..], error.delivery()), (bytes, Delivery::Answered));
            assert!(error.request_id().is_some());
            assert!(error.to_string().contains(expect), "{}: {error}", facade.name());
        }
        assert_eq!(emulator.seen().arrivals().len(), 6, "an answered call is never sent again");
    });
}

#[test]
fn a_204_and_an_empty_200_are_whole_answers() {
    each(|facade, emulator| {
        emulator.model("abc").answer(Answer::status(204));
        let answer = facade.predict_bytes("text/plain", Bytes::new()).unwrap();
        assert_eq!((answer.meta.status().as_u16(), answer.value.len()), (204, 0));
        assert_eq!(facade.predict_bytes("text/plain", Bytes::new()).unwrap().meta.status(), 204);
        assert_eq!(emulator.seen().opened(), 1);
        let error = facade.predict(&Value::Null).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
    });
}
