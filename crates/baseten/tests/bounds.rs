//! Servers that never stop: each answer is an error that names the limit or the clock, soon, and the
//! server cannot get rid of much. Both facades.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use baseten::openai::{ChatRequest, Message};
use baseten::{CallOptions, Clock, Error, ErrorKind, Limits, Timeouts};
use baseten_emulator::{Answer, Fault};
use facades::{Facade, SOON, each_with, once};
use serde_json::json;

/// More than any limit here, and what the sockets of both sides hold.
const MOST: u64 = 32 << 20;

/// Answers every request with `begin` and then `rest` for ever; how much was written in all, once its
/// peer has gone.
fn flood(begin: String, rest: &'static str) -> (SocketAddr, Receiver<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        // The whole request: what is left unread would make a reset of the end.
        assert!(peer.read(&mut [0; 4096]).unwrap() > 0);
        let rest = rest.repeat(10_000 / rest.len());
        let mut written = 0;
        let mut piece = begin.as_bytes();
        while let Ok(wrote) = peer.write(piece) {
            written += wrote as u64;
            piece = &piece[wrote..];
            if piece.is_empty() {
                piece = rest.as_bytes();
            }
        }
        tell.send(written).unwrap();
    });
    (address, told)
}

type Ask = fn(&Facade) -> Error;

fn whole(facade: &Facade) -> Error {
    facade.predict(&json!(1)).unwrap_err()
}

fn streamed(facade: &Facade) -> Error {
    match facade.stream(&json!(1)) {
        Ok(mut stream) => loop {
            match stream.chunk() {
                Ok(chunk) => drop(chunk.expect("it does not end")),
                Err(error) => break error,
            }
        },
        Err(error) => error,
    }
}

fn chat(facade: &Facade) -> Error {
    facade.chat_stream(&ChatRequest::new("m", [Message::user("hi")])).error.unwrap()
}

#[test]
fn whoever_never_stops_is_stopped() {
    // Small, for some of it comes a byte in a chunk.
    let limits = Limits { body: 1 << 18, event: 1 << 18, ..Limits::default() };
    let options = CallOptions { limits, ..once() };
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let tera = "HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n";
    let head = "head of the answer is over the limit of 65536 bytes";
    let body = "body of the answer is over the limit of 262144 bytes";
    // Of the first two, what comes at once decides whether they are too many or too long.
    //   who       begins with                 goes on with               kind                 says
    let rows: &[(Ask, String, &str, ErrorKind, &str)] = &[
        (whole, ok.into(), "x-filler: yyyyyyyyyy\r\n", ErrorKind::TooLarge, "the answer"),
        (whole, ok.into(), "a:\r\n", ErrorKind::TooLarge, "the answer"),
        (whole, ok.into(), "y", ErrorKind::TooLarge, head),
        (whole, String::new(), "HTTP/1.1 100 Continue\r\n\r\n", ErrorKind::TooLarge, head),
        (streamed, String::new(), "HTTP/1.1 100 Continue\r\n\r\n", ErrorKind::TooLarge, head),
        (whole, tera.into(), "z", ErrorKind::TooLarge, body),
        (whole, format!("{chunked}40000000\r\n"), "z", ErrorKind::TooLarge, body),
        (whole, chunked.into(), "1\r\nz\r\n", ErrorKind::TooLarge, body),
        (whole, format!("{ok}\r\n"), "z", ErrorKind::TooLarge, body),
        (whole, format!("{chunked}1;"), "x", ErrorKind::Disconnected, "limit"),
        (whole, format!("{chunked}0\r\n"), "x: y\r\n", ErrorKind::Disconnected, "trailers"),
        (streamed, format!("{chunked}1;"), "x", ErrorKind::Disconnected, "limit"),
        (streamed, format!("{chunked}0\r\n"), "x: y\r\n", ErrorKind::Disconnected, "trailers"),
        (streamed, chunked.into(), "9", ErrorKind::Disconnected, "chunk"),
        (chat, tera.into(), "data: ", ErrorKind::TooLarge, "262144"),
        (chat, tera.into(), "data: z\n", ErrorKind::TooLarge, "262144"),
    ];
    for (ask, begin, rest, kind, says) in rows {
        for blocking in [false, true] {
            let (address, written) = flood(begin.clone(), rest);
            let facade = Facade::new(blocking, &format!("http://{address}"), options.clone());
            let began = Instant::now();
            let error = ask(&facade);
            let told = format!("{} {begin:?} {rest:?}: {error:?}", facade.name());
            assert_eq!(error.kind(), *kind, "{told}");
            assert!(format!("{error:?}").contains(says), "{told}");
            assert!(began.elapsed() < SOON, "{told}");
            assert!(written.recv_timeout(SOON).unwrap() < MOST, "{told}");
        }
    }
}

#[test]
fn a_head_of_ten_thousand_headers_says_how_many_it_may_have() {
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a:\r\n".repeat(10_000));
    each_with(once(), |facade, emulator| {
        emulator.model("abc").answer(Answer::raw(head.clone()));
        let error = whole(facade);
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{}: {error}", facade.name());
        assert!(error.to_string().contains("more than 100 headers"), "{error}");
    });
}

#[test]
fn an_error_without_end_keeps_64_kib_of_what_it_says() {
    each_with(once(), |facade, emulator| {
        emulator.model("abc").answer(Answer::endless("z".repeat(10_000)).with_status(500));
        let error = whole(facade);
        assert_eq!(error.kind(), ErrorKind::Status, "{}: {error}", facade.name());
        assert_eq!(error.body().len(), 64 << 10, "{}", facade.name());
        assert!(emulator.seen().last().unwrap().sent < MOST, "{}", facade.name());
    });
}

#[test]
fn a_byte_now_and_then_does_not_outlast_the_total_clock() {
    let clock = Duration::from_millis(200);
    let timeouts = Timeouts { total: Some(clock), ..Timeouts::default() };
    each_with(CallOptions { timeouts, ..once() }, |facade, emulator| {
        let slow = Fault::slow(1, Duration::from_millis(10));
        emulator.model("abc").answer(Answer::json(json!("z".repeat(10_000))).fault(slow));
        let error = whole(facade);
        assert_eq!(error.clock(), Some((Clock::Total, clock)), "{}: {error}", facade.name());
    });
}

/// Comments say that a server lives, so that no other clock stops them.
#[test]
fn a_flood_of_comments_does_not_outlast_the_total_clock() {
    let clock = Duration::from_millis(200);
    let timeouts = Timeouts { total: Some(clock), ..Timeouts::default() };
    let options = CallOptions { timeouts, ..once() };
    for blocking in [false, true] {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let (address, _written) = flood(head.into(), ": z\n\n");
        let facade = Facade::new(blocking, &format!("http://{address}"), options.clone());
        let began = Instant::now();
        let error = chat(&facade);
        assert_eq!(error.clock(), Some((Clock::Total, clock)), "{}: {error}", facade.name());
        assert!(began.elapsed() < SOON, "{}", facade.name());
    }
}
