//! How an error is told: `Display` in one line, `Debug` with what is below it.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::{StatusCode, header};

use super::{Error, Inner, Retry, Stop, What, brief};
use crate::api_error::ApiError;
use crate::delivery::Delivery;
use crate::failure::{Cause, Clock};
use crate::response;
use crate::time;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(call) = &inner.call {
            write!(f, "{} {}: ", call.endpoint().method(), call.endpoint().path())?;
        }
        inner.write_what(f)?;
        if inner.ended_in_pause() {
            f.write_str(", after ")?;
            inner.write_status(f)?;
        }
        let tried = inner.attempts.len();
        if tried > 1 {
            write!(f, " (attempt {tried})")?;
        }
        inner.write_delivery(f)?;
        inner.write_next(f)
    }
}

impl Inner {
    fn write_what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match &self.what {
            What::Said(message) => return f.write_str(message),
            What::Status => return self.write_status(f),
            What::Cause(cause) => cause,
        };
        let received = self.received;
        match cause {
            Cause::Resolve => self.write_unreached("no address found for", f),
            Cause::Connect => self.write_unreached("no connection to", f),
            Cause::ProxyLogin => {
                self.write_unreached("the proxy on the way to", f)?;
                f.write_str(" wants another login: give user and password in the proxy's URL")
            }
            Cause::Tls => self.write_unreached("TLS handshake failed with", f),
            Cause::Timeout { clock, limit } => self.write_timeout(*clock, *limit, f),
            Cause::Disconnected => {
                write!(f, "the connection broke after {received} bytes of the answer")
            }
            Cause::Malformed => f.write_str("the answer is not HTTP/1.1"),
            Cause::HeadTooLarge { limit } => {
                write!(f, "the head of the answer is over the limit of {limit} bytes")
            }
            Cause::TooManyHeaders { limit } => {
                write!(f, "the answer has more than {limit} headers")
            }
            Cause::BodyTooLarge { limit } => {
                write!(f, "the body of the answer is over the limit of {limit} bytes")
            }
            Cause::Expansion { limit } => {
                write!(f, "the answer is compressed, to less than a {limit}th of its size, and more ")?;
                f.write_str("than any text is; the header `accept-encoding: identity` asks for it plain")
            }
            Cause::Encoding => f.write_str(
                "the answer is not in the encoding that its `content-encoding` names, or was cut off",
            ),
            Cause::Truncated => {
                write!(f, "the answer broke off after {received} bytes of its body")
            }
            Cause::Reader { taken } => {
                write!(f, "the reader of the request's body failed after {taken} bytes")
            }
            Cause::ReaderLength { length, taken: Some(taken) } => {
                write!(f, "the request's body ended after {taken} bytes of the {length} announced")
            }
            Cause::ReaderLength { length, taken: None } => {
                write!(f, "the request's body is longer than the {length} bytes announced")
            }
            Cause::Writer { written } => {
                write!(f, "the writer of the answer failed after {written} bytes")
            }
            Cause::Credential => f.write_str("the closure of the credential failed"),
            Cause::TokenExpired { at } => write_expired(*at, f),
            Cause::Canceled => f.write_str("canceled by the caller"),
        }
    }

    fn write_unreached(&self, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.call {
            Some(call) => write!(f, "{what} {}", call.endpoint().origin()),
            None => write!(f, "{what} the server"),
        }
    }

    fn write_timeout(
        &self,
        clock: Clock,
        limit: Duration,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let received = self.received;
        match clock {
            Clock::Queue => {
                write!(f, "no connection was free within {limit:?}, of those that may be open")
            }
            Clock::Connect => write!(f, "not connected within {limit:?}"),
            Clock::FirstByte if received > 0 => write!(
                f,
                "no whole head of an answer, {limit:?} and the idle clock after the request; \
                 {received} bytes of it came"
            ),
            Clock::FirstByte => write!(f, "no first byte within {limit:?}"),
            Clock::Idle => {
                write!(f, "no byte for {limit:?}, after {received} bytes of the answer")?;
                match self.elapsed {
                    Some(elapsed) => write!(f, " and {:?} in all", whole_ms(elapsed)),
                    None => Ok(()),
                }
            }
            Clock::Total if self.ended_in_pause() => write!(f, "not finished within {limit:?}"),
            Clock::Total => {
                write!(f, "not finished within {limit:?}, after {received} bytes of the answer")
            }
        }
    }

    fn write_status(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, "{status}")?;
            if status.is_success() {
                f.write_str(", where the server was asked to switch protocols (101)")?;
            }
        }
        let location = response::text(&self.headers, header::LOCATION);
        if let Some(location) = location.filter(|_| self.status.is_some_and(|s| s.is_redirection()))
        {
            // A query may hold a signed URL's secrets.
            let place = location.split('?').next().unwrap_or_default();
            write!(
                f,
                " to {}; redirects are not followed, the key belongs to its own origin",
                place.escape_debug()
            )?;
        }
        if let Some(message) = self.api.as_ref().map(ApiError::message).filter(|m| !m.is_empty()) {
            write!(f, ": {}", brief(message))?;
        }
        match response::request_id(&self.headers) {
            Some(id) => write!(f, " (request {})", brief(id)),
            None => Ok(()),
        }
    }

    fn write_delivery(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.call.is_none() {
            return Ok(());
        }
        let overall = self.overall();
        f.write_str(match overall {
            Delivery::NotSent => "; nothing of it was sent",
            Delivery::MaybeRan if overall != self.delivery => "; an earlier attempt may have run",
            Delivery::Refused if overall != self.delivery => {
                "; an earlier attempt was refused before it ran"
            }
            Delivery::Refused => "; it was refused before it ran",
            Delivery::MaybeRan if self.is_half_sent() => {
                "; the server may have got that much of it"
            }
            Delivery::MaybeRan => "; it may have run",
            Delivery::Answered => "",
        })
    }

    /// Whether it ended in the pause after an error status.
    fn ended_in_pause(&self) -> bool {
        let refused = |status: StatusCode| status.is_client_error() || status.is_server_error();
        matches!(self.what, What::Cause(_)) && self.status.is_some_and(refused)
    }

    /// Whether its own reader ended the last attempt: the server has no whole request then.
    fn is_half_sent(&self) -> bool {
        matches!(self.what, What::Cause(Cause::Reader { .. } | Cause::ReaderLength { .. }))
    }

    fn write_next(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stop {
            Stop::Final => {}
            Stop::MayRunTwice => f.write_str(
                ", so it was not sent again (RetryPolicy::may_run_twice would allow that)",
            )?,
            Stop::BodyTaken => {
                f.write_str("; not sent again: its reader gives the body but once")?
            }
            Stop::Attempts if self.attempts.len() == 1 => {
                f.write_str("; the policy allows no retry")?
            }
            Stop::Attempts => write!(f, "; gave up after {} attempts", self.attempts.len())?,
            Stop::Budget => f.write_str("; not sent again: the client's retry budget is spent")?,
            Stop::Deadline => f.write_str("; not sent again: the total clock leaves no time")?,
            Stop::TooLong => f.write_str("; the server asks for a longer pause than allowed")?,
        }
        match self.retry {
            // In the pause a part of it is over.
            Some(Retry { after, .. }) if !self.ended_in_pause() => {
                write!(f, "; come back in {after:?}")
            }
            _ => Ok(()),
        }
    }
}

/// As exact as anybody reads it.
fn whole_ms(time: Duration) -> Duration {
    Duration::new(time.as_secs(), time.subsec_millis() * 1_000_000)
}

fn write_expired(at: SystemTime, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "the access token expired at {}: log in again (`baseten login`, `truss login`), or let \
         Credential::rotating read the newest one",
        time::told(at)
    )
}

/// In one line what `Display` says and what is below it, since this is what a failing `main` prints;
/// everything there is with `{:#?}`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            fmt::Display::fmt(self, f)?;
            let mut source = std::error::Error::source(self);
            while let Some(error) = source {
                write!(f, ": {error}")?;
                source = error.source();
            }
            return Ok(());
        }
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("message", &self.to_string())
            .field("kind", &inner.kind)
            .field("delivery", &inner.overall())
            .field("stop", &inner.stop)
            .field("elapsed", &inner.elapsed)
            .field("request_id", &self.request_id())
            .field("attempts", &inner.attempts)
            .field("body", &format_args!("{} bytes", inner.body.len()))
            .field("source", &inner.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
