//! Clocks that a server or a caller could put off: one that always has more, one that has a little now
//! and then, and one that asks anew. Both facades, where both can do it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use baseten::{CallOptions, Clock, Delivery, ErrorKind, Timeouts};
use baseten_emulator::{Answer, Emulator, Fault};
use facades::{Facade, SOON, each_with, once};
use serde_json::json;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn timed(timeouts: Timeouts) -> CallOptions {
    CallOptions { timeouts, ..once() }
}

#[test]
fn a_server_that_always_has_more_does_not_outlast_the_total_clock() {
    let total = ms(200);
    let options = timed(Timeouts { total: Some(total), ..Timeouts::default() });
    each_with(options, |facade, emulator| {
        emulator.model("abc").answer(Answer::endless("z".repeat(10_000)));
        let began = Instant::now();
        let mut stream = facade.stream(&json!(1)).unwrap();
        let error = loop {
            match stream.chunk() {
                // Slower than the server: there is something to read whenever it is asked for.
                Ok(chunk) => thread::sleep(ms(chunk.map_or(0, |_| 5))),
                Err(error) => break error,
            }
        };
        assert_eq!(error.clock(), Some((Clock::Total, total)), "{}: {error}", facade.name());
        assert_eq!(error.delivery(), Delivery::Answered);
        assert!(began.elapsed() < SOON, "{}", facade.name());
    });
}

/// Asking and giving up asking, as a `select!` with a ticker does.
#[test]
fn asking_anew_does_not_put_off_the_idle_clock() {
    let idle = ms(200);
    let timeouts = Timeouts { idle: Some(idle), ..Timeouts::default() };
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::stream(["one"]).ending(baseten_emulator::Ending::Stall));
    let facade = Facade::new(false, &emulator.base_url("abc"), timed(timeouts));
    let Facade::Async(runtime, model) = facade else { unreachable!("as asked for") };
    runtime.block_on(async {
        let mut stream = model.predict_stream(&json!(1)).await.unwrap();
        assert_eq!(stream.chunk().await.unwrap().unwrap(), "one");
        let began = Instant::now();
        let error = loop {
            match tokio::time::timeout(ms(20), stream.chunk()).await {
                Err(_elapsed) => assert!(began.elapsed() < SOON, "it would go on for ever"),
                Ok(chunk) => break chunk.unwrap_err(),
            }
        };
        assert_eq!(error.clock(), Some((Clock::Idle, idle)), "{error}");
        assert!(began.elapsed() >= idle, "{:?}", began.elapsed());
    });
}

/// The time in which nobody asks is not the server's.
#[test]
fn the_idle_clock_stands_still_while_nobody_asks() {
    let idle = ms(500);
    let timeouts = Timeouts { idle: Some(idle), ..Timeouts::default() };
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::stream(["one", "two", "three"]).paced(ms(1000)));
    let facade = Facade::new(false, &emulator.base_url("abc"), timed(timeouts));
    let Facade::Async(runtime, model) = facade else { unreachable!("as asked for") };
    runtime.block_on(async {
        let mut stream = model.predict_stream(&json!(1)).await.unwrap();
        let mut found = Vec::new();
        loop {
            match tokio::time::timeout(ms(20), stream.chunk()).await {
                // Ten times as much passes as is waited.
                Err(_elapsed) => tokio::time::sleep(ms(180)).await,
                Ok(Ok(Some(chunk))) => found.push(chunk),
                Ok(end) => break assert!(end.unwrap().is_none()),
            }
        }
        assert_eq!(found, ["one", "two", "three"]);
    });
}

/// Answers with `begin`, and then with a byte of filler each 10 ms until its peer has gone.
fn trickle(begin: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        assert!(peer.read(&mut [0; 4096]).unwrap() > 0);
        let mut piece = begin.as_bytes();
        while peer.write_all(piece).is_ok() {
            piece = b"y";
            thread::sleep(ms(10));
        }
    });
    address
}

#[test]
fn a_head_that_trickles_does_not_outlast_the_first_byte_and_the_idle_clock() {
    let (first_byte, idle) = (ms(150), ms(150));
    let timeouts =
        Timeouts { first_byte: Some(first_byte), idle: Some(idle), ..Timeouts::default() };
    for blocking in [false, true] {
        let address = trickle("HTTP/1.1 200 OK\r\nx-filler: ");
        let url = format!("http://{address}");
        let facade = Facade::new(blocking, &url, timed(timeouts));
        let began = Instant::now();
        let error = facade.stream(&json!(1)).err().expect("the head has no end");
        let told = format!("{}: {error}", facade.name());
        assert_eq!(error.kind(), ErrorKind::Timeout, "{told}");
        assert_eq!(error.clock(), Some((Clock::FirstByte, first_byte)), "{told}");
        assert!(error.received() > 20, "{told}");
        assert!(error.to_string().contains("no whole head of an answer, 150ms and"), "{told}");
        assert!(began.elapsed() >= first_byte + idle && began.elapsed() < SOON, "{told}");
    }
}

#[test]
fn an_error_that_trickles_is_told_without_its_end() {
    let timeouts = Timeouts { idle: Some(ms(150)), ..Timeouts::default() };
    for blocking in [false, true] {
        let address = trickle("HTTP/1.1 400 Bad Request\r\ncontent-length: 65536\r\n\r\nno such ");
        let url = format!("http://{address}");
        let facade = Facade::new(blocking, &url, timed(timeouts));
        let began = Instant::now();
        let error = facade.stream(&json!(1)).err().expect("its status is 400");
        let told = format!("{}: {error}", facade.name());
        assert_eq!(error.kind(), ErrorKind::Status, "{told}");
        assert_eq!(error.delivery(), Delivery::Answered, "{told}");
        assert!(error.body().starts_with(b"no such y"), "{told}");
        assert!(began.elapsed() < SOON, "{told}");
    }
}

/// A byte now and then is no silence while the body is one that is wanted.
#[test]
fn a_body_that_trickles_is_read_to_its_end() {
    let timeouts = Timeouts { idle: Some(ms(300)), ..Timeouts::default() };
    each_with(timed(timeouts), |facade, emulator| {
        emulator
            .model("abc")
            .answer(Answer::json(json!("0123456789")).fault(Fault::slow(1, ms(40)).at_body(0)));
        assert_eq!(facade.predict(&json!(1)).unwrap().value, "0123456789", "{}", facade.name());
    });
}
