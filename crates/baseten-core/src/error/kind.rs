//! The kinds of failure, and why a call was given up.

/// The kinds of failure, for a `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request could not be built: a bad id, key, header or body. Nothing was sent.
    Request,
    /// No connection: name resolution, TCP, proxy or TLS. The server saw nothing.
    Connect,
    /// A clock ran out; [`crate::Error::clock`] tells which.
    Timeout,
    /// The connection broke, or what came was not HTTP.
    Disconnected,
    /// The server answered with an error status; see [`crate::Error::status`] and [`crate::Error::api`].
    Status,
    /// The answer is not what the type promised; [`crate::Error::body`] has it.
    Decode,
    /// The answer ended before its end.
    Truncated,
    /// The answer is larger than a limit.
    TooLarge,
    /// The server reported an error inside an answer with a success status; see [`crate::Error::api`].
    Stream,
    /// What the caller handed in failed: the reader of a request's body, the writer of an answer's, or
    /// the closure of a credential; or its token is over. [`crate::Error::cause`] tells which.
    Local,
    /// The caller gave up, by a [`crate::CancelToken`].
    Canceled,
}

impl ErrorKind {
    /// Its name in lower case, such as `too_large`: for metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Disconnected => "disconnected",
            Self::Status => "status",
            Self::Decode => "decode",
            Self::Truncated => "truncated",
            Self::TooLarge => "too_large",
            Self::Stream => "stream",
            Self::Local => "local",
            Self::Canceled => "canceled",
        }
    }
}

/// Why a call was not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// Sending it again would not help, or the caller gave up.
    Final,
    /// It may have run, and the policy forbids running it twice.
    MayRunTwice,
    /// A part of its body was taken from a reader, which gives it but once.
    BodyTaken,
    /// All attempts are used up.
    Attempts,
    /// The client's retry budget is spent: too much has failed lately.
    Budget,
    /// The total clock leaves no time for another attempt.
    Deadline,
    /// The server asked for a longer pause than the policy allows.
    TooLong,
}
