//! What errors of the operating system, TLS and hyper mean. The only place that reads them.

use std::io;

use baseten_core::Cause;

use crate::connection::HEAD_MAX;

/// An error while waiting for the head of an answer, of which `received` bytes had come. hyper parses
/// in vain until its buffer is full.
pub(crate) fn of_head(error: &hyper::Error, received: u64) -> Cause {
    if error.is_parse() && received >= HEAD_MAX as u64 {
        Cause::HeadTooLarge { limit: HEAD_MAX }
    } else if error.is_parse() {
        Cause::Malformed
    } else {
        Cause::Disconnected
    }
}

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
