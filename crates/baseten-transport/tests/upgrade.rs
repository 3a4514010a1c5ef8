//! Connections that leave HTTP: what is accepted, and that no byte of the new protocol is lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod waits;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use baseten_core::{
    Answer, CallOptions, Credential, Delivery, Endpoint, ErrorKind, Framing, Hosts, ModelId,
    Operation, Request, RetryPolicy, Target, Template,
};
use baseten_transport::Options;
use baseten_transport::nonblocking::{Transport, Upgraded};
use rustls::{ServerConnection, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waits::secure::{Authority, config};
use waits::{OK, Server, answer, read_head, read_request, request};

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

fn websocket(url: &str) -> Request {
    let hosts = Hosts::base_url(url).unwrap().allow_plain_http();
    let target = Target::model(ModelId::new("abc").unwrap());
    let endpoint = Endpoint::new(&hosts, &target, &Operation::WebSocket).unwrap();
    let template = Template::new(endpoint, &Credential::none(), Answer::Stream).unwrap();
    template.websocket("MDEyMzQ1Njc4OWFiY2RlZg==").unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn open(server: &Server) -> Upgraded {
    let request = websocket(&format!("http://{}", server.address));
    Transport::new(Options::default()).upgrade(&request, &CallOptions::default()).await.unwrap()
}

/// Says `hello` in one write with the head cut off at `at`, then echoes.
fn greet(stream: &mut (impl Read + Write), at: usize) {
    let head = read_head(stream).unwrap();
    assert!(head.starts_with("GET /environments/production/websocket HTTP/1.1\r\n"), "{head}");
    let greeting = [SWITCH.as_bytes(), b"hello"].concat();
    let (first, second) = greeting.split_at(at);
    for part in [first, second] {
        stream.write_all(part).unwrap();
        stream.flush().unwrap();
    }
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).unwrap();
    stream.write_all(&bytes).unwrap();
    stream.flush().unwrap();
}

async fn talk(mut upgraded: Upgraded) {
    assert_eq!((upgraded.meta().status().as_u16(), upgraded.meta().attempts()), (101, 1));
    assert_eq!(upgraded.meta().framing(), Framing::Length(0), "it has no body");
    let mut greeting = [0; 5];
    upgraded.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hello");
    let before = (upgraded.sent(), upgraded.received());
    upgraded.write_all(b"ping").await.unwrap();
    let mut rest = Vec::new();
    // An end without a goodbye is an error under TLS.
    upgraded.read_to_end(&mut rest).await.ok();
    assert_eq!(rest, b"ping");
    assert!(upgraded.sent() >= before.0 + 4 && upgraded.received() >= before.1 + 4);
}

#[test]
fn no_byte_is_lost_wherever_the_head_and_what_follows_are_split() {
    let whole = SWITCH.len() + "hello".len();
    for at in 0..=whole {
        let server = Server::start(move |mut stream| greet(&mut stream, at));
        block_on(async { talk(open(&server).await).await });
    }
}

#[test]
fn tls_goes_the_same_way() {
    let authority = Authority::new("upgrades");
    let config = Arc::new(config(&authority.local()));
    let server = Server::start(move |stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        greet(&mut StreamOwned::new(session, stream), SWITCH.len() + 5);
    });
    let transport = Transport::new(authority.trusted());
    let request = websocket(&format!("https://{}", server.address));
    block_on(async {
        talk(transport.upgrade(&request, &CallOptions::default()).await.unwrap()).await;
    });
}

#[test]
fn any_other_answer_is_an_error_that_says_so() {
    #[rustfmt::skip]
    let table = [
        // answer                                                             kind               delivery             told
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",                    ErrorKind::Status, Delivery::Answered, "200 OK, where the server was asked to switch protocols"),
        ("HTTP/1.1 401 Unauthorized\r\ncontent-length: 15\r\n\r\n{\"error\":\"key\"}", ErrorKind::Status, Delivery::Answered, "401 Unauthorized: key"),
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",     ErrorKind::Status, Delivery::Refused,  "503 Service Unavailable"),
    ];
    for (answer, kind, delivery, told) in table {
        let server = Server::start(move |mut stream| waits::answer_bodiless(&mut stream, answer));
        let transport = Transport::new(Options::default());
        let request = websocket(&format!("http://{}", server.address));
        let once = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
        let error = block_on(transport.upgrade(&request, &once)).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (kind, delivery), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn an_upgrade_is_repeated_until_the_server_has_switched() {
    let tries = AtomicUsize::new(0);
    let server = Server::start(move |mut stream: TcpStream| {
        // The first connection is closed after the request was read: what may have run, ran nothing
        // that another try would repeat.
        if tries.fetch_add(1, Ordering::SeqCst) == 0 {
            read_head(&mut stream).unwrap();
            return;
        }
        greet(&mut stream, 0);
    });
    block_on(async {
        let upgraded = open(&server).await;
        assert_eq!(upgraded.meta().attempts(), 2);
    });
}

#[test]
fn a_kept_connection_can_switch_and_is_not_kept_after() {
    let server = Server::start(|mut stream: TcpStream| {
        read_request(&mut stream).unwrap();
        stream.write_all(OK).unwrap();
        greet(&mut stream, 3);
    });
    let url = format!("http://{}", server.address);
    let transport = Transport::new(Options::default());
    block_on(async {
        let options = CallOptions::default();
        transport.fetch(&request(&url), &options).await.unwrap();
        talk(transport.upgrade(&websocket(&url), &options).await.unwrap()).await;
        assert_eq!(server.taken(), 1);
        transport.fetch(&request(&url), &options).await.unwrap();
        assert_eq!(server.taken(), 2);
    });
}

#[test]
fn a_server_that_switches_unasked_is_refused_and_left() {
    let server = Server::start(|mut stream| answer(&mut stream, SWITCH.as_bytes()));
    let once = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
    let url = format!("http://{}", server.address);
    let transport = Transport::new(Options::default());
    let error = block_on(transport.fetch(&request(&url), &once)).unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 101, "{error}");
    assert_eq!(error.delivery(), Delivery::Answered);
}

#[test]
fn a_request_that_asks_for_no_upgrade_is_not_sent() {
    let transport = Transport::new(Options::default());
    let error =
        block_on(transport.upgrade(&request("http://127.0.0.1:1"), &CallOptions::default()));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Request);
}

#[test]
fn an_upgrade_is_not_sent_as_a_call_that_has_an_answer() {
    let refused = |error: baseten_core::Error| {
        assert_eq!(error.kind(), ErrorKind::Request);
        assert!(error.to_string().contains("Transport::upgrade"), "{error}");
    };
    // Nobody listens there, and nobody is asked.
    let (request, options) = (websocket("http://127.0.0.1:1"), CallOptions::default());
    waits::each(&Options::default(), |transport| {
        refused(transport.fetch(&request, &options).unwrap_err());
    });
    refused(block_on(Transport::new(Options::default()).send(&request, &options)).unwrap_err());
    let blocking = baseten_transport::blocking::Transport::new(Options::default());
    refused(blocking.send(&request, &options).unwrap_err());
}

#[test]
fn a_drop_closes_the_socket_and_a_write_to_nobody_is_told() {
    let (left, leaving) = mpsc::channel();
    let server = Server::start(move |mut stream: TcpStream| {
        read_head(&mut stream).unwrap();
        stream.write_all(SWITCH.as_bytes()).unwrap();
        left.send(stream.read(&mut [0; 8]).unwrap()).unwrap();
    });
    block_on(async {
        let upgraded = open(&server).await;
        drop(upgraded);
        assert_eq!(
            leaving.recv().unwrap(),
            0,
            "the peer sees the end while the runtime does nothing"
        );
        // A peer that resets: whoever only writes hears of it.
        let mut upgraded = open(&server).await;
        upgraded.write_all(b"x").await.unwrap();
        assert_eq!(leaving.recv().unwrap(), 1);
        let error = loop {
            if let Err(error) = upgraded.write_all(&[0; 4096]).await {
                break error;
            }
        };
        assert_ne!(error.kind(), std::io::ErrorKind::TimedOut);
    });
}
