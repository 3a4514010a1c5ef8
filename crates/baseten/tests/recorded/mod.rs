//! Answers of real servers, byte by byte, and what each of them says when it is read without the client.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its own part")]

use baseten::{Delivery, Error, ErrorKind};

use crate::facades::Facade;

macro_rules! recorded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!($name, ".http")))),*]
    };
}

pub(crate) const RECORDED: &[(&str, &[u8])] = recorded![
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
pub(crate) struct Recorded {
    pub(crate) raw: &'static [u8],
    pub(crate) head: usize,
    pub(crate) status: u16,
    pub(crate) framing: Framing,
}

#[derive(PartialEq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    UntilClose,
}

impl Recorded {
    pub(crate) fn new(raw: &'static [u8]) -> Self {
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
    pub(crate) fn body(&self, upto: usize) -> Vec<u8> {
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
    pub(crate) fn cut(&self, n: usize) -> Outcome<'_> {
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

pub(crate) enum Outcome<'a> {
    Whole(&'a Recorded),
    Broken(ErrorKind, Delivery),
    Status(u16),
}

/// Reads a stream to its end: what came of the body, and the error if there was one.
pub(crate) fn call(facade: &Facade) -> (Vec<u8>, Option<Error>) {
    match facade.stream(&serde_json::json!({})) {
        Ok(mut stream) => stream.rest(),
        Err(error) => (Vec::new(), Some(error)),
    }
}

pub(crate) fn check(
    outcome: &Outcome<'_>,
    n: usize,
    (body, error): (Vec<u8>, Option<Error>),
    told: &str,
) {
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
