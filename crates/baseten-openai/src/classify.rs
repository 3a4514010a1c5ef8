//! What a text is about, and what its words are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{DecodeError, Extra, document, extra::extra_over_fields, open_enum::open_enum};

/// A request to `/predict` of Baseten's embedding engine, which classifies texts, or to
/// `/predict_tokens`, which names entities in them (BEI-Bert only).
///
/// ```
/// use baseten_openai::ClassifyRequest;
///
/// let request = ClassifyRequest::new(["I like it."]);
/// assert_eq!(serde_json::to_string(&request)?, r#"{"inputs":[["I like it."]]}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
#[non_exhaustive]
pub struct ClassifyRequest {
    /// The texts, each in a list of its own; a pair of texts where a model compares two.
    pub inputs: Vec<Vec<String>>,
    /// Whether scores are left as the model gives them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_scores: Option<bool>,
    /// Whether texts too long for the model are cut; else they are an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate: Option<bool>,
    /// Which end is cut: `Left` or `Right`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncation_direction: Option<String>,
    /// How the tokens of a word are put together. For entities only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation_strategy: Option<Aggregation>,
    /// The served name of the model; the engine has one only and does not need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Members without a field; they win over the fields, as in a
    /// [`ChatRequest`](crate::ChatRequest).
    #[serde(flatten, skip_serializing)]
    pub extra: Extra,
}

extra_over_fields!(ClassifyRequest);

impl ClassifyRequest {
    /// Texts to classify.
    pub fn new<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        let inputs = texts.into_iter().map(|text| vec![text.into()]).collect();
        Self { inputs, ..Self::default() }
    }

    /// Texts to find entities in, with the tokens of a word put together like this.
    pub fn entities<T: Into<String>>(
        texts: impl IntoIterator<Item = T>,
        strategy: Aggregation,
    ) -> Self {
        Self { aggregation_strategy: Some(strategy), ..Self::new(texts) }
    }
}

open_enum! {
    /// How the tokens of a word are put together to one entity.
    pub enum Aggregation {
        /// Not at all: every token for itself.
        None = "none",
        /// Neighbours of one label.
        Simple = "simple",
        /// A word has the label of its first token.
        First = "first",
        /// A word has the label that its tokens have on average.
        Average = "average",
        /// A word has the label of its surest token.
        Max = "max",
    }
}

/// A label that a text may have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Label {
    /// The label.
    pub label: String,
    /// How sure the model is of it.
    pub score: f64,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Label {
    /// Reads the body of an answer of `/predict` with status 200: the labels of each text, in the
    /// order of the request.
    ///
    /// # Errors
    /// [`DecodeError`] if the body is not the JSON of an answer, or an error of the server's in its
    /// place.
    pub fn decode(body: &[u8]) -> Result<Vec<Vec<Self>>, DecodeError> {
        document::list(body)
    }
}

/// A token, or several put together, and what it may be the name of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Entity {
    /// The token's text.
    pub token: String,
    /// The token's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<i64>,
    /// Where it begins in the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<usize>,
    /// Where it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<usize>,
    /// How sure the model is of each label.
    pub results: BTreeMap<String, f64>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Entity {
    /// Reads the body of an answer of `/predict_tokens` with status 200: the entities of each text,
    /// in the order of the request.
    ///
    /// # Errors
    /// [`DecodeError`] if the body is not the JSON of an answer, or an error of the server's in its
    /// place.
    pub fn decode(body: &[u8]) -> Result<Vec<Vec<Self>>, DecodeError> {
        document::list(body)
    }

    /// The label that the model is surest of.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        let best = self.results.iter().max_by(|one, other| one.1.total_cmp(other.1));
        best.map(|(label, _)| label.as_str())
    }
}
