//! What a caller is told while the first byte of an answer does not come. Both facades. The hook itself
//! ends the call when it has heard enough, so that no test depends on how fast the machine is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use baseten::{CallOptions, CancelToken, Clock, ErrorKind, OnWaiting, Timeouts, Tls, Waiting};
use baseten_emulator::{Answer, Emulator, Fault, When};
use facades::{Facade, SOON};
use serde_json::json;
use tokio::io::AsyncWriteExt;

const LONG: Duration = Duration::from_secs(600);
const PERIOD: Duration = Duration::from_millis(5);

/// Options whose hook notes what it is told, and cancels after so many times.
fn noting(period: Duration, enough: usize) -> (CallOptions, Arc<Mutex<Vec<Waiting>>>) {
    let (token, told) = (CancelToken::new(), Arc::<Mutex<Vec<Waiting>>>::default());
    let (cancel, note) = (token.clone(), told.clone());
    let hook = OnWaiting::every(period, move |waiting| {
        let mut told = note.lock().unwrap();
        told.push(waiting);
        if told.len() == enough {
            cancel.cancel();
        }
    });
    let options = CallOptions { on_waiting: Some(hook), ..CallOptions::default() };
    (options.canceled_by(&token), told)
}

/// A facade for an emulator, through TLS if that has it.
fn facade(blocking: bool, emulator: &Emulator, options: CallOptions) -> Facade {
    let url = emulator.base_url("abc");
    let Some(ca) = emulator.ca_pem() else { return Facade::new(blocking, &url, options) };
    let tls = Tls::default().with_extra_roots(ca.as_bytes()).unwrap();
    Facade::secure(blocking, &url, &tls, options)
}

/// Both facades, plain and over TLS.
const ALL: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

/// All of them, each with an emulator and a hook that has heard enough after `enough` times.
fn each(period: Duration, enough: usize, test: impl Fn(&Facade, &Emulator, &Mutex<Vec<Waiting>>)) {
    for (blocking, tls) in ALL {
        let emulator = Emulator::builder().tls(tls).start().unwrap();
        let (options, told) = noting(period, enough);
        test(&facade(blocking, &emulator, options), &emulator, &told);
    }
}

#[test]
fn it_is_told_again_and_again() {
    each(PERIOD, 3, |facade, emulator, told| {
        emulator.model("abc").answer(Answer::json(json!(1)).delayed(LONG));
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Canceled, "{error}");
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 3, "{}: {told:?}", facade.name());
        for (index, waiting) in told.iter().enumerate() {
            let least = PERIOD * (index as u32 + 1);
            assert!(waiting.waited >= least && waiting.elapsed >= waiting.waited, "{waiting:?}");
            assert_eq!((waiting.attempt, waiting.sent), (1, true), "{waiting:?}");
        }
    });
}

#[test]
fn each_attempt_waits_anew() {
    for (blocking, tls) in ALL {
        // On a slow machine the first attempt may last for a period, and then is the one that is told of.
        let met = (0..10).any(|slower| {
            let emulator = Emulator::builder().tls(tls).start().unwrap();
            let (options, told) = noting(PERIOD * (1 << slower), 1);
            let busy = Answer::platform_error(503).header("retry-after-ms", "20");
            emulator.model("abc").then(busy);
            emulator.model("abc").answer(Answer::json(json!(1)).delayed(LONG));
            facade(blocking, &emulator, options).predict(&json!(1)).unwrap_err();
            let told = told.lock().unwrap()[0];
            let pause = Duration::from_millis(20);
            told.attempt == 2 && told.elapsed >= told.waited + pause
        });
        assert!(met, "blocking: {blocking}, TLS: {tls}");
    }
}

#[test]
fn an_upload_that_hangs_is_told_apart() {
    each(PERIOD, 2, |facade, emulator, told| {
        emulator.inject(When::Request(0), Fault::stall().at_upload(1 << 20));
        let body = vec![b'x'; 64 << 20].into();
        facade.predict_bytes("application/octet-stream", body).unwrap_err();
        for waiting in told.lock().unwrap().iter() {
            assert!(!waiting.sent, "{}: {waiting:?}", facade.name());
        }
        assert_eq!(told.lock().unwrap().len(), 2);
    });
}

/// Async alone: on one thread nobody can be told while a reader is waited for.
#[tokio::test]
async fn a_reader_that_hangs_is_told_apart_although_all_of_it_was_written() {
    for length in [None, Some(20)] {
        let emulator = Emulator::start().unwrap();
        let (options, told) = noting(PERIOD, 3);
        let client = baseten::Client::builder().api_key(baseten_emulator::DUMMY_KEY);
        let client = client.base_url(emulator.base_url("abc")).options(options).build().unwrap();
        let (mut writer, reader) = tokio::io::duplex(64);
        writer.write_all(b"ten bytes.").await.unwrap();
        let mut body = baseten::Upload::new(reader);
        if let Some(length) = length {
            body = body.with_length(length);
        }
        let call = client.model("abc").unwrap().request().upload("text/plain", body);
        let error = call.send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Canceled, "{error}");
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|waiting| !waiting.sent), "{length:?}: {told:?}");
    }
}

#[test]
fn an_upload_that_was_sent_is_told_as_that() {
    each(PERIOD, 3, |facade, emulator, told| {
        emulator.model("abc").every_route().answer(Answer::json(json!(1)).delayed(LONG));
        let error = facade.upload(&b"ten bytes."[..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Canceled, "{error}");
        // The first may come while it is on its way.
        assert!(told.lock().unwrap().last().unwrap().sent, "{}: {told:?}", facade.name());
    });
}

#[test]
fn the_first_byte_ends_it() {
    for blocking in [false, true] {
        let emulator = Emulator::start().unwrap();
        emulator.model("abc").answer(Answer::stream(["one", "two"]).paced(LONG));
        let (options, told) = noting(PERIOD, usize::MAX);
        let idle = PERIOD * 10;
        let timeouts = Timeouts { idle: Some(idle), ..Timeouts::default() };
        let options = CallOptions { timeouts, ..options };
        let facade = Facade::new(blocking, &emulator.base_url("abc"), options);
        let mut stream = facade.stream(&json!(1)).unwrap();
        let before = told.lock().unwrap().len();
        assert_eq!(stream.chunk().unwrap().unwrap(), "one");
        let error = stream.chunk().unwrap_err();
        assert_eq!(error.clock(), Some((Clock::Idle, idle)));
        assert_eq!(told.lock().unwrap().len(), before, "{}", facade.name());
    }
}

#[test]
fn what_comes_soon_is_not_told() {
    each(SOON, 1, |facade, emulator, told| {
        for _ in 0..3 {
            facade.predict(&json!(1)).unwrap();
        }
        assert_eq!((told.lock().unwrap().len(), emulator.seen().opened()), (0, 1));
    });
}

#[test]
fn the_clocks_run_on() {
    for (blocking, tls) in ALL {
        let emulator = Emulator::builder().tls(tls).start().unwrap();
        emulator.model("abc").answer(Answer::json(json!(1)).delayed(LONG));
        let (options, told) = noting(PERIOD, usize::MAX);
        let (first_byte, idle) = (PERIOD * 40, PERIOD);
        let timeouts =
            Timeouts { first_byte: Some(first_byte), idle: Some(idle), ..Timeouts::default() };
        let facade = facade(blocking, &emulator, CallOptions { timeouts, ..options });
        let error = facade.predict(&json!(1)).unwrap_err();
        // The session tickets that TLS sends ahead are no first byte.
        assert_eq!(error.clock(), Some((Clock::FirstByte, first_byte)), "{error}");
        assert_eq!(error.received(), 0, "{error}");
        assert!(!told.lock().unwrap().is_empty(), "{}, TLS: {tls}", facade.name());
    }
}
