//! Texts to vectors, in each way of asking for them.

use baseten::Error;
use baseten::openai::{EmbeddingRequest, EmbeddingResponse, Input};

use super::refusals::{about_length, long};
use super::{Llama, MODEL};
use crate::interop::case::{Case, Found, refused};
use crate::interop::edge::Edge;

#[rustfmt::skip]
pub(super) const CASES: &[Case<Llama>] = &[
    Case { name: "embeddings", requests: 1, run: base64,
        expect: "2 of 64, 23 tokens" },
    Case { name: "embeddings as base64 and as numbers", requests: 2, run: as_numbers,
        expect: "the same vectors, bit for bit" },
    Case { name: "embeddings of token ids", requests: 1, run: token_ids,
        expect: "2 of 64, 3 tokens" },
    Case { name: "embeddings of nothing", requests: 1, run: of_nothing,
        expect: "Status, 400, Answered: \"input\" must not be empty" },
    Case { name: "embeddings of a text that is too long", requests: 1, run: too_long,
        expect: "Status, 500, MaybeRan: is about the context's length" },
];

fn base64(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    shape(llama, &texts())
}

fn as_numbers(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let base64 = llama.engine.embeddings(&texts())?.value;
    let numbers = llama.engine.embeddings(&texts().as_numbers())?.value;
    let bits = |answer: &EmbeddingResponse| -> Vec<u32> {
        answer.values().iter().map(|value| value.to_bits()).collect()
    };
    let (base64, numbers) = (bits(&base64), bits(&numbers));
    let same = base64.iter().zip(&numbers).take_while(|(a, b)| a == b).count();
    if !base64.is_empty() && base64 == numbers {
        return Ok("the same vectors, bit for bit".into());
    }
    Ok(format!("{} and {} values, other from {same} on", base64.len(), numbers.len()).into())
}

fn token_ids(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let lists = Input::TokenLists(vec![vec![270, 271], vec![272]]);
    shape(llama, &EmbeddingRequest::new(MODEL, lists))
}

fn of_nothing(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    Ok(refused(llama.engine.embeddings(&EmbeddingRequest::new(MODEL, Input::Texts(Vec::new())))))
}

fn too_long(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    Ok(about_length(llama.engine.embeddings(&EmbeddingRequest::new(MODEL, long()))))
}

fn texts() -> EmbeddingRequest {
    EmbeddingRequest::new(MODEL, ["hello", "some other words"])
}

/// How many vectors of which length, and of how many tokens.
fn shape(llama: &Llama, request: &EmbeddingRequest) -> Result<Found, Error> {
    let answer = llama.engine.embeddings(request)?.value;
    let tokens = answer.usage.as_ref().and_then(|usage| usage.prompt_tokens);
    let tokens = tokens.map_or_else(|| "?".to_owned(), |count| count.to_string());
    Ok(format!("{} of {}, {tokens} tokens", answer.len(), answer.dimension()).into())
}
