//! Both facades behind one face, so that every case is written once.

use std::sync::Arc;

use baseten::{Bytes, CallOptions, Error, Meta, Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

/// A client of one of the facades, for the one model behind a base URL.
#[derive(Clone, Debug)]
pub(crate) enum Facade {
    Async(Arc<Runtime>, baseten::Model),
    Blocking(baseten_blocking::Model),
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

/// What no local server checks.
const KEY: &str = "dummy-key-0000";
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

impl Facade {
    /// A client with a pool of its own.
    pub(crate) fn new(wait: Wait, base_url: &str) -> Result<Self, Error> {
        match wait {
            Wait::Async => {
                let client = baseten::Client::builder().api_key(KEY).base_url(base_url).build()?;
                Ok(Self::Async(runtime()?, client.model(MODEL)?))
            }
            Wait::Blocking => {
                let client = baseten_blocking::Client::builder();
                let client = client.api_key(KEY).base_url(base_url).build()?;
                Ok(Self::Blocking(client.model(MODEL)?))
            }
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
