//! Answers with vectors, and those who read them into `f32`.

use std::hint::black_box;

use async_openai::types::embeddings::{CreateBase64EmbeddingResponse, CreateEmbeddingResponse};
use base64::{Engine, engine::general_purpose::STANDARD};
use baseten_openai::EmbeddingResponse;
use serde::Deserialize;

/// Numbers in a vector.
pub const DIMENSION: usize = 1024;

/// An answer with `count` vectors of this kind; `None` for an unknown kind.
#[must_use]
pub fn body(what: &str, count: usize) -> Option<String> {
    Some(match what {
        "short" => answer(count, |seed| numbers(seed, |value| value.to_string())),
        "long" => answer(count, |seed| numbers(seed, |value| f64::from(value).to_string())),
        "base64" => answer(count, encoded),
        _ => return None,
    })
}

/// Reads it into numbers, and says how many; `None` for an unknown reader.
#[must_use]
pub fn read(what: &str, reader: &str, body: &str) -> Option<usize> {
    Some(match (reader, what) {
        ("baseten", _) => ours(body),
        ("serde_json", "base64") => owned_base64(body),
        ("serde_json", _) => owned(body),
        ("async-openai", "base64") => async_openai_base64(body),
        ("async-openai", _) => async_openai(body),
        _ => return None,
    })
}

fn answer(count: usize, vector: impl Fn(usize) -> String) -> String {
    let item =
        |at| format!("{{\"object\":\"embedding\",\"index\":{at},\"embedding\":{}}}", vector(at));
    let items = (0..count).map(item).collect::<Vec<_>>().join(",");
    format!(
        "{{\"object\":\"list\",\"data\":[{items}],\"model\":\"m\",\"usage\":{{\"prompt_tokens\":1,\"total_tokens\":1}}}}"
    )
}

/// As Rust and JavaScript print an `f32`, or as Python does: through an `f64`.
fn numbers(seed: usize, print: fn(f32) -> String) -> String {
    format!("[{}]", vector(seed).map(print).collect::<Vec<_>>().join(","))
}

fn encoded(seed: usize) -> String {
    format!("\"{}\"", STANDARD.encode(vector(seed).flat_map(f32::to_le_bytes).collect::<Vec<_>>()))
}

/// Numbers such as a normalised vector has.
fn vector(seed: usize) -> impl Iterator<Item = f32> {
    let mut state = seed as u64 | 1;
    (0..DIMENSION).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) / 8.0
    })
}

#[inline(never)]
fn ours(body: &str) -> usize {
    let response = EmbeddingResponse::decode(body.as_bytes()).expect("vectors");
    black_box(&response).values().len()
}

#[derive(Deserialize)]
struct Response<T> {
    data: Vec<Item<T>>,
}

#[derive(Deserialize)]
struct Item<T> {
    embedding: T,
}

#[inline(never)]
fn owned(body: &str) -> usize {
    let response: Response<Vec<f32>> = serde_json::from_slice(body.as_bytes()).expect("vectors");
    black_box(&response).data.iter().map(|item| item.embedding.len()).sum()
}

#[inline(never)]
fn owned_base64(body: &str) -> usize {
    let response: Response<String> = serde_json::from_slice(body.as_bytes()).expect("vectors");
    response.data.iter().map(|item| black_box(decoded(&item.embedding)).len()).sum()
}

#[inline(never)]
fn async_openai(body: &str) -> usize {
    let response: CreateEmbeddingResponse =
        serde_json::from_slice(body.as_bytes()).expect("vectors");
    black_box(&response).data.iter().map(|item| item.embedding.len()).sum()
}

/// It leaves the text to be decoded later; here that is done, as it would do it.
#[inline(never)]
fn async_openai_base64(body: &str) -> usize {
    let response: CreateBase64EmbeddingResponse =
        serde_json::from_slice(body.as_bytes()).expect("vectors");
    response.data.iter().map(|item| black_box(decoded(&item.embedding.0)).len()).sum()
}

fn decoded(text: &str) -> Vec<f32> {
    let bytes = STANDARD.decode(text).expect("base64");
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
