//! Streamed chats, and those who read them: framing and JSON, to a typed event.

use std::convert::Infallible;
use std::hint::black_box;

use async_openai::types::chat::CreateChatCompletionStreamResponse;
use baseten_core::sse;
use baseten_openai::{ChatDecoder, Progress};
use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// About what one read of a busy connection gives.
const PIECE: usize = 16 * 1024;

/// `count` events of this kind, in the pieces that reads give; `None` for an unknown kind.
#[must_use]
pub fn pieces(what: &str, count: usize) -> Option<Vec<Bytes>> {
    let (what, paced) = what.strip_suffix("-paced").map_or((what, false), |what| (what, true));
    let event: Box<dyn Fn(usize) -> String> = match what {
        "text" => Box::new(text),
        "usage" => Box::new(usage),
        "logprobs" => Box::new(logprobs),
        "tools" => Box::new(tools),
        "llamacpp" => recorded(include_str!(
            "../../../crates/baseten-openai/tests/wire/llamacpp2-chat-stream.sse"
        )),
        "llamacpp-tools" => recorded(include_str!(
            "../../../crates/baseten-openai/tests/wire/llamacpp2-chat-tools-stream.sse"
        )),
        _ => return None,
    };
    if paced {
        return Some((0..count).map(|at| event(at).into()).collect());
    }
    let whole = Bytes::from((0..count).map(event).collect::<String>());
    let cut = |at: usize| whole.slice(at..whole.len().min(at + PIECE));
    Some((0..whole.len()).step_by(PIECE).map(cut).collect())
}

/// Reads them to typed events, and says how many; `None` for an unknown reader.
#[must_use]
pub fn read(reader: &str, pieces: Vec<Bytes>) -> Option<usize> {
    Some(match reader {
        "baseten" => ours(pieces),
        "serde_json" => framed::<Chunk>(pieces),
        "eventsource" => eventsource::<Chunk>(pieces),
        "async-openai" => eventsource::<CreateChatCompletionStreamResponse>(pieces),
        _ => return None,
    })
}

const WORDS: [&str; 8] = [" the", " of", "ing", " quick", "\\n", ",", " \\\"fox\\\"", " über"];

/// As vLLM and OpenAI order the members.
const HEAD: &str = r#"{"id":"chatcmpl-8f6daf954acf1baf0fe6fe46b8108","object":"chat.completion.chunk","created":1795412199,"model":"acme/peer-large-instruct","system_fingerprint":"fp_b17e4c0a9","choices":[{"index":0,"#;

fn text(at: usize) -> String {
    let word = WORDS[at % WORDS.len()];
    format!(
        "data: {HEAD}\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
    )
}

/// With the counts so far, as `continuous_usage_stats` has them.
fn usage(at: usize) -> String {
    let word = WORDS[at % WORDS.len()];
    let (written, all) = (at + 1, at + 32);
    format!(
        "data: {HEAD}\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}],\
         \"usage\":{{\"prompt_tokens\":31,\"total_tokens\":{all},\"completion_tokens\":{written}}}}}\n\n"
    )
}

fn logprobs(at: usize) -> String {
    let word = WORDS[at % WORDS.len()];
    format!(
        "data: {HEAD}\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":{{\"content\":[{{\"token\":\"{word}\",\
         \"logprob\":-0.{at},\"bytes\":[32,113],\"top_logprobs\":[]}}]}},\"finish_reason\":null}}]}}\n\n"
    )
}

fn tools(at: usize) -> String {
    let word = WORDS[at % WORDS.len()];
    format!(
        "data: {HEAD}\"delta\":{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":\"{word}\"}}}}]}},\
         \"finish_reason\":null}}]}}\n\n"
    )
}

/// The events of a recording between its first and its last, over and over.
fn recorded(stream: &'static str) -> Box<dyn Fn(usize) -> String> {
    let events: Vec<&str> = stream
        .split_inclusive("\n\n")
        .filter(|event| event.contains("\"finish_reason\":null") && !event.contains("\"role\""))
        .collect();
    Box::new(move |at| events[at % events.len()].to_owned())
}

#[inline(never)]
fn ours(pieces: Vec<Bytes>) -> usize {
    let mut decoder = ChatDecoder::new();
    let mut read = 0;
    for piece in pieces {
        decoder.push(piece);
        while let Ok(Progress::Chunk) = decoder.advance() {
            black_box(decoder.chunk());
            read += 1;
        }
    }
    read
}

/// Our framing, then `serde_json`: what that alone costs.
#[inline(never)]
fn framed<T: DeserializeOwned>(pieces: Vec<Bytes>) -> usize {
    let mut decoder = sse::Decoder::default();
    let mut read = 0;
    for piece in pieces {
        decoder.push(piece);
        while let Ok(Some(event)) = decoder.next() {
            black_box(serde_json::from_slice::<T>(&event.data).expect("an event"));
            read += 1;
        }
    }
    read
}

/// The framing that `async-openai` has.
#[inline(never)]
fn eventsource<T: DeserializeOwned>(pieces: Vec<Bytes>) -> usize {
    let mut events = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)).eventsource();
    let mut read = 0;
    while let Some(Some(event)) = events.next().now_or_never() {
        let event = event.expect("an event");
        black_box(serde_json::from_str::<T>(&event.data).expect("an event"));
        read += 1;
    }
    read
}

/// What a service would write by hand: owned text, no unknown members, nothing collected.
#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is not used here")]
struct Chunk {
    id: String,
    object: String,
    created: u64,
    model: String,
    system_fingerprint: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is not used here")]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is not used here")]
struct Choice {
    index: u32,
    delta: Delta,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is not used here")]
struct Delta {
    role: Option<String>,
    content: Option<String>,
    #[serde(default)]
    tool_calls: Vec<Call>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is not used here")]
struct Call {
    index: u32,
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is not used here")]
struct Function {
    name: Option<String>,
    arguments: String,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is not used here")]
struct Logprobs {
    content: Vec<Logprob>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is not used here")]
struct Logprob {
    token: String,
    logprob: f64,
    bytes: Vec<u8>,
    top_logprobs: Vec<Self>,
}
