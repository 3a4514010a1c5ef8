//! What went wrong with a queued run, as its status and its webhook tell it.

use std::fmt;

use serde::de::{IntoDeserializer, value};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::lenient;

/// One thing that went wrong with a run.
///
/// Reading one never fails: a run's output must not be lost over how an error is told. A code or message
/// that is missing or `null` is empty, one that is no text is kept as its JSON, and what is no object is
/// the message.
///
/// ```
/// use baseten_core::JobError;
/// let error: JobError = serde_json::from_str(r#"{"code": 500, "message": null, "hint": "retry"}"#)?;
/// assert_eq!((&*error.code.to_string(), &*error.message), ("500", ""));
/// assert_eq!(error.other["hint"], "retry");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobError {
    /// What kind of thing.
    pub code: JobErrorCode,
    /// In words.
    pub message: String,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What kind of thing went wrong with a run. The first five are tried again by the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum JobErrorCode {
    /// The model answered 500.
    ModelPredictError,
    /// The model answered 504.
    ModelPredictTimeout,
    /// The model was not ready.
    ModelNotReady,
    /// The model answered 502 or 503.
    ModelUnavailable,
    /// The platform itself failed.
    InternalServerError,
    /// There is no such model or deployment.
    ModelDoesNotExist,
    /// The model did not take the input.
    ModelInvalidInput,
    /// The model takes no queued runs.
    AsyncRequestNotSupported,
    /// Something newer than this version; empty if no code was told.
    #[serde(untagged)]
    Other(Box<str>),
}

impl JobError {
    /// An error with this code and these words: for a test, or for who sends webhooks on.
    #[must_use]
    pub fn new(code: JobErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), other: Map::new() }
    }

    /// All that a member `errors` tells: nothing if it is `null`, each element of a list, and whatever
    /// else it is as one error.
    #[must_use]
    pub fn all_in(errors: Value) -> Vec<Self> {
        match errors {
            Value::Null => Vec::new(),
            Value::Array(errors) => errors.into_iter().map(Self::told).collect(),
            error => vec![Self::told(error)],
        }
    }

    fn told(error: Value) -> Self {
        let Value::Object(mut other) = error else {
            return Self::new(JobErrorCode::untold(), lenient::text_of(error).unwrap_or_default());
        };
        let mut take = |name| other.remove(name).and_then(lenient::text_of);
        let (code, message) = (take("code"), take("message").unwrap_or_default());
        let code = code.map_or_else(JobErrorCode::untold, JobErrorCode::spelled);
        Self { code, message, other }
    }
}

impl JobErrorCode {
    fn untold() -> Self {
        Self::Other(Box::default())
    }

    fn spelled(text: String) -> Self {
        let code = Self::deserialize(text.as_str().into_deserializer());
        code.unwrap_or_else(|_: value::Error| Self::Other(text.into()))
    }
}

impl<'de> Deserialize<'de> for JobError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::told)
    }
}

/// `CODE: words`, or whichever of the two was told; if neither was, the other members as JSON.
impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.to_string();
        match (&*code, &*self.message) {
            ("", "") => write!(f, "no code and no message: {}", Value::from(self.other.clone())),
            ("", message) => f.write_str(message),
            (code, "") => f.write_str(code),
            (code, message) => write!(f, "{code}: {message}"),
        }
    }
}

/// As on the wire: `MODEL_PREDICT_ERROR`.
impl fmt::Display for JobErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_error_is_it_is_read() {
        use JobErrorCode::{ModelNotReady, Other};
        let code = |code: &str| Other(code.into());
        //   one error, its code, its message, and both in words
        for (json, expect, message, words) in [
            (
                r#"{"code":"MODEL_NOT_READY","message":"m"}"#,
                ModelNotReady,
                "m",
                "MODEL_NOT_READY: m",
            ),
            (r#"{"code":"MODEL_NOT_READY","message":null}"#, ModelNotReady, "", "MODEL_NOT_READY"),
            (r#"{"code":"MODEL_NOT_READY"}"#, ModelNotReady, "", "MODEL_NOT_READY"),
            (r#"{"code":null,"message":"m"}"#, code(""), "m", "m"),
            (r#"{"message":"m"}"#, code(""), "m", "m"),
            (r#"{"code":500,"message":504}"#, code("500"), "504", "500: 504"),
            (r#"{"code":"","message":{"a":[1]}}"#, code(""), r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{}"#, code(""), "", "no code and no message: {}"),
            (r#"{"detail":"d"}"#, code(""), "", r#"no code and no message: {"detail":"d"}"#),
            (r#""it broke""#, code(""), "it broke", "it broke"),
            ("7", code(""), "7", "7"),
            (r#"["a",1]"#, code(""), r#"["a",1]"#, r#"["a",1]"#),
            ("null", code(""), "", "no code and no message: {}"), // listed, so it counts
        ] {
            let read: JobError = serde_json::from_str(json).unwrap();
            assert_eq!((&read.code, &*read.message), (&expect, message), "{json}");
            assert_eq!(read.to_string(), words, "{json}");
            let listed = JobError::all_in(Value::Array(vec![serde_json::from_str(json).unwrap()]));
            assert_eq!(listed, [read], "{json}");
        }
        //   the member, and how many errors it tells
        for (json, count) in [
            ("null", 0),
            ("[]", 0),
            (r#"["a",{"code":"NEW"},null]"#, 3),
            (r#"{"message":"m"}"#, 1), // not in a list
            (r#""it broke""#, 1),
            ("false", 1), // who knows
        ] {
            let errors = JobError::all_in(serde_json::from_str(json).unwrap());
            assert_eq!(errors.len(), count, "{json}");
        }
    }
}
