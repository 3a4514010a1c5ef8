//! What does not change between calls to one endpoint: address, key and headers.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderValue};
use serde::Serialize;

use super::given::{parse_content_type, parse_header, parse_id};
use super::{Label, Payload, Request};
use crate::credential::Credential;
use crate::endpoint::{Endpoint, URI_MAX};
use crate::error::Error;
use crate::redact::Secret;
use crate::trace::CallSpan;

/// Says who calls. It must never contain `openai`: a Truss server (0.18) then no longer gathers a
/// stream for `Accept: application/json`.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("baseten-rust/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ANY: HeaderValue = HeaderValue::from_static("*/*");

/// How the answer is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// In whole, as JSON: sends exactly `Accept: application/json`, for which a Truss server gathers
    /// a streaming model's output into one JSON string.
    Json,
    /// In whole, whatever it is: `Accept: */*`.
    Bytes,
    /// As it comes: `Accept: */*`.
    Stream,
}

impl Answer {
    pub(crate) fn accept(self) -> HeaderValue {
        if self == Self::Json { JSON } else { ANY }
    }

    fn is_whole(self) -> bool {
        self != Self::Stream
    }
}

/// The part of a request that is the same for every call to one endpoint.
///
/// ```
/// use baseten_core::{Answer, Credential, Endpoint, Hosts, ModelId, Operation, Target, Template};
/// let target = Target::model(ModelId::new("abcd1234")?);
/// let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict)?;
/// let predict = Template::new(endpoint, &Credential::api_key("k.s3cret")?, Answer::Json)?;
/// let request = predict.json(&serde_json::json!({"prompt": "hi"}))?;
/// let http: http::Request<bytes::Bytes> = request.to_http(); // for any HTTP client
/// assert_eq!(http.headers()["authorization"], "Api-Key k.s3cret");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    label: Label,
    /// With a `content-length` that holds the place of the body's own. A map is copied for each attempt,
    /// and a copy has no room for one header more: it would be copied again.
    headers: Arc<HeaderMap>,
    whole: bool,
    /// Whether a caller said what is accepted.
    accepts: bool,
    /// What the caller named it.
    id: Option<Arc<str>>,
}

/// Why a key is not sent.
pub(crate) const KEY_IN_THE_CLEAR: &str =
    "the key would go over plain HTTP; use https, or say Hosts::allow_plain_http";

/// Why no `CONNECT` is sent: what comes behind its 2xx is no body, and would be lost.
const TUNNEL: &str = "method CONNECT asks a proxy for a tunnel, and has no answer to read";

impl Template {
    /// Everything but the body.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if the key would travel over plain HTTP to another machine and
    /// [`crate::Hosts::allow_plain_http`] was not said, or if the method is `CONNECT`.
    pub fn new(endpoint: Endpoint, credential: &Credential, answer: Answer) -> Result<Self, Error> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::HOST, endpoint.host().clone());
        let authorization = credential.header_for(&endpoint).cloned();
        let changing = (!credential.is_fixed()).then(|| credential.clone());
        let key_may_be_sent = endpoint.key_may_be_sent();
        let label = Label::new(endpoint, authorization.as_ref().map(Secret::of), changing);
        if !credential.is_none() && !key_may_be_sent {
            return Err(Error::request(KEY_IN_THE_CLEAR).at(&label));
        }
        if label.endpoint().method() == Method::CONNECT {
            return Err(Error::request(TUNNEL).at(&label));
        }
        if let Some(authorization) = authorization.filter(|_| credential.is_fixed()) {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::ACCEPT, answer.accept());
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let (headers, whole) = (Arc::new(headers), answer.is_whole());
        Ok(Self { label, headers, whole, accepts: false, id: None })
    }

    /// Adds or replaces a header of every request. Its value is not printed with `Debug`, unless it is that
    /// of `accept`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if name or value cannot stand in a header, or the name is one
    /// that the client sets itself: `authorization`, `host`, and what frames a message.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let fault = |why: String| Error::request(why).at(&self.label);
        let (name, value) = parse_header(name, value).map_err(fault)?;
        self.accepts |= name == header::ACCEPT;
        Arc::make_mut(&mut self.headers).insert(name, value);
        Ok(self)
    }

    /// Adds or replaces headers that were checked before.
    pub(crate) fn with_headers(mut self, headers: &HeaderMap) -> Self {
        if !headers.is_empty() {
            self.accepts |= headers.contains_key(header::ACCEPT);
            let own = Arc::make_mut(&mut self.headers);
            for (name, value) in headers {
                own.insert(name, value.clone());
            }
        }
        self
    }

    /// A request with a JSON body.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if `input` does not serialize; nothing is sent then.
    pub fn json<T: Serialize + ?Sized>(&self, input: &T) -> Result<Request, Error> {
        Ok(self.with_body(None, Payload::Whole(self.encode(input)?)))
    }

    /// A request with a body of any kind.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if the content type is empty or cannot stand in a header.
    pub fn bytes(&self, content_type: &str, body: impl Into<Bytes>) -> Result<Request, Error> {
        let content_type = self.content_type(content_type)?;
        Ok(self.with_body(Some(content_type), Payload::Whole(body.into())))
    }

    /// A request whose body its driver takes from elsewhere, a file for one, while it sends. It can be
    /// sent again only until a part of that was taken: see [`crate::Call::body_taken`]. `length` is in
    /// bytes; without it the body goes in chunks.
    ///
    /// # Errors
    /// As [`Template::bytes`].
    pub fn streamed(&self, content_type: &str, length: Option<u64>) -> Result<Request, Error> {
        let content_type = self.content_type(content_type)?;
        Ok(self.with_body(Some(content_type), Payload::Streamed(length)))
    }

    /// A request without a body.
    #[must_use]
    pub fn empty(&self) -> Request {
        let mut request = self.with_body(None, Payload::Whole(Bytes::new()));
        Arc::make_mut(&mut request.headers).remove(header::CONTENT_TYPE);
        request
    }

    /// A request to open a WebSocket (RFC 6455), whose answer is accepted with 101 alone. `key` is what
    /// the server proves to have read: 16 random bytes in base64.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if the key cannot stand in a header.
    pub fn websocket(&self, key: &str) -> Result<Request, Error> {
        let key = HeaderValue::from_str(key)
            .map_err(|_| Error::request("the WebSocket key is not base64").at(&self.label))?;
        let request = Request { whole: false, upgrades: true, ..self.empty() };
        let mut headers = HeaderMap::clone(&request.headers);
        for (name, value) in [
            (header::CONNECTION, HeaderValue::from_static("Upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
            (header::SEC_WEBSOCKET_KEY, key),
        ] {
            headers.insert(name, value);
        }
        Ok(Request { headers: Arc::new(headers), ..request })
    }

    /// The same, with the answer taken in another way; the `accept` header becomes that way's, unless
    /// one was given.
    #[must_use]
    pub fn answering(mut self, answer: Answer) -> Self {
        let accept = answer.accept();
        if !self.accepts && self.headers.get(header::ACCEPT) != Some(&accept) {
            Arc::make_mut(&mut self.headers).insert(header::ACCEPT, accept);
        }
        self.whole = answer.is_whole();
        self
    }

    /// An id of the caller's own. Each attempt carries it in `x-baseten-customer-request-id`, with a dash
    /// and the number of the attempt behind it: `id-1`, then `id-2`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if it is not 1 to 256 bytes of visible ASCII.
    pub fn request_id(mut self, id: &str) -> Result<Self, Error> {
        self.id = Some(parse_id(id).map_err(|fault| Error::from(fault).at(&self.label))?);
        Ok(self)
    }

    /// An id that was checked before.
    pub(crate) fn with_id(self, id: Option<&Arc<str>>) -> Self {
        Self { id: id.cloned(), ..self }
    }

    /// Adds a name and a value to the query.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if the URL would be longer than 65,534 bytes.
    pub fn query(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let endpoint = self.endpoint().with_query(name, value).map_err(|length| {
            let why = format!(
                "path and query are {length} bytes long once encoded, at most {URI_MAX} fit; send \
                 it as a body"
            );
            Error::request(why).at(&self.label)
        })?;
        self.label = self.label.with_endpoint(endpoint);
        Ok(self)
    }

    /// Where it goes.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.label.endpoint()
    }

    pub(crate) fn at_label(&self, error: Error) -> Error {
        error.at(&self.label)
    }

    pub(crate) fn encode<T: Serialize + ?Sized>(&self, input: &T) -> Result<Bytes, Error> {
        let mut body = Vec::with_capacity(256);
        match serde_json::to_writer(&mut body, input) {
            Ok(()) => Ok(body.into()),
            Err(error) => Err(Error::request("the input does not serialize to JSON")
                .because(error)
                .at(&self.label)),
        }
    }

    pub(crate) fn content_type(&self, content_type: &str) -> Result<HeaderValue, Error> {
        parse_content_type("the content type", content_type)
            .map_err(|why| Error::request(why).at(&self.label))
    }

    /// JSON, which is what templates hold, unless said otherwise.
    pub(crate) fn with_body(&self, content_type: Option<HeaderValue>, body: Payload) -> Request {
        let mut headers = self.headers.clone();
        if let Some(content_type) = content_type {
            Arc::make_mut(&mut headers).insert(header::CONTENT_TYPE, content_type);
        }
        let (label, whole, id) = (self.label.clone(), self.whole, self.id.clone());
        let span = CallSpan::default();
        Request { label, headers, body, whole, id, upgrades: false, span, paced: None }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::{ErrorKind, Hosts, ModelId, Operation, Route, Target};

    fn template(hosts: &Hosts, answer: Answer) -> Result<Template, Error> {
        let target = Target::model(ModelId::new("abc").unwrap());
        let endpoint = Endpoint::new(hosts, &target, &Operation::Predict).unwrap();
        Template::new(endpoint, &Credential::api_key("k.s3cret").unwrap(), answer)
    }

    #[test]
    fn the_headers_of_a_predict() {
        let template = template(&Hosts::baseten(), Answer::Json).unwrap();
        let request = template.json("a bare string").unwrap();
        assert_eq!(request.body(), "\"a bare string\"");
        let lines: Vec<String> = request
            .to_headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        let agent = format!("user-agent: baseten-rust/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            lines,
            [
                "host: model-abc.api.baseten.co",
                "authorization: Api-Key k.s3cret",
                &agent,
                "accept: application/json",
                "content-type: application/json",
                "content-length: 15",
            ]
        );
        assert!(!agent.contains("openai"));
        assert!(!format!("{request:?} {template:?}").contains("s3cret"));
    }

    #[test]
    fn a_length_is_sent_of_a_body_that_is_here() {
        use Method as M;
        let hosts = Hosts::baseten();
        let target = Target::model(ModelId::new("abc").unwrap());
        let at = |method| {
            let operation = Operation::Sync(method, Route::new("route").unwrap());
            let endpoint = Endpoint::new(&hosts, &target, &operation).unwrap();
            Template::new(endpoint, &Credential::none(), Answer::Bytes).unwrap()
        };
        for (method, whole, empty) in [
            (M::POST, Some("3"), Some("0")), // some servers answer 411 without one
            (M::PUT, Some("3"), Some("0")),
            (M::PATCH, Some("3"), Some("0")),
            (M::GET, Some("3"), None),
            (M::HEAD, Some("3"), None),
            (M::DELETE, Some("3"), None),
        ] {
            let template = at(method.clone());
            for (request, expect) in [
                (template.bytes("text/plain", "abc").unwrap(), whole),
                (template.empty(), empty),
                (template.streamed("text/plain", Some(3)).unwrap(), None), // whoever streams it says
                (template.streamed("text/plain", None).unwrap(), None),
            ] {
                for headers in [request.to_headers(), request.to_http().into_parts().0.headers] {
                    let length = headers.get(header::CONTENT_LENGTH);
                    assert_eq!(length.map(|length| length.to_str().unwrap()), expect, "{method}");
                }
                assert_eq!(request.header(&header::CONTENT_LENGTH), None, "{method}");
            }
        }
    }

    #[test]
    fn a_key_goes_over_plain_http_to_this_machine_only() {
        for (url, allowed) in [
            ("http://127.0.0.1:1", true),
            ("http://abc.localhost:1", true),
            ("https://example.com", true),
            ("http://example.com", false),
            ("http://10.0.0.1:8080", false),
        ] {
            let hosts = Hosts::base_url(url).unwrap();
            assert_eq!(template(&hosts, Answer::Json).is_ok(), allowed, "{url}");
            assert!(template(&hosts.allow_plain_http(), Answer::Json).is_ok(), "{url}");
        }
        let hosts = Hosts::base_url("http://example.com").unwrap();
        let error = template(&hosts, Answer::Json).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        assert!(error.to_string().contains("plain HTTP"), "{error}");
    }

    #[test]
    fn headers_are_checked_before_anything_is_sent() {
        let template = template(&Hosts::baseten(), Answer::Bytes).unwrap();
        for (name, value, expect) in [
            ("X Bad", "1", "\"X Bad\" is not a token"),
            ("x-bad", "a\r\nb: c", "x-bad has a control byte"),
            ("Authorization", "Bearer other", "authorization is set by the client"),
            ("Content-Length", "3", "content-length is set by the client"),
            ("Sec-WebSocket-Key", "a", "sec-websocket-key is set by the client"),
            ("Sec-WebSocket-Extensions", "permessage-deflate", "is set by the client"),
        ] {
            let error = template.clone().header(name, value).unwrap_err();
            assert!(error.to_string().contains(expect), "{error}");
        }
        let template =
            template.header("X-Own", "1").unwrap().header("accept", "audio/wav").unwrap();
        let request = template.bytes("application/octet-stream", "raw").unwrap();
        assert_eq!(request.to_headers()["accept"], "audio/wav");
        let error = template.bytes("a\nb", "raw").unwrap_err().to_string();
        assert!(error.contains("the content type has a control byte at 1"), "{error}");
    }

    #[test]
    fn a_websocket_is_asked_for_by_headers_and_accepted_by_101() {
        let template = template(&Hosts::baseten(), Answer::Stream).unwrap();
        let request = template.websocket("MDEyMzQ1Njc4OWFiY2RlZg==").unwrap();
        for (name, value) in [
            ("authorization", Some("Api-Key k.s3cret")),
            ("connection", Some("Upgrade")),
            ("upgrade", Some("websocket")),
            ("sec-websocket-version", Some("13")),
            ("sec-websocket-key", Some("MDEyMzQ1Njc4OWFiY2RlZg==")),
            ("sec-websocket-extensions", None), // none is offered, so none may come back
            ("content-type", None),             // there is no body
        ] {
            let headers = request.to_headers();
            let found = headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(found, value, "{name}");
        }
        for (request, status, accepted) in [
            (&request, 101, true),
            (&request, 200, false), // the server has taken it for an ordinary GET
            (&request, 426, false),
            (&template.empty(), 200, true),
            (&template.empty(), 101, false), // nobody asked to switch
        ] {
            assert_eq!(
                request.accepts(StatusCode::from_u16(status).unwrap()),
                accepted,
                "{status}"
            );
        }
        let error = template.websocket("a\nb").unwrap_err().to_string();
        assert!(error.contains("the WebSocket key is not base64"), "{error}");
    }

    #[test]
    fn an_input_that_does_not_serialize_is_named() {
        let template = template(&Hosts::baseten(), Answer::Json).unwrap();
        let odd = std::collections::HashMap::from([((1, 2), "tuple key")]);
        let error = template.json(&odd).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        let text = error.to_string();
        assert!(text.starts_with("POST /environments/production/predict: "), "{text}");
        assert!(text.ends_with("does not serialize to JSON; nothing of it was sent"), "{text}");
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("key must be"));
    }
}
