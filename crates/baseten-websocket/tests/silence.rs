//! A server that says nothing, or takes nothing: how long it is waited for, and for its goodbye.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod common;

use std::future::ready;
use std::io::Read;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use baseten_core::Delivery;
use baseten_emulator::{Answer, Emulator, Fault, Frame};
use baseten_transport::Options;
use baseten_websocket::{CloseCode, ErrorKind, Message, WebSocket};
use common::{idle, peer, upgrade, upgrade_at};
use tokio::time::{Instant, pause, resume, sleep, timeout};

fn text(text: &str) -> Option<Message> {
    Some(text.into())
}

fn millis(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

/// A WebSocket to a server that reads nothing and says nothing until the guard is dropped.
async fn to_nobody(limit: Option<Duration>) -> (WebSocket, impl Drop) {
    let (guard, is_dropped) = mpsc::channel::<()>();
    let (hosts, server) = peer(b"", move |socket| {
        is_dropped.recv().ok();
        drop(socket);
    });
    let socket = WebSocket::connect(&idle(upgrade_at(&hosts, Options::default()), limit)).await;
    (socket.unwrap(), Guard(Some(guard), Some(server)))
}

struct Guard(Option<mpsc::Sender<()>>, Option<JoinHandle<()>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.take();
        self.1.take().unwrap().join().unwrap();
    }
}

/// More than any socket holds.
fn too_much() -> Vec<u8> {
    vec![0; 64 << 20]
}

#[tokio::test]
async fn a_silent_server_that_answers_pings_is_waited_for_and_one_that_does_not_is_not() {
    // The emulator answers the pings that keep the clock from running out.
    let emulator = Emulator::start().unwrap();
    let mut socket = WebSocket::connect(&idle(upgrade(&emulator), millis(600))).await.unwrap();
    let waited = timeout(Duration::from_millis(2000), socket.receive()).await;
    assert!(waited.is_err(), "{waited:?}");
    socket.send_text("hi").await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), text("echo:hi"));

    // After its first frame this one says nothing more, and takes nothing.
    let answer = Answer::websocket([Frame::Text("a".into())]);
    emulator.model("abc").at("websocket").then(answer.fault(Fault::stall().at_body(3)));
    let mut socket = WebSocket::connect(&idle(upgrade(&emulator), millis(100))).await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), text("a"));
    let error = socket.receive().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("nothing came for 100ms, not even after a ping"), "{error}");
}

#[tokio::test]
async fn a_server_that_takes_nothing_ends_a_send() {
    let (mut socket, _server) = to_nobody(millis(100)).await;
    let error = socket.send_binary(too_much()).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::MaybeRan));
    assert!(error.to_string().contains("the server took no byte for 100ms"), "{error}");
}

/// Connected in real time; from then on tokio's clock moves by what is waited for, and by nothing else.
#[tokio::test]
async fn waits_that_are_dropped_count_and_what_lies_between_them_does_not() {
    let (hosts, server) = peer(b"", |mut socket| {
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).unwrap();
        heard
    });
    let upgrade = idle(upgrade_at(&hosts, Options::default()), millis(300));
    let mut socket = WebSocket::connect(&upgrade).await.unwrap();
    pause();
    let mut ticks = 0;
    let error = loop {
        // As `select!` with a ticker does, which also has something else to do for a while.
        match timeout(Duration::from_millis(100), socket.receive()).await {
            Err(_) => ticks += 1,
            Ok(received) => break received.unwrap_err(),
        }
        assert!(ticks < 10, "the server is never given up");
        sleep(Duration::from_secs(3600)).await;
    };
    assert_eq!((error.kind(), ticks), (ErrorKind::Timeout, 2), "{error}");
    assert!(error.to_string().contains("nothing came for 300ms, not even after a ping"), "{error}");
    drop(socket);
    let heard = server.join().unwrap();
    assert_eq!(heard[..2], [0x89, 0x80], "a ping, masked, of no bytes");
    assert_eq!(heard.len(), 6, "one ping: {heard:?}");

    let (mut socket, _server) = to_nobody(millis(300)).await;
    // The first one fills the socket; the others wait behind it.
    let mut ticks = 0;
    let error = loop {
        match timeout(Duration::from_millis(100), socket.send_binary(too_much())).await {
            Err(_) => ticks += 1,
            Ok(sent) => break sent.unwrap_err(),
        }
        assert!(ticks < 20, "the server is never given up");
    };
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

/// As above: the seconds are tokio's.
#[tokio::test]
async fn a_goodbye_is_over_after_ten_seconds_whoever_listens() {
    //   idle clock    is the socket full?
    for (limit, full) in [
        (None, true), // nothing else would ever end it
        (millis(25_000), true),
        (None, false), // it is said, and never answered
        (millis(25_000), false),
    ] {
        let (mut socket, _server) = to_nobody(limit).await;
        if full {
            tokio::select! {
                biased;
                sent = socket.send_binary(too_much()) => panic!("it fits: {sent:?}"),
                () = ready(()) => {}
            }
        }
        pause();
        let begun = Instant::now();
        let closed = timeout(Duration::from_secs(60), socket.close(CloseCode::Normal, "")).await;
        assert!(matches!(closed, Ok(Ok(()))), "{limit:?} {full}: {closed:?}");
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?}");
        resume();
    }
}
