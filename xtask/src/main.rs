//! The project's own checks, run as `cargo xtask NAME`.
//!
//! This file only picks the check. Each check is a module that returns `Err` with what is wrong;
//! printing goes through [`output`]. Nothing here is published or linked into a shipped crate.

mod bench;
mod ci;
mod fuzz;
mod graph;
mod interop;
mod layers;
mod output;
mod parity;
mod sizes;
mod workspace;

use std::env;
use std::process::ExitCode;

use crate::ci::Extent;

const USAGE: &str = "\
usage: cargo xtask NAME

  bench predict    what one small call costs, beside other clients; needs valgrind
  bench chat       what reading an event of a streamed chat costs, beside other decoders
  bench stream     what an event of a streamed chat costs a whole client, beside other clients
  bench memory     what an open stream takes, beside hyper
  bench embeddings what reading a number of a vector costs, the same way
  ci [--quick]     everything that must hold; --quick is what every commit passes
  fuzz [TARGET] [--seconds N]  libFuzzer on what reads bytes of others, 5 s a target; needs c++
  layers           the arrows between our crates, and what may never be under them
  parity           what the async and the blocking facade offer, compared
  sizes [--binary] crates of others in each build, beside the ceilings; bytes and build seconds
  interop truss    both facades against Baseten's own Truss server
  interop litellm  the same behind LiteLLM, with the emulator for Baseten
  interop llama    the same against llama.cpp's server, directly and through nginx
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
        ["ci"] => ci::run(Extent::Full),
        ["ci", "--quick"] => ci::run(Extent::Quick),
        ["bench", "predict"] => bench::predict().map(|verdict| verdict.report("bench predict")),
        ["bench", "chat"] => bench::chat().map(|verdict| verdict.report("bench chat")),
        ["bench", "stream"] => bench::stream().map(|verdict| verdict.report("bench stream")),
        ["bench", "memory"] => bench::memory().map(|verdict| verdict.report("bench memory")),
        ["bench", "embeddings"] => {
            bench::embeddings().map(|verdict| verdict.report("bench embeddings"))
        }
        ["fuzz", rest @ ..] => {
            let outcome = fuzz::run(rest).ok_or(USAGE)?;
            outcome.map(|verdict| verdict.report("fuzz"))
        }
        ["layers"] => layers::run(),
        ["parity"] => parity::run(),
        ["sizes"] => sizes::run(),
        ["sizes", "--binary"] => sizes::run_with_binaries(),
        ["interop", "truss"] => interop::truss().map(|verdict| verdict.report("interop truss")),
        ["interop", "litellm"] => {
            interop::litellm().map(|verdict| verdict.report("interop litellm"))
        }
        ["interop", "llama"] => interop::llama().map(|verdict| verdict.report("interop llama")),
        _ => Err(USAGE.to_owned()),
    }
}
