//! A request, ready to be sent as often as the rules allow.
//!
//! What does not change between calls is built once, in a [`Template`]; a call adds its body.

mod given;
mod template;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::credential::Credential;
use crate::endpoint::Endpoint;
use crate::pacer::{Paced, Pacer};
use crate::redact::Secret;
use crate::trace::CallSpan;

pub(crate) use given::{parse_content_type, parse_header, parse_id};
pub(crate) use template::KEY_IN_THE_CLEAR;
pub use template::{Answer, Template};

/// One request with its body. Cheap to clone and to send again.
#[derive(Clone, Debug)]
pub struct Request {
    label: Label,
    /// With a place for `content-length`: see [`Template`].
    headers: Arc<HeaderMap>,
    body: Payload,
    whole: bool,
    /// What the caller named it.
    id: Option<Arc<str>>,
    /// Whether it asks for another protocol than HTTP.
    upgrades: bool,
    span: CallSpan,
    /// What its attempts take their turns from, if they are not free to go.
    paced: Option<Paced>,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Whole(Bytes),
    /// What a driver takes from elsewhere while it sends, of this length if that is known.
    Streamed(Option<u64>),
}

/// The body of a request whose body is not here.
static ELSEWHERE: Bytes = Bytes::new();

impl Request {
    /// Where it goes.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.label.endpoint()
    }

    /// A header of it, other than `content-length` and those of an attempt.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.get(name).filter(|_| *name != header::CONTENT_LENGTH)
    }

    /// Its headers as they are sent; those of an attempt ([`crate::Attempt::set_headers`]) come on top.
    /// They have a `content-length` if the body is here and has one, and for an empty body where the
    /// method is about its body: some servers answer 411 to a POST without it.
    #[must_use]
    pub fn to_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::clone(&self.headers);
        let method = self.endpoint().method();
        let empty = matches!(*method, Method::POST | Method::PUT | Method::PATCH).then_some(0);
        let length = match &self.body {
            Payload::Whole(body) if body.is_empty() => empty,
            Payload::Whole(body) => Some(body.len()),
            Payload::Streamed(_) => None,
        };
        match length {
            Some(length) => headers.insert(header::CONTENT_LENGTH, length.into()),
            None => headers.remove(header::CONTENT_LENGTH),
        };
        headers
    }

    /// Its body; empty if it is streamed.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        match &self.body {
            Payload::Whole(body) => body,
            Payload::Streamed(_) => &ELSEWHERE,
        }
    }

    /// Whether its body comes from elsewhere while it is sent: see [`Template::streamed`].
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        matches!(self.body, Payload::Streamed(_))
    }

    /// The length of its body in bytes, if that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.body {
            Payload::Whole(body) => Some(body.len() as u64),
            Payload::Streamed(length) => *length,
        }
    }

    /// The request, its call told in this span instead of one of its own.
    #[must_use]
    pub fn in_span(self, span: &CallSpan) -> Self {
        Self { span: span.clone(), ..self }
    }

    /// The request, to be sent now, by the clock of this pacer: each attempt of its call waits for a turn
    /// of its own, within the total clock, and a 429 holds everybody who asks at that pace, for as long as
    /// it asks for: a second at least, [`crate::RetryPolicy::longest_wait`] at most.
    #[must_use]
    pub fn in_turn(self, pacer: &Pacer, now: Duration) -> Self {
        Self { paced: Some(Paced::new(pacer, now)), ..self }
    }

    pub(crate) fn paced(&self) -> Option<&Paced> {
        self.paced.as_ref()
    }

    pub(crate) fn span(&self) -> &CallSpan {
        &self.span
    }

    /// Whether the answer is taken in whole, rather than streamed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether it asks for another protocol: see [`Template::websocket`].
    #[must_use]
    pub fn upgrades(&self) -> bool {
        self.upgrades
    }

    /// Whether this status is the one it asks for: 101 for an upgrade, any 2xx otherwise.
    #[must_use]
    pub fn accepts(&self, status: StatusCode) -> bool {
        if self.upgrades { status == StatusCode::SWITCHING_PROTOCOLS } else { status.is_success() }
    }

    /// The request with an absolute URL, for another HTTP client. A streamed body is for that client to
    /// put in, and so are the headers of an attempt ([`crate::Attempt::set_headers`]): an id, a deadline, a
    /// key that changes.
    #[must_use]
    pub fn to_http(&self) -> http::Request<Bytes> {
        let mut request = http::Request::new(self.body().clone());
        *request.method_mut() = self.endpoint().method().clone();
        *request.uri_mut() = self
            .endpoint()
            .url()
            .parse()
            .expect("an origin and an origin-form URI make an absolute one");
        *request.headers_mut() = self.to_headers();
        request
    }

    /// What the caller named it.
    pub(crate) fn id(&self) -> Option<&Arc<str>> {
        self.id.as_ref()
    }

    pub(crate) fn label(&self) -> Label {
        self.label.clone()
    }
}

/// Where a call goes: how errors name it, what they must not show, and whom to ask for that.
#[derive(Clone, Debug)]
pub(crate) struct Label(Arc<Labeled>);

#[derive(Debug)]
struct Labeled {
    endpoint: Endpoint,
    /// The key of the template, or of the last attempt.
    secret: Option<Secret>,
    /// What is asked before each attempt; `None` if the key stands in the template.
    changing: Option<Credential>,
}

impl Label {
    fn new(endpoint: Endpoint, secret: Option<Secret>, changing: Option<Credential>) -> Self {
        Self(Arc::new(Labeled { endpoint, secret, changing }))
    }

    fn with_endpoint(&self, endpoint: Endpoint) -> Self {
        Self::new(endpoint, self.secret().cloned(), self.changing().cloned())
    }

    /// The same for an attempt that shows this.
    pub(crate) fn showing(&self, authorization: Option<&HeaderValue>) -> Self {
        let secret = authorization.map(Secret::of);
        Self::new(self.endpoint().clone(), secret, self.changing().cloned())
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// The key that is sent with the call.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        self.0.secret.as_ref()
    }

    /// What is to be asked before each attempt.
    pub(crate) fn changing(&self) -> Option<&Credential> {
        self.0.changing.as_ref()
    }

    /// The text without the call's key.
    pub(crate) fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.secret().map_or(Cow::Borrowed(text), |secret| secret.hide(text))
    }

    pub(crate) fn is_head(&self) -> bool {
        self.endpoint().method() == Method::HEAD
    }
}
