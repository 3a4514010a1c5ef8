//! Why a call gave no usable response: the one error of everything that sends.
//!
//! Here is what can be asked of it; how it comes about is in `making`, its words are in `telling`.

mod kind;
mod making;
mod telling;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::api_error::ApiError;
use crate::call::Tried;
use crate::delivery::Delivery;
use crate::failure::{Cause, Clock, Source};
use crate::rate_limit::RateLimits;
use crate::request::Label;
use crate::response;

pub use kind::{ErrorKind, Stop};

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
    /// By the last attempt.
    delivery: Delivery,
    stop: Stop,
    attempts: Vec<Tried>,
    /// What the caller named the last attempt.
    id: Option<Box<HeaderValue>>,
    status: Option<StatusCode>,
    headers: HeaderMap,
    api: Option<ApiError>,
    body: Bytes,
    received: u64,
    elapsed: Option<Duration>,
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

    /// What the server may have done with the request, over all attempts: the most that any of them tells.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.0.overall()
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

    /// What ended the call, if that was no error status.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self.0.what {
            What::Cause(cause) => Some(cause),
            _ => None,
        }
    }

    /// The status of the answer, if there was one; a body that broke has a 2xx. A call that was not sent
    /// again, because it was canceled or its clock ran out in the pause, has its last attempt's, and with
    /// it all that is told here of an answer.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The headers of the answer, empty without one. `[redacted]` stands where the server echoed the call's
    /// key.
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

    /// How long the call had lasted, all attempts and pauses included. `None` if it never began.
    #[must_use]
    pub fn elapsed(&self) -> Option<Duration> {
        self.0.elapsed
    }

    /// The id under which the platform logs the last attempt.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        response::request_id(&self.0.headers)
    }

    /// The id of the whole run of a chain: `x-baseten-chain-request-id` of the last attempt's answer.
    #[must_use]
    pub fn chain_request_id(&self) -> Option<&str> {
        response::text(&self.0.headers, response::CHAIN_REQUEST_ID)
    }

    /// The id that the last attempt was sent with, if the caller gave the call one by `request_id`: that one,
    /// a dash, and the number of the attempt.
    #[must_use]
    pub fn customer_request_id(&self) -> Option<&str> {
        self.0.id.as_ref()?.to_str().ok()
    }

    /// How often the platform itself tried a replica in the last attempt:
    /// `x-baseten-model-prediction-attempts`.
    #[must_use]
    pub fn replica_attempts(&self) -> Option<u32> {
        response::replica_attempts(&self.0.headers)
    }

    /// The service that the error is from: `x-baseten-error-source`, of which `04` is the model's own code.
    /// The platform's own errors have none.
    #[must_use]
    pub fn error_source(&self) -> Option<&str> {
        response::text(&self.0.headers, response::ERROR_SOURCE)
    }

    /// The number of the error, by the service that it is from: `x-baseten-error-code`. Of a Truss server
    /// (0.18) 500 is unhandled, 600 raised by the model, 700 bad input or the model's own response.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        response::text(&self.0.headers, response::ERROR_CODE)
    }

    /// Every attempt of the call that failed, in their order; empty if nothing was tried. One that was
    /// answered, and whose body then failed, is not among them.
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

    /// The error with the time that its call had lasted.
    #[must_use]
    pub fn with_elapsed(mut self, elapsed: Duration) -> Self {
        self.0.elapsed = Some(elapsed);
        self
    }

    /// A request that could not be built, told by `message`.
    #[must_use]
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Request, What::Said(message.into()), Delivery::NotSent)
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
            id: None,
            status: None,
            headers: HeaderMap::new(),
            api: None,
            body: Bytes::new(),
            received: 0,
            elapsed: None,
            retry: None,
            source: None,
        }))
    }
}

impl Inner {
    /// What the server may have done by all attempts together.
    fn overall(&self) -> Delivery {
        self.attempts.iter().map(|tried| tried.delivery).fold(self.delivery, most)
    }
}

/// Of two attempts at one call, what the server may have done by both.
fn most(one: Delivery, other: Delivery) -> Delivery {
    let rank = |delivery| match delivery {
        Delivery::NotSent => 0,
        Delivery::Refused => 1,
        Delivery::Answered => 2,
        Delivery::MaybeRan => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// The beginning of a text of the server's, in one line.
fn brief(text: &str) -> String {
    let short: String = text.chars().take(BRIEF).collect();
    short.escape_debug().to_string()
}

/// How much of a server's text is shown, in characters.
const BRIEF: usize = 200;
