//! What reading costs, an event of a chat and a number of a vector, by ours and by what others take.
//!
//! One program reads what it made itself, so there is no server and no socket. What making it costs is
//! counted too, and taken off.

use super::client::Benches;
use super::cost::Meter;
use super::ratio::Goal::{self, Allocations, Instructions, Part};
use super::ratio::{compare, verdict};
use crate::ci::Verdict;
use crate::workspace::Workspace;

/// Something to read, who reads it, and what we want of our own reader.
struct Job {
    what: &'static str,
    title: &'static str,
    readers: &'static [&'static str],
    goals: &'static [Goal],
}

/// The readers of streams, ours first.
const STREAM: &[&str] = &["baseten", "serde_json", "eventsource", "async-openai"];
const VECTORS: &[&str] = &["baseten", "serde_json", "async-openai"];
const EVENT: &[Goal] = &[Part(0.50, "serde_json"), Part(0.11, "async-openai"), Allocations(1.3)];
/// The counts themselves are read anew in each.
const COUNTED: &[Goal] = &[Part(0.50, "serde_json"), Allocations(1.3)];
const NUMBER: &[Goal] = &[Part(0.65, "serde_json")];

#[rustfmt::skip]
const CHAT: &[Job] = &[
    Job { what: "text",           title: "text, as vLLM sends it",              readers: STREAM, goals: EVENT },
    Job { what: "text-paced",     title: "the same, each in a read of its own", readers: STREAM, goals: EVENT },
    Job { what: "llamacpp",       title: "text, recorded from llama.cpp",       readers: STREAM, goals: EVENT },
    Job { what: "usage",          title: "text with the counts so far",         readers: STREAM, goals: COUNTED },
    Job { what: "tools",          title: "a part of a tool call, as vLLM",      readers: STREAM, goals: EVENT },
    Job { what: "llamacpp-tools", title: "the same, recorded from llama.cpp",   readers: STREAM, goals: EVENT },
    Job { what: "logprobs",       title: "text with its probability",           readers: STREAM, goals: &[Part(1.0, "serde_json")] },
];

#[rustfmt::skip]
const EMBEDDINGS: &[Job] = &[
    Job { what: "short",  title: "a number as an f32 prints",  readers: VECTORS, goals: NUMBER },
    Job { what: "long",   title: "a number as an f64 prints",  readers: VECTORS, goals: NUMBER },
    Job { what: "base64", title: "a number in base64",         readers: VECTORS, goals: &[Instructions(45.0)] },
];

/// Events in the short run and in the long one.
const EVENTS: [u32; 2] = [1000, 3000];
/// Vectors in them, and how many numbers each has.
const VECTOR_RUNS: [u32; 2] = [4, 12];
const DIMENSION: f64 = 1024.0;

/// Events of a streamed chat.
///
/// # Errors
///
/// What cannot be built or run, or the goals missed, after the tables were printed.
pub(crate) fn chat() -> Result<Verdict, String> {
    run(CHAT, EVENTS, 1.0)
}

/// Numbers of embeddings.
///
/// # Errors
///
/// As [`chat`].
pub(crate) fn embeddings() -> Result<Verdict, String> {
    run(EMBEDDINGS, VECTOR_RUNS, DIMENSION)
}

fn run(jobs: &[Job], runs: [u32; 2], in_each: f64) -> Result<Verdict, String> {
    let meter = match Meter::without_syscalls() {
        Ok(meter) => meter,
        Err(missing) => return Ok(Verdict::Skipped(missing)),
    };
    let program = Benches::of(&Workspace::load()?).build("bench-decode")?;
    let mut missed = Vec::new();
    for Job { what, title, readers, goals } in jobs {
        let cost = |reader: &str| {
            let job = |count: u32| vec![(*what).into(), reader.into(), count.to_string().into()];
            meter.slope(&program, runs, job)
        };
        let making = cost("nothing")?;
        let rows = readers
            .iter()
            .map(|reader| Ok((*reader, cost(reader)?.less(&making, in_each))))
            .collect::<Result<Vec<_>, String>>()?;
        missed.extend(compare(title, &rows, goals));
    }
    verdict(&missed)
}
