//! What a body says where its description says something else, read as what it means: a webhook that is
//! refused is an output lost.
//!
//! Functions for `#[serde(deserialize_with)]`.

use baseten_core::{JobError, JobErrorCode};
use serde::de::{DeserializeOwned, Error, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::webhook::Event;

/// A text, or a type that reads one; `None` for `null`. What is no text is taken by its JSON: of a
/// number, the digits.
pub(crate) fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let text = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        json => json.to_string(),
    };
    T::deserialize(text.into_deserializer()).map(Some)
}

/// A text. Without one, a delivery that comes again could not be told from another.
pub(crate) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer)?.ok_or_else(|| D::Error::custom("the id is null"))
}

pub(crate) fn event<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Event, D::Error> {
    text(deserializer).map(|event| event.unwrap_or_else(Event::untold))
}

/// Whatever was told, told on: JSON too deep or with numbers too large for a value is one error with
/// all of it as its message.
pub(crate) fn errors<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<JobError>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(match serde_json::from_str(raw.get()) {
        Ok(errors) => JobError::all_in(errors),
        Err(_) => vec![JobError::new(JobErrorCode::Other(Box::default()), raw.get())],
    })
}
