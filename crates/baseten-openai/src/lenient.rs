//! What servers send where the schema says something else, read as what they mean.
//!
//! Functions for `#[serde(deserialize_with)]`. They accept more than one spelling of a value; they
//! never guess a value that was not there.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::{Number, Value};

/// `null` is the default.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list, as a rule of one; `null` for none. Without this it would have room for four.
pub(crate) fn few<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let mut few: Vec<T> = or_default(deserializer)?;
    few.shrink_to_fit();
    Ok(few)
}

/// Text; also a number, and `null` for the empty text.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(optional_text(deserializer)?.unwrap_or_default())
}

/// Text; also a number, and `null` for none.
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(Text)
}

/// A count; also a float, a count in quotes, and `null` or empty text for none.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_any(Count)
}

/// A place among others, spelled as a [`count`] may be; none is the first.
pub(crate) fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Ok(optional_index(deserializer)?.unwrap_or_default())
}

/// A place among others, spelled as a [`count`] may be.
pub(crate) fn optional_index<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    count(deserializer)?.map(|count| u32::try_from(count).map_err(de::Error::custom)).transpose()
}

/// An object; `null` or empty text for none.
pub(crate) fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(Object(PhantomData))
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

/// A number as [`serde_json`] gives it if its feature `arbitrary_precision` is on, which another crate of
/// the build may want: as an object of its own kind.
pub(crate) fn number<'de, A: MapAccess<'de>>(number: A) -> Result<Number, A::Error> {
    Number::deserialize(MapAccessDeserializer::new(number))
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(Some(number(map)?.to_string()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

struct Count;

impl<'de> Visitor<'de> for Count {
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
        if text.is_empty() {
            return Ok(None);
        }
        let number: f64 =
            text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
        text.parse().map_or_else(|_| self.visit_f64(number), |number| Ok(Some(number)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        self.visit_str(&number(map)?.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() {
            return Ok(None);
        }
        Err(E::invalid_type(de::Unexpected::Str(text), &self))
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
    use std::collections::BTreeMap;

    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Odd {
        #[serde(deserialize_with = "super::text")]
        text: String,
        #[serde(deserialize_with = "super::optional_text")]
        name: Option<String>,
        #[serde(deserialize_with = "super::count")]
        count: Option<u64>,
        #[serde(deserialize_with = "super::index")]
        index: u32,
        #[serde(deserialize_with = "super::optional_object")]
        object: Option<BTreeMap<String, u8>>,
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
            (
                r#"{"text":null,"count":null,"texts":null,"list":null,"name":null,"index":null,"object":null}"#,
                Odd::default(),
            ),
            (r#"{"count":"","object":""}"#, Odd::default()),
            (r#"{"text":"a"}"#, Odd { text: "a".into(), ..Odd::default() }),
            (r#"{"text":-12}"#, Odd { text: "-12".into(), ..Odd::default() }),
            (r#"{"text":1.5}"#, Odd { text: "1.5".into(), ..Odd::default() }),
            (r#"{"name":7}"#, Odd { name: Some("7".into()), ..Odd::default() }),
            (r#"{"name":""}"#, Odd { name: Some(String::new()), ..Odd::default() }),
            (r#"{"index":"3"}"#, Odd { index: 3, ..Odd::default() }),
            (r#"{"index":3.0}"#, Odd { index: 3, ..Odd::default() }),
            (
                r#"{"object":{"a":1}}"#,
                Odd { object: Some([("a".into(), 1)].into()), ..Odd::default() },
            ),
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
        for json in [
            r#"{"count":-1}"#,
            r#"{"count":"many"}"#,
            r#"{"text":[]}"#,
            r#"{"text":{}}"#,
            r#"{"name":true}"#,
            r#"{"texts":{}}"#,
            r#"{"index":4294967296}"#,
            r#"{"index":-1}"#,
            r#"{"object":"much"}"#,
            r#"{"object":[]}"#,
        ] {
            assert!(serde_json::from_str::<Odd>(json).is_err(), "{json}");
        }
    }
}
