//! The WebSocket of the emulator, spoken to in bytes. Requests and answers are those of recordings of
//! Truss server 0.18 with a model that echoes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Fault, Frame, Operation, Outcome, When};
use common::Reply;

/// Sends a handshake, and what is written together with it.
fn open(emulator: &Emulator, with: &[u8]) -> (TcpStream, Reply) {
    let mut socket = TcpStream::connect(emulator.addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "GET /environments/qa/websocket HTTP/1.1\r\nHost: model-abc.{}\r\n\
         Authorization: Api-Key {DUMMY_KEY}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        emulator.root()
    );
    socket.write_all(&[head.as_bytes(), with].concat()).unwrap();
    let reply = Reply::read(&mut socket);
    (socket, reply)
}

fn rest(mut socket: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    rest
}

#[test]
fn it_answers_as_truss_does() {
    #[rustfmt::skip]
    let table: [(&str, &[u8], &[u8]); 3] = [
        ("echo", b"\x81\x82\x01\x02\x03\x04ik\x82\x83\x01\x02\x03\x04\x00\x00\x00\x89\x81\x01\x02\x03\x04q\x88\x82\x01\x02\x03\x04\x02\xea",
                 b"\x81\x07echo:hi\x82\x03\x03\x02\x01\x8a\x01p\x88\x02\x03\xe8"),
        ("bye",  b"\x81\x83\x01\x02\x03\x04c{f", b"\x81\x07goodbye\x88\x02\x03\xe8"),
        ("boom", b"\x81\x84\x01\x02\x03\x04cmli", b"\x88,\x03\xf3Internal Server Error (in model/chainlet)."),
    ];
    for (name, frames, expect) in table {
        let emulator = Emulator::start().unwrap();
        let (mut socket, reply) = open(&emulator, frames);
        assert_eq!(reply.status, 101);
        assert_eq!(reply.header("sec-websocket-accept"), Some("BACScCJPNqyz+UBoqMH89VmURoA="));
        let mut answer = vec![0; expect.len()];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer, expect, "{name}");
        // It hangs up after the goodbye was answered.
        socket.write_all(b"\x88\x80\x01\x02\x03\x04").ok();
        rest(socket);
        let seen = emulator.wait_until(Duration::from_secs(10), |seen| seen.ended() == 1).unwrap();
        let arrival = seen.last().unwrap();
        assert_eq!(
            (arrival.status, arrival.operation.clone()),
            (Some(101), Some(Operation::WebSocket))
        );
        assert!(
            matches!(arrival.outcome, Some(Outcome::Completed { .. })),
            "{:?}",
            arrival.outcome
        );
        assert_eq!(arrival.messages.len(), if name == "echo" { 2 } else { 1 });
    }
}

#[test]
fn it_begins_with_what_a_test_installs() {
    let emulator = Emulator::start().unwrap();
    let route = emulator.model("abc").at("websocket");
    route.then(Answer::websocket_not_implemented());
    let (mut socket, _) = open(&emulator, b"");
    let mut frame = [0; 52];
    socket.read_exact(&mut frame).unwrap();
    assert_eq!(&frame[..], b"\x882\x03\xebWebSocket is not implemented on this deployment.");

    route.then(Answer::websocket([Frame::Text("a".into()), Frame::Ping("p".into())]));
    let (mut socket, _) = open(&emulator, b"");
    let mut frames = [0; 6];
    socket.read_exact(&mut frames).unwrap();
    assert_eq!(&frames, b"\x81\x01a\x89\x01p");

    route.then(Answer::platform_error(503));
    assert_eq!(open(&emulator, b"").1.status, 503);
    route.then(Answer::websocket([]).header("Sec-WebSocket-Accept", "wrong"));
    assert_eq!(open(&emulator, b"").1.header("sec-websocket-accept"), Some("wrong"));
}

#[test]
fn faults_count_on_after_the_head() {
    for bytes in 0..=9 {
        let emulator = Emulator::start().unwrap();
        emulator.inject(When::Request(0), Fault::cut().at_body(bytes));
        let (socket, reply) = open(&emulator, b"\x81\x82\x01\x02\x03\x04ik");
        assert_eq!(reply.status, 101);
        let expect = &b"\x81\x07echo:hi"[..usize::try_from(bytes).unwrap()];
        assert_eq!(rest(socket), expect, "cut after {bytes}");
        let seen = emulator.wait_until(Duration::from_secs(10), |seen| seen.ended() == 1).unwrap();
        assert!(matches!(seen.last().unwrap().outcome, Some(Outcome::CutByFault { .. })));
    }
}

#[test]
fn a_get_that_asks_for_no_upgrade_is_told_so_and_a_peer_that_leaves_is_seen() {
    let emulator = Emulator::start().unwrap();
    let mut socket = TcpStream::connect(emulator.addr()).unwrap();
    let root = emulator.root();
    write!(
        socket,
        "GET /production/websocket HTTP/1.1\r\nHost: model-abc.{root}\r\nAuthorization: Bearer {DUMMY_KEY}\r\n\r\n"
    )
    .unwrap();
    assert_eq!(Reply::read(&mut socket).status, 426);

    let (socket, _) = open(&emulator, b"");
    drop(socket);
    let seen = emulator.wait_until(Duration::from_secs(10), |seen| seen.ended() == 2).unwrap();
    assert!(matches!(seen.last().unwrap().outcome, Some(Outcome::PeerLeft { .. })));
}
