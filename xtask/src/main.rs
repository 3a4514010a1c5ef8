//! The project's own checks, run as `cargo xtask NAME`.
//!
//! This file only picks the check. Each check is a module that returns `Err` with what is wrong;
//! printing goes through [`output`]. Nothing here is published or linked into a shipped crate.

mod graph;
mod layers;
mod output;
mod parity;
mod sizes;
mod workspace;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask NAME

  layers           the arrows between our crates, and what may never be under them
  parity           what the async and the blocking facade offer, compared
  sizes            crates of others in each build, beside the ceilings
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            output::complain(&what);
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), String> {
    match words {
        ["layers"] => layers::run(),
        ["parity"] => parity::run(),
        ["sizes"] => sizes::run(),
        _ => Err(USAGE.to_owned()),
    }
}
