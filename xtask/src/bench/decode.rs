//! What reading costs, an event of a chat and a number of a vector, by ours and by what others take.
//!
//! One program reads what it made itself, so there is no server and no socket. What making it costs is
//! counted too, and taken off.

use super::client::Benches;
use super::cost::{Cost, Meter};
use crate::ci::Verdict;
use crate::output::say;
use crate::workspace::Workspace;

/// Something to read, who reads it, and what we want of our own reader.
struct Job {
    what: &'static str,
    title: &'static str,
    readers: &'static [&'static str],
    goals: &'static [Goal],
}

/// The most that one of it may cost.
enum Goal {
    /// As a part of another reader's instructions.
    Part(f64, &'static str),
    Instructions(f64),
    Allocations(f64),
}

use Goal::{Allocations, Instructions, Part};

/// The readers of streams, ours first.
const STREAM: &[&str] = &["baseten", "serde_json", "eventsource", "async-openai"];
const VECTORS: &[&str] = &["baseten", "serde_json", "async-openai"];
const EVENT: &[Goal] = &[Part(0.50, "serde_json"), Part(0.11, "async-openai"), Allocations(1.3)];
const NUMBER: &[Goal] = &[Part(0.65, "serde_json")];

#[rustfmt::skip]
const CHAT: &[Job] = &[
    Job { what: "text",           title: "text, as vLLM sends it",              readers: STREAM, goals: EVENT },
    Job { what: "text-paced",     title: "the same, each in a read of its own", readers: STREAM, goals: EVENT },
    Job { what: "llamacpp",       title: "text, recorded from llama.cpp",       readers: STREAM, goals: EVENT },
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
        say(table(title, &rows));
        for goal in *goals {
            let (figure, met) = goal.judge(&rows);
            let mark = if met { "met" } else { "MISSED" };
            say(format!("  {goal}: {figure:.2}, {mark}"));
            if !met {
                missed.push(format!("{title}: {goal} ({figure:.2})"));
            }
        }
    }
    if missed.is_empty() {
        Ok(Verdict::Passed)
    } else {
        Err(format!("bench: missed: {}", missed.join("; ")))
    }
}

fn table(title: &str, rows: &[(&str, Cost)]) -> String {
    let ours = rows[0].1.instructions;
    let mut lines = vec![format!("\n{title:<38} instructions  ours /  allocations")];
    for (reader, cost) in rows {
        lines.push(format!(
            "  {reader:<36} {:>12.1} {:>7.2} {:>12.2}",
            cost.instructions,
            ours / cost.instructions,
            cost.allocations
        ));
    }
    lines.join("\n")
}

impl Goal {
    /// The figure of the first row, which is ours, and whether it will do.
    fn judge(&self, rows: &[(&str, Cost)]) -> (f64, bool) {
        let ours = &rows[0].1;
        let (figure, most) = match self {
            Part(most, other) => {
                let theirs = rows.iter().find(|(reader, _)| reader == other);
                let theirs = theirs.map_or(f64::NAN, |(_, cost)| cost.instructions);
                (ours.instructions / theirs, *most)
            }
            Instructions(most) => (ours.instructions, *most),
            Allocations(most) => (ours.allocations, *most),
        };
        (figure, figure <= most)
    }
}

/// `≤ 0.50 × serde_json`
impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part(most, other) => write!(f, "≤ {most:.2} × {other}"),
            Instructions(most) => write!(f, "≤ {most} instructions"),
            Allocations(most) => write!(f, "≤ {most} allocations"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_missed_by_the_smallest_step_over_it_and_by_a_reader_that_is_not_there() {
        let cost = |instructions, allocations| Cost {
            instructions,
            allocations,
            bytes: 0.0,
            syscalls: None,
        };
        let rows = |ours| [("baseten", cost(ours, 1.3)), ("serde_json", cost(1000.0, 9.0))];
        assert_eq!(Part(0.5, "serde_json").judge(&rows(500.0)), (0.5, true));
        assert_eq!(Part(0.5, "serde_json").judge(&rows(501.0)), (0.501, false));
        assert!(!Part(0.5, "another").judge(&rows(1.0)).1);
        assert_eq!(Allocations(1.3).judge(&rows(1.0)), (1.3, true));
        assert_eq!(Allocations(1.2).judge(&rows(1.0)), (1.3, false));
        assert_eq!(Instructions(45.0).judge(&rows(46.0)), (46.0, false));
    }
}
