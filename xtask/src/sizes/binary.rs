//! How large one predict is as a shipped program, and what a clean build of it costs.
//!
//! The programs are examples, built alone in the profile `small` and in a target folder of their own,
//! so that nothing else can add a feature or have built a dependency before.

use std::fs;
use std::path::Path;

use crate::output::say;
use crate::workspace::{Workspace, cargo, finish};

/// An example, what is switched on in it, and its goal.
struct Program {
    title: &'static str,
    example: &'static str,
    features: &'static str,
    /// Bytes of the stripped program.
    goal: Option<u64>,
}

const PACKAGE: &str = "baseten-examples";

const PROGRAMS: &[Program] = &[
    Program { title: "blocking, bare", example: "blocking", features: "", goal: Some(900_000) },
    Program { title: "blocking, tls", example: "blocking", features: "tls", goal: Some(2_200_000) },
    Program {
        title: "async, tls, with the emulator inside",
        example: "quickstart",
        features: "async,emulator,tls",
        goal: None,
    },
];

/// CPU seconds of a clean build, for a program that has a goal.
const BUILD_GOAL: f64 = 60.0;

/// Builds every program from nothing and prints what came of it.
///
/// # Errors
///
/// A program that does not build. Being over a goal is only printed: bytes and seconds are those of
/// this machine and toolchain.
pub(super) fn run(workspace: &Workspace) -> Result<(), String> {
    let folder = workspace.target.join("sizes");
    let mut table = vec!["one predict, fat LTO, stripped; a clean build of it".to_owned()];
    for program in PROGRAMS {
        let (bytes, seconds) = build(program, &folder)?;
        let spent = |s: f64| format!("{s:.0} CPU s");
        let time = seconds.map_or_else(|| "not measured on this system".to_owned(), spent);
        let row = match program.goal {
            None => format!("{:.2} MB, {time}", megabytes(bytes)),
            Some(goal) => format!(
                "{:.2} of {:.2} MB{}, {time} of {BUILD_GOAL:.0}{}",
                megabytes(bytes),
                megabytes(goal),
                mark(bytes > goal),
                mark(seconds.is_some_and(|seconds| seconds > BUILD_GOAL)),
            ),
        };
        table.push(format!("  {:<37} {row}", program.title));
    }
    say(table.join("\n"));
    Ok(())
}

/// Bytes of the program, and CPU seconds where they can be had.
fn build(program: &Program, target: &Path) -> Result<(u64, Option<f64>), String> {
    // What an earlier program built would be missing from the time of this one.
    let _ = fs::remove_dir_all(target);
    let before = cpu_of_children();
    let mut build = cargo();
    build.args(["build", "--quiet", "--profile", "small", "--package", PACKAGE]);
    build.args(["--example", program.example]);
    build.args(["--no-default-features", "--features", program.features]);
    finish(build.env("CARGO_TARGET_DIR", target))?;
    let seconds = before.zip(cpu_of_children()).map(|(before, after)| after - before);
    let built = target.join("small").join("examples").join(program.example);
    let bytes = fs::metadata(&built).map_err(|e| format!("{}: {e}", built.display()))?.len();
    Ok((bytes, seconds))
}

/// CPU seconds of all children that have ended, user and system; on Linux only.
fn cpu_of_children() -> Option<f64> {
    seconds(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Reads `cutime` and `cstime`, the 16th and 17th field, from a line of `/proc/PID/stat`.
fn seconds(stat: &str) -> Option<f64> {
    // The second field is the program's name, in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = fields.get(13)?.parse::<u32>().ok()? + fields.get(14)?.parse::<u32>().ok()?;
    // What the kernel tells programs is in hundredths on every architecture we run on.
    Some(f64::from(ticks) / 100.0)
}

fn mark(over: bool) -> &'static str {
    if over { " OVER" } else { "" }
}

fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "two digits are printed")]
    let bytes = bytes as f64;
    bytes / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_children_are_read_past_any_program_name() {
        let stat = "7 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 11 22 3300 44 20 0 1 0 5";
        assert_eq!(seconds(stat), Some(33.44));
        assert_eq!(seconds("7 (a) S 1"), None);
    }
}
