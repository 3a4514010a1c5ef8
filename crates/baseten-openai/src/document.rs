//! JSON of a chat model, told apart from the errors that come in its place with status 200.

use baseten_core::ApiError;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

use crate::{
    ChatChunk, ChatResponse, Choice, ChunkChoice, DecodeError, Delta, Extra, FunctionDelta,
    StreamErrorKind, ToolCallDelta, reader::BYTE_ORDER_MARK,
};

/// JSON that an error may stand in for.
pub(crate) trait Document: DeserializeOwned {
    fn object(&self) -> &str;
    fn extra(&self) -> &Extra;
    /// It holds what it is there for, so it can only be an error if it says so itself.
    fn has_content(&self) -> bool;
    fn has_usage(&self) -> bool;
}

impl Document for ChatChunk {
    fn object(&self) -> &str {
        &self.object
    }

    fn extra(&self) -> &Extra {
        &self.extra
    }

    fn has_content(&self) -> bool {
        !self.choices.is_empty()
    }

    fn has_usage(&self) -> bool {
        self.usage.is_some()
    }
}

impl Document for ChatResponse {
    fn object(&self) -> &str {
        &self.object
    }

    fn extra(&self) -> &Extra {
        &self.extra
    }

    fn has_content(&self) -> bool {
        !self.choices.is_empty()
    }

    fn has_usage(&self) -> bool {
        self.usage.is_some()
    }
}

/// Reads JSON as `T`, unless it is one of the shapes of an error:
///
/// - `{"error": …}` that says something ([`says_something`]), whatever stands beside it;
/// - `{"object": "error", …}` of vLLM;
/// - without content: `{"type": "error", …}`, `{"detail": …}` of FastAPI, and a text as `message` with a
///   `code` or `type` (as an object it is Anthropic's `message_start`).
pub(crate) fn read<T: Document>(what: &'static str, body: &[u8]) -> Result<T, StreamErrorKind> {
    let Ok(text) = str::from_utf8(body) else {
        let error = DecodeError::of_shape(what, body, "is not UTF-8");
        return Err(StreamErrorKind::Undecodable(error));
    };
    match serde_json::from_str::<T>(text) {
        Ok(document) if !is_error(&document) => Ok(document),
        Ok(_) => Err(StreamErrorKind::Failed(ApiError::parse(body))),
        Err(source) => Err(match serde_json::from_str::<Value>(text) {
            Ok(value) if value.get("error").is_some_and(says_something) => {
                StreamErrorKind::Failed(ApiError::from_value(value))
            }
            _ => StreamErrorKind::Undecodable(DecodeError::of_json(what, text, source)),
        }),
    }
}

/// Reads a whole answer as `T`. Unlike an event of a stream it must have its `choices`: an object
/// without them is no answer, and read as one it would pass for an empty text.
pub(crate) fn whole<T: Document>(body: &[u8]) -> Result<T, StreamErrorKind> {
    let document: T = read(WHOLE, body)?;
    if document.has_content() || tells_choices(body) {
        return Ok(document);
    }
    Err(without_choices(body))
}

/// Whether there are `choices`, be they none.
pub(crate) fn tells_choices(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Choices {
        choices: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Choices>(body).is_ok_and(|told| told.choices.is_some())
}

/// Whether an event with a name of its own is one of the answer all the same: it has choices, or says
/// that there are none and what the answer took. Events of other APIs have usage without choices.
pub(crate) fn is_chunk<T: Document>(event: &T, body: &[u8]) -> bool {
    event.has_content() || event.has_usage() && tells_choices(body)
}

/// What an answer without choices comes to, be it an object or a stream of events.
pub(crate) fn without_choices(body: &[u8]) -> StreamErrorKind {
    StreamErrorKind::Undecodable(DecodeError::of_shape(WHOLE, body, "has no `choices`"))
}

/// A body without its byte order mark.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

const WHOLE: &str = "the answer";

/// Reads a list, which an object can only stand in for as an error.
pub(crate) fn list<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, DecodeError> {
    serde_json::from_slice(body).map_err(|source| not_read(body, source))
}

/// Why an answer could not be read: it is an error of the server's, or something else.
pub(crate) fn not_read(body: &[u8], source: serde_json::Error) -> DecodeError {
    match error_in(body) {
        Some(error) => DecodeError::of_api(WHOLE, body, error),
        None => DecodeError::of_json(WHOLE, body, source),
    }
}

/// The error that a body is, where that was not the JSON it should be.
pub(crate) fn error_in(body: &[u8]) -> Option<ApiError> {
    let anything: Anything = serde_json::from_slice(body).ok()?;
    is_error(&anything).then(|| ApiError::parse(body))
}

#[derive(Deserialize)]
struct Anything {
    #[serde(default)]
    object: String,
    #[serde(flatten)]
    extra: Extra,
}

impl Document for Anything {
    fn object(&self) -> &str {
        &self.object
    }

    fn extra(&self) -> &Extra {
        &self.extra
    }

    fn has_content(&self) -> bool {
        false
    }

    fn has_usage(&self) -> bool {
        false
    }
}

fn is_error<T: Document>(document: &T) -> bool {
    let extra = document.extra();
    let has = |name: &str| extra.get(name).is_some_and(says_something);
    if has("error") || document.object() == "error" {
        return true;
    }
    let of_type = extra.get("type").and_then(Value::as_str);
    !document.has_content()
        && (of_type == Some("error")
            || has("detail")
            || extra.get("message").is_some_and(Value::is_string) && (has("code") || has("type")))
}

/// Whether it is more than the ways to say that there is nothing: `null`, `false`, and what is empty.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// Reads a whole answer. Where a choice has a `delta` and no `message`, as one schema of Baseten's
/// has it, the `delta` is the message.
pub(crate) fn chat(body: &[u8]) -> Result<ChatResponse, StreamErrorKind> {
    let mut response: ChatResponse = whole(body)?;
    for choice in response.choices.iter_mut().filter(|choice| choice.message == <_>::default()) {
        let delta = choice.extra.get("delta").cloned();
        if let Some(message) = delta.and_then(|delta| serde_json::from_value(delta).ok()) {
            choice.message = message;
            choice.extra.remove("delta");
        }
    }
    Ok(response)
}

/// A whole answer as the only chunk of a stream.
pub(crate) fn as_chunk(response: &ChatResponse) -> ChatChunk {
    ChatChunk {
        id: response.id.clone(),
        object: response.object.clone(),
        created: response.created,
        model: response.model.clone(),
        choices: response.choices.iter().map(as_chunk_choice).collect(),
        usage: response.usage.clone(),
        system_fingerprint: response.system_fingerprint.clone(),
        service_tier: response.service_tier.clone(),
        extra: response.extra.clone(),
    }
}

fn as_chunk_choice(choice: &Choice) -> ChunkChoice {
    let message = &choice.message;
    let calls = message.tool_calls.iter().zip(0..).map(|(call, index)| ToolCallDelta {
        index: Some(index),
        id: Some(call.id.clone()),
        kind: Some(call.kind.clone()),
        function: FunctionDelta {
            name: Some(call.function.name.clone()),
            arguments: call.function.arguments.clone(),
            extra: call.function.extra.clone(),
        },
        extra: call.extra.clone(),
    });
    let delta = Delta {
        role: Some(message.role.clone()),
        content: message.content.as_ref().map(|content| content.text().into_owned()),
        reasoning_content: message.reasoning_content.clone(),
        reasoning: message.reasoning.clone(),
        refusal: message.refusal.clone(),
        tool_calls: calls.collect(),
        extra: message.extra.clone(),
    };
    ChunkChoice {
        index: choice.index,
        delta,
        finish_reason: choice.finish_reason.clone(),
        stop_reason: choice.stop_reason.clone(),
        logprobs: choice.logprobs.clone(),
        extra: choice.extra.clone(),
    }
}
