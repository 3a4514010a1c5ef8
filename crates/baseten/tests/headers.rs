//! Headers of the caller's own: on every call of the value they were given to, and on no other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten::openai::{ChatRequest, Message};
use baseten::{AsyncRequest, ErrorKind, Method, header};
use baseten_emulator::Emulator;
use serde_json::{Value, json};

both! {
    fn every_call_of_a_model_has_them() {
        let emulator = Emulator::start().unwrap();
        let plain = client!(emulator).model("abc").unwrap();
        let model = plain.clone().header(header::SESSION_AFFINITY, "c-17").unwrap();
        let model = model.header("X-Own", "1").unwrap().environment("qa").unwrap();
        wait(model.predict::<_, Value>(&1)).unwrap();
        wait(model.predict_bytes("text/plain", "1")).unwrap();
        drop(wait(model.predict_stream(&1)).unwrap());
        wait(model.sync(Method::GET, "x").send()).unwrap();
        wait(model.wake()).unwrap();
        let job = wait(model.submit(&AsyncRequest::new(1))).unwrap().value;
        wait(job.status()).unwrap();
        wait(model.queue_status()).unwrap();
        // The emulator's echo is no chat: what counts is what was asked.
        let chat = ChatRequest::new("m", [Message::user("hi")]);
        drop(wait(model.openai().unwrap().chat(&chat)));
        let arrivals = emulator.seen().arrivals().to_vec();
        assert_eq!(arrivals.len(), 9);
        for arrival in arrivals {
            assert_eq!(arrival.header("x-session-affinity"), Some("c-17"), "{}", arrival.path);
            assert_eq!(arrival.header("x-own"), Some("1"), "{}", arrival.path);
        }
        wait(plain.predict::<_, Value>(&1)).unwrap();
        assert_eq!(emulator.seen().last().unwrap().header("x-own"), None, "another value");
    }

    fn chains_and_engines_have_their_own() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let chain = client.chain("c1").unwrap().header(header::TRACEPARENT, parent).unwrap();
        wait(chain.run_remote::<_, Value>(&json!({}))).unwrap();
        assert_eq!(emulator.seen().last().unwrap().header("traceparent"), Some(parent));
        let openai = client.model("abc").unwrap().openai().unwrap();
        let one = openai.clone().header(header::CUSTOMER_REQUEST_ID, "r-1").unwrap();
        for (openai, id) in [(one, Some("r-1")), (openai, None)] {
            let chat = ChatRequest::new("m", [Message::user("hi")]);
            drop(wait(openai.chat(&chat)));
            assert_eq!(emulator.seen().last().unwrap().header("x-baseten-customer-request-id"), id);
            drop(wait(openai.models()));
            assert_eq!(emulator.seen().last().unwrap().header("x-baseten-customer-request-id"), id);
        }
    }

    fn what_the_client_sets_itself_is_refused_by_name() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let model = || client.model("abc").unwrap();
        for (error, expect) in [
            (model().header("Authorization", "Bearer other").unwrap_err(), "header authorization is set by the client and cannot be given"),
            (model().header("host", "other").unwrap_err(), "header host is set by the client"),
            (model().header("Content-Length", "3").unwrap_err(), "header content-length is set by the client"),
            (model().header("x bad", "1").unwrap_err(), "header name \"x bad\" is not a token"),
            (client.chain("c1").unwrap().header("x-bad", "a\r\nb: c").unwrap_err(), "the value of header x-bad has a control byte"),
            (model().openai().unwrap().header("te", "trailers").unwrap_err(), "header te is set by the client"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Request);
            assert!(error.to_string().contains(expect), "{error}");
        }
        assert_eq!(emulator.seen().opened(), 0);
    }
}
