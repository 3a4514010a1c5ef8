//! The time of a number of an embedding, by ours and by what others take. For people: no time is a gate.

use bench_decode::embeddings;
use criterion::{Criterion, Throughput};

/// In one answer.
const VECTORS: usize = 8;
const KINDS: [&str; 3] = ["short", "long", "base64"];
const READERS: [&str; 3] = ["baseten", "serde_json", "async-openai"];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let numbers = VECTORS * embeddings::DIMENSION;
    for what in KINDS {
        let mut group = criterion.benchmark_group(format!("embedding_decode/{what}"));
        group.throughput(Throughput::Elements(numbers as u64));
        let body = embeddings::body(what, VECTORS).expect("a kind of vector");
        for reader in READERS {
            assert_eq!(embeddings::read(what, reader, &body), Some(numbers), "{reader} of {what}");
            group.bench_function(reader, |bencher| {
                bencher.iter(|| embeddings::read(what, reader, &body));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
