//! What a streamed chat costs, an event, from the socket to the typed chunk, by ours and by other clients.
//!
//! One call with few events and one with many: their difference has nothing of start, connect and
//! request in it.

use super::client::Benches;
use super::cost::Meter;
use super::ratio::Goal::{self, Allocations, Part};
use super::ratio::{compare, verdict};
use super::server::Server;
use crate::ci::Verdict;
use crate::workspace::Workspace;

/// How events come, who reads them, ours first, and what we want of ours.
struct Job {
    title: &'static str,
    /// How the server is asked for it.
    model: &'static str,
    readers: &'static [&'static str],
    goals: &'static [Goal],
}

const ASYNC: &[&str] = &["baseten", "hyper", "async-openai"];
const BLOCKING: &[&str] = &["baseten-blocking", "ureq"];

#[rustfmt::skip]
const JOBS: &[Job] = &[
    Job { title: "an event in a write of its own, async", model: "paced", readers: ASYNC,
        goals: &[Part(0.85, "hyper"), Part(0.47, "async-openai")] },
    Job { title: "the same, blocking", model: "paced", readers: BLOCKING,
        goals: &[Part(0.70, "ureq")] },
    Job { title: "many events in a read, async", model: "coalesced", readers: ASYNC,
        goals: &[Part(0.50, "hyper"), Part(0.11, "async-openai"), Allocations(1.3)] },
    Job { title: "the same, blocking", model: "coalesced", readers: BLOCKING, goals: &[Allocations(1.3)] },
];

/// Events in the short run and in the long one. Paced ones take their time.
fn runs(model: &str) -> [u32; 2] {
    if model == "paced" { [100, 500] } else { [1000, 5000] }
}

/// A streamed chat.
///
/// # Errors
///
/// A client that cannot be built or run, or the goals missed, after the tables were printed.
pub(crate) fn stream() -> Result<Verdict, String> {
    let meter = match Meter::without_syscalls() {
        Ok(meter) => meter,
        Err(missing) => return Ok(Verdict::Skipped(missing)),
    };
    let benches = Benches::of(&Workspace::load()?);
    let server = benches.build("bench-server")?;
    let programs = [ASYNC, BLOCKING].concat().into_iter();
    let programs = programs
        .map(|reader| Ok((reader, benches.build_stream(reader)?)))
        .collect::<Result<Vec<_>, String>>()?;
    let server = Server::start(&server, &benches.target.join("ca.pem"))?;

    let mut missed = Vec::new();
    for Job { title, model, readers, goals } in JOBS {
        let rows = programs
            .iter()
            .filter(|(reader, _)| readers.contains(reader))
            .map(|(reader, program)| {
                let job = |events: u32| {
                    vec![(&server.plain).into(), events.to_string().into(), (*model).into()]
                };
                Ok((*reader, meter.slope(program, runs(model), job)?))
            })
            .collect::<Result<Vec<_>, String>>()?;
        missed.extend(compare(title, &rows, goals));
    }
    verdict(&missed)
}
