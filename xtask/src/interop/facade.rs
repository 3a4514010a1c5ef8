//! Both facades behind one face, so that every case is written once.

use std::sync::Arc;

use baseten::{Bytes, CallOptions, Credential, Error, Meta, Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use super::engine::Engine;

/// A client of one of the facades, with a pool of its own.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    Async(Arc<Runtime>, baseten::Client),
    Blocking(baseten_blocking::Client),
}

/// The one model behind a base URL.
#[derive(Clone, Debug)]
pub(crate) enum Facade {
    Async(Arc<Runtime>, baseten::Model),
    Blocking(baseten_blocking::Model),
}

/// The one chain behind a base URL.
#[derive(Clone, Debug)]
pub(crate) enum Chained {
    Async(Arc<Runtime>, baseten::Chain),
    Blocking(baseten_blocking::Chain),
}

/// Which facade.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Async,
    Blocking,
}

/// An answer as it comes.
pub(crate) enum Stream {
    Async(Arc<Runtime>, baseten::ByteStream),
    Blocking(baseten_blocking::ByteStream),
}

/// The key of every local server; those of Truss check none.
pub(crate) const KEY: &str = "dummy-key-0000";
const MODEL: &str = "abcd1234";

impl Wait {
    pub(crate) const ALL: [Self; 2] = [Self::Async, Self::Blocking];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Blocking => "blocking",
        }
    }
}

impl Client {
    /// A client with the usual key.
    pub(crate) fn new(wait: Wait, base_url: &str) -> Result<Self, Error> {
        Self::with(wait, base_url, Credential::api_key(KEY)?)
    }

    pub(crate) fn with(wait: Wait, base_url: &str, credential: Credential) -> Result<Self, Error> {
        match wait {
            Wait::Async => {
                let client = baseten::Client::builder().credential(credential).base_url(base_url);
                Ok(Self::Async(runtime()?, client.build()?))
            }
            Wait::Blocking => {
                let client = baseten_blocking::Client::builder();
                Ok(Self::Blocking(client.credential(credential).base_url(base_url).build()?))
            }
        }
    }

    /// The model there, whatever its id.
    pub(crate) fn model(&self) -> Result<Facade, Error> {
        match self {
            Self::Async(runtime, client) => {
                Ok(Facade::Async(runtime.clone(), client.model(MODEL)?))
            }
            Self::Blocking(client) => Ok(Facade::Blocking(client.model(MODEL)?)),
        }
    }

    /// The chain there, whatever its id.
    pub(crate) fn chain(&self, options: CallOptions) -> Result<Chained, Error> {
        match self {
            Self::Async(runtime, client) => {
                Ok(Chained::Async(runtime.clone(), client.chain(MODEL)?.options(options)))
            }
            Self::Blocking(client) => Ok(Chained::Blocking(client.chain(MODEL)?.options(options))),
        }
    }

    /// The gateway there.
    pub(crate) fn gateway(&self) -> Result<Engine, Error> {
        match self {
            Self::Async(runtime, client) => {
                Ok(Engine::Async(runtime.clone(), client.model_apis()?))
            }
            Self::Blocking(client) => Ok(Engine::Blocking(client.model_apis()?)),
        }
    }
}

impl Chained {
    pub(crate) fn run_remote<I, O>(&self, input: &I) -> Result<Response<O>, Error>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        match self {
            Self::Async(runtime, chain) => runtime.block_on(chain.run_remote(input)),
            Self::Blocking(chain) => chain.run_remote(input),
        }
    }

    pub(crate) fn run_remote_stream<I: Serialize + ?Sized>(
        &self,
        input: &I,
    ) -> Result<Stream, Error> {
        match self {
            Self::Async(runtime, chain) => {
                let stream = runtime.block_on(chain.run_remote_stream(input))?;
                Ok(Stream::Async(runtime.clone(), stream))
            }
            Self::Blocking(chain) => Ok(Stream::Blocking(chain.run_remote_stream(input)?)),
        }
    }
}

impl Facade {
    /// The engine of this model.
    pub(crate) fn engine(&self) -> Result<Engine, Error> {
        match self {
            Self::Async(runtime, model) => Ok(Engine::Async(runtime.clone(), model.openai()?)),
            Self::Blocking(model) => Ok(Engine::Blocking(model.openai()?)),
        }
    }

    /// The same client with other options.
    pub(crate) fn options(&self, options: CallOptions) -> Self {
        match self.clone() {
            Self::Async(runtime, model) => Self::Async(runtime, model.options(options)),
            Self::Blocking(model) => Self::Blocking(model.options(options)),
        }
    }

    pub(crate) fn predict<I, O>(&self, input: &I) -> Result<Response<O>, Error>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        match self {
            Self::Async(runtime, model) => runtime.block_on(model.predict(input)),
            Self::Blocking(model) => model.predict(input),
        }
    }

    pub(crate) fn predict_bytes(
        &self,
        content_type: &str,
        body: &'static [u8],
    ) -> Result<Response<Bytes>, Error> {
        match self {
            Self::Async(runtime, model) => {
                runtime.block_on(model.predict_bytes(content_type, body))
            }
            Self::Blocking(model) => model.predict_bytes(content_type, body),
        }
    }

    pub(crate) fn predict_stream<I: Serialize + ?Sized>(&self, input: &I) -> Result<Stream, Error> {
        match self {
            Self::Async(runtime, model) => {
                let stream = runtime.block_on(model.predict_stream(input))?;
                Ok(Stream::Async(runtime.clone(), stream))
            }
            Self::Blocking(model) => Ok(Stream::Blocking(model.predict_stream(input)?)),
        }
    }

    /// A GET of a route of the container's server.
    pub(crate) fn get(&self, route: &str) -> Result<Response<Bytes>, Error> {
        match self {
            Self::Async(runtime, model) => runtime.block_on(model.sync(Method::GET, route).send()),
            Self::Blocking(model) => model.sync(Method::GET, route).send(),
        }
    }

    /// A POST of JSON, or what should be, to a route of the container's server.
    pub(crate) fn post(
        &self,
        route: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<Bytes>, Error> {
        match self {
            Self::Async(runtime, model) => {
                let request = model.sync(Method::POST, route).bytes("application/json", body);
                runtime.block_on(request.send())
            }
            Self::Blocking(model) => {
                model.sync(Method::POST, route).bytes("application/json", body).send()
            }
        }
    }
}

impl Stream {
    pub(crate) fn meta(&self) -> &Meta {
        match self {
            Self::Async(_, body) => body.meta(),
            Self::Blocking(body) => body.meta(),
        }
    }

    pub(crate) fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Async(runtime, body) => runtime.block_on(body.chunk()),
            Self::Blocking(body) => body.chunk(),
        }
    }
}

fn runtime() -> Result<Arc<Runtime>, Error> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map(Arc::new).map_err(|e| Error::request("no tokio runtime").because(e))
}
