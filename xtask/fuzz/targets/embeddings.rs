//! Answers with embeddings: never a panic; and where a plain parser reads vectors of numbers, the same
//! numbers, bit for bit what `str::parse` gives.

#![no_main]

use baseten_openai::EmbeddingResponse;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What every decoder must be able to read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    #[serde(borrow)]
    data: Vec<Item<'a>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, rename = "usage")]
    _usage: Option<&'a RawValue>,
    #[serde(borrow, rename = "object")]
    _object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    #[serde(borrow)]
    embedding: Vec<&'a RawValue>,
    index: Option<usize>,
    #[serde(borrow, rename = "object")]
    _object: Option<&'a RawValue>,
}

fuzz_target!(|body: &[u8]| {
    let decoded = EmbeddingResponse::decode(body);
    match &decoded {
        Ok(found) => {
            assert_eq!(found.values().len(), found.len() * found.dimension());
            assert_eq!(found.iter().len(), found.len());
        }
        Err(error) => assert!(!format!("{error} {error:?}").is_empty()),
    }
    let (Ok(found), Ok(plain)) = (decoded, serde_json::from_slice::<Plain<'_>>(body)) else {
        return;
    };
    assert_eq!(found.model, plain.model.unwrap_or_default());
    let mut vectors: Vec<_> = plain.data.iter().enumerate().collect();
    vectors.sort_by_key(|(place, item)| item.index.unwrap_or(*place));
    let numbers = vectors.iter().flat_map(|(_, item)| &item.embedding);
    let expected: Vec<u32> =
        numbers.map(|raw| raw.get().parse::<f32>().expect("a number").to_bits()).collect();
    let values: Vec<u32> = found.values().iter().map(|value| value.to_bits()).collect();
    assert_eq!(values, expected);
});
