//! A request put together step by step, with settings of its own.
//!
//! It knows what a request may say, and nothing of who sends it.

use bytes::Bytes;
use http::HeaderValue;
use http::header;
use serde::Serialize;

use crate::error::Error;
use crate::request::{Answer, Payload, Request, Template};

/// A request put together step by step. The first fault is kept and told when it is built.
///
/// ```
/// use baseten_core::{Access, Answer, Credential, Hosts, ModelId, Operation, Target};
/// let access = Access::new(Hosts::baseten(), Credential::api_key("k.s3cret")?);
/// let target = Target::model(ModelId::new("abcd1234")?);
/// let request = access.request(&target, &Operation::Predict, Answer::Json);
/// let request = request.query("trace", "on & off").request_id("batch-7").json("hi").build()?;
/// assert!(request.endpoint().url().ends_with("/predict?trace=on%20%26%20off"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RequestBuilder {
    template: Result<Template, Error>,
    /// How an answer is taken that is not streamed.
    whole: Answer,
    /// `None` for its type is JSON.
    body: Option<(Option<HeaderValue>, Payload)>,
}

impl RequestBuilder {
    pub(crate) fn new(template: Result<Template, Error>, whole: Answer) -> Self {
        Self { template, whole, body: None }
    }

    /// Adds or replaces a header; see [`Template::header`].
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.then(|template| template.header(name, value))
    }

    /// What is accepted as an answer: media types, as in the `accept` header.
    #[must_use]
    pub fn accept(self, types: &str) -> Self {
        self.header(header::ACCEPT.as_str(), types)
    }

    /// Adds a name and a value to the query, percent-encoded.
    #[must_use]
    pub fn query(self, name: &str, value: &str) -> Self {
        self.then(|template| template.query(name, value))
    }

    /// An id of the caller's own; see [`Template::request_id`].
    #[must_use]
    pub fn request_id(self, id: &str) -> Self {
        self.then(|template| template.request_id(id))
    }

    /// A JSON body.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(self, input: &T) -> Self {
        self.with_body(|template| Ok((None, Payload::Whole(template.encode(input)?))))
    }

    /// A body of any kind.
    #[must_use]
    pub fn bytes(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.with_body(|template| {
            Ok((Some(template.content_type(content_type)?), Payload::Whole(body.into())))
        })
    }

    /// A body from elsewhere; see [`Template::streamed`].
    #[must_use]
    pub fn streamed(self, content_type: &str, length: Option<u64>) -> Self {
        self.with_body(|template| {
            Ok((Some(template.content_type(content_type)?), Payload::Streamed(length)))
        })
    }

    /// The same, with a fault of what it was to be made of.
    #[must_use]
    pub fn refused(self, fault: Error) -> Self {
        self.then(|template| Err(template.at_label(fault)))
    }

    /// The request, its answer taken in whole. The `accept` header is the one that was given, or the
    /// operation's own: `application/json` to predict and to run remotely, `*/*` otherwise.
    ///
    /// # Errors
    /// The first fault of route, headers, query or body; nothing was sent.
    pub fn build(self) -> Result<Request, Error> {
        let whole = self.whole;
        self.answered(whole)
    }

    /// The request, its answer taken as it comes. The `accept` header is the one that was given, or
    /// `*/*`.
    ///
    /// # Errors
    /// As [`RequestBuilder::build`].
    pub fn build_stream(self) -> Result<Request, Error> {
        self.answered(Answer::Stream)
    }

    fn answered(self, answer: Answer) -> Result<Request, Error> {
        let template = self.template?.answering(answer);
        Ok(match self.body {
            Some((content_type, body)) => template.with_body(content_type, body),
            None => template.empty(),
        })
    }

    fn then(self, change: impl FnOnce(Template) -> Result<Template, Error>) -> Self {
        Self { template: self.template.and_then(change), ..self }
    }

    fn with_body(
        mut self,
        make: impl FnOnce(&Template) -> Result<(Option<HeaderValue>, Payload), Error>,
    ) -> Self {
        match self.template.as_ref().map(make) {
            Ok(Ok(body)) => self.body = Some(body),
            Ok(Err(error)) => self.template = Err(error),
            Err(_) => {}
        }
        self
    }
}
