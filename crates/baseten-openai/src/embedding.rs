//! Texts to vectors.

use baseten_core::Error;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use crate::{
    DecodeError, Extra, Usage,
    cursor::{Cursor, Stuck},
    document,
    extra::extra_over_fields,
    open_enum::open_enum,
    vectors,
};

/// A request to `/v1/embeddings`.
///
/// Asks for base64 unless told otherwise: it takes a third of the bytes and a fourteenth of the work
/// to read. A server that does not know it sends numbers, which are read as well; one that answers it
/// with an error can be asked again with [`as_numbers`](Self::as_numbers).
///
/// ```
/// use baseten_openai::EmbeddingRequest;
///
/// let request = EmbeddingRequest::new("BAAI/bge-m3", ["one text", "another"]);
/// assert_eq!(
///     serde_json::to_string(&request)?,
///     r#"{"model":"BAAI/bge-m3","input":["one text","another"],"encoding_format":"base64"}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
#[non_exhaustive]
pub struct EmbeddingRequest {
    /// The served name of the model.
    pub model: String,
    /// What to embed.
    pub input: Input,
    /// How the vectors are to be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<EncodingFormat>,
    /// How long the vectors are to be, where a model can shorten them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Who asks, for the server's statistics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Members without a field; they win over the fields, as in a
    /// [`ChatRequest`](crate::ChatRequest).
    #[serde(flatten, skip_serializing)]
    pub extra: Extra,
}

extra_over_fields!(EmbeddingRequest);

impl EmbeddingRequest {
    /// A request to a model, by its served name, for vectors of this input.
    pub fn new(model: impl Into<String>, input: impl Into<Input>) -> Self {
        Self {
            model: model.into(),
            input: input.into(),
            encoding_format: Some(EncodingFormat::Base64),
            ..Self::default()
        }
    }

    /// How long the vectors are to be.
    #[must_use]
    pub fn dimensions(mut self, dimensions: u32) -> Self {
        self.dimensions = Some(dimensions);
        self
    }

    /// Asks for numbers, for a server that cannot do base64.
    #[must_use]
    pub fn as_numbers(mut self) -> Self {
        self.encoding_format = Some(EncodingFormat::Float);
        self
    }

    /// The request to send instead, if this one failed because the server cannot do base64: a 400 or
    /// 422 that names it.
    #[must_use]
    pub fn instead(&self, error: &Error) -> Option<Self> {
        let status = error.status()?.as_u16();
        let message = error.api()?.message();
        let named = message.contains("encoding_format") || message.contains("base64");
        let asked = self.encoding_format == Some(EncodingFormat::Base64);
        (asked && named && matches!(status, 400 | 422)).then(|| self.clone().as_numbers())
    }

    /// Sets one member of the body, known to this crate or not.
    #[must_use]
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }
}

open_enum! {
    /// How vectors are written.
    pub enum EncodingFormat {
        /// As JSON numbers.
        Float = "float",
        /// As base64 of little-endian `f32`.
        Base64 = "base64",
    }
}

/// Text or tokens, one or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    /// One text.
    Text(String),
    /// Several texts. No texts at all, too: some servers take that for a fault.
    Texts(Vec<String>),
    /// One text, as token ids.
    Tokens(Vec<u32>),
    /// Several texts, as token ids.
    TokenLists(Vec<Vec<u32>>),
}

impl Input {
    /// How many texts these are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(_) | Self::Tokens(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::TokenLists(lists) => lists.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::Texts(Vec::new())
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Input {
    fn from(texts: [T; N]) -> Self {
        Self::Texts(texts.into_iter().map(Into::into).collect())
    }
}

impl From<&[&str]> for Input {
    fn from(texts: &[&str]) -> Self {
        Self::Texts(texts.iter().map(|&text| text.into()).collect())
    }
}

impl From<Vec<&str>> for Input {
    fn from(texts: Vec<&str>) -> Self {
        Self::from(&texts[..])
    }
}

impl From<Vec<String>> for Input {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<Vec<u32>> for Input {
    fn from(tokens: Vec<u32>) -> Self {
        Self::Tokens(tokens)
    }
}

impl From<Vec<Vec<u32>>> for Input {
    fn from(lists: Vec<Vec<u32>>) -> Self {
        Self::TokenLists(lists)
    }
}

/// Vectors, one after the other in one list, in the order of the input.
///
/// ```
/// use baseten_openai::EmbeddingResponse;
///
/// let body = br#"{"data": [{"index": 1, "embedding": "AACAPwAAAEA="}, {"index": 0, "embedding": [0.5, -1]}]}"#;
/// let response = EmbeddingResponse::decode(body)?;
/// assert_eq!((response.len(), response.dimension()), (2, 2));
/// assert_eq!(response.get(0), Some(&[0.5, -1.0][..]));
/// assert_eq!(response.values(), [0.5, -1.0, 1.0, 2.0]);
/// # Ok::<(), baseten_openai::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingResponse {
    /// The model that answered.
    pub model: String,
    /// How many tokens it took.
    pub usage: Option<Usage>,
    /// Members without a field. Those of single vectors are not kept.
    pub extra: Extra,
    values: Vec<f32>,
    count: usize,
}

impl EmbeddingResponse {
    /// Reads the body of an answer with status 200: numbers or base64, in any order.
    ///
    /// A number becomes the nearest `f32`, bit for bit what `str::parse::<f32>` gives. A vector without
    /// an index has the place that it came in; so have all where each has the index 0, which tells
    /// nothing.
    ///
    /// # Errors
    /// [`DecodeError`] if the body is not the JSON of an answer, or an error of the server's in its
    /// place ([`DecodeError::api`]), or if its vectors differ in length, or if its indexes are not those
    /// from 0 on, each once: which text a vector belongs to is not known then.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::default();
        reader.read(body).and_then(|()| reader.sort()).map_err(|stuck| {
            match (document::error_in(body), stuck) {
                (Some(error), _) => DecodeError::of_api("the answer", body, error),
                (None, Stuck::Value(error)) => DecodeError::of_json("the answer", body, error),
                (None, Stuck::Here(problem)) => DecodeError::of_shape("the answer", body, problem),
            }
        })?;
        Ok(reader.response)
    }

    /// How many vectors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many numbers a vector has; 0 if there is none.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.values.len().checked_div(self.count).unwrap_or(0)
    }

    /// The vector of the input's text at this place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[f32]> {
        self.values.chunks_exact(self.dimension().max(1)).nth(index)
    }

    /// The vectors.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dimension().max(1))
    }

    /// All numbers, vector after vector.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All numbers, vector after vector, for keeps.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

#[derive(Default)]
struct Reader {
    response: EmbeddingResponse,
    /// The index that each vector came with.
    order: Vec<usize>,
    found: bool,
}

impl Reader {
    fn read(&mut self, body: &[u8]) -> Result<(), Stuck> {
        let mut cursor = Cursor::new(body);
        cursor.members(|cursor, name| {
            match name {
                "data" => {
                    self.found = true;
                    cursor.items(|cursor| self.read_item(cursor))?;
                }
                "model" => self.response.model = cursor.value::<Option<_>>()?.unwrap_or_default(),
                "usage" => self.response.usage = cursor.value()?,
                _ => {
                    let value = cursor.value()?;
                    self.response.extra.insert(name.into(), value);
                }
            }
            Ok(())
        })?;
        match cursor.peek() {
            Some(_) => Err(Stuck::Here("goes on after its end")),
            None if !self.found => Err(Stuck::Here("has no `data`")),
            None => Ok(()),
        }
    }

    fn read_item(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stuck> {
        let Self { response, order, .. } = self;
        let start = response.values.len();
        let length = cursor.rest().len();
        let mut index = order.len();
        cursor.members(|cursor, name| {
            match name {
                "embedding" => vectors::read(cursor, &mut response.values)?,
                "index" => index = cursor.value::<Option<_>>()?.unwrap_or(index),
                _ => drop(cursor.value::<IgnoredAny>()?),
            }
            Ok(())
        })?;
        order.push(index);
        let dimension = response.values.len() - start;
        if dimension == 0 {
            return Err(Stuck::Here("has a vector of no numbers"));
        }
        if response.count == 0 {
            let rest = cursor.rest().len();
            response.values.reserve(dimension * (rest / (length - rest)));
        } else if dimension != start / response.count {
            return Err(Stuck::Here("has vectors that differ in length"));
        }
        response.count += 1;
        Ok(())
    }

    /// Puts the vectors in the order of the input, which most servers send them in.
    fn sort(&mut self) -> Result<(), Stuck> {
        let order = &self.order;
        if order.iter().copied().eq(0..order.len()) || order.iter().all(|index| *index == 0) {
            return Ok(());
        }
        let mut places = vec![None; order.len()];
        for (place, index) in order.iter().enumerate() {
            let slot = places.get_mut(*index).filter(|slot| slot.is_none());
            let slot =
                slot.ok_or(Stuck::Here("has vectors of one text, or of texts that are none"))?;
            *slot = Some(place);
        }
        let dimension = self.response.dimension();
        let vectors = &self.response.values;
        let vector = |place: usize| &vectors[place * dimension..][..dimension];
        self.response.values = places.into_iter().flatten().flat_map(vector).copied().collect();
        Ok(())
    }
}
