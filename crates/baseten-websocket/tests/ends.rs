//! How a WebSocket ends where both sides speak at once, or one of them breaks the rules.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod common;

use std::future::{Future, ready};
use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use baseten_core::{Delivery, Hosts};
use baseten_transport::Options;
use baseten_websocket::{CloseCode, ErrorKind, Message, WebSocket};
use common::{idle, peer, upgrade_at};

/// Connects to a peer without an idle clock: what is to be woken must be woken by something else.
async fn connect(hosts: &Hosts) -> WebSocket {
    WebSocket::connect(&idle(upgrade_at(hosts, Options::default()), None)).await.unwrap()
}

/// What was woken, and not only looked at again because a clock ran out.
async fn soon<T>(waiting: impl Future<Output = T>) -> T {
    const LIMIT: Duration = Duration::from_secs(10);
    let begun = Instant::now();
    let done = tokio::time::timeout(LIMIT, waiting).await.unwrap();
    assert!(begun.elapsed() < LIMIT, "nobody woke it");
    done
}

#[tokio::test]
async fn who_sends_is_told_when_the_other_half_hears_the_end() {
    //   what the server says while it takes nothing, and what a send comes to
    for (bytes, kind) in [
        (&b"\x88\x02\x03\xe9"[..], ErrorKind::Closed), // 1001
        (b"\x88\x02\x03\xe8", ErrorKind::Request),     // 1000
        (b"\x83\x00", ErrorKind::Protocol),            // no such frame
    ] {
        let (left, is_left) = mpsc::channel::<()>();
        let (hosts, server) = peer(b"", move |mut socket| {
            socket.write_all(bytes).unwrap();
            is_left.recv().ok();
        });
        let (mut sender, mut receiver) = connect(&hosts).await.split();
        let both =
            async { tokio::join!(sender.send_binary(vec![0; 64 << 20]), receiver.receive()) };
        let (sent, received) = soon(both).await;
        assert_eq!(sent.unwrap_err().kind(), kind);
        match received {
            Ok(message) => assert_eq!((message, kind), (None, ErrorKind::Request)),
            Err(error) => assert_eq!(error.kind(), kind),
        }
        drop((sender, receiver, left));
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_goodbye_that_crosses_another_is_no_error() {
    let (left, is_left) = mpsc::channel::<()>();
    let (hosts, server) = peer(b"", move |mut socket| {
        socket.write_all(b"\x88\x02\x03\xe8").unwrap();
        is_left.recv().ok();
    });
    let (mut sender, mut receiver) = connect(&hosts).await.split();
    // The queue is full, so our goodbye waits.
    tokio::select! {
        biased;
        sent = sender.send_binary(vec![0; 64 << 20]) => panic!("it fits: {sent:?}"),
        () = ready(()) => {}
    }
    let both = async { tokio::join!(sender.close(CloseCode::Normal, ""), receiver.receive()) };
    let (closed, received) = soon(both).await;
    closed.unwrap();
    assert_eq!(received.unwrap(), None);
    drop((sender, receiver, left));
    server.join().unwrap();
}

/// Pings whose answers nobody hears any more, and behind them what the server still had to say.
#[tokio::test]
async fn what_was_said_before_the_server_left_is_heard() {
    const EARLY: &[u8] =
        b"\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\
        \x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\x89\x00\
        \x81\x04last\x88\x02\x03\xe8";
    let (hosts, server) = peer(EARLY, drop);
    let mut socket = connect(&hosts).await;
    server.join().unwrap();
    assert_eq!(socket.receive().await.unwrap(), Some("last".into()));
    assert_eq!(socket.receive().await.unwrap(), None);
    assert_eq!(socket.closed().unwrap().code, CloseCode::Normal);
}

#[tokio::test]
async fn who_breaks_the_rules_is_told_which() {
    //   what comes                            code we close with   told
    for (bytes, code, told) in [
        (&b"\x81\x02\xc3\x28"[..], 1007, "a text that came is no UTF-8"),
        (b"\x01\x01\xc3\x80\x01\x28", 1007, "a text that came is no UTF-8"), // across two frames
        (b"\x81\x01\xc3", 1007, "a text that came is no UTF-8"), // cut within a character
        (b"\x81\x82\0\0\0\0hi", 1002, "what came is no WebSocket"), // masked
        (b"\xc1\x02hi", 1002, "what came is no WebSocket"),      // compressed, which nobody offered
        (b"\x80\x02hi", 1002, "what came is no WebSocket"),      // the end of nothing
        (b"\x01\x01a\x81\x01b", 1002, "what came is no WebSocket"), // a message within another
        (b"\x09\x00", 1002, "what came is no WebSocket"),        // a ping in pieces
        (b"\x89\x7e\x00\x7e", 1002, "what came is no WebSocket"), // a ping of 126 bytes
        (b"\x83\x00", 1002, "what came is no WebSocket"),        // no such frame
        (b"\x88\x01\x03", 1002, "what came is no WebSocket"),    // half a code
    ] {
        let (hosts, server) = peer(b"", move |mut socket| {
            let mut padded = bytes.to_vec();
            padded.resize(bytes.len() + 126, b' ');
            let whole = if bytes[1] == 0x7e { &padded } else { bytes };
            socket.write_all(whole).unwrap();
            let mut heard = Vec::new();
            socket.read_to_end(&mut heard).ok();
            heard
        });
        let mut socket = connect(&hosts).await;
        let error = socket.receive().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{bytes:?}: {error}");
        assert!(error.to_string().contains(told), "{bytes:?}: {error}");
        drop(socket);
        let heard = server.join().unwrap();
        assert_eq!(heard[..2], [0x88, 0x82], "{bytes:?}");
        let code_heard = u16::from_be_bytes([heard[6] ^ heard[2], heard[7] ^ heard[3]]);
        assert_eq!(code_heard, code, "{bytes:?}");
    }
}

#[tokio::test]
async fn what_is_sent_after_the_end_was_not_sent() {
    let (hosts, server) = peer(b"", |mut socket| {
        let mut frame = [0; 8];
        socket.read_exact(&mut frame).unwrap();
        socket.write_all(b"\x88\x02\x03\xe9").unwrap();
        socket.read_to_end(&mut Vec::new()).ok();
    });
    let mut socket = connect(&hosts).await;
    socket.send_text("hi").await.unwrap();
    let error = socket.receive().await.unwrap_err();
    let told = "closed by the server with 1001 (going away); \
                messages: 1 sent, any of which may have been acted on, 0 received";
    assert!(error.to_string().ends_with(told), "{error}");
    assert_eq!(error.delivery(), Delivery::MaybeRan);
    // Of the late one alone, and not of what was sent before.
    let error = socket.send(Message::from("late")).await.unwrap_err();
    let told = "closed by the server with 1001 (going away); nothing of it was sent";
    assert!(error.to_string().ends_with(told), "{error}");
    assert_eq!(error.delivery(), Delivery::NotSent);
    drop(socket);
    server.join().unwrap();
}
