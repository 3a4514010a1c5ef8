//! An OpenAI-compatible server: the engine of a deployment, the Model APIs, or a gateway.

use std::sync::Arc;

use baseten_core::{Access, Answer, CallOptions, Error, Response, Target, Template};
use baseten_openai::{
    ChatDecoder, ChatRequest, ChatResponse, CompletionDecoder, CompletionRequest,
    CompletionResponse, EmbeddingRequest, EmbeddingResponse, ModelSpan, ServedModel, Summary,
    ToolRun, read,
};
use http::Method;
use serde::Serialize;

use crate::client::Shared;
use crate::deployment::Deployment;
use crate::event_stream::{ChatStream, CompletionStream, EventStream};
use crate::request::RequestBuilder;

/// Calls an OpenAI-compatible server. From [`crate::Model::openai`] or
/// [`crate::Client::model_apis`]; cheap to clone.
///
/// ```no_run
/// # fn example(client: baseten_blocking::Client) -> Result<(), baseten_blocking::Error> {
/// use baseten_blocking::openai::{ChatRequest, Message};
/// let chat = client.model("abcd1234")?.openai()?;
/// let request = ChatRequest::new("org/model", [Message::user("Why is the sky blue?")]);
/// println!("{}", chat.chat(&request)?.value.text());
///
/// let mut stream = chat.chat_stream(&request)?;
/// while let Some(text) = stream.text()? {
///     print!("{text}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct OpenAi {
    client: Arc<Shared>,
    access: Access,
    target: Option<Target>,
    options: CallOptions,
    chat: Template,
}

const CHAT: &str = "chat/completions";

impl OpenAi {
    /// The engine of a deployment.
    pub(crate) fn of(at: &Deployment) -> Result<Self, Error> {
        let Deployment { client, access, target, options } = at.clone();
        let chat = access.openai(Some(&target), Method::POST, CHAT, Answer::Bytes)?;
        Ok(Self { client, access, target: Some(target), options, chat })
    }

    /// The Model APIs, or what stands in their place.
    pub(crate) fn shared(client: Arc<Shared>) -> Result<Self, Error> {
        let (access, options) = (client.access.clone(), client.options.clone());
        let chat = access.openai(None, Method::POST, CHAT, Answer::Bytes)?;
        Ok(Self { client, access, target: None, options, chat })
    }

    /// Clocks, retries and limits of calls made through this value.
    #[must_use]
    pub fn options(self, options: CallOptions) -> Self {
        Self { options, ..self }
    }

    /// Adds or replaces a header of every call made through this value; see [`crate::Model::header`].
    ///
    /// # Errors
    /// As there.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.access = self.access.header(name, value)?;
        self.chat = self.chat.header(name, value)?;
        Ok(self)
    }

    /// Adds a name and a value to the query of every call made through this value; see
    /// [`crate::Model::query`].
    ///
    /// # Errors
    /// As there.
    pub fn query(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.access = self.access.query(name, value);
        self.chat = self.chat.query(name, value)?;
        Ok(self)
    }

    /// An id of the caller's own for every call made through this value; see
    /// [`crate::Model::request_id`].
    ///
    /// # Errors
    /// As there.
    pub fn request_id(mut self, id: &str) -> Result<Self, Error> {
        self.access = self.access.request_id(id)?;
        self.chat = self.chat.request_id(id)?;
        Ok(self)
    }

    /// A request to any route of this server below its `v1`, with settings for one call:
    /// `audio/transcriptions`, say. For one chat with settings of its own, clone this: that is cheap.
    pub fn request(&self, method: Method, route: impl AsRef<str>) -> RequestBuilder {
        let request = self.access.openai_request(self.target.as_ref(), method, route.as_ref());
        RequestBuilder::new(self.client.transport.clone(), request, self.options.clone())
    }

    /// Asks for a chat answer in one piece.
    ///
    /// # Errors
    /// Whatever the call came to; [`baseten_core::ErrorKind::Decode`] for an answer that is none, with
    /// its body in the error.
    pub fn chat(&self, request: &ChatRequest) -> Result<Response<ChatResponse>, Error> {
        let span = ModelSpan::chat(request, false);
        let request = span.on(self.chat.json(request)?);
        let answer = self.client.transport.fetch(&request, &self.options);
        span.end(answer.and_then(|answer| read(answer, ChatResponse::decode)))
    }

    /// Asks for a chat answer event by event, with token counts at its end. Dropping the stream stops
    /// the call.
    ///
    /// # Errors
    /// Whatever the call came to, up to the head of the answer.
    pub fn chat_stream(&self, request: &ChatRequest) -> Result<ChatStream, Error> {
        let template = self.chat.clone().answering(Answer::Stream);
        let span = ModelSpan::chat(request, true);
        let sent = span.on(template.json(&request.clone().streamed())?);
        let body = self.client.transport.send(&sent, &self.options)?;
        let decoder = ChatDecoder::for_request(request);
        Ok(EventStream::new(body, decoder, self.options.limits, span))
    }

    /// Asks, makes the calls that the model wants made, tells it their results and asks again, until
    /// it wants no more: that answer comes back. [`ToolRun::end`] says whether it is one, or the rounds
    /// were used up; after an error, the same run goes on where it was.
    ///
    /// # Errors
    /// As [`OpenAi::chat`], from any of the answers.
    pub fn run_tools(&self, run: &mut ToolRun<'_>) -> Result<Response<ChatResponse>, Error> {
        loop {
            let response = self.chat(run.request())?;
            if !run.advance(&response.value) {
                return Ok(response);
            }
        }
    }

    /// Asks for a text to be completed, in one piece.
    ///
    /// # Errors
    /// As [`OpenAi::chat`].
    pub fn completion(
        &self,
        request: &CompletionRequest,
    ) -> Result<Response<CompletionResponse>, Error> {
        let span = ModelSpan::completion(request, false);
        self.ask("completions", request, span, CompletionResponse::decode)
    }

    /// Asks for a text to be completed, event by event.
    ///
    /// # Errors
    /// As [`OpenAi::chat_stream`].
    pub fn completion_stream(
        &self,
        request: &CompletionRequest,
    ) -> Result<CompletionStream, Error> {
        let template = self.template(Method::POST, "completions", Answer::Stream)?;
        let span = ModelSpan::completion(request, true);
        let sent = span.on(template.json(&request.clone().streamed())?);
        let body = self.client.transport.send(&sent, &self.options)?;
        let decoder = CompletionDecoder::for_request(request);
        Ok(EventStream::new(body, decoder, self.options.limits, span))
    }

    /// Asks for the vectors of texts. A server that refuses the encoding asked for (base64 unless
    /// [`EmbeddingRequest::as_numbers`]) is asked again for numbers.
    ///
    /// # Errors
    /// As [`OpenAi::chat`].
    pub fn embeddings(
        &self,
        request: &EmbeddingRequest,
    ) -> Result<Response<EmbeddingResponse>, Error> {
        let span = ModelSpan::embeddings(request);
        match self.ask("embeddings", request, span, EmbeddingResponse::decode) {
            Err(error) => match request.instead(&error) {
                Some(numbers) => {
                    let span = ModelSpan::embeddings(&numbers);
                    self.ask("embeddings", &numbers, span, EmbeddingResponse::decode)
                }
                None => Err(error),
            },
            answered => answered,
        }
    }

    /// Asks which models are served.
    ///
    /// # Errors
    /// As [`OpenAi::chat`].
    pub fn models(&self) -> Result<Response<Vec<ServedModel>>, Error> {
        let request = self.template(Method::GET, "models", Answer::Bytes)?.empty();
        let answer = self.client.transport.fetch(&request, &self.options)?;
        read(answer, ServedModel::decode)
    }

    fn ask<T: Summary>(
        &self,
        route: &str,
        request: &impl Serialize,
        span: ModelSpan,
        decode: fn(&[u8]) -> Result<T, baseten_openai::DecodeError>,
    ) -> Result<Response<T>, Error> {
        let request = span.on(self.template(Method::POST, route, Answer::Bytes)?.json(request)?);
        let answer = self.client.transport.fetch(&request, &self.options);
        span.end(answer.and_then(|answer| read(answer, decode)))
    }

    fn template(&self, method: Method, route: &str, answer: Answer) -> Result<Template, Error> {
        self.access.openai(self.target.as_ref(), method, route, answer)
    }
}
