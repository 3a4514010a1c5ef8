//! How an error comes about: from what a call met, to what [`Error`] keeps of it. No words are chosen
//! here but those for an answer that cannot be read.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::response::Parts;

use super::{Error, ErrorKind, Inner, Retry, Stop, What, brief};
use crate::api_error::ApiError;
use crate::call::Tried;
use crate::delivery::Delivery;
use crate::failure::{Cause, Failure};
use crate::request::Label;
use crate::response::{self, Meta};

impl Error {
    /// Given up before there was a call.
    pub(crate) fn canceled() -> Self {
        Self::new(ErrorKind::Canceled, What::Cause(Cause::Canceled), Delivery::NotSent)
    }

    pub(crate) fn at(mut self, label: &Label) -> Self {
        self.0.call = Some(label.clone());
        self
    }

    pub(crate) fn failed(label: &Label, failure: Failure, delivery: Delivery) -> Self {
        Self::of(failure, delivery).at(label)
    }

    /// A failure that belongs to no call of ours.
    pub(crate) fn of(failure: Failure, delivery: Delivery) -> Self {
        let kind = match failure.cause {
            Cause::Resolve | Cause::Connect | Cause::ProxyLogin | Cause::Tls => ErrorKind::Connect,
            Cause::Timeout { .. } => ErrorKind::Timeout,
            Cause::Disconnected | Cause::Malformed => ErrorKind::Disconnected,
            Cause::HeadTooLarge { .. }
            | Cause::TooManyHeaders { .. }
            | Cause::BodyTooLarge { .. }
            | Cause::Expansion { .. } => ErrorKind::TooLarge,
            Cause::Encoding => ErrorKind::Decode,
            Cause::Truncated => ErrorKind::Truncated,
            Cause::Reader { .. }
            | Cause::ReaderLength { .. }
            | Cause::Writer { .. }
            | Cause::Credential
            | Cause::TokenExpired { .. } => ErrorKind::Local,
            Cause::Canceled => ErrorKind::Canceled,
        };
        let mut error = Self::new(kind, What::Cause(failure.cause), delivery);
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
        let kind =
            response::text(meta.headers(), header::CONTENT_TYPE).unwrap_or("no content type");
        let message = if body.is_empty() {
            "the answer is empty, not JSON".into()
        } else {
            format!("the answer is not the JSON expected, at byte {at} of {} ({kind})", body.len())
        };
        let why = Unreadable(brief(&meta.label.hide(&error.to_string())));
        Self::content(&meta, ErrorKind::Decode, message, body).because(why)
    }

    pub(crate) fn content(meta: &Meta, kind: ErrorKind, message: String, body: Bytes) -> Self {
        let message = match meta.undecoded() {
            Some(encoding) => undecoded(encoding),
            None => message,
        };
        let message = meta.label.hide(&message).into_owned();
        let mut error = Self::new(kind, What::Said(message), Delivery::Answered).at(&meta.label);
        error.0.received = body.len() as u64;
        error.0.body = body;
        error.0.elapsed = Some(meta.timings.total).filter(|total| !total.is_zero());
        error.answered(meta).stopped(Stop::Final, meta.failed.clone())
    }

    pub(crate) fn answered(mut self, meta: &Meta) -> Self {
        self.0.id = meta.id.clone();
        self.0.status = Some(meta.status);
        self.0.headers = meta.headers().clone();
        self
    }

    /// The end of a call that was not sent again after its last attempt: what came of that one, if it was
    /// answered, goes with it.
    pub(crate) fn after(mut self, last: Option<Self>) -> Self {
        if let Some(last) = last.map(|last| *last.0) {
            let Inner { delivery, status, headers, api, body, received, retry, .. } = last;
            *self.0 = Inner { delivery, status, headers, api, body, received, retry, ..*self.0 };
        }
        self
    }

    /// The end of the call.
    pub(crate) fn stopped(mut self, stop: Stop, attempts: Vec<Tried>) -> Self {
        self.0.stop = stop;
        self.0.attempts = attempts;
        self
    }

    /// What the caller named the last attempt.
    pub(crate) fn named(mut self, id: Option<Box<HeaderValue>>) -> Self {
        self.0.id = id;
        self
    }

    pub(crate) fn asked_to_wait(mut self, after: Option<Duration>, now: SystemTime) -> Self {
        self.0.retry = after.map(|after| Retry { after, at: now.checked_add(after) });
        self
    }
}

/// Of a body that says nothing to whoever cannot decode it.
fn undecoded(encoding: &str) -> String {
    format!(
        "the answer came in the encoding `{}` and was not decoded: gzip and zstd are, of answers taken \
         in whole, with the feature `compression` and without an `accept-encoding` header of your own",
        brief(encoding)
    )
}

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
