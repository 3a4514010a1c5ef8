//! `WHAT READER COUNT`: makes so many events or vectors and reads them, for `cargo xtask bench` to count.
//!
//! With the reader `nothing` they are only made, which is to be taken off. Prints nothing.

use std::hint::black_box;
use std::{env, process::ExitCode};

use bench_decode::{chat, embeddings};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [what, reader, count] = &arguments[..] else { return ExitCode::from(2) };
    let Ok(count) = count.parse() else { return ExitCode::from(2) };
    match run_chat(what, reader, count).or_else(|| run_embeddings(what, reader, count)) {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::from(2),
    }
}

fn run_chat(what: &str, reader: &str, count: usize) -> Option<()> {
    let pieces = black_box(chat::pieces(what, count)?);
    if reader != "nothing" {
        let read = chat::read(reader, pieces)?;
        assert_eq!(read, count, "a reader that skips events must not win");
    }
    Some(())
}

fn run_embeddings(what: &str, reader: &str, count: usize) -> Option<()> {
    let body = black_box(embeddings::body(what, count)?);
    if reader != "nothing" {
        let read = embeddings::read(what, reader, &body)?;
        let numbers = count * embeddings::DIMENSION;
        assert_eq!(read, numbers, "a reader that skips numbers must not win");
    }
    Some(())
}
