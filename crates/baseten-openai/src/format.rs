//! The form that an answer must have.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Extra;

/// The form that an answer must have. All models of Baseten's Model APIs take JSON and JSON schema;
/// dedicated engines do, except some with speculative decoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Text as it comes.
    Text,
    /// Any JSON object. Ask for JSON in a message too, or the model may write blanks for ever.
    JsonObject,
    /// JSON of this schema.
    JsonSchema {
        /// The schema.
        json_schema: JsonSchema,
    },
    /// Text of this grammar. A Baseten extension.
    Grammar {
        /// The grammar, in the engine's notation.
        grammar: String,
    },
    /// Text with tagged parts of set structure. A Baseten extension.
    StructuralTag {
        /// The structure, in the engine's notation.
        structural_tag: Value,
    },
    /// Any other form, whole.
    #[serde(untagged)]
    Other(Value),
}

impl ResponseFormat {
    /// JSON of a schema of one's own, strictly. The schema has to be of the strict dialect.
    pub fn json_schema(name: impl Into<String>, schema: Value) -> Self {
        let json_schema = JsonSchema {
            name: name.into(),
            schema: Some(schema),
            strict: Some(true),
            ..JsonSchema::default()
        };
        Self::JsonSchema { json_schema }
    }
}

/// A schema with a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct JsonSchema {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Whether the answer must keep to it; else it is a hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}
