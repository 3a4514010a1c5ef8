//! What a chat model answered.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::{
    ChatDecoder, DecodeError, Extra, Message, ToolCall, Usage, document, lenient,
    open_enum::open_enum,
};

/// A whole answer of `/v1/chat/completions`, or one collected from a stream.
///
/// Members that are missing or `null` are empty here; unknown ones are in `extra`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ChatResponse {
    /// The server's name for this answer.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// `chat.completion`.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// When it was made, in seconds since 1970.
    #[serde(deserialize_with = "lenient::count", skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// The model that answered.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The answers: as many as `n` asked for.
    #[serde(deserialize_with = "lenient::or_default")]
    pub choices: Vec<Choice>,
    /// How many tokens it took.
    #[serde(
        deserialize_with = "lenient::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub usage: Option<Usage>,
    /// The server's set-up.
    #[serde(deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub system_fingerprint: Option<String>,
    /// The class of service that was given.
    #[serde(deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ChatResponse {
    /// Reads the body of an answer with status 200. A server that streams though it was not asked to
    /// is read as well: its events are collected.
    ///
    /// # Errors
    /// [`DecodeError`] if the body is not the JSON of an answer (an object without `choices` is none,
    /// nor is a stream, though it ends with `[DONE]`; an empty list of them in an object is taken at its
    /// word), or an error of the server's in its place
    /// ([`DecodeError::api`]), or a stream that did not finish.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let body = document::without_mark(body);
        let kind = if body.trim_ascii_start().starts_with(b"{") {
            match document::chat(body) {
                Ok(response) => return Ok(response),
                Err(kind) => kind,
            }
        } else {
            match ChatDecoder::collect(body) {
                Ok(response) if response.choices.is_empty() => document::without_choices(body),
                Ok(response) => return Ok(response),
                Err(error) => error.into_parts().0,
            }
        };
        Err(DecodeError::of_stream("the answer", body, kind))
    }

    /// The message of the first answer, as it goes back into the history.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        self.choices.first().map(|choice| &choice.message)
    }

    /// The text of the first answer; empty if there is none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.message().map_or(Cow::Borrowed(""), Message::text)
    }

    /// The thinking behind the first answer.
    #[must_use]
    pub fn reasoning(&self) -> Option<&str> {
        self.message()?.reasoning()
    }

    /// The calls that the first answer wants made.
    #[must_use]
    pub fn tool_calls(&self) -> &[ToolCall] {
        self.message().map_or(&[], |message| &message.tool_calls)
    }

    /// Why the first answer ended.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&FinishReason> {
        self.choices.first()?.finish_reason.as_ref()
    }
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Choice {
    /// Its place among the answers.
    #[serde(deserialize_with = "lenient::index")]
    pub index: u32,
    /// The answer.
    #[serde(deserialize_with = "lenient::or_default")]
    pub message: Message,
    /// Why it ended. Empty text counts as none.
    #[serde(deserialize_with = "finish_reason", skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// What stopped it, where that was a text or token of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// The logarithms of probabilities, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Logprobs>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

open_enum! {
    /// Why an answer ended.
    pub enum FinishReason {
        /// The model was done, or came to a stop text.
        Stop = "stop",
        /// `max_tokens` or the context was used up: the answer is cut off.
        Length = "length",
        /// It wants tools called.
        ToolCalls = "tool_calls",
        /// A filter held the rest back.
        ContentFilter = "content_filter",
    }
    or number
    /// A number in place of a word, in its digits; written back as a number.
    Code
}

/// Empty text is no reason.
pub(crate) fn finish_reason<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<FinishReason>, D::Error> {
    let reason: Option<FinishReason> = Option::deserialize(deserializer)?;
    Ok(reason.filter(|reason| !reason.as_str().is_empty()))
}

/// What stopped an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum StopReason {
    /// The id of a token.
    Token(i64),
    /// A text.
    Text(String),
}

impl<'de> Deserialize<'de> for StopReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self::Text(text)),
            value => value.as_i64().map(Self::Token).ok_or_else(|| {
                de::Error::custom(format_args!(
                    "a reason to stop that is no text or token: {value}"
                ))
            }),
        }
    }
}

/// The logarithms of probabilities, token by token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Logprobs {
    /// Of the content.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<TokenLogprob>,
    /// Of the refusal.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub refusal: Vec<TokenLogprob>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A token and how likely it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TokenLogprob {
    /// The token's text.
    #[serde(deserialize_with = "lenient::or_default")]
    pub token: String,
    /// The natural logarithm of its probability; minus infinity where the server wrote `null`.
    #[serde(deserialize_with = "lenient::logarithm")]
    pub logprob: f64,
    /// Its bytes, which may be part of a character.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
    /// The likeliest tokens at this place, if asked for.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub top_logprobs: Vec<Self>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}
