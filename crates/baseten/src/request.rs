//! A call with settings of its own.

use std::hash::{BuildHasher, RandomState};

use baseten_core::{CallOptions, Error, Piece, Response};
use baseten_transport::nonblocking::{Body, Transport, Upload};
use bytes::Bytes;
use serde::Serialize;

/// A form, whose files come from readers.
pub type Multipart = baseten_core::Multipart<Upload>;

/// One call, put together step by step: from [`crate::Model::request`], [`crate::Chain::request`],
/// [`crate::Model::sync`] or [`crate::OpenAi::request`]. Of a body that is given twice the last counts.
///
/// What is wrong with route, headers or body is told when it is sent, before anything leaves.
///
/// ```no_run
/// # async fn example(model: baseten::Model) -> Result<(), baseten::Error> {
/// use baseten::Method;
/// let health = model.sync(Method::GET, "health").send().await?;
/// let answer = model.request().request_id("job-7").json("hi").send().await?.json::<String>()?;
/// let items = model
///     .sync(Method::POST, "items/12")
///     .query("verbose", "1")
///     .header("x-trace", "a1")
///     .json(&[1, 2, 3])
///     .send()
///     .await?
///     .json::<Vec<u32>>()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    transport: Transport,
    request: baseten_core::RequestBuilder,
    upload: Option<Upload>,
    options: CallOptions,
}

impl RequestBuilder {
    pub(crate) fn new(
        transport: Transport,
        request: baseten_core::RequestBuilder,
        options: CallOptions,
    ) -> Self {
        Self { transport, request, upload: None, options }
    }

    /// Adds or replaces a header. What the client sets itself (`authorization`, `host`, framing) is
    /// refused.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    /// What is accepted as an answer: media types, as in the `accept` header. Default
    /// `application/json` to predict and to run remotely, `*/*` for all else and for streams.
    pub fn accept(self, types: &str) -> Self {
        Self { request: self.request.accept(types), ..self }
    }

    /// Adds a name and a value to the query, percent-encoded.
    pub fn query(self, name: &str, value: &str) -> Self {
        Self { request: self.request.query(name, value), ..self }
    }

    /// An id of the caller's own, of at most 256 bytes of visible ASCII. Each attempt carries it in
    /// [`crate::header::CUSTOMER_REQUEST_ID`], with a dash and its number behind it: `id-1`, `id-2`.
    pub fn request_id(self, id: &str) -> Self {
        Self { request: self.request.request_id(id), ..self }
    }

    /// A JSON body.
    pub fn json<I: Serialize + ?Sized>(self, input: &I) -> Self {
        Self { request: self.request.json(input), upload: None, ..self }
    }

    /// A body of any content type.
    pub fn bytes(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { request: self.request.bytes(content_type, body), upload: None, ..self }
    }

    /// A body that is read while it is sent. Such a call is sent again only as long as nothing of its
    /// body was read.
    pub fn upload(self, content_type: &str, body: Upload) -> Self {
        let request = self.request.streamed(content_type, body.length());
        Self { request, upload: Some(body), ..self }
    }

    /// A form (`multipart/form-data`) with a random boundary. Its files are read while it is sent; one
    /// without such files can be sent again.
    pub fn multipart(self, form: Multipart) -> Self {
        let encoded = match form.encode(random()) {
            Ok(encoded) => encoded,
            Err(fault) => return Self { request: self.request.refused(fault), ..self },
        };
        let kind = encoded.content_type;
        let upload = |piece| match piece {
            Piece::Bytes(bytes) => Upload::from(bytes),
            Piece::File(file) => file,
        };
        if let [Piece::Bytes(whole)] = &encoded.pieces[..] {
            return self.bytes(&kind, whole.clone());
        }
        let nothing = Upload::from(Bytes::new());
        self.upload(&kind, encoded.pieces.into_iter().map(upload).fold(nothing, Upload::then))
    }

    /// Clocks, retries and limits of this call.
    pub fn options(self, options: CallOptions) -> Self {
        Self { options, ..self }
    }

    /// Sends it and takes the whole answer; [`Response::json`] reads it as JSON.
    ///
    /// # Errors
    /// The first fault of the request, or whatever the call came to.
    pub async fn send(self) -> Result<Response<Bytes>, Error> {
        let request = self.request.build()?;
        match self.upload {
            None => self.transport.fetch(&request, &self.options).await,
            Some(upload) => {
                let body = self.transport.upload(&request, upload, &self.options).await?;
                body.whole(self.options.limits.body).await
            }
        }
    }

    /// Sends it and hands out the answer as it comes; [`Body::write_to`] writes it somewhere.
    ///
    /// # Errors
    /// As [`RequestBuilder::send`], up to the head of the answer.
    pub async fn stream(self) -> Result<Body, Error> {
        let request = self.request.build_stream()?;
        match self.upload {
            None => self.transport.send(&request, &self.options).await,
            Some(upload) => self.transport.upload(&request, upload, &self.options).await,
        }
    }
}

/// Keys of the standard library's hasher come from the system's random source.
fn random() -> u128 {
    let state = RandomState::new();
    u128::from(state.hash_one(0)) << 64 | u128::from(state.hash_one(1))
}
