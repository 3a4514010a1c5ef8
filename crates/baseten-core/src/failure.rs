//! What can happen to an attempt that brought no answer, as a transport reports it.

use std::fmt;
use std::time::{Duration, SystemTime};

/// An error from below: of the operating system, TLS or HTTP.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// One attempt that failed before a whole answer head was there, or a body that broke.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub cause: Cause,
    /// How many bytes of this request the socket took. Zero proves that the server saw nothing.
    pub sent: u64,
    /// How many bytes of the answer came.
    pub received: u64,
    /// Whether the connection had served another call before.
    pub reused: bool,
    /// The error from below.
    pub source: Option<Source>,
}

impl Failure {
    /// A failure before anything was sent.
    #[must_use]
    pub fn before_sending(cause: Cause, source: Option<Source>) -> Self {
        Self { cause, sent: 0, received: 0, reused: false, source }
    }

    /// A failure after sending, from a driver that cannot count what its socket took: all of it may
    /// have arrived.
    #[must_use]
    pub fn after_sending(cause: Cause, source: Option<Source>) -> Self {
        Self { sent: u64::MAX, ..Self::before_sending(cause, source) }
    }
}

/// What happened to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The host name did not resolve.
    Resolve,
    /// No TCP connection came about.
    Connect,
    /// A proxy on the way wants another login (407, or the same in SOCKS5).
    ProxyLogin,
    /// The TLS handshake failed.
    Tls,
    /// A clock ran out.
    Timeout {
        /// Which one.
        clock: Clock,
        /// What it was set to.
        limit: Duration,
    },
    /// The connection closed or broke before the answer's head was there.
    Disconnected,
    /// What came is not HTTP/1.1.
    Malformed,
    /// The head of the answer is larger than the limit, in bytes.
    HeadTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The answer has more headers than the limit.
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// The body of the answer is larger than the limit, in bytes.
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body of the answer grows to more than so many times its size when it is decoded.
    Expansion {
        /// The limit.
        limit: u64,
    },
    /// The body ended before its framing said so, or before its `content-encoding` did.
    Truncated,
    /// The body is not in the encoding that its `content-encoding` names.
    Encoding,
    /// The reader that the body of the request comes from failed.
    Reader {
        /// How many bytes it had given before.
        taken: u64,
    },
    /// The reader that the body of the request comes from gave more or less than was announced.
    ReaderLength {
        /// What was announced, in bytes.
        length: u64,
        /// What it gave; `None` if that is more.
        taken: Option<u64>,
    },
    /// The writer that takes the answer failed.
    Writer {
        /// How many bytes it had taken before.
        written: u64,
    },
    /// The closure of [`crate::Credential::rotating`] failed; its error is the source.
    Credential,
    /// The access token is over: see [`crate::Credential::token_until`].
    TokenExpired {
        /// Since when.
        at: SystemTime,
    },
    /// The caller gave the call up.
    Canceled,
}

/// The clocks of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// Until the call's turn came to have a connection.
    Queue,
    /// Until a connection was ready.
    Connect,
    /// Until the first byte of the answer.
    FirstByte,
    /// Between two bytes of the answer.
    Idle,
    /// The whole call.
    Total,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "queue",
            Self::Connect => "connect",
            Self::FirstByte => "first byte",
            Self::Idle => "idle",
            Self::Total => "total",
        })
    }
}
