//! What servers send where the schema says something else, read as what they mean.
//!
//! Functions for `#[serde(deserialize_with)]`. They accept more than one spelling of a value; they
//! never guess a value that was not there.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use serde_json::Value;

/// `null` is the default.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Text; also a number, and `null` for the empty text.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Text)
}

/// A count; also a float, a count in quotes, and `null` for none.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_any(Count)
}

/// A logarithm; `null` for minus infinity, which JSON cannot write.
pub(crate) fn logarithm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NEG_INFINITY))
}

/// JSON in a text; also the JSON itself, and `null` for the empty text.
pub(crate) fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => String::new(),
        Value::String(text) => text,
        json => json.to_string(),
    })
}

/// Texts; also a single one, and `null` for none.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(Texts)
}

struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<String, E> {
        Ok(String::new())
    }
}

struct Count;

impl Visitor<'_> for Count {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count, zero or more")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        if number >= 0.0 {
            return Ok(Some(number as u64)); // saturates, as `as` does
        }
        Err(E::invalid_value(de::Unexpected::Float(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let number: f64 =
            text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
        text.parse().map_or_else(|_| self.visit_f64(number), |number| Ok(Some(number)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or an array of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Odd {
        #[serde(deserialize_with = "super::text")]
        text: String,
        #[serde(deserialize_with = "super::count")]
        count: Option<u64>,
        #[serde(deserialize_with = "super::texts")]
        texts: Vec<String>,
        #[serde(deserialize_with = "super::or_default")]
        list: Vec<u8>,
        #[serde(deserialize_with = "super::logarithm")]
        logarithm: f64,
    }

    #[test]
    fn odd_spellings_are_read() {
        let odd = |json: &str| serde_json::from_str::<Odd>(json).unwrap();
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        for (json, expected) in [
            (r#"{}"#, Odd::default()),
            (r#"{"text":null,"count":null,"texts":null,"list":null}"#, Odd::default()),
            (r#"{"text":"a"}"#, Odd { text: "a".into(), ..Odd::default() }),
            (r#"{"text":-12}"#, Odd { text: "-12".into(), ..Odd::default() }),
            (r#"{"text":1.5}"#, Odd { text: "1.5".into(), ..Odd::default() }),
            (r#"{"count":7}"#, Odd { count: Some(7), ..Odd::default() }),
            (r#"{"count":7.0}"#, Odd { count: Some(7), ..Odd::default() }),
            (r#"{"count":"7"}"#, Odd { count: Some(7), ..Odd::default() }),
            (r#"{"count":"7.9"}"#, Odd { count: Some(7), ..Odd::default() }),
            (r#"{"count":18446744073709551615}"#, Odd { count: Some(u64::MAX), ..Odd::default() }),
            (r#"{"texts":"a"}"#, Odd { texts: texts(&["a"]), ..Odd::default() }),
            (r#"{"texts":["a","b"]}"#, Odd { texts: texts(&["a", "b"]), ..Odd::default() }),
            (r#"{"logarithm":null}"#, Odd { logarithm: f64::NEG_INFINITY, ..Odd::default() }),
        ] {
            assert_eq!(odd(json), expected, "{json}");
        }
        for json in [r#"{"count":-1}"#, r#"{"count":"many"}"#, r#"{"text":[]}"#, r#"{"texts":{}}"#]
        {
            assert!(serde_json::from_str::<Odd>(json).is_err(), "{json}");
        }
    }
}
