//! What errors of the operating system, TLS and hyper mean. The only place that reads them.

use std::io;

use baseten_core::{Cause, Failure};

use crate::clock::{Due, Limits};

/// A name, connection or handshake that did not come about: for the reason that `cause` reads out of
/// the error, or because the connect clock ran out or the caller gave up.
pub(crate) fn of_dial(
    error: io::Error,
    limits: &Limits,
    due: Due<'_>,
    cause: fn(&io::Error) -> Cause,
) -> Failure {
    let late = error.kind() == io::ErrorKind::TimedOut && due.has_come() || due.is_canceled();
    let cause = if late { limits.elapsed(due) } else { cause(&error) };
    Failure::before_sending(cause, Some(error.into()))
}

/// A proxy that could not be reached, or refused, may do better next time; one that does not take the
/// login will not.
pub(crate) fn of_tunnel(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Cause::ProxyLogin,
        _ => Cause::Connect,
    }
}

/// A connection that breaks during the handshake may do better next time; one whose certificate is
/// not trusted, or that speaks no TLS, will not.
pub(crate) fn of_handshake(error: &io::Error) -> Cause {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => Cause::Connect,
        _ => Cause::Tls,
    }
}

/// An error while waiting for the head of an answer, of which `received` bytes had come. hyper parses
/// in vain until its buffer is full.
pub(crate) fn of_head(error: &hyper::Error, received: u64, limit: usize) -> Cause {
    if error.is_parse() && received >= limit as u64 {
        Cause::HeadTooLarge { limit }
    } else if error.is_parse() && error.to_string().contains("too large") {
        // Only hyper's server has a method for it; by bytes it is not, so it is by their number.
        Cause::TooManyHeaders { limit: HEADERS_MAX }
    } else if error.is_parse() {
        Cause::Malformed
    } else {
        Cause::Disconnected
    }
}

/// What hyper reads of an answer.
const HEADERS_MAX: usize = 100;

/// An error within a body.
pub(crate) fn of_body(error: &hyper::Error) -> Cause {
    if error.is_parse() || is_invalid(error) { Cause::Malformed } else { Cause::Truncated }
}

/// hyper tells a bad chunk as `InvalidInput` or `InvalidData`; rustls tells a bad record as the latter.
fn is_invalid(error: &hyper::Error) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    io.is_some_and(|io| {
        matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
    })
}
