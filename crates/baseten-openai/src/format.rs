//! The form that an answer must have.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Extra, open_enum::open_enum};

/// The form that an answer must have. All models of Baseten's Model APIs take JSON and JSON schema;
/// dedicated engines do, except some with speculative decoding.
///
/// ```
/// use baseten_openai::ResponseFormat;
///
/// let format = ResponseFormat::grammar("root ::= \"yes\" | \"no\"");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ResponseFormat {
    /// Which form.
    #[serde(rename = "type")]
    pub kind: Format,
    /// The schema, for [`Format::JsonSchema`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<JsonSchema>,
    /// The grammar, for [`Format::Grammar`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grammar: Option<String>,
    /// The structure, for [`Format::StructuralTag`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structural_tag: Option<Value>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ResponseFormat {
    /// Any JSON object. Ask for JSON in a message too, or the model may write blanks for ever.
    #[must_use]
    pub fn json_object() -> Self {
        Self { kind: Format::JsonObject, ..Self::default() }
    }

    /// JSON of a schema of one's own, strictly. The schema has to be of the strict dialect.
    pub fn json_schema(name: impl Into<String>, schema: Value) -> Self {
        let json_schema = JsonSchema {
            name: name.into(),
            schema: Some(schema),
            strict: Some(true),
            ..JsonSchema::default()
        };
        Self { kind: Format::JsonSchema, json_schema: Some(json_schema), ..Self::default() }
    }

    /// JSON of a type: its schema, in the strict dialect, under the type's name.
    ///
    /// ```
    /// use baseten_openai::ResponseFormat;
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Person {
    ///     name: String,
    ///     age: Option<u8>,
    /// }
    ///
    /// let format = ResponseFormat::of::<Person>()?;
    /// # Ok::<(), baseten_openai::NotStrict>(())
    /// ```
    ///
    /// # Errors
    /// [`NotStrict`](crate::NotStrict) names the place in the schema that the strict dialect cannot
    /// express.
    #[cfg(feature = "schemars")]
    pub fn of<T: schemars::JsonSchema>() -> Result<Self, crate::NotStrict> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        let name = T::schema_name().replace(|letter| !allowed(letter), "_");
        Ok(Self::json_schema(name, crate::schema::of::<T>()?))
    }

    /// Text of a grammar, in the engine's notation. A Baseten extension.
    pub fn grammar(grammar: impl Into<String>) -> Self {
        Self { kind: Format::Grammar, grammar: Some(grammar.into()), ..Self::default() }
    }

    /// Text with tagged parts of set structure, in the engine's notation. A Baseten extension.
    pub fn structural_tag(structure: impl Into<Value>) -> Self {
        let structural_tag = Some(structure.into());
        Self { kind: Format::StructuralTag, structural_tag, ..Self::default() }
    }
}

open_enum! {
    /// A form of answers.
    #[derive(Default)]
    pub enum Format {
        /// Text as it comes.
        #[default]
        Text = "text",
        /// Any JSON object.
        JsonObject = "json_object",
        /// JSON of a schema.
        JsonSchema = "json_schema",
        /// Text of a grammar.
        Grammar = "grammar",
        /// Text with tagged parts of set structure.
        StructuralTag = "structural_tag",
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
