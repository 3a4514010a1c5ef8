//! What does decoding cost, an event and a float? Run it under callgrind with two counts and take the
//! difference, so that start-up cancels:
//!
//! ```text
//! cargo build --release -p baseten-openai --example count
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/count stream 1000
//! ```

use std::{env, hint::black_box, process::ExitCode};

use base64::{Engine, engine::general_purpose::STANDARD};
use baseten_core::sse;
use baseten_openai::{ChatDecoder, EmbeddingResponse, Progress};
use bytes::Bytes;
use serde::Deserialize;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(case), Some(count)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse() else { return ExitCode::from(2) };
    let pieces = |shape: fn(usize) -> String, size| {
        let body: String = (0..count).map(shape).collect();
        let whole = Bytes::from(body);
        let cut = move |at: usize| whole.slice(at..whole.len().min(at + size));
        let length = (0..count).map(|at| shape(at).len()).sum();
        (0..length).step_by(size).map(cut).collect::<Vec<_>>()
    };
    match &*case {
        // The pieces alone, to be taken off.
        "nothing" => drop(black_box(pieces(text_event, PIECE))),
        "framing" => framing(pieces(text_event, PIECE)),
        "stream" => ours(pieces(text_event, PIECE)),
        "stream-paced" => ours((0..count).map(|at| text_event(at).into()).collect()),
        "stream-owned" => owned_structs(pieces(text_event, PIECE)),
        "nothing-logprobs" => drop(black_box(pieces(logprobs_event, PIECE))),
        "stream-logprobs" => ours(pieces(logprobs_event, PIECE)),
        "stream-logprobs-owned" => owned_structs(pieces(logprobs_event, PIECE)),
        "nothing-tools" => drop(black_box(pieces(tool_event, PIECE))),
        "stream-tools" => ours(pieces(tool_event, PIECE)),
        "stream-tools-owned" => owned_structs(pieces(tool_event, PIECE)),
        // The count is of vectors with 1024 numbers.
        "embed-nothing" => {
            drop(black_box((embeddings(count, short), embeddings(count, long), base64(count))))
        }
        "embed-short" => embed(&embeddings(count, short), (embeddings(count, long), base64(count))),
        "embed-long" => embed(&embeddings(count, long), (embeddings(count, short), base64(count))),
        "embed-base64" => {
            embed(&base64(count), (embeddings(count, short), embeddings(count, long)))
        }
        "embed-short-serde" => {
            embed_serde(&embeddings(count, short), (embeddings(count, long), base64(count)))
        }
        "embed-long-serde" => {
            embed_serde(&embeddings(count, long), (embeddings(count, short), base64(count)))
        }
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

/// About what one read of a busy connection gives.
const PIECE: usize = 16 * 1024;

const WORDS: [&str; 8] = [" the", " of", "ing", " quick", "\\n", ",", " \\\"fox\\\"", " über"];

const HEAD: &str = r#"{"id":"chatcmpl-8f6daf954acf1baf0fe6fe46b8108","object":"chat.completion.chunk","created":1795412199,"model":"acme/peer-large-instruct","system_fingerprint":"fp_b17e4c0a9","choices":[{"index":0,"#;

fn text_event(at: usize) -> String {
    let word = WORDS[at % WORDS.len()];
    format!(
        "data: {HEAD}\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
    )
}

fn logprobs_event(at: usize) -> String {
    let word = WORDS[at % WORDS.len()];
    format!(
        "data: {HEAD}\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":{{\"content\":[{{\"token\":\"{word}\",\
         \"logprob\":-0.{at},\"bytes\":[32,113],\"top_logprobs\":[]}}]}},\"finish_reason\":null}}]}}\n\n"
    )
}

fn tool_event(at: usize) -> String {
    let word = WORDS[at % WORDS.len()];
    format!(
        "data: {HEAD}\"delta\":{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":\"{word}\"}}}}]}},\
         \"finish_reason\":null}}]}}\n\n"
    )
}

#[inline(never)]
fn framing(pieces: Vec<Bytes>) {
    let mut decoder = sse::Decoder::default();
    for piece in pieces {
        decoder.push(piece);
        while let Ok(Some(event)) = decoder.next() {
            black_box(&event.data);
        }
    }
}

#[inline(never)]
fn ours(pieces: Vec<Bytes>) {
    let mut decoder = ChatDecoder::new();
    for piece in pieces {
        decoder.push(piece);
        while let Ok(Progress::Chunk) = decoder.advance() {
            black_box(decoder.chunk().text());
        }
    }
    assert!(!decoder.partial().choices.is_empty());
}

/// As Rust and JavaScript servers print an `f32`.
fn short(value: f32) -> String {
    value.to_string()
}

/// As Python servers do.
fn long(value: f32) -> String {
    f64::from(value).to_string()
}

/// Numbers such as a normalised vector has.
fn vector(seed: usize) -> impl Iterator<Item = f32> {
    let mut state = seed as u64 | 1;
    (0..1024).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) / 8.0
    })
}

fn embeddings(count: usize, print: fn(f32) -> String) -> String {
    let vector = |seed| vector(seed).map(print).collect::<Vec<_>>().join(",");
    let item =
        |at| format!("{{\"object\":\"embedding\",\"index\":{at},\"embedding\":[{}]}}", vector(at));
    let items = (0..count).map(item).collect::<Vec<_>>().join(",");
    format!("{{\"object\":\"list\",\"data\":[{items}],\"model\":\"m\"}}")
}

fn base64(count: usize) -> String {
    let vector =
        |seed| STANDARD.encode(vector(seed).flat_map(f32::to_le_bytes).collect::<Vec<_>>());
    let item = |at| {
        format!("{{\"object\":\"embedding\",\"index\":{at},\"embedding\":\"{}\"}}", vector(at))
    };
    let items = (0..count).map(item).collect::<Vec<_>>().join(",");
    format!("{{\"object\":\"list\",\"data\":[{items}],\"model\":\"m\"}}")
}

/// Takes what is not used too, so that all cases do the same before.
#[inline(never)]
fn embed<T>(body: &str, unused: T) {
    black_box(unused);
    let response = EmbeddingResponse::decode(body.as_bytes()).expect("vectors");
    assert_eq!(response.dimension(), 1024);
    black_box(response);
}

#[inline(never)]
fn embed_serde<T>(body: &str, unused: T) {
    #[derive(Deserialize)]
    struct Response {
        data: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        embedding: Vec<f32>,
    }
    black_box(unused);
    let response: Response = serde_json::from_slice(body.as_bytes()).expect("vectors");
    assert_eq!(response.data[0].embedding.len(), 1024);
    black_box(response);
}

/// The usual way: an event, then `serde_json::from_slice` into structs that own their text.
#[inline(never)]
fn owned_structs(pieces: Vec<Bytes>) {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "what is read is not used here")]
    struct Chunk {
        id: String,
        object: String,
        created: u64,
        model: String,
        system_fingerprint: Option<String>,
        choices: Vec<Choice>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "what is read is not used here")]
    struct Choice {
        index: u32,
        delta: Delta,
        finish_reason: Option<String>,
        logprobs: Option<Logprobs>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "what is read is not used here")]
    struct Delta {
        role: Option<String>,
        content: Option<String>,
        #[serde(default)]
        tool_calls: Vec<Call>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "what is read is not used here")]
    struct Call {
        index: u32,
        function: Function,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "what is read is not used here")]
    struct Function {
        arguments: String,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "what is read is not used here")]
    struct Logprobs {
        content: Vec<Logprob>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "what is read is not used here")]
    struct Logprob {
        token: String,
        logprob: f64,
        bytes: Vec<u8>,
    }
    let mut decoder = sse::Decoder::default();
    for piece in pieces {
        decoder.push(piece);
        while let Ok(Some(event)) = decoder.next() {
            black_box(serde_json::from_slice::<Chunk>(&event.data).expect("a chunk"));
        }
    }
}
