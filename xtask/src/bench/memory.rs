//! How much memory an open stream takes, with its connection and what it has collected.
//!
//! Few streams at once and many: their difference has nothing of the program itself in it. The heap is
//! counted, so goals are for that. What is resident depends on the allocator and on when who was
//! there; it is what a machine has to have.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::client::Benches;
use super::cost::Meter;
use super::ratio::verdict;
use super::server::Server;
use crate::ci::Verdict;
use crate::output::say;
use crate::workspace::Workspace;

/// How events come, and the most of the heap that a stream of ours may take.
struct Job {
    title: &'static str,
    /// How the server is asked for it.
    model: &'static str,
    events: u32,
    /// As a part of hyper's, which keeps nothing of the answer.
    part: f64,
    bytes: f64,
}

#[rustfmt::skip]
const JOBS: &[Job] = &[
    Job { title: "each event in a write of its own", model: "slow", events: 20, part: 1.2, bytes: 36e3 },
    Job { title: "many events in a read", model: "coalesced", events: 1000, part: 0.25, bytes: 64e3 },
];

/// The measure of the others, and ours.
const HYPER: &str = "hyper";
const OURS: [&str; 2] = ["baseten", "baseten-blocking"];

/// Open streams in the run with few and in the one with many: for the heap, counting which takes its
/// time, and for what is resident.
const COUNTED: [u32; 2] = [4, 12];
const RESIDENT: [u32; 2] = [64, 448];

/// Open streams.
///
/// # Errors
///
/// A client that cannot be built or run, or the goals missed, after the tables were printed.
pub(crate) fn memory() -> Result<Verdict, String> {
    let meter = match Meter::without_syscalls() {
        Ok(meter) => meter,
        Err(missing) => return Ok(Verdict::Skipped(missing)),
    };
    let benches = Benches::of(&Workspace::load()?);
    let server = benches.build("bench-server")?;
    let hyper = benches.build_stream(HYPER)?;
    let ours = OURS.into_iter();
    let ours = ours
        .map(|reader| Ok((reader, benches.build_stream(reader)?)))
        .collect::<Result<Vec<_>, String>>()?;
    let server = Server::start(&server, &benches.target.join("ca.pem"))?;

    let mut missed = Vec::new();
    for Job { title, model, events, part, bytes } in JOBS {
        let job = |streams: u32| {
            let words = [&server.plain, &events.to_string(), *model, &streams.to_string()];
            words.map(Into::into).to_vec()
        };
        say(format!("\nan open stream, {title:<33} heap  / hyper   resident"));
        let theirs = meter.peak(&hyper, COUNTED, job)?;
        row(HYPER, theirs, theirs, resident(&hyper, job)?);
        for (reader, program) in &ours {
            let heap = meter.peak(program, COUNTED, job)?;
            row(reader, heap, theirs, resident(program, job)?);
            for (goal, met) in [
                (format!("≤ {part:.2} × {HYPER}"), heap <= part * theirs),
                (format!("≤ {bytes} bytes"), heap <= *bytes),
            ] {
                say(format!("    {goal}: {}", if met { "met" } else { "MISSED" }));
                if !met {
                    missed.push(format!("{title}, {reader}: {goal} ({heap:.0})"));
                }
            }
        }
    }
    verdict(&missed)
}

fn row(reader: &str, heap: f64, theirs: f64, resident: f64) {
    say(format!("  {reader:<46} {heap:>8.0} {:>8.2} {resident:>10.0}", heap / theirs));
}

/// How many bytes more were resident, at the most, for each stream that was open more.
fn resident(program: &Path, job: impl Fn(u32) -> Vec<OsString>) -> Result<f64, String> {
    let fault = |what: String| format!("{}: {what}", program.display());
    let [few, many] = RESIDENT.map(|streams| {
        let output = Command::new(program).args(job(streams)).env_clear().output();
        let output = output.map_err(|e| fault(e.to_string()))?;
        let told = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(fault(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        kilobytes(&told).ok_or_else(|| fault(format!("does not say what is resident: {told}")))
    });
    Ok((many? - few?) * 1024.0 / f64::from(RESIDENT[1] - RESIDENT[0]))
}

/// `resident 1234 kB`
fn kilobytes(told: &str) -> Option<f64> {
    told.trim().strip_prefix("resident ")?.strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_resident_is_read_as_a_program_says_it() {
        assert_eq!(kilobytes("resident 15632 kB\n"), Some(15632.0));
        assert_eq!(kilobytes("resident 15632 MB\n"), None);
        assert_eq!(kilobytes(""), None);
    }
}
