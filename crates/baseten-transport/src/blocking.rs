//! The blocking transport: the whole exchange on the caller's thread.
//!
//! hyper's futures are polled right here, over a std socket that holds reads back: a read is made
//! only when nothing else can move, and then it blocks. There is no runtime, no helper thread and no
//! signal between them, so it works anywhere: in `main`, inside an async task, in `Drop`. Only a name
//! that has to be looked up takes a short-lived thread, since `getaddrinfo` has no timeout.

mod held;
mod local;
pub(crate) mod wait;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use baseten_core::{CallOptions, Error, Meta, Request, Response};
use bytes::Bytes;

use crate::net::{self, Elapsed};
use crate::options::Options;
use crate::send::{Answer, Sender};
use local::Writing;
use wait::{Blocking, ready};

pub use local::Upload;

/// Sends requests and waits for their answers on the caller's thread. Clones share one pool.
///
/// ```no_run
/// use baseten_core::{Answer, CallOptions, Credential, Endpoint, Hosts, ModelId, Operation, Target, Template};
/// use baseten_transport::{Options, blocking::Transport};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let target = Target::model(ModelId::new("abcd1234")?);
/// let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict)?;
/// let predict = Template::new(endpoint, &Credential::api_key("key")?, Answer::Json)?;
///
/// let transport = Transport::new(Options::default());
/// let request = predict.bytes("application/json", r#"{"prompt": "hi"}"#)?;
/// let response = transport.fetch(&request, &CallOptions::default())?;
/// println!("{} bytes, request {:?}", response.value.len(), response.meta.request_id());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Transport(Arc<Sender<Blocking>>);

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
    pub fn send(&self, request: &Request, options: &CallOptions) -> Result<Body, Error> {
        ready(self.0.send(request, options)).map(Body)
    }

    /// Sends a request whose body is streamed ([`baseten_core::Request::is_streamed`]).
    ///
    /// # Errors
    /// As [`Transport::send`]; [`baseten_core::ErrorKind::Request`] if the request announces another
    /// length; [`baseten_core::ErrorKind::Local`] if a reader fails.
    pub fn upload(
        &self,
        request: &Request,
        upload: Upload,
        options: &CallOptions,
    ) -> Result<Body, Error> {
        ready(self.0.upload(request, upload.into_inner(), options)).map(Body)
    }

    /// Lets time pass between calls that belong together.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Canceled`] as soon as the token of these options is canceled.
    pub fn pause(&self, pause: Duration, options: &CallOptions) -> Result<(), Error> {
        ready(net::pause::<Blocking>(pause, options.cancel.as_ref()))
            .or_else(|Elapsed| options.check_canceled())
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// As [`Transport::send`], and what can go wrong with a body.
    pub fn fetch(
        &self,
        request: &Request,
        options: &CallOptions,
    ) -> Result<Response<Bytes>, Error> {
        ready(self.0.fetch(request, options))
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// The body of an accepted answer, as it comes. Dropping it before its end closes the connection, so
/// that the server can stop working; reading it to its end gives the connection back to the pool.
pub struct Body(Answer<Blocking>);

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
    pub fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        ready(self.0.chunk())
    }

    /// The whole body, up to `limit` bytes.
    ///
    /// # Errors
    /// As [`Body::chunk`], and [`baseten_core::ErrorKind::TooLarge`]; what came is in the error.
    pub fn whole(self, limit: usize) -> Result<Response<Bytes>, Error> {
        ready(self.0.whole(limit))
    }

    /// Writes the rest of the body as it comes, flushes, and says how many bytes that were. Only what is
    /// being written is in memory.
    ///
    /// # Errors
    /// As [`Body::chunk`]: what [`Error::received`] counts was written then, without a flush.
    /// [`baseten_core::ErrorKind::Local`] if the writer fails, with what it took before.
    pub fn write_to<W: Write>(self, writer: W) -> Result<Response<u64>, Error> {
        ready(self.0.write_to(&mut Writing(writer)))
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

/// Each item is the next bytes; it ends after the body or after an error.
impl Iterator for Body {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunk().transpose()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("meta", self.meta()).finish_non_exhaustive()
    }
}
