//! Both facades behind one face, so that every test runs against each of them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its own part, and stops where it cannot go on"
)]

use std::time::Duration;

use baseten::openai::{
    Aggregation, ChatRequest, ChatResponse, ClassifyRequest, EmbeddingRequest, EmbeddingResponse,
    Entity, Label, Rank, RerankRequest, StreamEnd, StreamTimings,
};
use baseten::{
    ByteStream, Bytes, CallOptions, Error, Hosts, Meta, Method, Proxies, Response, RetryPolicy,
    Timeouts,
};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A ceiling for what should take milliseconds, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// One facade with a client for model `abc` of an emulator.
pub(crate) enum Facade {
    Async(Runtime, baseten::Model),
    Blocking(baseten_blocking::Model),
}

pub(crate) enum Stream<'a> {
    Async(&'a Runtime, ByteStream),
    Blocking(baseten_blocking::ByteStream),
}

/// Runs a test against both facades, each with an emulator of its own.
pub(crate) fn each(test: impl Fn(&Facade, &Emulator)) {
    each_with(CallOptions::default(), test);
}

pub(crate) fn each_with(options: CallOptions, test: impl Fn(&Facade, &Emulator)) {
    for blocking in [false, true] {
        let emulator = Emulator::start().unwrap();
        let facade = Facade::new(blocking, &emulator.base_url("abc"), options.clone());
        test(&facade, &emulator);
    }
}

/// The same over TLS, with the emulator's own authority trusted.
pub(crate) fn each_tls_with(options: CallOptions, test: impl Fn(&Facade, &Emulator)) {
    for blocking in [false, true] {
        let emulator = Emulator::builder().tls(true).start().unwrap();
        let facade = Facade::trusting(blocking, &emulator, options.clone());
        test(&facade, &emulator);
    }
}

/// Trusts the authority of an emulator, if it has one.
pub(crate) fn trust(emulator: &Emulator) -> baseten::Tls {
    match emulator.ca_pem() {
        Some(ca) => baseten::Tls::default().with_extra_roots(ca.as_bytes()).unwrap(),
        None => baseten::Tls::default(),
    }
}

pub(crate) fn once() -> CallOptions {
    CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() }
}

pub(crate) fn within(timeouts: Timeouts) -> CallOptions {
    CallOptions { timeouts, ..CallOptions::default() }
}

impl Facade {
    pub(crate) fn new(blocking: bool, base_url: &str, options: CallOptions) -> Self {
        Self::secure(blocking, base_url, &baseten::Tls::default(), options)
    }

    fn trusting(blocking: bool, emulator: &Emulator, options: CallOptions) -> Self {
        Self::secure(blocking, &emulator.base_url("abc"), &trust(emulator), options)
    }

    pub(crate) fn secure(
        blocking: bool,
        url: &str,
        tls: &baseten::Tls,
        options: CallOptions,
    ) -> Self {
        Self::through(blocking, url, tls, &Proxies::none(), options)
    }

    pub(crate) fn through(
        blocking: bool,
        url: &str,
        tls: &baseten::Tls,
        proxies: &Proxies,
        options: CallOptions,
    ) -> Self {
        let hosts = Hosts::base_url(url).unwrap().allow_plain_http();
        macro_rules! model {
            ($facade:ident) => {{
                let client = $facade::Client::builder().api_key(DUMMY_KEY).hosts(hosts);
                let client = client.options(options).tls(tls.clone()).proxies(proxies.clone());
                client.build().unwrap().model("abc").unwrap()
            }};
        }
        if blocking {
            return Self::Blocking(model!(baseten_blocking));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self::Async(runtime, model!(baseten))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Async(..) => "async",
            Self::Blocking(..) => "blocking",
        }
    }

    pub(crate) fn predict(&self, input: &Value) -> Result<Response<Value>, Error> {
        match self {
            Self::Async(runtime, model) => runtime.block_on(model.predict(input)),
            Self::Blocking(model) => model.predict(input),
        }
    }

    /// The same with options of the call's own.
    pub(crate) fn predict_with(
        &self,
        options: CallOptions,
        input: &Value,
    ) -> Result<Response<Value>, Error> {
        match self {
            Self::Async(runtime, model) => {
                runtime.block_on(model.clone().options(options).predict(input))
            }
            Self::Blocking(model) => model.clone().options(options).predict(input),
        }
    }

    pub(crate) fn predict_bytes(
        &self,
        content_type: &str,
        body: Bytes,
    ) -> Result<Response<Bytes>, Error> {
        match self {
            Self::Async(runtime, model) => {
                runtime.block_on(model.predict_bytes(content_type, body))
            }
            Self::Blocking(model) => model.predict_bytes(content_type, body),
        }
    }

    /// Sends a body from a reader that gives these bytes, and says nothing of their number.
    pub(crate) fn upload(&self, body: &'static [u8]) -> Result<Response<Bytes>, Error> {
        match self {
            Self::Async(runtime, model) => {
                let body = baseten::Upload::new(body);
                runtime.block_on(model.request().upload("text/plain", body).send())
            }
            Self::Blocking(model) => {
                let body = baseten_blocking::Upload::new(body);
                model.request().upload("text/plain", body).send()
            }
        }
    }

    pub(crate) fn stream(&self, input: &Value) -> Result<Stream<'_>, Error> {
        match self {
            Self::Async(runtime, model) => {
                Ok(Stream::Async(runtime, runtime.block_on(model.predict_stream(input))?))
            }
            Self::Blocking(model) => Ok(Stream::Blocking(model.predict_stream(input)?)),
        }
    }

    pub(crate) fn sync(
        &self,
        method: Method,
        route: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Response<Bytes>, Error> {
        macro_rules! request {
            ($model:expr) => {{
                let mut request = $model.sync(method, route);
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                match body {
                    Some(body) => request.json(body),
                    None => request,
                }
                .send()
            }};
        }
        match self {
            Self::Async(runtime, model) => runtime.block_on(async { request!(model).await }),
            Self::Blocking(model) => request!(model),
        }
    }
}

/// Ranks, labels and entities.
pub(crate) type Engine = (
    Result<Response<Vec<Rank>>, Error>,
    Result<Response<Vec<Vec<Label>>>, Error>,
    Result<Response<Vec<Vec<Entity>>>, Error>,
);

/// A streamed chat, read to its end: the text of each chunk, how it ended, what came of the answer.
pub(crate) struct Chatted {
    pub(crate) texts: Vec<String>,
    pub(crate) end: Option<StreamEnd>,
    pub(crate) answer: ChatResponse,
    pub(crate) error: Option<Error>,
    pub(crate) timings: StreamTimings,
    pub(crate) meta: Meta,
}

impl Facade {
    pub(crate) fn chat(&self, request: &ChatRequest) -> Result<Response<ChatResponse>, Error> {
        match self {
            Self::Async(runtime, model) => runtime.block_on(model.openai()?.chat(request)),
            Self::Blocking(model) => model.openai()?.chat(request),
        }
    }

    pub(crate) fn embeddings(
        &self,
        request: &EmbeddingRequest,
    ) -> Result<Response<EmbeddingResponse>, Error> {
        match self {
            Self::Async(runtime, model) => runtime.block_on(model.openai()?.embeddings(request)),
            Self::Blocking(model) => model.openai()?.embeddings(request),
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        let rank = RerankRequest::new("q", ["a", "b"]);
        let (classify, entities) =
            (ClassifyRequest::new(["a"]), ClassifyRequest::entities(["Rome"], Aggregation::None));
        match self {
            Self::Async(runtime, model) => (
                runtime.block_on(model.rerank(&rank)),
                runtime.block_on(model.classify(&classify)),
                runtime.block_on(model.entities(&entities)),
            ),
            Self::Blocking(model) => {
                (model.rerank(&rank), model.classify(&classify), model.entities(&entities))
            }
        }
    }

    pub(crate) fn chat_stream(&self, request: &ChatRequest) -> Chatted {
        macro_rules! read {
            ($model:expr, $wait:expr) => {{
                let openai = $model.openai().unwrap();
                let mut stream = $wait(openai.chat_stream(request)).unwrap();
                let mut texts = Vec::new();
                let error = loop {
                    match $wait(stream.chunk()) {
                        Ok(Some(chunk)) => texts.push(chunk.text().to_owned()),
                        Ok(None) => break None,
                        Err(error) => break Some(error),
                    }
                };
                assert!($wait(stream.chunk()).unwrap().is_none(), "an end stays an end");
                let (end, answer) = (stream.end(), stream.partial().clone());
                let (timings, meta) = (stream.timings(), stream.meta().clone());
                Chatted { texts, end, answer, error, timings, meta }
            }};
        }
        match self {
            Self::Async(runtime, model) => read!(model, |wait| runtime.block_on(wait)),
            Self::Blocking(model) => read!(model, std::convert::identity),
        }
    }

    pub(crate) fn first_chat_chunk(&self, request: &ChatRequest) {
        match self {
            Self::Async(runtime, model) => runtime.block_on(async {
                let mut stream = model.openai().unwrap().chat_stream(request).await.unwrap();
                assert!(stream.chunk().await.unwrap().is_some());
            }),
            Self::Blocking(model) => {
                let mut stream = model.openai().unwrap().chat_stream(request).unwrap();
                assert!(stream.chunk().unwrap().is_some());
            }
        }
    }
}

impl Stream<'_> {
    pub(crate) fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Async(runtime, body) => runtime.block_on(body.chunk()),
            Self::Blocking(body) => body.chunk(),
        }
    }

    pub(crate) fn meta(&self) -> &Meta {
        match self {
            Self::Async(_, body) => body.meta(),
            Self::Blocking(body) => body.meta(),
        }
    }

    /// Everything up to the end, or up to the error.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Option<Error>) {
        let mut all = Vec::new();
        loop {
            match self.chunk() {
                Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                Ok(None) => return (all, None),
                Err(error) => return (all, Some(error)),
            }
        }
    }
}

/// A 200 whose body has this content type and these bytes.
pub(crate) fn body(content_type: &str, body: &'static [u8]) -> Answer {
    Answer::bytes(content_type, body)
}
