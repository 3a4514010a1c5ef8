//! An answer and what is known about how it came.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, AsHeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

use crate::call::Tried;
use crate::error::{Error, ErrorKind};
use crate::rate_limit::RateLimits;
use crate::request::Label;

/// A value and the [`Meta`] of the call that brought it.
#[derive(Clone, Debug)]
pub struct Response<T> {
    /// The answer itself.
    pub value: T,
    /// Status, headers, attempts and timings.
    pub meta: Meta,
}

impl<T> Response<T> {
    /// The same answer with its value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Response<U> {
        Response { value: change(self.value), meta: self.meta }
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl Response<Bytes> {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Decode`] if it is not the JSON that `T` takes; [`Error::body`] then has the
    /// whole body.
    pub fn json<T: DeserializeOwned>(self) -> Result<Response<T>, Error> {
        // One look at all of it is cheaper than one at each string.
        let read = match std::str::from_utf8(&self.value) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(&self.value),
        };
        match read {
            Ok(value) => Ok(Response { value, meta: self.meta }),
            Err(error) => Err(Error::decode(self.value, self.meta, error)),
        }
    }
}

/// What is known about a call that was answered.
#[derive(Clone)]
pub struct Meta {
    pub(crate) label: Label,
    pub(crate) status: StatusCode,
    pub(crate) headers: Headers,
    pub(crate) failed: Vec<Tried>,
    pub(crate) timings: Timings,
    /// What the caller named the attempt.
    pub(crate) id: Option<Box<HeaderValue>>,
    /// How many bytes the body had before it was decoded.
    pub(crate) encoded: Option<u64>,
}

/// How long a call took, counted from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Spent waiting between attempts.
    pub waited: Duration,
    /// When the head of the answer was there.
    pub head: Duration,
    /// When its last byte was there, or the marker that ends a stream, or it broke. Zero while a
    /// streamed body has not ended.
    pub total: Duration,
}

/// How the end of the body is told, and so how surely it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// By its length in bytes: a short body is noticed. 0 where there is none: of a HEAD, a 204, and a
    /// 101, after which there is no HTTP.
    Length(u64),
    /// By a last, empty chunk: a cut body is noticed. (A Truss generator that raises midway ends
    /// with it all the same: only an end marker of the application shows that.)
    Chunked,
    /// By the end of the connection: over plain HTTP a cut body looks like a whole one.
    UntilClose,
}

impl Meta {
    /// The status: 2xx, or 101 of an upgrade.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// All headers of the answer. `[redacted]` stands where the server echoed the call's key.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers.shown(&self.label)
    }

    /// The id under which the platform logs this request: `x-baseten-request-id`, or `x-request-id`
    /// from engines and gateways.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        request_id(self.headers())
    }

    /// The id of the whole run of a chain: `x-baseten-chain-request-id`.
    #[must_use]
    pub fn chain_request_id(&self) -> Option<&str> {
        text(self.headers(), CHAIN_REQUEST_ID)
    }

    /// The id that this answer's attempt was sent with, if the caller gave the call one by `request_id`:
    /// that one, a dash, and the number of the attempt.
    #[must_use]
    pub fn customer_request_id(&self) -> Option<&str> {
        self.id.as_ref()?.to_str().ok()
    }

    /// How often the platform itself tried a replica: `x-baseten-model-prediction-attempts`.
    #[must_use]
    pub fn replica_attempts(&self) -> Option<u32> {
        replica_attempts(self.headers())
    }

    /// The service that an error is from: `x-baseten-error-source`, of which `04` is the model's own code.
    /// Seldom told of a success.
    #[must_use]
    pub fn error_source(&self) -> Option<&str> {
        text(self.headers(), ERROR_SOURCE)
    }

    /// The number of an error, by the service that it is from: `x-baseten-error-code`. Seldom told of a
    /// success.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        text(self.headers(), ERROR_CODE)
    }

    /// What the server tells of its limits on requests and tokens.
    #[must_use]
    pub fn rate_limits(&self) -> RateLimits {
        RateLimits::of(&self.headers.raw)
    }

    /// How many attempts the call took, this answer's included. Of those that failed before it nothing
    /// may have been sent: [`Tried::delivery`] says so.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.failed.len() as u32 + 1
    }

    /// The attempts that failed before this answer came, in their order.
    #[must_use]
    pub fn failed_attempts(&self) -> &[Tried] {
        &self.failed
    }

    /// How long it took.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// An error in what the body said, not in how it came: of `kind`, told by `message`, with the
    /// part of the body that shows it.
    #[must_use]
    pub fn error(&self, kind: ErrorKind, message: impl Into<String>, body: Bytes) -> Error {
        Error::content(self, kind, message.into(), body)
    }

    /// How many bytes came of a body that was compressed and has been decoded; `None` for every other,
    /// and while it still comes. The headers stay those of the wire: `content-encoding` tells of the
    /// encoding, and [`Framing::Length`] counts these bytes.
    #[must_use]
    pub fn encoded_length(&self) -> Option<u64> {
        self.encoded
    }

    /// The encoding of a body that was handed out as it came.
    pub(crate) fn undecoded(&self) -> Option<&str> {
        let encoding = text(&self.headers.raw, header::CONTENT_ENCODING)?.trim();
        let is_encoded = !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity");
        (is_encoded && self.encoded.is_none()).then_some(encoding)
    }

    /// How the end of the body is told.
    #[must_use]
    pub fn framing(&self) -> Framing {
        let bodyless =
            matches!(self.status, StatusCode::NO_CONTENT | StatusCode::SWITCHING_PROTOCOLS)
                || self.label.is_head();
        if bodyless {
            return Framing::Length(0);
        }
        if self.headers.raw.contains_key(header::TRANSFER_ENCODING) {
            return Framing::Chunked;
        }
        match text(&self.headers.raw, header::CONTENT_LENGTH).and_then(|length| length.parse().ok())
        {
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        }
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meta")
            .field("endpoint", self.label.endpoint())
            .field("status", &self.status)
            .field("headers", self.headers())
            .field("failed", &self.failed)
            .field("timings", &self.timings)
            .field("id", &self.id)
            .field("encoded", &self.encoded)
            .finish()
    }
}

/// The headers of an answer. The key is taken out when somebody looks at them, which is seldom, and not
/// at every call.
#[derive(Clone)]
pub(crate) struct Headers {
    raw: HeaderMap,
    /// Without the key, if it was in them.
    clean: OnceLock<Option<Box<HeaderMap>>>,
}

impl Headers {
    pub(crate) fn new(raw: HeaderMap) -> Self {
        Self { raw, clean: OnceLock::new() }
    }

    /// As they are told of the call with this label.
    fn shown(&self, label: &Label) -> &HeaderMap {
        let hide = || label.secret()?.hide_in_headers(&self.raw).map(Box::new);
        self.clean.get_or_init(hide).as_deref().unwrap_or(&self.raw)
    }
}

pub(crate) const CHAIN_REQUEST_ID: &str = "x-baseten-chain-request-id";
pub(crate) const ERROR_SOURCE: &str = "x-baseten-error-source";
pub(crate) const ERROR_CODE: &str = "x-baseten-error-code";

pub(crate) fn replica_attempts(headers: &HeaderMap) -> Option<u32> {
    text(headers, "x-baseten-model-prediction-attempts")?.parse().ok()
}

pub(crate) fn request_id(headers: &HeaderMap) -> Option<&str> {
    text(headers, "x-baseten-request-id").or_else(|| text(headers, "x-request-id"))
}

pub(crate) fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
