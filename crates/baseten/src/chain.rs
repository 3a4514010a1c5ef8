//! A chain: which deployment of it is called, and how.

use std::sync::Arc;
use std::time::Duration;

use baseten_core::{
    Answer, AsyncRequest, CallOptions, ChainId, Error, Meta, Operation, QueueStatus, Response,
    Target, Template,
};
use baseten_transport::nonblocking::{Body, Upgrade};
use bytes::Bytes;
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::Shared;
use crate::deployment::Deployment;
use crate::job::Job;
use crate::request::RequestBuilder;
use crate::submissions::Submissions;

/// One deployment of a chain, called through its entry point. Cheap to clone; keep it rather than
/// making it for every call.
///
/// ```no_run
/// # async fn example(client: baseten::Client) -> Result<(), baseten::Error> {
/// #[derive(serde::Serialize)]
/// struct Args { text: String, times: u32 } // the arguments of the entry point's `run_remote`
///
/// let chain = client.chain("abcd1234")?;
/// match chain.run_remote::<_, String>(&Args { text: "hi".into(), times: 3 }).await {
///     Ok(answer) => println!("{}", answer.value),
///     Err(error) => {
///         eprintln!("{error}");
///         for frame in error.api().map(|api| api.stack()).unwrap_or_default() {
///             eprintln!("  {}:{} in {}", frame.filename, frame.line_number, frame.name);
///         }
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Chain {
    at: Deployment,
    run_remote: Template,
}

impl Chain {
    pub(crate) fn production(client: &Arc<Shared>, id: &str) -> Result<Self, Error> {
        Self::new(Deployment::new(client, Target::chain(ChainId::new(id)?)))
    }

    fn new(at: Deployment) -> Result<Self, Error> {
        let run_remote = at.template(&Operation::RunRemote, Answer::Json)?;
        Ok(Self { at, run_remote })
    }

    /// The deployment that an environment points to.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the name cannot stand in a path.
    pub fn environment(self, name: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(self.at.environment(name.as_ref())?)
    }

    /// One deployment by its id.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the id cannot stand in a path.
    pub fn deployment(self, id: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(self.at.deployment(id.as_ref())?)
    }

    /// The development deployment. While it is scaled to zero its calls can be answered with 404:
    /// [`Chain::wake`] it then.
    ///
    /// # Errors
    /// None that [`crate::Client::chain`] has not found before.
    pub fn development(self) -> Result<Self, Error> {
        Self::new(self.at.development())
    }

    /// A regional environment, which has a host of its own.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the name cannot be part of a host name, if another deployment
    /// was set, or if a base URL or `Host` header has taken the host's place without naming it.
    pub fn regional(self, name: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(self.at.regional(name.as_ref())?)
    }

    /// Clocks, retries and limits of calls made through this value.
    #[must_use]
    pub fn options(mut self, options: CallOptions) -> Self {
        self.at.options = options;
        self
    }

    /// Adds or replaces a header of every call made through this value. For one call alone, clone it:
    /// that is cheap.
    ///
    /// ```no_run
    /// # async fn example(chain: baseten::Chain) -> Result<(), baseten::Error> {
    /// use baseten::header;
    /// let conversation = chain.header(header::SESSION_AFFINITY, "c-17")?;
    /// let turn = conversation.clone().header(header::CUSTOMER_REQUEST_ID, "c-17-1")?;
    /// let answer = turn.run_remote::<_, String>(&serde_json::json!({"text": "hi"})).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if name or value cannot stand in a header, or the name is
    /// one that the client sets itself: `authorization`, `host`, and what frames a message.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.at = self.at.header(name, value)?;
        self.run_remote = self.run_remote.header(name, value)?;
        Ok(self)
    }

    /// Adds a name and a value to the query of every call made through this value, percent-encoded.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if path and query are over 65,534 bytes.
    pub fn query(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.at = self.at.query(name, value);
        self.run_remote = self.run_remote.query(name, value)?;
        Ok(self)
    }

    /// An id of the caller's own for every call made through this value; for one call, clone it first.
    /// Each attempt carries it in [`crate::header::CUSTOMER_REQUEST_ID`], with a dash and its number
    /// behind it: `id-1`, `id-2`.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if it is not 1 to 256 bytes of visible ASCII.
    pub fn request_id(mut self, id: &str) -> Result<Self, Error> {
        self.at = self.at.request_id(id)?;
        self.run_remote = self.run_remote.request_id(id)?;
        Ok(self)
    }

    /// Runs the chain: `input` is a JSON object of its arguments by name, the output any JSON. A chain
    /// that streams is asked for its output in one piece, which is then one JSON string.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the input does not serialize; otherwise whatever the
    /// call came to. Of an exception in the chain [`baseten_core::ApiError::stack`] has the place. An
    /// output that is no `O` is [`baseten_core::ErrorKind::Decode`], with the whole body in the error.
    pub async fn run_remote<I, O>(&self, input: &I) -> Result<Response<O>, Error>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        let request = self.run_remote.json(input)?;
        self.at.fetch(&request).await?.json()
    }

    /// Runs the chain on bytes of any content type and takes its output as it is.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the content type is empty or cannot stand in a header; otherwise
    /// whatever the call came to.
    pub async fn run_remote_bytes(
        &self,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<Bytes>, Error> {
        let template = self.run_remote.clone().answering(Answer::Bytes);
        let request = template.bytes(content_type, body)?;
        self.at.fetch(&request).await
    }

    /// Runs the chain and hands out its output as it comes. Dropping the stream stops the call.
    ///
    /// # Errors
    /// As [`Chain::run_remote`], up to the head of the answer.
    pub async fn run_remote_stream<I>(&self, input: &I) -> Result<Body, Error>
    where
        I: Serialize + ?Sized,
    {
        let request = self.run_remote.clone().answering(Answer::Stream).json(input)?;
        self.at.stream(&request).await
    }

    /// Starts a replica if none runs, without waiting for it (202). Harmless to repeat. The API
    /// description speaks of models here; that chains have this route too is an assumption.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn wake(&self) -> Result<Meta, Error> {
        self.at.wake().await
    }

    /// Wakes the deployment and waits until a GET of this route of its server succeeds, for at most
    /// `limit`; whether it did. Truss servers answer on [`crate::READINESS`], others on routes of their
    /// own (`health` in Baseten's embedding engine). Of all that wait for the same in a client one asks.
    ///
    /// A wake that fails in passing (429, 5xx, no connection) is made again before each question until
    /// it is taken; each may take 15 s. What runs already is ready whatever its wake came to.
    ///
    /// # Errors
    /// What does not change by waiting: a wrong key, a route that is none, 404 of what cannot be woken.
    pub async fn wait_until_ready(
        &self,
        route: impl AsRef<str>,
        limit: Duration,
    ) -> Result<bool, Error> {
        self.at.wait_until_ready(route.as_ref(), limit).await
    }

    /// Queues a run, whose output goes to the webhook of the request. The answer comes at once: a
    /// [`Job`] to ask by.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] naming the first field that is out of its range, or a body
    /// over 256 KiB; nothing was sent then. Otherwise whatever the call came to: an organisation with
    /// too many runs in its queues gets 429, which is tried again as for any call.
    ///
    /// [`AsyncRequest::new`] wraps the arguments as for a model, which is what the platform's pages say;
    /// [`AsyncRequest::bare`] sends them as the whole body, which is what its API description says.
    pub async fn submit<I: Serialize>(
        &self,
        request: &AsyncRequest<I>,
    ) -> Result<Response<Job>, Error> {
        self.at.submit(request).await
    }

    /// Queues many runs one after the other. One that is refused is offered again, for at most `patience`.
    pub fn submit_all<R: IntoIterator>(
        &self,
        requests: R,
        patience: Duration,
    ) -> Submissions<R::IntoIter> {
        Submissions::new(&self.at, requests.into_iter(), patience)
    }

    /// A run that was queued before, by its id.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the id cannot stand in a path.
    pub fn job(&self, id: impl AsRef<str>) -> Result<Job, Error> {
        self.at.job(id.as_ref())
    }

    /// How many runs wait and run in this deployment. Paced with all other questions of the client; see
    /// [`Job`].
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn queue_status(&self) -> Result<Response<QueueStatus>, Error> {
        self.at.queue_status().await
    }

    /// What WebSockets to this chain are opened with (`…/websocket`), by the crate `baseten-websocket`:
    /// its transport, address, key, headers and options. Opens nothing yet.
    ///
    /// # Errors
    /// None that [`crate::Client::chain`] has not found before.
    pub fn websocket(&self) -> Result<Upgrade, Error> {
        self.at.websocket()
    }

    /// [`Chain::run_remote`] with settings for one call: headers, query, clocks, an id, a body that is read
    /// while it is sent.
    pub fn request(&self) -> RequestBuilder {
        self.at.request(&Operation::RunRemote)
    }

    /// A request to a route of the entry point's own server (`…/sync/{route}`), query included.
    pub fn sync(&self, method: Method, route: impl AsRef<str>) -> RequestBuilder {
        self.at.sync(method, route.as_ref())
    }
}
