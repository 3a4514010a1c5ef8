//! An OpenAI-compatible server through both facades, behind one face.

use std::sync::Arc;

use baseten::openai::{
    ChatRequest, ChatResponse, Collect, CompletionRequest, CompletionResponse, EmbeddingRequest,
    EmbeddingResponse, FinishReason, ServedModel, StreamEnd, Usage,
};
use baseten::{CallOptions, Error, Response};
use tokio::runtime::Runtime;

/// A client of one of the facades, for an engine or a gateway.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    Async(Arc<Runtime>, baseten::OpenAi),
    Blocking(baseten_blocking::OpenAi),
}

/// An answer, event by event.
pub(crate) enum Events<C: Collect> {
    Async(Arc<Runtime>, baseten::EventStream<C>),
    Blocking(baseten_blocking::EventStream<C>),
}

pub(crate) type ChatEvents = Events<baseten::openai::ChatStream>;
pub(crate) type CompletionEvents = Events<baseten::openai::CompletionStream>;

impl Engine {
    /// The same client with other options.
    pub(crate) fn options(self, options: CallOptions) -> Self {
        match self {
            Self::Async(runtime, openai) => Self::Async(runtime, openai.options(options)),
            Self::Blocking(openai) => Self::Blocking(openai.options(options)),
        }
    }

    pub(crate) fn chat(&self, request: &ChatRequest) -> Result<Response<ChatResponse>, Error> {
        match self {
            Self::Async(runtime, openai) => runtime.block_on(openai.chat(request)),
            Self::Blocking(openai) => openai.chat(request),
        }
    }

    pub(crate) fn chat_stream(&self, request: &ChatRequest) -> Result<ChatEvents, Error> {
        match self {
            Self::Async(runtime, openai) => {
                let stream = runtime.block_on(openai.chat_stream(request))?;
                Ok(Events::Async(runtime.clone(), stream))
            }
            Self::Blocking(openai) => Ok(Events::Blocking(openai.chat_stream(request)?)),
        }
    }

    pub(crate) fn completion(
        &self,
        request: &CompletionRequest,
    ) -> Result<Response<CompletionResponse>, Error> {
        match self {
            Self::Async(runtime, openai) => runtime.block_on(openai.completion(request)),
            Self::Blocking(openai) => openai.completion(request),
        }
    }

    pub(crate) fn completion_stream(
        &self,
        request: &CompletionRequest,
    ) -> Result<CompletionEvents, Error> {
        match self {
            Self::Async(runtime, openai) => {
                let stream = runtime.block_on(openai.completion_stream(request))?;
                Ok(Events::Async(runtime.clone(), stream))
            }
            Self::Blocking(openai) => Ok(Events::Blocking(openai.completion_stream(request)?)),
        }
    }

    pub(crate) fn embeddings(
        &self,
        request: &EmbeddingRequest,
    ) -> Result<Response<EmbeddingResponse>, Error> {
        match self {
            Self::Async(runtime, openai) => runtime.block_on(openai.embeddings(request)),
            Self::Blocking(openai) => openai.embeddings(request),
        }
    }

    pub(crate) fn models(&self) -> Result<Response<Vec<ServedModel>>, Error> {
        match self {
            Self::Async(runtime, openai) => runtime.block_on(openai.models()),
            Self::Blocking(openai) => openai.models(),
        }
    }
}

impl<C: Collect> Events<C> {
    pub(crate) fn chunk(&mut self) -> Result<Option<&C::Chunk>, Error> {
        match self {
            Self::Async(runtime, stream) => runtime.block_on(stream.chunk()),
            Self::Blocking(stream) => stream.chunk(),
        }
    }

    /// What has come so far, put together.
    pub(crate) fn partial(&self) -> &C::Answer {
        match self {
            Self::Async(_, stream) => stream.partial(),
            Self::Blocking(stream) => stream.partial(),
        }
    }

    pub(crate) fn end(&self) -> Option<StreamEnd> {
        match self {
            Self::Async(_, stream) => stream.end(),
            Self::Blocking(stream) => stream.end(),
        }
    }

    pub(crate) fn collect(self) -> Result<Response<C::Answer>, Error> {
        match self {
            Self::Async(runtime, stream) => runtime.block_on(stream.collect()),
            Self::Blocking(stream) => stream.collect(),
        }
    }
}

/// Why an answer ended, and what it took.
pub(crate) fn ending(answer: &ChatResponse) -> String {
    format!("{}, {}", reason(answer), tokens(&answer.usage))
}

pub(crate) fn reason(answer: &ChatResponse) -> String {
    format!("{:?}", answer.finish_reason().map_or("", FinishReason::as_str))
}

pub(crate) fn tokens(usage: &Option<Usage>) -> String {
    let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let usage = usage.clone().unwrap_or_default();
    let [prompt, made, all] =
        [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens].map(count);
    format!("{prompt} + {made} = {all} tokens")
}
