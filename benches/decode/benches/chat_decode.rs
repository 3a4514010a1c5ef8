//! The time of an event of a streamed chat, by ours and by what others take. For people: no time is a gate.

use bench_decode::chat;
use criterion::{BatchSize, Criterion, Throughput};

/// In one stream.
const EVENTS: usize = 1000;
const KINDS: [&str; 7] =
    ["text", "text-paced", "llamacpp", "usage", "tools", "llamacpp-tools", "logprobs"];
const READERS: [&str; 4] = ["baseten", "serde_json", "eventsource", "async-openai"];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for what in KINDS {
        let mut group = criterion.benchmark_group(format!("chat_decode/{what}"));
        group.throughput(Throughput::Elements(EVENTS as u64));
        let pieces = || chat::pieces(what, EVENTS).expect("a kind of event");
        for reader in READERS {
            assert_eq!(chat::read(reader, pieces()), Some(EVENTS), "{reader} of {what}");
            group.bench_function(reader, |bencher| {
                bencher.iter_batched(
                    pieces,
                    |pieces| chat::read(reader, pieces),
                    BatchSize::LargeInput,
                );
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
