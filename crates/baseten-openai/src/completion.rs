//! Text that goes on from a prompt: the older API beside chat.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    CompletionDecoder, DecodeError, EngineOptions, Extra, FinishReason, Input, StopReason,
    StreamOptions, Usage, completion_stream, document, extra::extra_over_fields, lenient,
    response::finish_reason,
};

/// A request to `/v1/completions`.
///
/// ```
/// use baseten_openai::CompletionRequest;
///
/// let mut request = CompletionRequest::new("acme/base", "Once upon a time").max_tokens(16);
/// request.temperature = Some(0.7);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
#[non_exhaustive]
pub struct CompletionRequest {
    /// The served name of the model.
    pub model: String,
    /// What to go on from: text or tokens, one or several.
    pub prompt: Input,
    /// What comes after the gap, for models that can fill one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// The most tokens to generate. Servers default to as few as 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// 0 for the likeliest token each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The share of probability to choose from, above 0 and up to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// How many answers to each prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Texts at which to stop.
    #[serde(deserialize_with = "lenient::texts", skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Makes sampling repeatable, as far as the engine can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// For how many tokens at each place to give logarithms of probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
    /// Makes frequent tokens less likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// Makes tokens that were there less likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// Whether the answer comes as a stream of events. See [`CompletionRequest::streamed`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// What a stream holds beside the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// Who asks, for the server's statistics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What Baseten's engines take beyond OpenAI's fields.
    #[serde(flatten)]
    pub engine: EngineOptions,
    /// Members without a field; they win over the fields, as in a
    /// [`ChatRequest`](crate::ChatRequest).
    #[serde(flatten, skip_serializing)]
    pub extra: Extra,
}

extra_over_fields!(CompletionRequest);

impl CompletionRequest {
    /// A request to a model, by its served name, to go on from a prompt.
    pub fn new(model: impl Into<String>, prompt: impl Into<Input>) -> Self {
        Self { model: model.into(), prompt: prompt.into(), ..Self::default() }
    }

    /// The most tokens to generate.
    #[must_use]
    pub fn max_tokens(mut self, count: u64) -> Self {
        self.max_tokens = Some(count);
        self
    }

    /// Sets one member of the body, known to this crate or not.
    #[must_use]
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// The request for a stream, with the token counts in it unless `stream_options` says otherwise.
    #[must_use]
    pub fn streamed(mut self) -> Self {
        self.stream = Some(true);
        self.stream_options.get_or_insert_with(StreamOptions::with_usage);
        self
    }
}

/// An answer of `/v1/completions`, or one event of a streamed one: they have one shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CompletionResponse {
    /// The server's name for this answer.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// `text_completion`.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// When it was made, in seconds since 1970.
    #[serde(deserialize_with = "lenient::count", skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// The model that answered.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The answers: `n` to each prompt. In an event: what is new of them.
    #[serde(deserialize_with = "lenient::or_default")]
    pub choices: Vec<CompletionChoice>,
    /// How many tokens it took.
    #[serde(
        deserialize_with = "lenient::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub usage: Option<Usage>,
    /// The server's set-up.
    #[serde(deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub system_fingerprint: Option<String>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl CompletionResponse {
    /// Reads the body of an answer with status 200; see [`ChatResponse::decode`].
    ///
    /// # Errors
    /// As [`ChatResponse::decode`].
    ///
    /// [`ChatResponse::decode`]: crate::ChatResponse::decode
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let body = document::without_mark(body);
        let kind = if body.trim_ascii_start().starts_with(b"{") {
            match completion_stream::read_whole(body) {
                Ok(response) => return Ok(response),
                Err(kind) => kind,
            }
        } else {
            match CompletionDecoder::collect(body) {
                Ok(response) if response.choices.is_empty() => document::without_choices(body),
                Ok(response) => return Ok(response),
                Err(error) => error.into_parts().0,
            }
        };
        Err(DecodeError::of_stream("the answer", body, kind))
    }

    /// The text of the first answer; empty if there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        self.choices.first().map_or("", |choice| &choice.text)
    }
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CompletionChoice {
    /// Its place among the answers.
    #[serde(deserialize_with = "lenient::index")]
    pub index: u32,
    /// The text.
    #[serde(deserialize_with = "lenient::or_default")]
    pub text: String,
    /// Why it ended. Empty text counts as none.
    #[serde(deserialize_with = "finish_reason", skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// What stopped it, where that was a text or token of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// The logarithms of probabilities, in the server's form: mostly lists beside each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Value>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}
