//! The span of a call to a model, with the names of OpenTelemetry's conventions for generative AI.
//!
//! The call itself fills in what is HTTP's; here is what was asked and what came of it. Neither messages
//! nor answers are told, nor who asked.

use std::time::Duration;

use baseten_core::{CallSpan, Error, Request, Response};
use tracing::field::Empty;
use tracing::{Level, Span, span};

use crate::{ChatRequest, CompletionRequest, EmbeddingRequest, StreamTimings, Summary};

/// Tells of one call to a model.
#[derive(Debug)]
pub struct ModelSpan(Span);

impl ModelSpan {
    /// A chat, as it begins.
    #[must_use]
    pub fn chat(request: &ChatRequest, streamed: bool) -> Self {
        let span = Self::begin("chat", &request.model, streamed);
        let max_tokens = request.max_completion_tokens.or(request.max_tokens);
        span.note("gen_ai.request.max_tokens", max_tokens);
        span.note("gen_ai.request.temperature", request.temperature);
        span.note("gen_ai.request.top_p", request.top_p);
        span.note("gen_ai.request.frequency_penalty", request.frequency_penalty);
        span.note("gen_ai.request.presence_penalty", request.presence_penalty);
        span.note("gen_ai.request.seed", request.seed);
        span.note("gen_ai.request.choice.count", request.n.filter(|n| *n != 1));
        span
    }

    /// A completion, as it begins.
    #[must_use]
    pub fn completion(request: &CompletionRequest, streamed: bool) -> Self {
        let span = Self::begin("text_completion", &request.model, streamed);
        span.note("gen_ai.request.max_tokens", request.max_tokens);
        span.note("gen_ai.request.temperature", request.temperature);
        span.note("gen_ai.request.top_p", request.top_p);
        span.note("gen_ai.request.frequency_penalty", request.frequency_penalty);
        span.note("gen_ai.request.presence_penalty", request.presence_penalty);
        span.note("gen_ai.request.seed", request.seed);
        span.note("gen_ai.request.choice.count", request.n.filter(|n| *n != 1));
        span
    }

    /// A request for vectors, as it begins.
    #[must_use]
    pub fn embeddings(request: &EmbeddingRequest) -> Self {
        let span = Self::begin("embeddings", &request.model, false);
        let format =
            request.encoding_format.as_ref().map(|format| format!("[{:?}]", format.as_str()));
        span.note("gen_ai.request.encoding_formats", format.as_deref());
        span.note("gen_ai.embeddings.dimension.count", request.dimensions);
        span
    }

    /// The request, its call told in this span.
    #[must_use]
    pub fn on(&self, request: Request) -> Request {
        request.in_span(&CallSpan::new(self.0.clone()))
    }

    /// What came of the call.
    ///
    /// # Errors
    /// The one that was handed in.
    pub fn end<T: Summary>(self, answer: Result<Response<T>, Error>) -> Result<Response<T>, Error> {
        match &answer {
            Ok(answer) => self.answered(&answer.value),
            Err(error) => self.failed(error),
        }
        answer
    }

    /// What came of a stream: what it has said, when, and how it failed if it did.
    pub fn end_stream<T: Summary>(self, answer: &T, timings: StreamTimings, error: Option<&Error>) {
        self.answered(answer);
        let first = (timings.first > Duration::ZERO).then_some(timings.first.as_secs_f64());
        self.note("gen_ai.response.time_to_first_chunk", first);
        if let Some(error) = error {
            self.failed(error);
        }
    }

    fn begin(operation: &'static str, model: &str, streamed: bool) -> Self {
        let span = span!(
            target: "baseten",
            Level::INFO,
            "call",
            "otel.name" = format_args!("{operation} {model}"),
            "otel.kind" = "client",
            "otel.status_code" = Empty,
            "gen_ai.operation.name" = operation,
            "gen_ai.provider.name" = "baseten",
            "gen_ai.request.model" = Empty,
            "gen_ai.request.stream" = Empty,
            "gen_ai.request.max_tokens" = Empty,
            "gen_ai.request.temperature" = Empty,
            "gen_ai.request.top_p" = Empty,
            "gen_ai.request.frequency_penalty" = Empty,
            "gen_ai.request.presence_penalty" = Empty,
            "gen_ai.request.seed" = Empty,
            "gen_ai.request.choice.count" = Empty,
            "gen_ai.request.encoding_formats" = Empty,
            "gen_ai.embeddings.dimension.count" = Empty,
            "gen_ai.response.id" = Empty,
            "gen_ai.response.model" = Empty,
            "gen_ai.response.finish_reasons" = Empty,
            "gen_ai.response.time_to_first_chunk" = Empty,
            "gen_ai.usage.input_tokens" = Empty,
            "gen_ai.usage.output_tokens" = Empty,
            "gen_ai.usage.cache_read.input_tokens" = Empty,
            "gen_ai.usage.reasoning.output_tokens" = Empty,
            "server.address" = Empty,
            "server.port" = Empty,
            "http.request.method" = Empty,
            "http.response.status_code" = Empty,
            "http.request.resend_count" = Empty,
            "error.type" = Empty,
        );
        let span = Self(span);
        span.note("gen_ai.request.model", some(model));
        span.note("gen_ai.request.stream", streamed.then_some(true));
        span
    }

    fn answered(&self, answer: &impl Summary) {
        if self.0.is_disabled() {
            return;
        }
        self.note("gen_ai.response.id", some(answer.id()));
        self.note("gen_ai.response.model", some(answer.model()));
        let reasons = answer.finish_reasons();
        let reasons = (!reasons.is_empty()).then(|| format!("{reasons:?}"));
        self.note("gen_ai.response.finish_reasons", reasons.as_deref());
        if let Some(usage) = answer.usage() {
            self.note("gen_ai.usage.input_tokens", usage.prompt_tokens);
            self.note("gen_ai.usage.output_tokens", usage.completion_tokens);
            self.note("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens());
            self.note("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens());
        }
    }

    fn failed(&self, error: &Error) {
        self.0.record("error.type", error.error_type());
        self.0.record("otel.status_code", "ERROR");
    }

    fn note<V: tracing::Value>(&self, name: &'static str, value: Option<V>) {
        if let Some(value) = value {
            self.0.record(name, value);
        }
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
