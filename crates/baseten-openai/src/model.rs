//! Which models a server has.

use serde::{Deserialize, Serialize};

use crate::{DecodeError, Extra, document, lenient};

/// A model that a server has, as `/v1/models` tells. Prices, context lengths and other things that
/// only some servers tell are in `extra`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ServedModel {
    /// The name to put into requests.
    #[serde(deserialize_with = "lenient::text")]
    pub id: String,
    /// `model`.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// When it was made, in seconds since 1970.
    #[serde(deserialize_with = "lenient::count", skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// Whose it is.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub owned_by: String,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ServedModel {
    /// Reads the body of an answer with status 200.
    ///
    /// # Errors
    /// [`DecodeError`] if the body is not the JSON of an answer, or an error of the server's in its
    /// place.
    pub fn decode(body: &[u8]) -> Result<Vec<Self>, DecodeError> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<ServedModel>,
        }
        match serde_json::from_slice(body) {
            Ok(List { data }) => Ok(data),
            Err(source) => Err(document::not_read(body, source)),
        }
    }
}
