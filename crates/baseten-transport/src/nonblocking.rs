//! The async transport, on tokio: the whole exchange inside the caller's future.
//!
//! No task is spawned, so dropping a future or a [`Body`] closes its socket before the drop returns.

mod bell;
mod local;
mod socket;
mod upgrade;
pub(crate) mod wait;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use baseten_core::{CallOptions, Error, Meta, Request, Response};
use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::net::{self, Elapsed};
use crate::options::Options;
use crate::send::{Answer, Sender};
use local::Writing;
use wait::Tokio;

pub use local::Upload;

pub use upgrade::{Upgrade, Upgraded};

/// Sends requests from within a tokio runtime (with its I/O and time drivers on). Clones share one
/// pool.
///
/// ```no_run
/// use baseten_core::{Answer, CallOptions, Credential, Endpoint, Hosts, ModelId, Operation, Target, Template};
/// use baseten_transport::{Options, nonblocking::Transport};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let target = Target::model(ModelId::new("abcd1234")?);
/// let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict)?;
/// let predict = Template::new(endpoint, &Credential::api_key("key")?, Answer::Json)?;
///
/// let transport = Transport::new(Options::default());
/// let request = predict.bytes("application/json", r#"{"prompt": "hi"}"#)?;
/// let response = transport.fetch(&request, &CallOptions::default()).await?;
/// println!("{} bytes, request {:?}", response.value.len(), response.meta.request_id());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Transport(Arc<Sender<Tokio>>);

impl Transport {
    /// A transport with a pool of its own. Opens nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Sender::new(&options)))
    }

    /// Sends a request, again where its policy allows, until an answer is accepted; its body is read
    /// from [`Body`].
    ///
    /// # Errors
    /// Whatever the call came to; see [`baseten_core::ErrorKind`].
    pub async fn send(&self, request: &Request, options: &CallOptions) -> Result<Body, Error> {
        // What opens a stream has no place in the future that reads it, maybe for hours.
        Box::pin(self.0.send(request, options)).await.map(Body)
    }

    /// Sends a request whose body is streamed ([`baseten_core::Request::is_streamed`]).
    ///
    /// # Errors
    /// As [`Transport::send`]; [`baseten_core::ErrorKind::Request`] if the request announces another
    /// length; [`baseten_core::ErrorKind::Local`] if a reader fails.
    pub async fn upload(
        &self,
        request: &Request,
        upload: Upload,
        options: &CallOptions,
    ) -> Result<Body, Error> {
        Box::pin(self.0.upload(request, upload.into_inner(), options)).await.map(Body)
    }

    /// Lets time pass between calls that belong together.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Canceled`] as soon as the token of these options is canceled.
    pub async fn pause(&self, pause: Duration, options: &CallOptions) -> Result<(), Error> {
        net::pause::<Tokio>(pause, options.cancel.as_ref())
            .await
            .or_else(|Elapsed| options.check_canceled())
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// As [`Transport::send`], and what can go wrong with a body.
    pub async fn fetch(
        &self,
        request: &Request,
        options: &CallOptions,
    ) -> Result<Response<Bytes>, Error> {
        self.0.fetch(request, options).await
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// The body of an accepted answer, as it comes. Dropping it before its end closes the connection, so
/// that the server can stop working; reading it to its end gives the connection back to the pool.
pub struct Body(Answer<Tokio>);

impl Body {
    /// Status, headers and attempts of the answer.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        self.0.meta()
    }

    /// The next bytes, `None` at the end. After an error or the end it stays at the end.
    ///
    /// # Errors
    /// A clock that ran out, or a body that broke off; the request did run.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.0.chunk().await
    }

    /// The whole body, up to `limit` bytes.
    ///
    /// # Errors
    /// As [`Body::chunk`], and [`baseten_core::ErrorKind::TooLarge`]; what came is in the error.
    pub async fn whole(self, limit: usize) -> Result<Response<Bytes>, Error> {
        self.0.whole(limit).await
    }

    /// Writes the rest of the body as it comes, flushes, and says how many bytes that were. Only what is
    /// being written is in memory.
    ///
    /// # Errors
    /// As [`Body::chunk`]: what [`Error::received`] counts was written then, without a flush.
    /// [`baseten_core::ErrorKind::Local`] if the writer fails, with what it took before.
    pub async fn write_to<W: AsyncWrite>(self, writer: W) -> Result<Response<u64>, Error> {
        self.0.write_to(&mut Writing(pin!(writer))).await
    }

    /// Says that the content is over before its framing is, as an event stream is after `[DONE]`. If
    /// the rest of the framing is there when this is dropped, the connection goes back to the pool
    /// all the same; nothing waits for it.
    pub fn content_is_over(&mut self) {
        self.0.content_is_over();
    }

    /// Closes the connection before the end of the content, as dropping this does: the server can stop.
    /// There is no more to come then.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// The time since the call began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Whether the last byte has been handed out.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("meta", self.meta()).finish_non_exhaustive()
    }
}
