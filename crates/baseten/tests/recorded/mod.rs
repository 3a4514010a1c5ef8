//! Answers byte by byte, and what each of them says when it is read without the client: those of real
//! servers, and our own.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its own part")]

mod own;

use baseten::{Bytes, Clock, Delivery, Error, ErrorKind};

use crate::facades::Facade;
pub(crate) use own::own;

macro_rules! recorded {
    ($($name:literal $delivery:ident),* $(,)?) => {
        &[$(($name, include_bytes!(concat!($name, ".http")), Delivery::$delivery)),*]
    };
}

/// With what an error status says of its request where no Baseten host said it (`docs/retries.md`). A
/// success has `Answered`.
const RECORDED: &[(&str, &[u8], Delivery)] = recorded![
    "truss-predict-ok" Answered,
    "truss-stream" Answered,
    "truss-stream-fails-midway" Answered,
    "truss-chat-stream" Answered,
    "truss-stream-http10" Answered,
    "truss-expect-100-continue" Answered,
    "llamacpp2-chat-stream" Answered,
    "truss-metrics-307" Answered,               // never followed
    "truss-model-http-exception-422" Answered,
    "truss-model-http-exception-429" Answered,  // the model's own
    "truss-model-http-exception-503" Answered,
    "truss-model-custom-response-429" Answered,
    "truss-model-raises" Answered,              // it ran
    "chain-inner-raises" Answered,
    "haproxy-deny-429" Refused,                 // before any model saw it
    "mitmproxy-status-429" Refused,
    "litellm-upstream-429" Refused,
    "envoy-abort-503" Refused,
    "trussnginx-upstream-down-502" MaybeRan,    // nobody knows how far it came
    "haproxy-server-timeout-504" MaybeRan,
];

/// What real servers said.
pub(crate) fn recorded() -> Vec<Recorded> {
    let row = |row: &(&'static str, &'static [u8], Delivery)| {
        let (name, raw, delivery) = *row;
        Recorded::new(name, Bytes::from_static(raw), Says::Always(delivery))
    };
    RECORDED.iter().map(row).collect()
}

/// An answer, read without the client.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) name: &'static str,
    pub(crate) raw: Bytes,
    /// Where its body begins: behind its head, and those of 1xx before that.
    pub(crate) head: usize,
    status: u16,
    framing: Framing,
    says: Says,
    /// What its body is when it was decoded, where it is compressed.
    plain: Option<&'static [u8]>,
}

/// What an error status says of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    Always(Delivery),
    /// `Refused` by exact words, and `Answered` when some of them are missing.
    RefusedByAll,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length,
    Chunked,
    UntilClose,
}

/// How an answer is taken: in whole, or piece by piece.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Taken {
    Whole,
    Streamed,
}

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// All of it, or what stands for it where nothing tells the end.
    Success,
    Broken(ErrorKind, Delivery),
    Late(Clock, Delivery),
    Status,
}

impl Recorded {
    pub(crate) fn new(name: &'static str, raw: Bytes, says: Says) -> Self {
        let mut head = 0;
        let (text, status) = loop {
            let begin = head;
            head += raw[begin..].windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            let text = String::from_utf8_lossy(&raw[begin..head]).to_lowercase();
            let status: u16 = text.split(' ').nth(1).unwrap().trim().parse().unwrap();
            if status >= 200 {
                break (text, status);
            }
        };
        let framing = if text.contains("transfer-encoding: chunked") {
            Framing::Chunked
        } else if text.contains("\r\ncontent-length:") || status == 204 {
            Framing::Length
        } else {
            Framing::UntilClose
        };
        Self { name, raw, head, status, framing, says, plain: None }
    }

    /// The body within the first `upto` bytes, chunk framing taken off.
    pub(crate) fn body(&self, upto: usize) -> Vec<u8> {
        let mut rest = self.raw.get(self.head..upto).unwrap_or_default();
        if self.framing != Framing::Chunked {
            return rest.to_vec();
        }
        let mut body = Vec::new();
        while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
            let size = std::str::from_utf8(&rest[..line]).unwrap().split(';').next().unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            if size == 0 {
                // Trailers are no body.
                break;
            }
            rest = &rest[line + 2..];
            body.extend_from_slice(&rest[..size.min(rest.len())]);
            rest = rest.get(size + 2..).unwrap_or_default();
        }
        body
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The outcome of an answer that ends, with a FIN, after `n` bytes.
    pub(crate) fn cut(&self, n: usize) -> Outcome {
        let whole = n == self.raw.len();
        match n {
            _ if n < self.head => Outcome::Broken(ErrorKind::Disconnected, Delivery::MaybeRan),
            _ if !self.is_success() => Outcome::Status,
            // Nothing tells a cut body from a whole one here; the framing in the meta says so.
            _ if self.framing == Framing::UntilClose || whole => Outcome::Success,
            _ => Outcome::Broken(ErrorKind::Truncated, Delivery::Answered),
        }
    }

    /// The same over TLS, without a goodbye (close_notify): there the end of a body without framing is
    /// told by it.
    pub(crate) fn cut_in_tls(&self, n: usize) -> Outcome {
        match self.cut(n) {
            Outcome::Success if self.framing == Framing::UntilClose => {
                Outcome::Broken(ErrorKind::Truncated, Delivery::Answered)
            }
            outcome => outcome,
        }
    }

    /// The outcomes of an answer that ends with an RST, which is never a success: a reset may overtake
    /// bytes that were sent before it, so that the head may be lost, too.
    pub(crate) fn reset(&self, n: usize) -> Vec<Outcome> {
        let overtaken = Outcome::Broken(ErrorKind::Disconnected, Delivery::MaybeRan);
        match self.cut(n) {
            Outcome::Success => {
                vec![Outcome::Broken(ErrorKind::Truncated, Delivery::Answered), overtaken]
            }
            outcome => vec![outcome, overtaken],
        }
    }

    /// The outcome of an answer that goes on no more after `n` bytes.
    pub(crate) fn stalled(&self, n: usize) -> Outcome {
        match n {
            0 => Outcome::Late(Clock::FirstByte, Delivery::MaybeRan),
            _ if n < self.head => Outcome::Late(Clock::Idle, Delivery::MaybeRan),
            _ if !self.is_success() => Outcome::Status,
            _ => Outcome::Late(Clock::Idle, Delivery::Answered),
        }
    }

    /// What an error status says of its request, when so much of its body is known.
    fn delivery(&self, body: &[u8]) -> Delivery {
        match self.says {
            Says::Always(delivery) => delivery,
            Says::RefusedByAll if body == self.body(self.raw.len()) => Delivery::Refused,
            Says::RefusedByAll => Delivery::Answered,
        }
    }
}

/// What came of a call: the body, or what is known of it, and the error if there was one.
pub(crate) type Came = (Vec<u8>, Option<Error>);

/// Calls, and reads the answer to its end.
pub(crate) fn call(facade: &Facade, taken: Taken) -> Came {
    if taken == Taken::Whole {
        return match facade.predict_bytes("application/json", Bytes::from_static(b"{}")) {
            Ok(answer) => (answer.value.to_vec(), None),
            Err(error) => (error.body().to_vec(), Some(error)),
        };
    }
    match facade.stream(&serde_json::json!({})) {
        Ok(mut stream) => stream.rest(),
        Err(error) => (error.body().to_vec(), Some(error)),
    }
}

/// That a call came to one of these outcomes of an answer of which `n` bytes were sent, and was told all
/// that came of the body; after an RST it may be less.
pub(crate) fn check(
    recorded: &Recorded,
    (n, taken): (usize, Taken),
    outcomes: &[Outcome],
    (body, error): Came,
    told: &str,
) {
    let outcome = match &error {
        None => Outcome::Success,
        Some(error) if error.kind() == ErrorKind::Status => Outcome::Status,
        Some(error) => match error.clock() {
            Some((clock, _)) => Outcome::Late(clock, error.delivery()),
            None => Outcome::Broken(error.kind(), error.delivery()),
        },
    };
    assert!(outcomes.contains(&outcome), "{told}: {outcome:?} is none of {outcomes:?}: {error:?}");
    if let (Outcome::Status, Some(error)) = (outcome, &error) {
        let status = error.status().map(|status| status.as_u16());
        let expect = (Some(recorded.status), recorded.delivery(&body));
        assert_eq!((status, error.delivery()), expect, "{told}: {error}");
    }
    let may_be_less = outcomes.len() > 1;
    match (recorded.plain.filter(|_| taken == Taken::Whole), outcome) {
        (Some(plain), Outcome::Success) => assert_eq!(body, plain, "{told}"),
        // How much of it can be decoded is the decoder's affair.
        (Some(plain), _) => assert!(plain.starts_with(&body), "{told}"),
        (None, _) if may_be_less => assert!(recorded.body(n).starts_with(&body), "{told}"),
        (None, _) => assert_eq!(body, recorded.body(n), "{told}"),
    }
}
