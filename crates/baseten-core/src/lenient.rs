//! What the platform says where its description says something else, read as what it means.
//!
//! Functions for `#[serde(deserialize_with)]`. They take more than one spelling of a value, and never
//! guess one that was not there.

use serde::de::{DeserializeOwned, Error, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A text, or a type that reads one; `None` for `null`. What is no text is taken by its JSON: of a
/// number, the digits.
pub(crate) fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let text = text_of(Value::deserialize(deserializer)?);
    text.map(|text| T::deserialize(text.into_deserializer())).transpose()
}

/// The same; `null` is the default.
pub(crate) fn text_or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    text(deserializer).map(Option::unwrap_or_default)
}

/// A count, also in quotes.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let count = match &value {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    };
    count.ok_or_else(|| D::Error::custom(format_args!("{value} is no count")))
}

/// As [`text`], of a value that was read already.
pub(crate) fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        json => Some(json.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Odd {
        #[serde(deserialize_with = "text")]
        text: Option<String>,
        #[serde(deserialize_with = "text_or_default")]
        word: String,
        #[serde(deserialize_with = "count")]
        count: u64,
    }

    #[test]
    fn odd_spellings_are_read() {
        let some = |text: &str| Odd { text: Some(text.into()), ..Odd::default() };
        for (json, expect) in [
            ("{}", Odd::default()),
            (r#"{"text":null,"word":null}"#, Odd::default()),
            (r#"{"text":"a"}"#, some("a")),
            (r#"{"text":""}"#, some("")), // said, and empty
            (r#"{"text":-12}"#, some("-12")),
            (r#"{"text":true}"#, some("true")),
            (r#"{"text":{"a":[1,null]}}"#, some(r#"{"a":[1,null]}"#)),
            (
                r#"{"word":18446744073709551615}"#,
                Odd { word: u64::MAX.to_string(), ..Odd::default() },
            ),
            (r#"{"count":7}"#, Odd { count: 7, ..Odd::default() }),
            (r#"{"count":"7"}"#, Odd { count: 7, ..Odd::default() }),
        ] {
            assert_eq!(serde_json::from_str::<Odd>(json).unwrap(), expect, "{json}");
        }
        for (json, told) in [
            (r#"{"count":-1}"#, "-1 is no count"),
            (r#"{"count":"many"}"#, r#""many" is no count"#),
            (r#"{"count":null}"#, "null is no count"), // nothing is not none
        ] {
            let error = serde_json::from_str::<Odd>(json).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
