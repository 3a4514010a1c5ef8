//! Chains: where a call of one goes, what comes back, and what an exception in it says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten::{Bytes, CallOptions, Delivery, ErrorKind, Method, RetryPolicy};
use baseten_emulator::{Answer, Emulator};
use serde_json::{Value, json};

/// As a chain of truss_chains 0.18 answered when a chainlet that it called had raised.
const INNER_RAISES: &[u8] = include_bytes!("recorded/chain-inner-raises.http");

fn head_and_body(recorded: &'static [u8]) -> (&'static str, Bytes) {
    let end = recorded.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&recorded[..end]).unwrap();
    (head, Bytes::from_static(&recorded[end + 4..]))
}

both! {
    fn every_deployment_of_a_chain_has_its_place() {
        let emulator = Emulator::start().unwrap();
        let chain = client!(emulator).chain("c1").unwrap();
        let root = emulator.root();
        //   chain                                            host               path
        for (chain, host, path) in [
            (chain.clone(), "chain-c1", "/environments/production/run_remote"),
            (chain.clone().environment("qa").unwrap(), "chain-c1", "/environments/qa/run_remote"),
            (chain.clone().deployment("d1").unwrap(), "chain-c1", "/deployment/d1/run_remote"),
            (chain.clone().development().unwrap(), "chain-c1", "/development/run_remote"),
            (chain.regional("us").unwrap(), "chain-c1-us", "/run_remote"),
        ] {
            let answer = wait(chain.run_remote::<_, Value>(&json!({ "n": 3 }))).unwrap();
            assert_eq!(answer.value, json!({ "echo": { "n": 3 }, "model": "c1" }), "{path}");
            let seen = emulator.seen();
            let arrival = seen.last().unwrap();
            assert_eq!(arrival.header("host").unwrap(), format!("{host}.{root}"));
            assert_eq!((arrival.method.as_str(), arrival.path.as_str()), ("POST", path));
            assert_eq!(arrival.body, r#"{"n":3}"#);
            assert_eq!(arrival.header("accept"), Some("application/json"));
        }
    }

    fn a_model_has_a_regional_host_too() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap().regional("us").unwrap();
        wait(model.predict::<_, Value>(&1)).unwrap();
        let seen = emulator.seen();
        let arrival = seen.last().unwrap();
        assert_eq!(arrival.header("host").unwrap(), format!("model-abc-us.{}", emulator.root()));
        assert_eq!(arrival.path, "/predict");
    }

    fn an_id_with_a_hyphen_is_no_regional_host() {
        let emulator = Emulator::start().unwrap();
        emulator.model("my-model");
        emulator.chain("my-chain");
        let client = client!(emulator);
        let model = client.model("my-model").unwrap();
        let answer = wait(model.predict::<_, Value>(&1)).unwrap().value;
        assert_eq!(answer, json!({ "echo": 1, "model": "my-model" }));
        wait(model.regional("us").unwrap().predict::<_, Value>(&1)).unwrap();
        wait(client.chain("my-chain").unwrap().run_remote::<_, Value>(&json!({}))).unwrap();
        let seen = emulator.seen();
        let hosts: Vec<_> = seen.arrivals().iter().map(|a| a.header("host").unwrap()).collect();
        let expect = ["model-my-model", "model-my-model-us", "chain-my-chain"];
        assert_eq!(hosts, expect.map(|label| format!("{label}.{}", emulator.root())));
    }

    fn bytes_and_streams_come_as_they_are() {
        let emulator = Emulator::start().unwrap();
        let chain = client!(emulator).chain("c1").unwrap();
        let packed = wait(chain.run_remote_bytes("application/octet-stream", &b"\x01"[..])).unwrap();
        assert_eq!(&packed.value[..], b"\x82\xa4echo\x01\xa5model\xd9\x02c1");

        emulator.chain("c1").answer(Answer::stream(["one", "two"]));
        let mut stream = wait(chain.run_remote_stream(&json!({}))).unwrap();
        let mut text = Vec::new();
        while let Some(chunk) = wait(stream.chunk()).unwrap() {
            text.extend_from_slice(&chunk);
        }
        assert_eq!(text, b"onetwo");
        assert_eq!(emulator.seen().last().unwrap().header("accept"), Some("*/*"));
        // In one piece on request, as of a streaming model.
        assert_eq!(wait(chain.run_remote::<_, String>(&json!({}))).unwrap().value, "onetwo");
    }

    fn sync_reaches_the_entry_point() {
        let emulator = Emulator::start().unwrap();
        let chain = client!(emulator).chain("c1").unwrap().environment("qa").unwrap();
        wait(chain.sync(Method::GET, "health?deep=1").send()).unwrap();
        assert_eq!(emulator.seen().last().unwrap().path, "/environments/qa/sync/health?deep=1");
    }

    fn an_exception_names_its_place_and_its_root() {
        let emulator = Emulator::start().unwrap();
        let chain = client!(emulator).chain("c1").unwrap();
        let (head, body) = head_and_body(INNER_RAISES);
        assert!(head.contains("x-baseten-error-source: 04"));
        let answer = Answer::bytes("application/json", body).with_status(500);
        let answer = answer
            .header("x-baseten-error-source", "04")
            .header("x-baseten-error-code", "600")
            .header("x-baseten-chain-request-id", "run-7");
        emulator.chain("c1").answer(answer);
        let error = wait(chain.run_remote::<_, Value>(&json!({ "n": -1 }))).unwrap_err();

        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Status, Delivery::Answered));
        assert_eq!(emulator.seen().arrivals().len(), 1, "what raised is not run again");
        assert_eq!(error.chain_request_id(), Some("run-7"));
        let api = error.api().unwrap();
        assert_eq!((api.kind(), api.message()), (Some("ValueError"), "ValueError: n must not be negative"));
        let [frame] = api.stack()[..] else { panic!("{api:?}") };
        assert_eq!((frame.filename, frame.line_number, frame.name), ("/packages/chain.py", 27, "run_remote"));
        assert!(api.nested().unwrap().contains("Chainlet `Doubler`"));
        let told = error.to_string();
        assert!(told.contains("500 Internal Server Error: ValueError: n must not be negative"), "{told}");
    }

    fn an_exception_of_the_entry_point_has_no_nest() {
        let emulator = Emulator::start().unwrap();
        let chain = client!(emulator).chain("c1").unwrap();
        emulator.chain("c1").answer(Answer::chainlet_raised("KeyError", "'n'"));
        let error = wait(chain.run_remote::<_, Value>(&json!({}))).unwrap_err();
        let api = error.api().unwrap();
        assert_eq!((api.kind(), api.message(), api.nested()), (Some("KeyError"), "'n'", None));
        assert_eq!(api.stack()[0].line, Some("raise KeyError(\"'n'\")"));
    }

    fn bad_names_are_told_before_anything_is_sent() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let chain = || client.chain("c1").unwrap();
        //   fault                                what the user reads
        for (fault, expect) in [
            (client.chain("").unwrap_err(), "chain id is empty"),
            (client.chain("a/b").unwrap_err(), "chain id has '/' at byte 1; allowed are ASCII letters"),
            (chain().environment("..").unwrap_err(), "environment name has '.' at byte 0"),
            (chain().deployment("").unwrap_err(), "deployment id is empty"),
            (chain().regional("us_east").unwrap_err(), "regional environment name has '_' at byte 2"),
            (chain().regional("x".repeat(60)).unwrap_err(), "69 bytes long, at most 63 fit"),
            (wait(chain().run_remote_bytes("a\nb", "")).unwrap_err(), "content type has a control byte"),
            (wait(chain().run_remote::<_, Value>(&[((1, 2), 3)].into_iter().collect::<std::collections::HashMap<_, _>>())).unwrap_err(), "the input does not serialize to JSON"),
        ] {
            assert_eq!(fault.kind(), ErrorKind::Request, "{fault}");
            assert!(fault.to_string().contains(expect), "{fault}");
        }
        assert_eq!(emulator.seen().opened(), 0);
    }

    fn options_are_of_the_value_they_were_set_on() {
        let emulator = Emulator::start().unwrap();
        let chain = client!(emulator).chain("c1").unwrap();
        let once = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
        let patient = chain.clone();
        let chain = chain.options(once).environment("qa").unwrap();
        emulator.chain("c1").answer(Answer::platform_error(429).header("retry-after-ms", "1"));
        let error = wait(chain.run_remote::<_, Value>(&json!({}))).unwrap_err();
        assert_eq!(error.attempts().len(), 1, "kept through `environment`");
        let error = wait(patient.run_remote::<_, Value>(&json!({}))).unwrap_err();
        assert_eq!(error.attempts().len(), 3);
    }
}
