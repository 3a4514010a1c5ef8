//! The client: a transport, and the key and hosts it may use.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use baseten_core::{Access, CallOptions, Error, Pacer, Starts};
use baseten_transport::nonblocking::Transport;

use crate::builder::ClientBuilder;
use crate::chain::Chain;
use crate::model::Model;
use crate::openai_client::OpenAi;

/// Calls models and chains. Cheap to clone; clones share connections, the retry budget and the pace at
/// which queued runs are asked for.
///
/// ```no_run
/// # async fn example() -> Result<(), baseten::Error> {
/// let client = baseten::Client::from_env()?;
/// let staging = client.model("abcd1234")?.environment("staging")?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) access: Access,
    pub(crate) transport: Transport,
    pub(crate) options: CallOptions,
    pub(crate) pacer: Pacer,
    pub(crate) starts: Starts,
    began: Instant,
}

impl Shared {
    /// The time since the client was made, by which everything that waits in it counts.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Lets time pass, unless the caller gives up.
    pub(crate) async fn pause(&self, pause: Duration, options: &CallOptions) -> Result<(), Error> {
        self.transport.pause(pause, options).await
    }
}

impl Client {
    /// A client as the environment describes it; see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] naming the variable that is missing or wrong.
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env()?.build()
    }

    /// A client with settings of your own.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// A model's production deployment.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the id cannot be part of a host name.
    pub fn model(&self, id: impl AsRef<str>) -> Result<Model, Error> {
        Model::production(&self.0, id.as_ref())
    }

    /// A chain's production deployment.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the id cannot be part of a host name.
    pub fn chain(&self, id: impl AsRef<str>) -> Result<Chain, Error> {
        Chain::production(&self.0, id.as_ref())
    }

    /// The Model APIs (`inference.baseten.co/v1`); with a base URL, the OpenAI-compatible server or
    /// gateway there, whether or not the URL ends in `/v1`.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the key would travel in the clear.
    pub fn model_apis(&self) -> Result<OpenAi, Error> {
        OpenAi::shared(self.0.clone())
    }

    pub(crate) fn new(access: Access, transport: Transport, options: CallOptions) -> Self {
        let pacer = Pacer::new(RandomState::new().hash_one(0));
        let (starts, began) = (Starts::default(), Instant::now());
        Self(Arc::new(Shared { access, transport, options, pacer, starts, began }))
    }
}
