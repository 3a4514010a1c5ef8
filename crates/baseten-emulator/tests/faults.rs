//! Each fault does what it says, at every byte where that is cheap.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use baseten_emulator::{Answer, Closer, DUMMY_KEY, Emulator, Fault, Outcome, Step, When};
use common::{Reply, connect, exchange, post, read_all};

const SOON: Duration = Duration::from_secs(5);
/// Answers that exercise both framings.
const WHOLE: &str = "/model/abc/predict";
const STREAM: &str = "/model/abc/sync/stream";

fn emulator() -> Emulator {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").at("sync/stream").answer(Answer::sse(["{\"i\": 0}", "{\"i\": 1}"]));
    emulator
}

fn send(emulator: &Emulator, path: &str) -> TcpStream {
    let mut socket = connect(emulator);
    socket.write_all(post(path, "[1]").as_bytes()).unwrap();
    socket
}

/// Everything that comes when the next answer has this fault.
fn received(emulator: &Emulator, path: &str, fault: Fault) -> Result<Vec<u8>, Vec<u8>> {
    emulator.inject(When::Request(0), fault);
    read_all(&mut send(emulator, path))
}

#[test]
fn cuts_and_resets_at_every_byte() {
    let emulator = emulator();
    for path in [WHOLE, STREAM] {
        let whole = exchange(&emulator, post(path, "[1]").as_bytes()).raw;
        for n in 0..=whole.len() as u64 + 1 {
            let complete = n >= whole.len() as u64;
            // Beyond the end nothing happens, so that the connection must be ended otherwise.
            let faults = [Fault::cut(), Fault::reset(), Fault::close()];
            for (kind, fault) in faults.into_iter().enumerate() {
                emulator.inject(When::Request(0), fault.clone().at_end());
                let got = received(&emulator, path, fault.at_byte(n));
                assert_eq!(got.is_err(), kind == 1, "{n}");
                let got = got.unwrap_or_else(|bytes| bytes);
                assert_eq!(got.len() as u64, n.min(whole.len() as u64), "{path} {n}");
                let seen = emulator.seen();
                let arrival = seen.last().unwrap();
                assert_eq!(arrival.sent, got.len() as u64);
                match arrival.outcome {
                    Some(Outcome::Completed { .. }) => assert!(complete),
                    Some(Outcome::CutByFault { after_bytes, .. }) => {
                        assert!(!complete);
                        assert_eq!(after_bytes, n);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        emulator.forget();
    }
}

#[test]
fn stalls_at_every_byte() {
    let emulator = emulator();
    for path in [WHOLE, STREAM] {
        let whole = exchange(&emulator, post(path, "[1]").as_bytes()).raw;
        for n in 0..whole.len() {
            emulator.inject(When::Request(0), Fault::stall().at_byte(n as u64));
            let mut socket = send(&emulator, path);
            socket.read_exact(&mut vec![0; n]).unwrap();
            let index = emulator
                .wait_until(SOON, |seen| seen.last().is_some_and(|last| last.sent == n as u64))
                .unwrap()
                .last()
                .unwrap()
                .index;
            drop(socket);
            let seen = emulator
                .wait_until(SOON, |seen| seen.last().is_some_and(|last| last.outcome.is_some()))
                .unwrap();
            let last = seen.last().unwrap();
            assert_eq!(last.index, index);
            assert!(
                matches!(last.outcome, Some(Outcome::PeerLeft { after_bytes, .. }) if after_bytes == n as u64),
                "{n}: {last:?}"
            );
        }
    }
}

#[test]
fn garbles_one_byte_and_no_other() {
    let emulator = Emulator::start().unwrap();
    let raw: &'static [u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    emulator.model("abc").answer(Answer::raw(raw));
    for n in 0..raw.len() {
        for mask in [0x01, 0x80, 0xff] {
            let got = received(&emulator, WHOLE, Fault::garble(mask).at_byte(n as u64)).unwrap();
            let mut expected = raw.to_vec();
            expected[n] ^= mask;
            assert_eq!(got, expected, "{n}");
        }
    }
}

#[test]
fn splits_into_pieces_without_changing_them() {
    let emulator = Emulator::start().unwrap();
    let raw: &'static [u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    emulator.model("abc").answer(Answer::raw(raw));
    for n in 0..raw.len() + 2 {
        assert_eq!(received(&emulator, WHOLE, Fault::split(n)).unwrap(), raw, "{n}");
    }
    // Combined: split everywhere, cut at 20, one byte garbled before.
    emulator.inject(When::Request(0), Fault::split(3));
    emulator.inject(When::Request(0), Fault::garble(1).at_byte(7));
    let got = received(&emulator, WHOLE, Fault::cut().at_byte(20)).unwrap();
    assert_eq!(got, b"HTTP/1.0 200 OK\r\ncon");
}

#[test]
fn slows_down_from_a_byte_on() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::raw("0123456789"));
    let pause = Duration::from_millis(10);
    let began = Instant::now();
    let got = received(&emulator, WHOLE, Fault::slow(2, pause).at_byte(4)).unwrap();
    assert_eq!(got, b"0123456789");
    assert!(began.elapsed() >= 2 * pause, "three writes, two pauses: {:?}", began.elapsed());
}

#[test]
fn waits_at_a_byte() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::raw("0123456789"));
    let wait = Duration::from_millis(30);
    emulator.inject(When::Request(0), Fault::delay(wait).at_byte(4));
    let mut socket = send(&emulator, WHOLE);
    let mut half = [0; 4];
    socket.read_exact(&mut half).unwrap();
    let began = Instant::now();
    let rest = read_all(&mut socket).unwrap();
    assert_eq!((&half, &*rest), (b"0123", &b"456789"[..]));
    // The clock here began a little later than the emulator's.
    assert!(began.elapsed() >= wait / 2, "{:?}", began.elapsed());
}

#[test]
fn counts_the_body_from_the_end_of_the_head() {
    let emulator = emulator();
    for interim in [false, true] {
        for n in 0..=6 {
            if interim {
                emulator.inject(When::Request(0), Fault::interim(100));
                emulator.inject(When::Request(0), Fault::interim(103));
            }
            let got = received(&emulator, STREAM, Fault::cut().at_body(n)).unwrap();
            let text = String::from_utf8(got).unwrap();
            let heads = text.split("\r\n\r\n").count() - 1;
            assert_eq!(heads, if interim { 3 } else { 1 });
            assert_eq!(text.rsplit("\r\n\r\n").next().unwrap().len() as u64, n, "{text}");
            if interim {
                assert!(
                    text.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n")
                );
            }
        }
    }
}

#[test]
fn inserts_bytes_before_inside_and_after() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::raw("0123456789"));
    for (fault, expected) in [
        (Fault::send("ab"), "ab0123456789"),
        (Fault::send("ab").at_byte(3), "012ab3456789"),
        (Fault::send("ab").at_byte(10), "0123456789ab"),
    ] {
        assert_eq!(received(&emulator, WHOLE, fault).unwrap(), expected.as_bytes());
    }
    // Inserted bytes count, and can be garbled and cut.
    emulator.inject(When::Request(0), Fault::send("ab"));
    emulator.inject(When::Request(0), Fault::garble(0x20).at_byte(1));
    assert_eq!(received(&emulator, WHOLE, Fault::cut().at_byte(3)).unwrap(), b"aB0");
}

#[test]
fn betrays_a_kept_connection() {
    let emulator = Emulator::start().unwrap();
    let timeout = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let soon = Duration::from_millis(15);
    // (faults, what comes after the answer, is it an RST, reason)
    let table = [
        (vec![Fault::close().at_end()], "", false, "closed without a word"),
        (vec![Fault::reset().at_end()], "", true, "reset"),
        (vec![Fault::close().at_end().after(soon)], "", false, "a short keep-alive"),
        (vec![Fault::send("x").at_end(), Fault::cut().at_end()], "x", false, "a stray byte"),
        (
            vec![Fault::send(timeout).at_end().after(soon), Fault::close().at_end()],
            timeout,
            false,
            "408 on an idle connection",
        ),
    ];
    for (faults, rest, reset, reason) in table {
        emulator.inject(When::Request(0), Fault::promise_keep_alive(600));
        let waits = faults[0].wait;
        for fault in faults {
            emulator.inject(When::Request(0), fault);
        }
        let mut socket = send(&emulator, WHOLE);
        let reply = Reply::read(&mut socket);
        let began = Instant::now();
        assert_eq!((reply.status, reply.header("connection")), (200, None), "{reason}");
        assert_eq!(reply.header("keep-alive"), Some("timeout=600"), "{reason}");
        let after = read_all(&mut socket);
        assert_eq!(after.is_err(), reset, "{reason}");
        assert_eq!(after.unwrap_or_else(|bytes| bytes), rest.as_bytes(), "{reason}");
        assert!(began.elapsed() >= waits / 2, "{reason}");
        let seen = emulator.seen();
        assert!(matches!(seen.last().unwrap().outcome, Some(Outcome::Completed { .. })));
        let connection = seen.connections().last().unwrap();
        assert_eq!(connection.closed.unwrap().1, Closer::Fault, "{reason}");
    }
}

#[test]
fn a_request_in_time_keeps_an_idle_connection() {
    let emulator = Emulator::start().unwrap();
    let fault = Fault::close().at_end().after(Duration::from_secs(3600));
    emulator.inject(When::Request(0), fault);
    let mut socket = send(&emulator, WHOLE);
    Reply::read(&mut socket);
    socket.write_all(post(WHOLE, "[2]").as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut socket).text(), r#"{"echo": [2], "model": "abc"}"#);

    // Planned for the connection, its clock begins anew after every answer.
    let wait = Duration::from_millis(40);
    emulator.inject(When::Connection(0), Fault::close().at_end().after(wait));
    let mut socket = send(&emulator, WHOLE);
    Reply::read(&mut socket);
    socket.write_all(post(WHOLE, "[2]").as_bytes()).unwrap();
    Reply::read(&mut socket);
    let began = Instant::now();
    assert_eq!(read_all(&mut socket).unwrap(), b"");
    assert!(began.elapsed() >= wait / 2, "{:?}", began.elapsed());
}

#[test]
fn turns_connections_away() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(When::Connection(0), Fault::reset());
    emulator.inject(When::Connection(1), Fault::cut());
    assert_eq!(read_all(&mut connect(&emulator)), Err(vec![]));
    assert_eq!(read_all(&mut connect(&emulator)), Ok(vec![]));
    assert_eq!(exchange(&emulator, post(WHOLE, "1").as_bytes()).status, 200);
    let seen = emulator.wait_until(SOON, |seen| seen.closed() == 3).unwrap();
    assert_eq!(seen.arrivals().len(), 1, "nothing was read from those turned away");
    assert_eq!(seen.connections()[0].closed.unwrap().1, Closer::Fault);
}

#[test]
fn counts_a_connection_across_its_answers() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::bytes("text/plain", "0123456789"));
    let length = exchange(&emulator, post(WHOLE, "1").as_bytes()).raw.len();
    emulator.inject(When::Connection(0), Fault::cut().at_byte(length as u64 + 5));
    let mut socket = send(&emulator, WHOLE);
    assert_eq!(Reply::read(&mut socket).raw.len(), length);
    socket.write_all(post(WHOLE, "2").as_bytes()).unwrap();
    assert_eq!(read_all(&mut socket).unwrap(), b"HTTP/");
    // The same without TLS, counted behind it.
    emulator.inject(When::Request(0), Fault::cut().at_byte(7).on_tcp());
    assert_eq!(read_all(&mut send(&emulator, WHOLE)).unwrap().len(), 7);
}

#[test]
fn breaks_an_upload() {
    let emulator = Emulator::start().unwrap();
    let head = format!(
        "POST {WHOLE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {DUMMY_KEY}\r\n\
         Content-Length: 1000000\r\n\r\n"
    );
    // (fault, is it an RST, reason)
    let table = [
        (Fault::reset().at_upload(0), true, "reset at the head"),
        (Fault::reset().at_upload(100_000), true, "reset on the way"),
        (Fault::cut().at_upload(100_000), false, "FIN, and the rest is swallowed"),
    ];
    for (fault, reset, reason) in table {
        emulator.inject(When::Request(0), fault);
        let mut socket = connect(&emulator);
        socket.write_all(head.as_bytes()).unwrap();
        // An RST is told once, by the write or by the read.
        let written = socket.write_all(&vec![b'1'; 1_000_000]);
        let read = read_all(&mut socket);
        assert_eq!(written.is_err() || read.is_err(), reset, "{reason}");
        assert_eq!(read.unwrap_or_else(|bytes| bytes), b"", "{reason}");
        let seen = emulator.seen();
        let last = seen.last().unwrap();
        assert!(matches!(last.outcome, Some(Outcome::CutByFault { .. })), "{reason}");
        assert!(!last.body_complete, "{reason}");
    }
    // It stops reading: the peer's socket fills up.
    emulator.inject(When::Request(0), Fault::stall().at_upload(1));
    let mut socket = connect(&emulator);
    socket.write_all(head.replace("1000000", "100000000").as_bytes()).unwrap();
    socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let error = (0..100).find_map(|_| socket.write_all(&[b'1'; 1_000_000]).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn answers_early_and_then_resets() {
    let emulator = Emulator::start().unwrap();
    let early = Answer::platform_error(413).early(0).fault(Fault::reset().at_end());
    emulator.inject(When::Request(0), Fault::answer(early));
    let mut socket = connect(&emulator);
    let head = format!(
        "POST {WHOLE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {DUMMY_KEY}\r\n\
         Content-Length: 1000000\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut socket).status, 413);
    assert_eq!(read_all(&mut socket), Err(vec![]));
    assert_eq!(exchange(&emulator, post(WHOLE, "1").as_bytes()).status, 200, "only once");
}

#[test]
fn plays_a_script() {
    let emulator = Emulator::start().unwrap();
    exchange(&emulator, post(WHOLE, "1").as_bytes());
    let script: Vec<Step> = serde_json::from_str(
        r#"[
            {"when": {"request": 2}, "fault": {"action": "cut", "at": {"byte": 3}}},
            {"when": {"request": 0}, "fault": {"action": {"answer": {"status": 503, "body": {"whole": ""}}}}},
            {"when": "every_request", "fault": {"action": {"header": {"name": "x-k", "value": "v"}}}}
        ]"#,
    )
    .unwrap();
    let again = serde_json::to_string(&script).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Step>>(&again).unwrap(), script);
    emulator.play(script);
    let ask = || exchange(&emulator, post(WHOLE, "1").as_bytes());
    let replies = [ask(), ask()];
    assert_eq!(replies.each_ref().map(|reply| reply.status), [503, 200]);
    assert!(replies.iter().all(|reply| reply.header("x-k") == Some("v")));
    assert_eq!(read_all(&mut send(&emulator, WHOLE)).unwrap(), b"HTT");
    emulator.clear_faults();
    assert_eq!(ask().header("x-k"), None);
}

#[test]
fn sends_monsters() {
    let emulator = Emulator::start().unwrap();
    let headers: String = (0..10_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
    let length = head.len();
    emulator.model("abc").then(Answer::raw(head));
    assert_eq!(read_all(&mut send(&emulator, WHOLE)).unwrap().len(), length);

    emulator.model("abc").then(Answer::endless("x".repeat(1000)));
    let mut socket = send(&emulator, WHOLE);
    socket.read_exact(&mut vec![0; 10_000_000]).unwrap();
    drop(socket);
    let seen = emulator.wait_until(SOON, |seen| seen.ended() == 2).unwrap();
    assert!(seen.last().unwrap().sent >= 10_000_000);
}
