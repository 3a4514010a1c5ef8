//! A connection is used again only if nothing came after its answer, wherever that lies: still on the
//! wire, in hyper's buffer or in the TLS session.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod waits;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baseten_core::Timeouts;
use rustls::{ServerConnection, StreamOwned};
use waits::secure::{Authority, config};
use waits::{OK, Server, each, read_request};

/// What a server says after its answer, in the same write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nothing,
    AnotherAnswer,
    Goodbye,
}

/// Answers one request, then reports how many bytes come after it on the same connection.
fn serve_once<S: Read + Write>(mut stream: S, write: impl FnOnce(&mut S), late: &Reports) {
    if read_request(&mut stream).is_none() {
        return;
    }
    write(&mut stream);
    let mut rest = Vec::new();
    // An end without a goodbye is an error of TLS, and an end all the same.
    let _ = stream.read_to_end(&mut rest);
    late.lock().unwrap().send(rest.len()).unwrap();
}

type Reports = Arc<Mutex<mpsc::Sender<usize>>>;

fn plain(after: After, late: Reports) -> (Server, String) {
    let server = Server::start(move |stream: TcpStream| {
        let said = match after {
            After::AnotherAnswer => [OK, OK].concat(),
            After::Nothing | After::Goodbye => OK.to_vec(),
        };
        serve_once(stream, |stream| stream.write_all(&said).unwrap(), &late);
    });
    let url = format!("http://{}", server.address);
    (server, url)
}

fn secure(authority: &Authority, after: After, late: Reports) -> (Server, String) {
    let config = Arc::new(config(&authority.local()));
    let server = Server::start(move |stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        let say = |stream: &mut StreamOwned<ServerConnection, TcpStream>| {
            stream.conn.writer().write_all(OK).unwrap();
            match after {
                After::Nothing => {}
                After::AnotherAnswer => stream.conn.writer().write_all(OK).unwrap(),
                After::Goodbye => stream.conn.send_close_notify(),
            }
            stream.conn.write_tls(&mut stream.sock).unwrap();
            assert!(!stream.conn.wants_write(), "it went out in one piece");
        };
        serve_once(StreamOwned::new(session, stream), say, &late);
    });
    let url = format!("https://{}", server.address);
    (server, url)
}

#[test]
fn what_came_with_an_answer_is_not_taken_for_the_next() {
    let authority = Authority::new("test");
    for (tls, after) in [
        (false, After::AnotherAnswer),
        (true, After::AnotherAnswer),
        // The server stays, but takes nothing more.
        (true, After::Goodbye),
    ] {
        each(&authority.trusted(), |transport| {
            let (report, late) = mpsc::channel();
            let report = Arc::new(Mutex::new(report));
            let (server, url) =
                if tls { secure(&authority, after, report) } else { plain(after, report) };
            let case = format!("{} {after:?}, TLS: {tls}", transport.name());
            for call in 1..=3 {
                let response =
                    transport.post(&url).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(response.value, "ok", "{case}");
                assert_eq!(server.taken(), call, "{case}: each call has a connection of its own");
                if call > 1 {
                    assert_eq!(
                        late.recv().unwrap(),
                        0,
                        "{case}: nothing was sent into the old one"
                    );
                }
            }
        });
    }
}

#[test]
fn a_server_that_is_silent_after_its_answer_is_asked_again() {
    let authority = Authority::new("test");
    for tls in [false, true] {
        each(&authority.trusted(), |transport| {
            let (report, late) = mpsc::channel();
            let report = Arc::new(Mutex::new(report));
            let (server, url) = match tls {
                true => secure(&authority, After::Nothing, report),
                false => plain(After::Nothing, report),
            };
            assert_eq!(transport.post(&url).unwrap().value, "ok");
            // This server answers once: the second request gets to it, and no answer.
            let brief = Duration::from_millis(200);
            let timeouts = Timeouts { first_byte: Some(brief), ..Default::default() };
            transport.post_within(&url, timeouts).unwrap_err();
            assert_eq!(server.taken(), 1, "{}", transport.name());
            assert!(
                late.recv().unwrap() > 0,
                "{}: it came over the same connection",
                transport.name()
            );
        });
    }
}
