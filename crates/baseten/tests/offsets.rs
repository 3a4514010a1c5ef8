//! Answers of real servers, cut, reset and stalled at every byte: the outcome is the one that this
//! file works out from the bytes alone, with neither hang nor wrong success. Both facades.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use std::time::{Duration, Instant};

use baseten::{Bytes, CallOptions, Delivery, Error, ErrorKind, Timeouts};
use baseten_emulator::{Answer, Emulator, Fault, When};
use facades::{Facade, SOON, each_tls_with, each_with, once};

macro_rules! recorded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("recorded/", $name, ".http")))),*]
    };
}

const RECORDED: &[(&str, &[u8])] = recorded![
    "truss-predict-ok",
    "truss-stream",
    "truss-stream-fails-midway",
    "truss-chat-stream",
    "truss-stream-http10",
    "truss-model-raises",
    "truss-model-http-exception-429",
    "chain-inner-raises",
    "haproxy-deny-429",
    "trussnginx-upstream-down-502",
    "mitmproxy-status-429",
    "llamacpp2-chat-stream",
];

/// What a recorded answer says, read without the client.
struct Recorded {
    raw: &'static [u8],
    head: usize,
    status: u16,
    framing: Framing,
}

#[derive(PartialEq)]
enum Framing {
    Length,
    Chunked,
    UntilClose,
}

impl Recorded {
    fn new(raw: &'static [u8]) -> Self {
        let head = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let text = String::from_utf8_lossy(&raw[..head]).to_lowercase();
        let framing = if text.contains("transfer-encoding: chunked") {
            Framing::Chunked
        } else if text.contains("content-length:") {
            Framing::Length
        } else {
            Framing::UntilClose
        };
        let status = text.split(' ').nth(1).unwrap().trim().parse().unwrap();
        Self { raw, head, status, framing }
    }

    /// The body within the first `upto` bytes, chunk framing taken off.
    fn body(&self, upto: usize) -> Vec<u8> {
        let mut rest = self.raw.get(self.head..upto).unwrap_or_default();
        if self.framing != Framing::Chunked {
            return rest.to_vec();
        }
        let mut body = Vec::new();
        while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
            let size =
                usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            rest = &rest[line + 2..];
            body.extend_from_slice(&rest[..size.min(rest.len())]);
            rest = rest.get(size + 2..).unwrap_or_default();
        }
        body
    }

    /// The outcome of an answer that ends, with a FIN, after `n` bytes.
    fn cut(&self, n: usize) -> Outcome<'_> {
        let success = (200..300).contains(&self.status);
        match n {
            _ if n < self.head => Outcome::Broken(ErrorKind::Disconnected, Delivery::MaybeRan),
            _ if !success => Outcome::Status(self.status),
            // Nothing tells a cut body from a whole one here; the framing in the meta says so.
            _ if self.framing == Framing::UntilClose || n == self.raw.len() => Outcome::Whole(self),
            _ => Outcome::Broken(ErrorKind::Truncated, Delivery::Answered),
        }
    }
}

enum Outcome<'a> {
    Whole(&'a Recorded),
    Broken(ErrorKind, Delivery),
    Status(u16),
}

/// Reads a stream to its end: what came of the body, and the error if there was one.
fn call(facade: &Facade) -> (Vec<u8>, Option<Error>) {
    match facade.stream(&serde_json::json!({})) {
        Ok(mut stream) => stream.rest(),
        Err(error) => (Vec::new(), Some(error)),
    }
}

fn check(outcome: &Outcome<'_>, n: usize, (body, error): (Vec<u8>, Option<Error>), told: &str) {
    match (outcome, error) {
        (Outcome::Whole(recorded), None) => assert_eq!(body, recorded.body(n), "{told}"),
        (Outcome::Broken(kind, delivery), Some(error)) => {
            assert_eq!((error.kind(), error.delivery()), (*kind, *delivery), "{told}: {error}");
        }
        (Outcome::Status(status), Some(error)) => {
            assert_eq!(error.kind(), ErrorKind::Status, "{told}: {error}");
            assert_eq!(error.status().map(|s| s.as_u16()), Some(*status), "{told}");
        }
        (_, error) => panic!("{told}: {error:?}"),
    }
}

#[test]
fn cut_at_every_byte_over_tls() {
    each_tls_with(once(), |facade, emulator| {
        for (name, raw) in RECORDED {
            let recorded = Recorded::new(raw);
            emulator.model("abc").answer(Answer::raw(Bytes::from_static(raw)));
            for n in 0..=raw.len() {
                emulator.forget();
                if n < raw.len() {
                    emulator.inject(When::Request(0), Fault::cut().at_byte(n as u64));
                }
                let told = format!("{} {name} cut at {n} over TLS", facade.name());
                let outcome = match recorded.cut(n) {
                    // Here it is told: a whole body ends with a goodbye (close_notify).
                    Outcome::Whole(_) if n < raw.len() => {
                        Outcome::Broken(ErrorKind::Truncated, Delivery::Answered)
                    }
                    outcome => outcome,
                };
                check(&outcome, n, call(facade), &told);
                sent_once(emulator, &told);
            }
        }
    });
}

/// Waits for the exchange to be over at the other end, too, so that the next one starts clean.
fn sent_once(emulator: &Emulator, told: &str) {
    let seen = emulator.wait_until(SOON, |s| s.ended() > 0 && s.closed() == s.opened()).unwrap();
    assert_eq!(seen.arrivals().len(), 1, "{told}");
}

#[test]
fn cut_at_every_byte() {
    each_with(once(), |facade, emulator| {
        let mut offsets = 0;
        for (name, raw) in RECORDED {
            let recorded = Recorded::new(raw);
            emulator.model("abc").answer(Answer::raw(Bytes::from_static(raw)));
            for n in 0..=raw.len() {
                emulator.forget();
                if n < raw.len() {
                    emulator.inject(When::Request(0), Fault::cut().at_byte(n as u64));
                }
                let told = format!("{} {name} cut at {n}", facade.name());
                let outcome = recorded.cut(n);
                let (body, error) = call(facade);
                if error.as_ref().is_some_and(|error| error.kind() == ErrorKind::Truncated) {
                    assert_eq!(body, recorded.body(n), "{told}: what came is handed out");
                }
                check(&outcome, n, (body, error), &told);
                sent_once(emulator, &told);
                offsets += 1;
            }
        }
        println!("{}: {offsets} offsets", facade.name());
    });
}

#[test]
fn reset_at_every_byte() {
    each_with(once(), |facade, emulator| {
        for (name, raw) in RECORDED {
            let recorded = Recorded::new(raw);
            emulator.model("abc").answer(Answer::raw(Bytes::from_static(raw)));
            for n in 0..raw.len() {
                emulator.forget();
                emulator.inject(When::Request(0), Fault::reset().at_byte(n as u64));
                let told = format!("{} {name} reset at {n}", facade.name());
                let (body, error) = call(facade);
                let error = error.unwrap_or_else(|| panic!("{told}: taken for whole"));
                // A reset may overtake bytes that were sent before it: the head may be lost, too.
                let kinds: &[ErrorKind] = match recorded.cut(n) {
                    Outcome::Broken(ErrorKind::Disconnected, _) => &[ErrorKind::Disconnected],
                    Outcome::Status(_) => &[ErrorKind::Status, ErrorKind::Disconnected],
                    _ => &[ErrorKind::Truncated, ErrorKind::Disconnected],
                };
                assert!(kinds.contains(&error.kind()), "{told}: {error}");
                assert_ne!(error.delivery(), Delivery::NotSent, "{told}");
                assert!(recorded.body(n).starts_with(&body), "{told}");
                sent_once(emulator, &told);
            }
        }
    });
}

#[test]
fn stalled_at_every_byte() {
    let clock = Duration::from_millis(10);
    let timeouts = Timeouts { first_byte: Some(clock), idle: Some(clock), ..Timeouts::default() };
    // Nearly all of it is waiting: many at once.
    const WORKERS: usize = 16;
    let worker = |worker: usize| {
        each_with(CallOptions { timeouts, ..once() }, |facade, emulator| {
            for (name, raw) in RECORDED {
                emulator.model("abc").answer(Answer::raw(Bytes::from_static(raw)));
                for n in (worker..raw.len()).step_by(WORKERS) {
                    emulator.forget();
                    emulator.inject(When::Request(0), Fault::stall().at_byte(n as u64));
                    let told = format!("{} {name} stalled at {n}", facade.name());
                    stalled(facade, &Recorded::new(raw), n, clock, &told);
                    sent_once(emulator, &told);
                }
            }
        });
    };
    std::thread::scope(|scope| (0..WORKERS).for_each(|n| drop(scope.spawn(move || worker(n)))));
}

fn stalled(facade: &Facade, recorded: &Recorded, n: usize, clock: Duration, told: &str) {
    let began = Instant::now();
    let (body, error) = call(facade);
    let error = error.unwrap_or_else(|| panic!("{told}: taken for whole"));
    let by_clock = error.kind() == ErrorKind::Timeout
        || (error.kind() == ErrorKind::Status && n >= recorded.head);
    assert!(by_clock, "{told}: {error}");
    assert!(began.elapsed() >= clock && began.elapsed() < SOON, "{told}");
    assert!(recorded.body(n).starts_with(&body), "{told}");
}

#[test]
fn split_into_single_bytes_nothing_changes() {
    each_with(once(), |facade, emulator| {
        for (name, raw) in RECORDED {
            let recorded = Recorded::new(raw);
            let answer = Answer::raw(Bytes::from_static(raw)).fault(Fault::split(1));
            emulator.model("abc").answer(answer);
            let told = format!("{} {name} in single bytes", facade.name());
            check(&recorded.cut(raw.len()), raw.len(), call(facade), &told);
        }
    });
}
