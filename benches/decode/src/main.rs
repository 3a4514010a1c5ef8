//! `WHAT READER COUNT`: makes so many events or vectors and reads them, for `cargo xtask bench` to count.
//!
//! With the reader `nothing` they are only made, which is to be taken off. Prints nothing.

mod chat;
mod embeddings;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [what, reader, count] = &arguments[..] else { return ExitCode::from(2) };
    let Ok(count) = count.parse() else { return ExitCode::from(2) };
    if chat::run(what, reader, count) || embeddings::run(what, reader, count) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    }
}
