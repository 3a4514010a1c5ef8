//! A token given with the options ends a call from another thread, wherever it waits, and the error says
//! what the server may have done. Both facades.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use baseten::{CallOptions, CancelToken, Delivery, Error, ErrorKind, Outcome, Timeouts, Tls};
use baseten_emulator::{Answer, Emulator, Outcome as Peer, Seen};
use facades::{Facade, SOON, each_with};
use serde_json::json;

/// Far longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

/// Cancels once the emulator has seen this much, and says when it did.
fn cancel_when(
    emulator: &Emulator,
    token: &CancelToken,
    seen: impl Fn(&Seen) -> bool + Send,
    call: impl FnOnce() -> Error,
) -> Error {
    thread::scope(|scope| {
        let (give, take) = mpsc::channel();
        scope.spawn(move || {
            emulator.wait_until(SOON, seen).unwrap();
            give.send(Instant::now()).unwrap();
            token.cancel();
        });
        let error = call();
        assert!(take.recv().unwrap().elapsed() < SOON);
        assert_eq!(error.kind(), ErrorKind::Canceled, "{error}");
        error
    })
}

/// Both facades, each with a token of its own.
fn each(test: impl Fn(&Facade, &Emulator, &CancelToken)) {
    for blocking in [false, true] {
        let (emulator, token) = (Emulator::start().unwrap(), CancelToken::new());
        let options = CallOptions::default().canceled_by(&token);
        test(&Facade::new(blocking, &emulator.base_url("abc"), options), &emulator, &token);
    }
}

fn peer_left(emulator: &Emulator) {
    let seen = emulator.wait_until(SOON, |seen| seen.ended() == 1).unwrap();
    assert!(matches!(seen.last().unwrap().outcome.unwrap(), Peer::PeerLeft { .. }));
    assert_eq!(seen.arrivals().len(), 1, "what may have run is not sent again");
}

#[test]
fn while_it_waits_for_the_first_byte() {
    each(|facade, emulator, token| {
        emulator.model("abc").answer(Answer::json(json!(1)).delayed(LONG));
        let call = || facade.predict(&json!(1)).unwrap_err();
        let error = cancel_when(emulator, token, |seen| seen.arrivals().len() == 1, call);
        assert_eq!(error.delivery(), Delivery::MaybeRan, "{}", facade.name());
        assert!(error.to_string().contains("canceled by the caller; it may have run"), "{error}");
        peer_left(emulator);
    });
}

#[test]
fn over_tls() {
    for blocking in [false, true] {
        let emulator = Emulator::builder().tls(true).start().unwrap();
        emulator.model("abc").answer(Answer::stream(["one", "two"]).paced(LONG));
        let (token, url) = (CancelToken::new(), emulator.base_url("abc"));
        let tls = Tls::default().with_extra_roots(emulator.ca_pem().unwrap().as_bytes()).unwrap();
        let options = CallOptions::default().canceled_by(&token);
        let facade = Facade::secure(blocking, &url, &tls, options);
        let mut stream = facade.stream(&json!(1)).unwrap();
        assert_eq!(stream.chunk().unwrap().unwrap(), "one");
        let error = cancel_when(&emulator, &token, |_| true, || stream.chunk().unwrap_err());
        assert_eq!(error.delivery(), Delivery::Answered, "{}", facade.name());
        peer_left(&emulator);
    }
}

#[test]
fn within_a_body() {
    each(|facade, emulator, token| {
        emulator.model("abc").answer(Answer::stream(["one", "two"]).paced(LONG));
        let mut stream = facade.stream(&json!(1)).unwrap();
        assert_eq!(stream.chunk().unwrap().unwrap(), "one");
        let error = cancel_when(emulator, token, |_| true, || stream.chunk().unwrap_err());
        assert_eq!(error.delivery(), Delivery::Answered, "the answer had begun");
        assert_eq!(stream.chunk().unwrap(), None, "after an error there is only the end");
        peer_left(emulator);
    });
}

#[test]
fn within_a_body_that_only_a_close_would_end() {
    each(|facade, emulator, token| {
        // The end of the socket looks like the end of this body, and must not count as one.
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n1";
        emulator.model("abc").answer(Answer::raw_chunks([answer, "2"]).paced(LONG));
        let call = || facade.predict(&json!(1)).unwrap_err();
        let error = cancel_when(emulator, token, |seen| seen.arrivals().len() == 1, call);
        assert_ne!(error.delivery(), Delivery::NotSent);
        peer_left(emulator);
    });
}

#[test]
fn in_the_pause_before_another_attempt() {
    for blocking in [false, true] {
        // Nobody but the client knows when it has read the answer and begun to pause: later each time,
        // until it had.
        let met = (0..10).any(|later| {
            let (emulator, token) = (Emulator::start().unwrap(), CancelToken::new());
            let options = CallOptions::default().canceled_by(&token);
            let facade = Facade::new(blocking, &emulator.base_url("abc"), options);
            let busy = Answer::platform_error(503).header("retry-after", "50");
            emulator.model("abc").answer(busy);
            let error = thread::scope(|scope| {
                scope.spawn(|| {
                    emulator.wait_until(SOON, |seen| seen.ended() == 1).unwrap();
                    thread::sleep(Duration::from_millis(1 << later));
                    token.cancel();
                });
                facade.predict(&json!(1)).unwrap_err()
            });
            assert_eq!(error.kind(), ErrorKind::Canceled, "{error}");
            assert_eq!(emulator.seen().arrivals().len(), 1, "{}", facade.name());
            assert_eq!(error.attempts().len(), 1, "{error}");
            let refused = |outcome| matches!(outcome, Outcome::Status(status) if status == 503);
            let paused = refused(error.attempts()[0].outcome);
            let delivery = if paused { Delivery::Refused } else { Delivery::MaybeRan };
            assert_eq!(error.delivery(), delivery, "{error}");
            // What was answered is there, though something else ended the call.
            assert_eq!(error.status().map(|status| status.as_u16()), paused.then_some(503));
            assert_eq!(error.retry_after(), paused.then_some(Duration::from_secs(50)));
            assert_eq!((error.api().is_some(), error.retry_at().is_some()), (paused, paused));
            paused
        });
        assert!(met, "a second is enough to read an answer");
    }
}

#[test]
fn a_retry_that_was_not_made_is_left_to_others() {
    for blocking in [false, true] {
        let emulator = Emulator::start().unwrap();
        let facade = Facade::new(blocking, &emulator.base_url("abc"), CallOptions::default());
        let busy = Answer::platform_error(503);
        emulator.model("abc").answer(busy.clone().header("retry-after", "50"));
        // More than the budget begins with, each given up in its pause.
        let (mut paused, mut ended) = (0, 0);
        while paused < 15 {
            let token = CancelToken::new();
            ended += 1;
            let error = thread::scope(|scope| {
                scope.spawn(|| {
                    emulator.wait_until(SOON, |seen| seen.ended() == ended).unwrap();
                    thread::sleep(Duration::from_millis(2)); // until the answer is read, most often
                    token.cancel();
                });
                let options = CallOptions::default().canceled_by(&token);
                facade.predict_with(options, &json!(1)).unwrap_err()
            });
            assert_eq!(error.kind(), ErrorKind::Canceled, "{}: {error}", facade.name());
            paused += u32::from(error.status().is_some());
        }
        emulator.model("abc").answer(Answer::json(json!(1)));
        emulator.model("abc").then(busy.header("retry-after-ms", "1"));
        let answer = facade.predict(&json!(1)).unwrap();
        assert_eq!(answer.meta.attempts(), 2, "{}", facade.name());
    }
}

/// An address where connections are never accepted: the queue is full.
fn black_hole() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let try_one = || TcpStream::connect_timeout(&address, Duration::from_millis(100));
    let queue = std::iter::from_fn(|| try_one().ok()).take(100).collect();
    (listener, queue, address)
}

#[test]
fn while_it_connects() {
    let (_listener, _queue, address) = black_hole();
    for blocking in [false, true] {
        let token = CancelToken::new();
        let timeouts = Timeouts { connect: Some(LONG), ..Timeouts::default() };
        let options = CallOptions { timeouts, ..CallOptions::default() }.canceled_by(&token);
        let facade = Facade::new(blocking, &format!("http://{address}"), options);
        let error = thread::scope(|scope| {
            scope.spawn(|| token.cancel());
            facade.predict(&json!(1)).unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::Canceled, "{error:?}");
        assert_eq!(error.delivery(), Delivery::NotSent);
    }
}

#[test]
fn before_it_begins() {
    each(|facade, emulator, token| {
        token.cancel();
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Canceled, Delivery::NotSent));
        assert!(emulator.seen().arrivals().is_empty(), "{}", facade.name());
    });
}

#[test]
fn while_the_peer_takes_nothing_of_an_upload() {
    each(|facade, emulator, token| {
        emulator.inject(
            baseten_emulator::When::Request(0),
            baseten_emulator::Fault::stall().at_upload(1 << 20),
        );
        let body = vec![b'x'; 64 << 20].into();
        let call = || facade.predict_bytes("application/octet-stream", body).unwrap_err();
        let error = cancel_when(emulator, token, |seen| seen.opened() == 1, call);
        assert_ne!(error.delivery(), Delivery::Answered, "{}", facade.name());
    });
}

#[test]
fn a_token_that_is_not_canceled_changes_nothing() {
    let options = CallOptions::default().canceled_by(&CancelToken::new());
    each_with(options, |facade, emulator| {
        for _ in 0..3 {
            facade.predict(&json!(1)).unwrap();
        }
        assert_eq!(emulator.seen().opened(), 1, "one connection, kept: {}", facade.name());
    });
}

#[test]
fn a_wait_for_a_deployment_ends_too() {
    for blocking in [false, true] {
        let (emulator, token) = (Emulator::start().unwrap(), CancelToken::new());
        emulator.model("abc").every_route().answer(Answer::platform_error(503));
        let options = CallOptions::default().canceled_by(&token);
        let url = emulator.base_url("abc");
        let facade = Facade::new(blocking, &url, options);
        let wait = || match &facade {
            Facade::Async(runtime, model) => {
                runtime.block_on(model.wait_until_ready("health", LONG)).unwrap_err()
            }
            Facade::Blocking(model) => model.wait_until_ready("health", LONG).unwrap_err(),
        };
        cancel_when(&emulator, &token, |seen| seen.ended() >= 2, wait);
    }
}
