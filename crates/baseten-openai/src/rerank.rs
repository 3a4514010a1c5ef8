//! Which of several texts answer a query best.

use serde::{Deserialize, Serialize};

use crate::{DecodeError, Extra, document, extra::extra_over_fields};

/// A request to `/rerank` of Baseten's embedding engine.
///
/// ```
/// use baseten_openai::RerankRequest;
///
/// let request = RerankRequest::new("What is a panda?", ["hi", "A bear that eats bamboo."]);
/// assert_eq!(
///     serde_json::to_string(&request)?,
///     r#"{"query":"What is a panda?","texts":["hi","A bear that eats bamboo."]}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
#[non_exhaustive]
pub struct RerankRequest {
    /// What is asked.
    pub query: String,
    /// The texts to compare it with.
    pub texts: Vec<String>,
    /// Whether scores are left as the model gives them, not brought between 0 and 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_scores: Option<bool>,
    /// Whether the answer repeats the texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_text: Option<bool>,
    /// Whether texts too long for the model are cut; else they are an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate: Option<bool>,
    /// Which end is cut: `Left` or `Right`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncation_direction: Option<String>,
    /// The served name of the model; the engine has one only and does not need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Members without a field; they win over the fields, as in a
    /// [`ChatRequest`](crate::ChatRequest).
    #[serde(flatten, skip_serializing)]
    pub extra: Extra,
}

extra_over_fields!(RerankRequest);

impl RerankRequest {
    /// A query and the texts to compare it with.
    pub fn new<T: Into<String>>(
        query: impl Into<String>,
        texts: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            query: query.into(),
            texts: texts.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

/// How well one text answers a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Rank {
    /// The place of the text in the request.
    pub index: usize,
    /// The score: higher is better.
    pub score: f64,
    /// The text, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Rank {
    /// Reads the body of an answer with status 200, best text first. (The engine gives them in the
    /// order of the request.)
    ///
    /// # Errors
    /// [`DecodeError`] if the body is not the JSON of an answer, or an error of the server's in its
    /// place.
    pub fn decode(body: &[u8]) -> Result<Vec<Self>, DecodeError> {
        let mut ranks: Vec<Self> = document::list(body)?;
        ranks.sort_by(|one, other| other.score.total_cmp(&one.score));
        Ok(ranks)
    }
}
