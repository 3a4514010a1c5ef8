//! Credentials that change while a client lives. Both facades.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use baseten::{Cause, Credential, Delivery, ErrorKind};
use baseten_emulator::{Answer, Emulator};
use serde_json::Value;

const FIRST: &str = "first.s3cret";
const SECOND: &str = "second.s3cret";

/// A cell, and a credential that looks into it.
fn cell(key: &str) -> (Arc<Mutex<String>>, Credential) {
    let cell = Arc::new(Mutex::new(key.to_owned()));
    let read = cell.clone();
    (cell, Credential::rotating(move || Credential::api_key(&read.lock().unwrap())))
}

both! {
    fn a_key_that_was_changed_counts_from_the_next_attempt() {
        let emulator = Emulator::builder().key(FIRST).key(SECOND).start().unwrap();
        let (cell, credential) = cell(FIRST);
        let turn = cell.clone();
        emulator.model("abc").answer_with(move |arrival| {
            if arrival.index > 0 {
                return Answer::json("done".into());
            }
            SECOND.clone_into(&mut turn.lock().unwrap());
            Answer::platform_error(429).header("retry-after-ms", "1")
        });
        let client = facade::Client::builder().credential(credential);
        let client = client.base_url(emulator.base_url("abc")).build().unwrap();
        let model = client.model("abc").unwrap();
        wait(model.predict::<_, Value>("hi")).unwrap();
        FIRST.clone_into(&mut cell.lock().unwrap());
        let mut stream = wait(model.predict_stream("hi")).unwrap();
        while wait(stream.chunk()).unwrap().is_some() {}
        let seen = emulator.seen();
        let shown = seen.arrivals().iter().map(|arrival| {
            arrival.header("authorization").unwrap().rsplit(' ').next().unwrap().to_owned()
        });
        assert_eq!(shown.collect::<Vec<_>>(), [FIRST, SECOND, FIRST]);
        assert_eq!(seen.opened(), 1, "a new key needs no new connection");
    }

    fn a_key_that_a_server_echoes_is_hidden_whichever_it_is() {
        let emulator = Emulator::builder().key(FIRST).key(SECOND).start().unwrap();
        let (cell, credential) = cell(FIRST);
        let client = facade::Client::builder().credential(credential);
        let client = client.base_url(emulator.base_url("abc")).build().unwrap();
        let model = client.model("abc").unwrap();
        for key in [FIRST, SECOND] {
            key.clone_into(&mut cell.lock().unwrap());
            let echo = Answer::bytes("text/plain", format!("no such key: {key}"));
            emulator.model("abc").then(echo.with_status(401));
            let error = wait(model.predict::<_, Value>("hi")).unwrap_err();
            assert_eq!(error.body(), "no such key: [redacted]");
            assert!(!format!("{error:#?} {model:?} {client:?}").contains("s3cret"));
        }
    }

    fn without_a_key_nothing_is_sent() {
        let emulator = Emulator::start().unwrap();
        let yesterday = SystemTime::now() - Duration::from_secs(86_400);
        for (credential, expect) in [
            (Credential::rotating(|| Err("the vault is sealed")), Cause::Credential),
            (
                Credential::token_until("t.s3cret", yesterday).unwrap(),
                Cause::TokenExpired { at: yesterday },
            ),
        ] {
            let client = facade::Client::builder().credential(credential);
            let client = client.base_url(emulator.base_url("abc")).build().unwrap();
            let error = wait(client.model("abc").unwrap().predict::<_, Value>("hi")).unwrap_err();
            assert_eq!((error.kind(), error.cause()), (ErrorKind::Local, Some(expect)));
            assert_eq!(error.delivery(), Delivery::NotSent);
        }
        assert_eq!(emulator.seen().opened(), 0);
    }
}
