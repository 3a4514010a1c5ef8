//! What is said over a WebSocket, against the emulator.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod common;

use std::future::{Future, ready};
use std::time::Duration;

use baseten_emulator::{Answer, At, Closer, Emulator, Fault, Frame, Outcome, When};
use baseten_websocket::{CloseCode, ErrorKind, Message, WebSocket};
use bytes::Bytes;
use common::{connect, upgrade, within};
use serde_json::{Value, json};

fn text(text: &str) -> Option<Message> {
    Some(text.into())
}

#[tokio::test]
async fn text_bytes_and_json_come_back() {
    let emulator = Emulator::start().unwrap();
    let mut socket = connect(&emulator).await;
    assert_eq!((socket.meta().status().as_u16(), socket.meta().attempts()), (101, 1));
    assert!(socket.meta().request_id().is_some());
    socket.send_text("hi").await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), text("echo:hi"));
    socket.send_binary(&b"\x01\x02\x03"[..]).await.unwrap();
    let backwards = Bytes::from_static(b"\x03\x02\x01");
    assert_eq!(socket.receive().await.unwrap(), Some(Message::Binary(backwards)));
    socket.send_json(&json!({"n": 1})).await.unwrap();
    let answer: Value = socket.receive_json().await.unwrap().unwrap();
    assert_eq!(answer, json!({"echo": {"n": 1}, "model": "abc"}));
    // What is no JSON is told, and the connection goes on.
    socket.send_text("hi").await.unwrap();
    let error = socket.receive_json::<Value>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("7 bytes is not the JSON expected, at line 1"), "{error}");
    socket.send_text("bye").await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), text("goodbye"));
    assert_eq!(socket.receive().await.unwrap(), None);
    assert_eq!(socket.receive().await.unwrap(), None, "it stays at the end");
    assert_eq!(socket.closed().unwrap().code, CloseCode::Normal);
    let error = socket.send_text("more").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request, "{error}");
    let seen = emulator.seen();
    assert_eq!(seen.last().unwrap().messages, ["hi", "\u{1}\u{2}\u{3}", "{\"n\":1}", "hi", "bye"]);
}

#[tokio::test]
async fn pings_go_both_ways_and_show_nowhere() {
    let emulator = Emulator::start().unwrap();
    let frames = [Frame::Ping("are you there".into()), Frame::Text("a".into())];
    emulator.model("abc").at("websocket").then(Answer::websocket(frames));
    let mut socket = connect(&emulator).await;
    socket.ping("and you").await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), text("a"));
    socket.send_text("b").await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), text("echo:b"));
    let error = socket.ping(vec![0; 126]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.to_string().contains("126 bytes is over the limit of 125"), "{error}");
}

#[tokio::test]
async fn a_big_message_goes_both_ways() {
    let emulator = Emulator::builder().keep_body(8).start().unwrap();
    let (mut sender, mut receiver) = connect(&emulator).await.split();
    let big: Vec<u8> = (0..8 << 20).map(|at| (at % 251) as u8).collect();
    let backwards: Vec<u8> = big.iter().rev().copied().collect();
    let (sent, received) = tokio::join!(sender.send_binary(big), receiver.receive());
    sent.unwrap();
    assert!(received.unwrap() == Some(Message::Binary(backwards.into())));
}

#[tokio::test]
async fn every_code_of_the_servers_is_told() {
    //   code  reason      told                                     None: the end, in order
    for (code, reason, told) in [
        (1000, "", None),
        (1001, "leaving", Some("1001 (going away): leaving")),
        (1002, "", Some("1002 (protocol error)")),
        (1003, "", Some("1003 (unsupported data)")),
        (1005, "", Some("1005 (no status)")), // never to be sent, and still told
        (1006, "", Some("1006 (not closed)")),
        (1007, "", Some("1007 (invalid data)")),
        (1008, "", Some("1008 (policy violation)")),
        (1009, "", Some("1009 (message too big)")),
        (1010, "", Some("1010 (extension missing)")),
        (1011, "it\nraised", Some("1011 (internal error): it\\nraised")),
        (1012, "", Some("1012 (restart)")),
        (1013, "", Some("1013 (try again later)")),
        (1014, "no replica", Some("1014 (bad gateway): no replica")),
        (1015, "", Some("1015 (TLS failure)")),
        (4001, "own", Some("4001: own")),
    ] {
        let emulator = Emulator::start().unwrap();
        let frames = [Frame::Text("a".into()), Frame::close(code, reason)];
        emulator.model("abc").at("websocket").then(Answer::websocket(frames));
        let mut socket = connect(&emulator).await;
        assert_eq!(socket.receive().await.unwrap(), text("a"), "{code}");
        let end = socket.receive().await;
        let close = socket.closed().unwrap();
        assert_eq!((u16::from(close.code), &*close.reason), (code, reason));
        let Some(told) = told.filter(|_| code != 1005) else {
            assert_eq!(end.unwrap(), None, "{code}");
            continue;
        };
        let error = end.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{code}");
        assert_eq!(error.close(), Some(&close));
        let said = error.to_string();
        let id = socket.meta().request_id().unwrap();
        let expect = format!(
            "WebSocket /environments/production/websocket: closed by the server with {told} \
             (request {id}); messages: none sent, 1 received"
        );
        assert_eq!(said, expect);
    }
}

#[tokio::test]
async fn a_model_that_raises_or_has_no_method_is_an_error() {
    let emulator = Emulator::start().unwrap();
    let mut socket = connect(&emulator).await;
    socket.send_text("boom").await.unwrap();
    let error = socket.receive().await.unwrap_err();
    let said = "1011 (internal error): Internal Server Error (in model/chainlet).";
    assert!(error.to_string().contains(said), "{error}");
    assert!(
        error
            .to_string()
            .contains("messages: 1 sent, any of which may have been acted on, 0 received")
    );
    emulator.model("abc").at("websocket").then(Answer::websocket_not_implemented());
    let error = connect(&emulator).await.receive().await.unwrap_err();
    assert!(error.to_string().contains("WebSocket is not implemented on this deployment."));
}

#[tokio::test]
async fn a_server_that_leaves_without_a_word_is_told_apart_from_one_that_finished() {
    for (fault, name) in [
        (Fault::cut().at_body(9), "FIN"),
        (Fault::reset().at_body(9), "RST"),
        (Fault::cut().at_body(4), "FIN in a frame"),
        (Fault::reset().at_body(4), "RST in a frame"),
    ] {
        let emulator = Emulator::start().unwrap();
        let whole = fault.at == At::Body(9);
        emulator.inject(When::Request(0), fault);
        let mut socket = connect(&emulator).await;
        socket.send_text("hi").await.unwrap();
        if whole {
            // A reset may overtake what was sent before it.
            match socket.receive().await {
                Ok(message) => assert_eq!(message, text("echo:hi"), "{name}"),
                Err(error) => assert!(name == "RST", "{error}"),
            }
        }
        let error = socket.receive().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{name}: {error}");
        assert!(error.to_string().contains("nobody had closed it"), "{name}: {error}");
        assert_eq!(error.delivery(), baseten_core::Delivery::MaybeRan);
        assert_eq!(socket.closed(), None);
    }
}

#[tokio::test]
async fn the_servers_bytes_may_be_split_anywhere() {
    let frames = || {
        [
            Frame::Text("first".into()),
            Frame::Binary(Bytes::from(vec![7; 300])),
            Frame::Ping("p".into()),
            Frame::Text("last".into()),
            Frame::close(1014, "gone"),
        ]
    };
    let length = (2 + 5) + (4 + 300) + (2 + 1) + (2 + 4) + (4 + 4);
    let pause = Duration::from_millis(2);
    let splits = (0..=length).map(|at| Fault::delay(pause).at_body(at));
    let bytewise = Fault::slow(1, Duration::ZERO);
    for fault in splits.chain([bytewise]) {
        let emulator = Emulator::start().unwrap();
        emulator.model("abc").at("websocket").then(Answer::websocket(frames()));
        emulator.inject(When::Request(0), fault.clone());
        let mut socket = connect(&emulator).await;
        assert_eq!(socket.receive().await.unwrap(), text("first"), "{fault:?}");
        let bytes = Bytes::from(vec![7; 300]);
        assert_eq!(socket.receive().await.unwrap(), Some(Message::Binary(bytes)), "{fault:?}");
        assert_eq!(socket.receive().await.unwrap(), text("last"), "{fault:?}");
        let error = socket.receive().await.unwrap_err();
        assert_eq!(error.close().unwrap().code, CloseCode::BadGateway, "{fault:?}: {error}");
    }
}

/// Polled once.
async fn for_a_moment<T>(waiting: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = waiting => Some(done),
        () = ready(()) => None,
    }
}

#[tokio::test]
async fn what_is_dropped_midway_loses_nothing() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(When::Request(0), Fault::slow(1, Duration::ZERO));
    let frames = ["one", "two", "three"].map(|text| Frame::Text(text.into()));
    emulator.model("abc").at("websocket").then(Answer::websocket(frames));
    let mut socket = connect(&emulator).await;
    for expect in ["one", "two", "three"] {
        let message = loop {
            match for_a_moment(socket.receive()).await {
                Some(message) => break message.unwrap(),
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(message, text(expect));
    }
    // A message that the socket has begun to take goes on with the next one.
    let mut socket = connect(&emulator).await;
    let big = vec![1; 8 << 20];
    if let Some(sent) = for_a_moment(socket.send_binary(big.clone())).await {
        sent.unwrap(); // all of it, if the server is that fast
    }
    let (mut sender, mut receiver) = socket.split();
    let (sent, received) = tokio::join!(sender.send_text("hi"), receiver.receive());
    sent.unwrap();
    assert!(received.unwrap() == Some(Message::Binary(big.into())));
    assert_eq!(receiver.receive().await.unwrap(), text("echo:hi"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_work_in_tasks_of_their_own() {
    let emulator = Emulator::start().unwrap();
    let (mut sender, mut receiver) = connect(&emulator).await.split();
    let sending = tokio::spawn(async move {
        for n in 0..500 {
            sender.send_text(n.to_string()).await.unwrap();
        }
        sender.close(CloseCode::Other(4000), "done").await.unwrap();
        let error = sender.send_text("late").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request, "{error}");
    });
    let mut received = 0;
    while let Some(message) = receiver.receive().await.unwrap() {
        assert_eq!(message.as_text(), Some(&*format!("echo:{received}")));
        received += 1;
    }
    assert_eq!(received, 500);
    assert_eq!(receiver.closed().unwrap().code, CloseCode::Other(4000));
    sending.await.unwrap();
}

#[tokio::test]
async fn goodbye_waits_for_its_answer_and_refuses_codes_that_are_never_sent() {
    let emulator = Emulator::start().unwrap();
    for (code, reason, expect) in [
        (CloseCode::NoStatus, String::new(), "the close code 1005 (no status) is never sent"),
        (CloseCode::Other(2000), String::new(), "the close code 2000 is never sent"),
        (CloseCode::Normal, "a".repeat(124), "124 bytes is over the limit of 123"),
    ] {
        let error = connect(&emulator).await.close(code, &reason).await.unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    }
    let socket = connect(&emulator).await;
    socket.close(CloseCode::Normal, "thanks").await.unwrap();
    let seen = within(&emulator, |seen| seen.ended() == 4);
    let outcome = &seen.last().unwrap().outcome;
    assert!(matches!(outcome, Some(Outcome::Completed { .. })), "{outcome:?}");
    // A server that has gone is no error: there is nobody to tell.
    emulator.inject(When::Request(0), Fault::reset().at_body(0));
    if let Ok(socket) = WebSocket::connect(&upgrade(&emulator)).await {
        socket.close(CloseCode::Normal, "").await.unwrap();
    }
}

#[tokio::test]
async fn a_drop_closes_the_socket_at_once() {
    let emulator = Emulator::start().unwrap();
    let socket = connect(&emulator).await;
    drop(socket);
    let seen = within(&emulator, |seen| seen.closed() == 1);
    assert_eq!(seen.connections()[0].closed.unwrap().1, Closer::Peer);
    // Of two halves the last one closes it.
    let (mut sender, receiver) = connect(&emulator).await.split();
    drop(receiver);
    sender.send_text("hi").await.unwrap();
    within(&emulator, |seen| seen.last().is_some_and(|last| last.messages.len() == 1));
    assert_eq!(emulator.seen().closed(), 1);
    drop(sender);
    within(&emulator, |seen| seen.closed() == 2);
}
