//! How many tokens a call took.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Extra, lenient};

/// Token counts, as far as the server gave them: `None` is "not told", never zero.
///
/// The details are parts of the counts, not additions to them: cached tokens are among
/// `prompt_tokens`, reasoning tokens among `completion_tokens`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the input.
    #[serde(deserialize_with = "lenient::count", skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the output.
    #[serde(deserialize_with = "lenient::count", skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Both together, as the server counted.
    #[serde(deserialize_with = "lenient::count", skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// What kinds of input tokens there were.
    #[serde(
        deserialize_with = "lenient::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// What kinds of output tokens there were.
    #[serde(
        deserialize_with = "lenient::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub completion_tokens_details: Option<CompletionTokensDetails>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Usage {
    /// Input tokens that came out of the cache. Read from `prompt_tokens_details`, else from the
    /// spellings `num_cached_tokens` and `prompt_cache_hit_tokens`.
    #[must_use]
    pub fn cached_tokens(&self) -> Option<u64> {
        let details = self.prompt_tokens_details.as_ref();
        details.and_then(|details| details.cached_tokens).or_else(|| {
            ["num_cached_tokens", "prompt_cache_hit_tokens"]
                .iter()
                .find_map(|name| self.extra.get(*name).and_then(Value::as_u64))
        })
    }

    /// Output tokens that were thinking.
    #[must_use]
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.completion_tokens_details.as_ref()?.reasoning_tokens
    }
}

/// Kinds of input tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PromptTokensDetails {
    /// Out of the cache.
    #[serde(deserialize_with = "lenient::count", skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Kinds of output tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CompletionTokensDetails {
    /// Thinking.
    #[serde(deserialize_with = "lenient::count", skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}
