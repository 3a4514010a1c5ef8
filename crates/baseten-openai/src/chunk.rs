//! One event of a streamed answer.

use serde::{Deserialize, Serialize};

use crate::{
    Extra, FinishReason, Logprobs, Role, StopReason, Usage, lenient, message::one_of,
    response::finish_reason,
};

/// One event of a streamed answer: what is new since the event before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ChatChunk {
    /// The server's name for the answer, the same in all events.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// `chat.completion.chunk`.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// When the answer was begun, in seconds since 1970.
    #[serde(deserialize_with = "lenient::count", skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// The model that answers.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// What is new, answer by answer. Empty in an event that only tells usage.
    #[serde(deserialize_with = "lenient::few")]
    pub choices: Vec<ChunkChoice>,
    /// How many tokens it took so far: the last one told counts, they are not to be added up.
    #[serde(
        deserialize_with = "lenient::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub usage: Option<Usage>,
    /// The server's set-up.
    #[serde(deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub system_fingerprint: Option<String>,
    /// The class of service that is given.
    #[serde(deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ChatChunk {
    /// What is new of the first answer; `None` if this event tells nothing of it.
    #[must_use]
    pub fn delta(&self) -> Option<&Delta> {
        self.choices.iter().find(|choice| choice.index == 0).map(|choice| &choice.delta)
    }

    /// The new text of the first answer; empty if there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        self.delta().and_then(|delta| delta.content.as_deref()).unwrap_or_default()
    }

    /// The new thinking of the first answer.
    #[must_use]
    pub fn reasoning(&self) -> Option<&str> {
        self.delta()?.reasoning()
    }
}

/// What is new of one answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ChunkChoice {
    /// Its place among the answers.
    #[serde(deserialize_with = "lenient::index")]
    pub index: u32,
    /// What is new.
    #[serde(deserialize_with = "lenient::or_default")]
    pub delta: Delta,
    /// Why it ended; until then `None`. Empty text counts as none.
    #[serde(deserialize_with = "finish_reason", skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// What stopped it, where that was a text or token of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// The logarithms of probabilities of the new tokens, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Logprobs>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ChunkChoice {
    /// Whether the model wrote something here. A token that is only a part of a character may have
    /// its probability and no text yet.
    pub(crate) fn is_written(&self) -> bool {
        let Delta { content, reasoning_content, reasoning, refusal, tool_calls, .. } = &self.delta;
        let texts = [content, reasoning_content, reasoning, refusal];
        texts.into_iter().flatten().any(|text| !text.is_empty())
            || !tool_calls.is_empty()
            || self.logprobs.as_ref().is_some_and(|logprobs| !logprobs.content.is_empty())
    }
}

/// The new parts of a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Delta {
    /// Who speaks; mostly in the first event only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// New text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// New thinking, in one spelling. See [`Delta::reasoning`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// New thinking, in the other spelling. See [`Delta::reasoning`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// New text of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// New tool calls and new parts of them.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallDelta>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Delta {
    /// The new thinking under whichever name the server gave it.
    #[must_use]
    pub fn reasoning(&self) -> Option<&str> {
        one_of(&self.reasoning_content, &self.reasoning)
    }
}

/// A new tool call, or more of one. Servers differ in what names the call; use
/// [`ChatCollector`](crate::ChatCollector) to put calls together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ToolCallDelta {
    /// Which call, by its place.
    #[serde(deserialize_with = "lenient::optional_index", skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Which call, by its id; often in its first part only.
    #[serde(deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `function`, or another kind of tool.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The function's part.
    #[serde(deserialize_with = "lenient::or_default")]
    pub function: FunctionDelta,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A part of a function call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct FunctionDelta {
    /// The function's name; mostly in the first part only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More of the arguments' text.
    #[serde(deserialize_with = "lenient::json_text", skip_serializing_if = "String::is_empty")]
    pub arguments: String,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}
