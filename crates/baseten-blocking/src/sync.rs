//! A call of a route that the container itself serves.

use baseten_core::{Answer, CallOptions, Error, RequestBuilder, Response};
use baseten_transport::blocking::{Body, Transport};
use bytes::Bytes;
use serde::Serialize;

/// A request to `…/sync/{route}`, from [`crate::Model::sync`].
///
/// What is wrong with route, headers or body is told when it is sent, before anything leaves.
///
/// ```no_run
/// # fn example(model: baseten_blocking::Model) -> Result<(), baseten_blocking::Error> {
/// use baseten_blocking::Method;
/// let health = model.sync(Method::GET, "health").send()?;
/// let items = model
///     .sync(Method::POST, "items/12?verbose=1")
///     .header("x-trace", "a1")
///     .json(&[1, 2, 3])
///     .send()
///     ?
///     .json::<Vec<u32>>()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct SyncRequest {
    transport: Transport,
    request: RequestBuilder,
    options: CallOptions,
}

impl SyncRequest {
    pub(crate) fn new(transport: Transport, request: RequestBuilder, options: CallOptions) -> Self {
        Self { transport, request, options }
    }

    /// Adds or replaces a header. What the client sets itself (`authorization`, `host`, framing) is
    /// refused.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    /// A JSON body.
    pub fn json<I: Serialize + ?Sized>(self, input: &I) -> Self {
        Self { request: self.request.json(input), ..self }
    }

    /// A body of any content type.
    pub fn bytes(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { request: self.request.bytes(content_type, body), ..self }
    }

    /// Clocks, retries and limits of this call.
    pub fn options(self, options: CallOptions) -> Self {
        Self { options, ..self }
    }

    /// Sends it and takes the whole answer; [`Response::json`] reads it as JSON.
    ///
    /// # Errors
    /// The first fault of the request, or whatever the call came to.
    pub fn send(self) -> Result<Response<Bytes>, Error> {
        let request = self.request.build(Answer::Bytes)?;
        self.transport.fetch(&request, &self.options)
    }

    /// Sends it and hands out the answer as it comes.
    ///
    /// # Errors
    /// As [`SyncRequest::send`], up to the head of the answer.
    pub fn stream(self) -> Result<Body, Error> {
        let request = self.request.build(Answer::Stream)?;
        self.transport.send(&request, &self.options)
    }
}
