//! What a body says where its description says something else, read as what it means: a webhook that is
//! refused is an output lost.
//!
//! Functions for `#[serde(deserialize_with)]`, and one for what serde cannot read at all.

use std::collections::BTreeMap;

use baseten_core::JobError;
use serde::de::{DeserializeOwned, Error, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

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

pub(crate) fn errors<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<JobError>, D::Error> {
    Value::deserialize(deserializer).map(JobError::all_in)
}

/// A body again, in which the JSON that no value can hold stands as a text: nesting too deep, numbers
/// too large, halves of characters. `None` if it has none of that.
pub(crate) fn readable(body: &[u8]) -> Option<Vec<u8>> {
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).ok()?;
    let mut found = false;
    for (name, raw) in &mut members {
        // An output is never looked into.
        if name != "data" && serde_json::from_str::<Value>(raw.get()).is_err() {
            *raw = to_raw_value(raw.get()).ok()?;
            found = true;
        }
    }
    serde_json::to_vec(&members).ok().filter(|_| found)
}
