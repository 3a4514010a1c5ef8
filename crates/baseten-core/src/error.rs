//! Why a call gave no usable response: the one error of everything that sends.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode, header};

use crate::api_error::ApiError;
use crate::call::Tried;
use crate::delivery::Delivery;
use crate::failure::{Cause, Clock, Failure, Source};
use crate::rate_limit::RateLimits;
use crate::request::Label;
use crate::response::{self, Meta};

/// Why a call gave no usable response.
///
/// `Display` is one line: which call, what happened, what the server may have done, and what to do
/// next. The error from below is its `source`. Neither shows a key or a whole body.
///
/// ```
/// let error = baseten_core::ModelId::new("no spaces").map_err(baseten_core::Error::from).unwrap_err();
/// assert_eq!(error.kind(), baseten_core::ErrorKind::Request);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    what: What,
    call: Option<Label>,
    delivery: Delivery,
    stop: Stop,
    attempts: Vec<Tried>,
    status: Option<StatusCode>,
    headers: HeaderMap,
    api: Option<ApiError>,
    body: Bytes,
    received: u64,
    retry: Option<Retry>,
    source: Option<Source>,
}

/// The part that differs from kind to kind.
enum What {
    Said(String),
    Cause(Cause),
    Status,
}

/// When the server said to come back.
#[derive(Clone, Copy)]
struct Retry {
    after: Duration,
    at: Option<SystemTime>,
}

/// The kinds of failure, for a `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request could not be built: a bad id, key, header or body. Nothing was sent.
    Request,
    /// No connection: name resolution, TCP, proxy or TLS. The server saw nothing.
    Connect,
    /// A clock ran out; [`Error::clock`] tells which.
    Timeout,
    /// The connection broke, or what came was not HTTP.
    Disconnected,
    /// The server answered with an error status; see [`Error::status`] and [`Error::api`].
    Status,
    /// The answer is not what the type promised; [`Error::body`] has it.
    Decode,
    /// The answer ended before its end.
    Truncated,
    /// The answer is larger than a limit.
    TooLarge,
    /// The server reported an error inside an answer with a success status; see [`Error::api`].
    Stream,
    /// What the caller handed in failed: the reader of a request's body, or the writer of an answer's.
    /// [`Error::cause`] tells which, and how far it had come.
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

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// A word for it, of which there are few: the status if the server answered with an error status,
    /// such as `429`, else the kind, such as `timeout`. What OpenTelemetry calls `error.type`.
    #[must_use]
    pub fn error_type(&self) -> &str {
        match (self.0.kind, &self.0.status) {
            (ErrorKind::Status, Some(status)) => status.as_str(),
            (kind, _) => kind.as_str(),
        }
    }

    /// What the server may have done with the request, over all attempts.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// Why it was not sent again.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.0.stop
    }

    /// The clock that ran out, and what it was set to.
    #[must_use]
    pub fn clock(&self) -> Option<(Clock, Duration)> {
        match self.0.what {
            What::Cause(Cause::Timeout { clock, limit }) => Some((clock, limit)),
            _ => None,
        }
    }

    /// What happened to the last attempt, if it failed without an error status.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self.0.what {
            What::Cause(cause) => Some(cause),
            _ => None,
        }
    }

    /// The status of the answer, if there was one; a body that broke has a 2xx.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The headers of the answer, empty without one.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// What the body of an error answer says.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        self.0.api.as_ref()
    }

    /// What is kept of the answer's body: the whole for [`ErrorKind::Decode`], the beginning (64 KiB
    /// unless set) for an error status, with `[redacted]` where the server echoed the call's key.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// How many bytes of the last answer had come.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.0.received
    }

    /// The id under which the platform logs the last attempt.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        response::request_id(&self.0.headers)
    }

    /// The id of the whole run of a chain: `x-baseten-chain-request-id` of the last attempt's answer.
    #[must_use]
    pub fn chain_request_id(&self) -> Option<&str> {
        response::text(&self.0.headers, "x-baseten-chain-request-id")
    }

    /// Every attempt of the call that failed, the last one included; empty if nothing was tried.
    #[must_use]
    pub fn attempts(&self) -> &[Tried] {
        &self.0.attempts
    }

    /// The pause that the server asked for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry.map(|retry| retry.after)
    }

    /// The time of day before which the server does not want to be asked again.
    #[must_use]
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.0.retry.and_then(|retry| retry.at)
    }

    /// What the server told of its limits on requests and tokens in its last answer.
    #[must_use]
    pub fn rate_limits(&self) -> RateLimits {
        RateLimits::of(&self.0.headers)
    }

    /// The method of the call, if it got as far as having one.
    #[must_use]
    pub fn method(&self) -> Option<&Method> {
        self.0.call.as_ref().map(|call| call.endpoint().method())
    }

    /// The path of the call, without its query.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.0.call.as_ref().map(|call| call.endpoint().path())
    }

    /// The error with what the server said about it, the call's key taken out.
    #[must_use]
    pub fn with_api(mut self, api: ApiError) -> Self {
        let secret = self.0.call.as_ref().and_then(Label::secret);
        self.0.api = Some(match secret {
            Some(secret) => api.without(secret),
            None => api,
        });
        self
    }

    /// The error with what came of the answer's body.
    #[must_use]
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.0.body = body;
        self
    }

    /// A request that could not be built, told by `message`.
    #[must_use]
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Request, What::Said(message.into()), Delivery::NotSent)
    }

    /// Given up before there was a call.
    pub(crate) fn canceled() -> Self {
        Self::new(ErrorKind::Canceled, What::Cause(Cause::Canceled), Delivery::NotSent)
    }

    /// The error with the one from below.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    fn new(kind: ErrorKind, what: What, delivery: Delivery) -> Self {
        Self(Box::new(Inner {
            kind,
            what,
            call: None,
            delivery,
            stop: Stop::Final,
            attempts: Vec::new(),
            status: None,
            headers: HeaderMap::new(),
            api: None,
            body: Bytes::new(),
            received: 0,
            retry: None,
            source: None,
        }))
    }

    pub(crate) fn at(mut self, label: &Label) -> Self {
        self.0.call = Some(label.clone());
        self
    }

    pub(crate) fn failed(label: &Label, failure: Failure, delivery: Delivery) -> Self {
        let kind = match failure.cause {
            Cause::Resolve | Cause::Connect | Cause::ProxyLogin | Cause::Tls => ErrorKind::Connect,
            Cause::Timeout { .. } => ErrorKind::Timeout,
            Cause::Disconnected | Cause::Malformed => ErrorKind::Disconnected,
            Cause::HeadTooLarge { .. } | Cause::BodyTooLarge { .. } => ErrorKind::TooLarge,
            Cause::Truncated => ErrorKind::Truncated,
            Cause::Reader { .. } | Cause::ReaderLength { .. } | Cause::Writer { .. } => {
                ErrorKind::Local
            }
            Cause::Canceled => ErrorKind::Canceled,
        };
        let mut error = Self::new(kind, What::Cause(failure.cause), delivery).at(label);
        error.0.received = failure.received;
        error.0.source = failure.source;
        error
    }

    pub(crate) fn rejected(
        label: &Label,
        head: Parts,
        body: Bytes,
        api: ApiError,
        delivery: Delivery,
    ) -> Self {
        let mut error = Self::new(ErrorKind::Status, What::Status, delivery).at(label);
        error.0.status = Some(head.status);
        error.0.headers = head.headers;
        error.0.received = body.len() as u64;
        error.0.body = body;
        error.with_api(api)
    }

    /// A body that is not the JSON its type promised. The whole of it is kept.
    pub(crate) fn decode(body: Bytes, meta: Meta, error: serde_json::Error) -> Self {
        let end = error.is_eof();
        let at = if end { body.len() } else { offset(&body, error.line(), error.column()) };
        let kind = response::text(&meta.headers, header::CONTENT_TYPE).unwrap_or("no content type");
        let message = if body.is_empty() {
            "the answer is empty, not JSON".into()
        } else {
            format!("the answer is not the JSON expected, at byte {at} of {} ({kind})", body.len())
        };
        let why = Unreadable(brief(&meta.label.hide(&error.to_string())));
        Self::content(&meta, ErrorKind::Decode, message, body).because(why)
    }

    pub(crate) fn content(meta: &Meta, kind: ErrorKind, message: String, body: Bytes) -> Self {
        let message = meta.label.hide(&message).into_owned();
        let mut error = Self::new(kind, What::Said(message), Delivery::Answered).at(&meta.label);
        error.0.received = body.len() as u64;
        error.0.body = body;
        error.answered(meta).stopped(Stop::Final, meta.failed.clone())
    }

    pub(crate) fn answered(mut self, meta: &Meta) -> Self {
        self.0.status = Some(meta.status);
        self.0.headers = meta.headers.clone();
        self
    }

    /// The end of the call. What any attempt may have done counts, not only the last one's failure.
    pub(crate) fn stopped(mut self, stop: Stop, attempts: Vec<Tried>) -> Self {
        if attempts.iter().any(|tried| tried.delivery == Delivery::MaybeRan) {
            self.0.delivery = Delivery::MaybeRan;
        }
        self.0.stop = stop;
        self.0.attempts = attempts;
        self
    }

    pub(crate) fn asked_to_wait(mut self, after: Option<Duration>, now: SystemTime) -> Self {
        self.0.retry = after.map(|after| Retry { after, at: now.checked_add(after) });
        self
    }
}

/// The beginning of a text of the server's, in one line.
fn brief(text: &str) -> String {
    let short: String = text.chars().take(BRIEF).collect();
    short.escape_debug().to_string()
}

/// How much of a server's text is shown, in characters.
const BRIEF: usize = 200;

/// Why JSON could not be read. serde quotes the text that it did not expect, however long.
#[derive(Debug)]
struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// Where a line and column of `serde_json` are in the body, in bytes.
fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let before: usize = body
        .split_inclusive(|&byte| byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + column.saturating_sub(1)).min(body.len())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(call) = &inner.call {
            write!(f, "{} {}: ", call.endpoint().method(), call.endpoint().path())?;
        }
        inner.write_what(f)?;
        let tried = inner.attempts.len();
        if tried > 1 {
            write!(f, " (attempt {tried})")?;
        }
        inner.write_delivery(f)?;
        inner.write_next(f)
    }
}

impl Inner {
    /// A text of the server's without the call's key.
    fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.call.as_ref().map_or(Cow::Borrowed(text), |call| call.hide(text))
    }

    fn write_what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match &self.what {
            What::Said(message) => return f.write_str(message),
            What::Status => return self.write_status(f),
            What::Cause(cause) => cause,
        };
        let received = self.received;
        let origin = |f: &mut fmt::Formatter<'_>| match &self.call {
            Some(call) => write!(f, "{}", call.endpoint().origin()),
            None => f.write_str("the server"),
        };
        match cause {
            Cause::Resolve => {
                f.write_str("no address found for ")?;
                origin(f)
            }
            Cause::Connect => {
                f.write_str("no connection to ")?;
                origin(f)
            }
            Cause::ProxyLogin => {
                f.write_str("the proxy on the way to ")?;
                origin(f)?;
                f.write_str(" wants another login: give user and password in the proxy's URL")
            }
            Cause::Tls => {
                f.write_str("TLS handshake failed with ")?;
                origin(f)
            }
            Cause::Timeout { clock, limit } => self.write_timeout(*clock, *limit, f),
            Cause::Disconnected => {
                write!(f, "the connection broke after {received} bytes of the answer")
            }
            Cause::Malformed => f.write_str("the answer is not HTTP/1.1"),
            Cause::HeadTooLarge { limit } => {
                write!(f, "the head of the answer is over the limit of {limit} bytes")
            }
            Cause::BodyTooLarge { limit } => {
                write!(f, "the body of the answer is over the limit of {limit} bytes")
            }
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
            Cause::Canceled => f.write_str("canceled by the caller"),
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
            Clock::FirstByte => write!(f, "no first byte within {limit:?}"),
            Clock::Idle => write!(f, "no byte for {limit:?}, after {received} bytes of the answer"),
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
            let place = self.hide(location.split('?').next().unwrap_or_default());
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
            Some(id) => write!(f, " (request {})", brief(&self.hide(id))),
            None => Ok(()),
        }
    }

    fn write_delivery(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.attempts.last().map_or(self.delivery, |tried| tried.delivery);
        if self.call.is_none() {
            return Ok(());
        }
        f.write_str(match self.delivery {
            Delivery::MaybeRan if last != Delivery::MaybeRan => "; an earlier attempt may have run",
            Delivery::NotSent => "; nothing of it was sent",
            Delivery::Refused => "; it was refused before it ran",
            Delivery::MaybeRan if self.is_half_sent() => {
                "; the server may have got that much of it"
            }
            Delivery::MaybeRan => "; it may have run",
            Delivery::Answered => "",
        })
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
            Some(Retry { after, .. }) => write!(f, "; come back in {after:?}"),
            None => Ok(()),
        }
    }
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
            .field("delivery", &inner.delivery)
            .field("stop", &inner.stop)
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

macro_rules! from_invalid {
    ($($name:ty),*) => {$(
        impl From<$name> for Error {
            fn from(error: $name) -> Self {
                Self::request(error.to_string())
            }
        }
    )*};
}

from_invalid!(
    crate::InvalidId,
    crate::InvalidUrl,
    crate::InvalidRoute,
    crate::InvalidCredential,
    crate::InvalidOperation
);
