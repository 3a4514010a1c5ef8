//! One sending of a request: what it has of its own, and what is kept of it when it failed.

use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::delivery::Delivery;
use crate::failure::Cause;

/// One sending of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// What the server is to be told of the total clock, if anything.
    pub deadline: Option<Deadline>,
    /// What names it.
    pub(super) id: Option<Box<HeaderValue>>,
    /// What it shows for itself, if that may be something else next time.
    pub(super) authorization: Option<HeaderValue>,
}

/// How long a server may take, as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// What is left, in milliseconds rounded up: `Request-Timeout-Ms`.
    pub timeout_ms: u64,
    /// When that is over, in milliseconds since 1970: `Request-Deadline-Ms`.
    pub at_ms: u64,
}

impl Attempt {
    /// Sets the headers that only this attempt has: what it is named, what its deadline is, and a key
    /// that was asked for just now ([`crate::Credential::rotating`]).
    pub fn set_headers(&self, headers: &mut HeaderMap) {
        if let Some(Deadline { timeout_ms, at_ms }) = self.deadline {
            headers.insert(TIMEOUT, timeout_ms.into());
            headers.insert(DEADLINE, at_ms.into());
        }
        if let Some(id) = &self.id {
            headers.insert(CUSTOMER_REQUEST_ID, HeaderValue::clone(id));
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
    }
}

const TIMEOUT: HeaderName = HeaderName::from_static("request-timeout-ms");
const CUSTOMER_REQUEST_ID: HeaderName = HeaderName::from_static(crate::header::CUSTOMER_REQUEST_ID);
const DEADLINE: HeaderName = HeaderName::from_static("request-deadline-ms");

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tried {
    /// 1 for the first.
    pub number: u32,
    /// How long was waited before it.
    pub waited: Duration,
    /// When it was sent, since the call began.
    pub began: Duration,
    /// When it had failed, since the call began.
    pub ended: Duration,
    /// What happened.
    pub outcome: Outcome,
    /// What the server may have done with it.
    pub delivery: Delivery,
    /// The request id of the answer, if it had one.
    pub request_id: Option<Box<str>>,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Without an answer.
    Failed(Cause),
    /// With this status.
    Status(StatusCode),
}
