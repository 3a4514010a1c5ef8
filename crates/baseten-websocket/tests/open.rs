//! How a WebSocket comes about, or does not: refused, misread, through TLS and proxies, and again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use baseten_core::{CancelToken, Delivery, ErrorKind as CallErrorKind, Hosts, RetryPolicy};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Fault, Frame, When};
use baseten_transport::{Options, Proxies, Tls};
use baseten_websocket::{CloseCode, Connector, ErrorKind, Message, Reconnect, WebSocket};
use common::{connect, hosts, peer, read_head, upgrade, upgrade_at, within};

fn text(text: &str) -> Option<Message> {
    Some(text.into())
}

#[tokio::test]
async fn a_refused_upgrade_is_the_error_of_a_call() {
    //   answer                          delivery             attempts  told
    for (answer, delivery, attempts, told) in [
        (Answer::platform_error(401), Delivery::Answered, 1, "please check the api-key"),
        (Answer::platform_error(404), Delivery::Answered, 1, "does not exist"),
        (Answer::platform_error(408), Delivery::MaybeRan, 2, "Timed out waiting for a replica"),
        (Answer::platform_error(429), Delivery::Refused, 2, "CAPACITY_EXCEEDED"),
        (Answer::platform_error(503), Delivery::Refused, 2, "draining"),
        (Answer::platform_error(504), Delivery::MaybeRan, 2, "timed out"),
        (Answer::json(true.into()), Delivery::Answered, 1, "200 OK, where the server was asked"),
        (Answer::not_ready(), Delivery::Refused, 2, "is not ready"),
    ] {
        let emulator = Emulator::start().unwrap();
        let status = answer.status;
        emulator.model("abc").at("websocket").answer(answer);
        let mut upgrade = upgrade(&emulator);
        upgrade.options.retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
        let error = WebSocket::connect(&upgrade).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (CallErrorKind::Status, delivery), "{error}");
        assert_eq!(error.status().unwrap().as_u16(), status);
        assert_eq!(error.attempts().len(), attempts, "{error}");
        assert_eq!(emulator.seen().arrivals().len(), attempts);
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.to_string().starts_with("GET /environments/production/websocket: "));
        assert!(error.request_id().is_some());
        // `?` makes one error of both.
        let error = baseten_websocket::Error::from(error);
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Call, delivery));
        assert!(error.to_string().contains(told) && error.call().unwrap().api().is_some());
    }
}

#[tokio::test]
async fn an_upgrade_is_tried_again_and_says_so() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").at("websocket").then(Answer::platform_error(503));
    emulator.inject(When::Request(1), Fault::cut());
    let socket = connect(&emulator).await;
    assert_eq!(socket.meta().attempts(), 3);
    assert_eq!(socket.meta().failed_attempts()[0].delivery, Delivery::Refused);
}

#[tokio::test]
async fn an_answer_that_did_not_read_the_key_is_refused() {
    let emulator = Emulator::start().unwrap();
    let wrong = Answer::websocket([]).header("sec-websocket-accept", "d3Jvbmc=");
    emulator.model("abc").at("websocket").answer(wrong);
    let error = WebSocket::connect(&upgrade(&emulator)).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (CallErrorKind::Decode, Delivery::Answered));
    assert!(error.to_string().contains("did not read the key of the handshake"), "{error}");
    within(&emulator, |seen| seen.closed() == 1);
}

#[tokio::test]
async fn the_key_stands_in_the_header_alone_and_differs_each_time() {
    let emulator = Emulator::start().unwrap();
    let (first, second) = (connect(&emulator).await, connect(&emulator).await);
    let seen = emulator.seen();
    let keys = seen.arrivals().iter().map(|arrival| {
        assert_eq!(arrival.path, "/environments/production/websocket");
        let holding = arrival.headers.iter().filter(|(_, value)| {
            value.windows(DUMMY_KEY.len()).any(|part| part == DUMMY_KEY.as_bytes())
        });
        let holding: Vec<_> = holding.map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert_eq!(holding, ["authorization"]);
        arrival.header("sec-websocket-key").unwrap()
    });
    let keys: Vec<_> = keys.collect();
    assert!(keys[0] != keys[1] && keys.iter().all(|key| key.len() == 24), "{keys:?}");
    assert!(!format!("{first:?} {second:?}").contains(DUMMY_KEY));
}

#[tokio::test]
async fn frames_that_come_with_the_101_are_not_lost() {
    let (hosts, server) = peer(b"\x81\x05hello\x82\x01!\x88\x02\x03\xe8", |mut socket| {
        let mut goodbye = Vec::new();
        socket.read_to_end(&mut goodbye).unwrap();
        goodbye
    });
    let mut socket = WebSocket::connect(&upgrade_at(&hosts, Options::default())).await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), text("hello"));
    assert_eq!(socket.receive().await.unwrap(), Some(Message::Binary((&b"!"[..]).into())));
    assert_eq!(socket.receive().await.unwrap(), None);
    drop(socket);
    let goodbye = server.join().unwrap();
    assert_eq!((goodbye[0], goodbye[1]), (0x88, 0x82), "the close was answered: masked, two bytes");
}

#[tokio::test]
async fn tls_goes_the_same_way() {
    let emulator = Emulator::builder().tls(true).start().unwrap();
    let pem = emulator.ca_pem().unwrap().as_bytes().to_vec();
    let tls = Tls::default().with_extra_roots(&pem).unwrap();
    let trusted = upgrade_at(&hosts(&emulator), Options { tls, ..Options::default() });
    let (mut sender, mut receiver) = WebSocket::connect(&trusted).await.unwrap().split();
    let big = vec![1; 3 << 20];
    let (sent, received) = tokio::join!(sender.send_binary(big.clone()), receiver.receive());
    sent.unwrap();
    assert!(received.unwrap() == Some(Message::Binary(big.into())));
    sender.send_text("bye").await.unwrap();
    assert_eq!(receiver.receive().await.unwrap(), text("goodbye"));
    assert_eq!(receiver.receive().await.unwrap(), None);
    // Whom nobody trusts is not asked.
    let error = WebSocket::connect(&upgrade(&emulator)).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (CallErrorKind::Connect, Delivery::NotSent));
}

#[tokio::test]
async fn a_proxy_is_passed_through() {
    let emulator = Emulator::start().unwrap();
    let proxy = proxy_to(emulator.addr());
    let proxies = Proxies::none().with_all(&format!("http://{proxy}")).unwrap();
    let hosts = Hosts::root("http://api.example").unwrap().allow_plain_http();
    let through = upgrade_at(&hosts, Options { proxies, ..Options::default() });
    let mut socket = WebSocket::connect(&through).await.unwrap();
    socket.send_text("hi").await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), text("echo:hi"));
    let seen = emulator.seen();
    assert_eq!(seen.last().unwrap().host.as_deref(), Some("model-abc.api.example"));
}

/// An HTTP proxy for one connection: it knows every name, and all of them are `target`.
fn proxy_to(target: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let head = read_head(&mut client);
        assert!(head.starts_with("connect model-abc.api.example:80 http/1.1\r\n"), "{head}");
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let server = TcpStream::connect(target).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        let (mut from, mut to) = (server, client);
        std::io::copy(&mut from, &mut to).ok();
    });
    address
}

#[tokio::test]
async fn a_lost_connection_is_opened_again_as_the_policy_has_it() {
    let soon = Duration::from_millis(1);
    let policy = Reconnect { max_attempts: 3, shortest: soon, longest: 5 * soon };
    let emulator = Emulator::start().unwrap();
    let route = emulator.model("abc").at("websocket");
    route.then(Answer::websocket([Frame::close(1012, "")]));
    route.then(Answer::platform_error(503));
    let mut upgrade = upgrade(&emulator);
    upgrade.options.retry = RetryPolicy::never();
    let mut connector = Connector::new(upgrade, policy);
    let mut socket = connector.connect().await.unwrap();
    let error = socket.receive().await.unwrap_err();
    assert_eq!(error.close().unwrap().code, CloseCode::Restart);
    // The second try succeeds, and what the model says itself is final.
    let mut socket = connector.reconnect(error).await.unwrap();
    assert_eq!(emulator.seen().arrivals().len(), 3);
    socket.send_text("boom").await.unwrap();
    let error = socket.receive().await.unwrap_err();
    let error = connector.reconnect(error).await.unwrap_err();
    assert_eq!(error.close().unwrap().code, CloseCode::Internal);
    assert_eq!(emulator.seen().arrivals().len(), 3);
}

#[tokio::test]
async fn a_call_that_cannot_succeed_is_not_repeated() {
    let soon = Duration::from_millis(1);
    let policy = Reconnect { max_attempts: 3, shortest: soon, longest: 5 * soon };
    //   answer of the platform         tries  why
    for (answer, tries) in [
        (Answer::platform_error(401), 0), // the key is wrong, and stays so
        (Answer::platform_error(503), 3), // each try is one request: the call's policy allows no retry
        (Answer::platform_error(504), 3), // a GET is safe to repeat
        (Answer::platform_error(503).header("retry-after", "30"), 0), // longer than the policy waits
    ] {
        let emulator = Emulator::start().unwrap();
        emulator.model("abc").at("websocket").answer(answer);
        let mut upgrade = upgrade(&emulator);
        upgrade.options.retry = RetryPolicy::never();
        let mut connector = Connector::new(upgrade, policy);
        let error = connector.connect().await.unwrap_err();
        let error = connector.reconnect(error).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Call);
        assert_eq!(emulator.seen().arrivals().len(), 1 + tries, "{error}");
    }
}

#[tokio::test]
async fn reconnecting_ends() {
    let soon = Duration::from_millis(1);
    let policy = Reconnect { max_attempts: 4, shortest: soon, longest: Duration::from_secs(60) };
    let emulator = Emulator::start().unwrap();
    // A server that accepts and restarts, for ever.
    emulator.model("abc").at("websocket").answer(Answer::websocket([Frame::close(1012, "")]));
    let mut connector = Connector::new(upgrade(&emulator), policy);
    let mut socket = connector.connect().await.unwrap();
    let last = loop {
        let error = socket.receive().await.unwrap_err();
        socket = match connector.reconnect(error).await {
            Ok(socket) => socket,
            Err(error) => break error,
        };
    };
    assert_eq!(last.close().unwrap().code, CloseCode::Restart);
    assert_eq!(emulator.seen().arrivals().len(), 5, "once, and four times again");
}

#[tokio::test]
async fn a_token_gives_the_connection_up() {
    let emulator = Emulator::start().unwrap();
    let token = CancelToken::new();
    let mut upgrade = upgrade(&emulator);
    upgrade.options.cancel = Some(token.clone());
    let mut socket = WebSocket::connect(&upgrade).await.unwrap();
    let canceling = async {
        tokio::task::yield_now().await;
        token.cancel();
    };
    let (received, ()) = tokio::join!(socket.receive(), canceling);
    assert_eq!(received.unwrap_err().kind(), ErrorKind::Canceled);
    within(&emulator, |seen| seen.closed() == 1);
    let error = socket.send_text("late").await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Canceled, Delivery::NotSent));
    let error = Connector::new(upgrade, Reconnect::default()).reconnect(error).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Canceled, "it is not worth another try");
}
