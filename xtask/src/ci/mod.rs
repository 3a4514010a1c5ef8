//! `cargo xtask ci`: everything that must hold, stage by stage, with the minutes each took.
//!
//! A stage that fails does not stop the others: one run tells all. `.ci/run` prepares a bare machine
//! and calls this.

mod package;
pub(crate) mod readme;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::output::{complain, say};
use crate::workspace::{Workspace, cargo, finish};
use crate::{fuzz, interop, layers, parity, sizes};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What every commit passes.
    Quick,
    /// What every submission passes.
    Full,
}

/// One thing that must hold.
struct Stage {
    name: &'static str,
    extent: Extent,
    run: fn(&Workspace) -> Result<Verdict, String>,
}

/// How a stage that found nothing wrong ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// What it needs could not be had; why.
    Skipped(String),
}

/// A check that cannot be skipped.
impl From<()> for Verdict {
    fn from((): ()) -> Self {
        Self::Passed
    }
}

impl Verdict {
    /// The last line of a check that is run alone.
    pub(crate) fn report(&self, name: &str) {
        match self {
            Self::Passed => say(format!("{name}: passed")),
            Self::Skipped(why) => say(format!("SKIPPED {name}: {why}")),
        }
    }
}

/// What became of a stage, and how long it took.
struct Record {
    name: &'static str,
    took: Duration,
    outcome: Result<Verdict, String>,
}

#[rustfmt::skip]
const STAGES: &[Stage] = &[
    Stage { name: "tests",       extent: Extent::Quick, run: tests },
    Stage { name: "traces",      extent: Extent::Quick, run: traces },
    Stage { name: "compression", extent: Extent::Quick, run: compression },
    Stage { name: "numbers",     extent: Extent::Full,  run: numbers },
    Stage { name: "format",      extent: Extent::Quick, run: format },
    Stage { name: "clippy",      extent: Extent::Quick, run: clippy },
    Stage { name: "bare builds", extent: Extent::Full,  run: bare_builds },
    Stage { name: "docs",        extent: Extent::Full,  run: docs },
    Stage { name: "layers",      extent: Extent::Quick, run: |_| layers::run().map(Verdict::from) },
    Stage { name: "parity",      extent: Extent::Quick, run: |_| parity::run().map(Verdict::from) },
    Stage { name: "sizes",       extent: Extent::Quick, run: |_| sizes::run().map(Verdict::from) },
    Stage { name: "main job",    extent: Extent::Full,  run: main_job },
    Stage { name: "package",     extent: Extent::Full,  run: |w| package::check(w).map(Verdict::from) },
    Stage { name: "licences",    extent: Extent::Full,  run: licences },
    Stage { name: "fuzz",        extent: Extent::Full,  run: fuzz::all },
    Stage { name: "interop truss", extent: Extent::Full, run: |_| interop::truss() },
    Stage { name: "interop llama", extent: Extent::Full, run: |_| interop::llama() },
];

/// The smallest builds that somebody may depend on: package, and the features added to none.
const BARE: &[(&str, &str)] = &[
    ("baseten-core", ""),
    ("baseten-openai", ""),
    ("baseten-webhook", ""),
    ("baseten-transport", ""),
    ("baseten-transport", "tokio"),
    ("baseten-blocking", ""),
    ("baseten", ""),
    ("baseten-websocket", ""),
];

/// Runs the stages and prints the table.
///
/// # Errors
///
/// The names of the stages that failed.
pub(crate) fn run(extent: Extent) -> Result<(), String> {
    let workspace = Workspace::load()?;
    let mut records = Vec::new();
    for stage in STAGES.iter().filter(|stage| extent == Extent::Full || stage.extent == extent) {
        say(format!("\n==> {}", stage.name));
        let start = Instant::now();
        let outcome = (stage.run)(&workspace);
        if let Err(what) = &outcome {
            complain(what);
        }
        records.push(Record { name: stage.name, took: start.elapsed(), outcome });
    }
    say(table(&records));
    let failed: Vec<&str> =
        records.iter().filter(|r| r.outcome.is_err()).map(|record| record.name).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("ci: failed: {}", failed.join(", "))) }
}

fn tests(workspace: &Workspace) -> Result<Verdict, String> {
    promised(workspace, readme::TESTS)
}

/// What no default build has, and so no other test.
fn traces(_: &Workspace) -> Result<Verdict, String> {
    run_cargo(&["test", "--package", "baseten", "--features", "tracing", "--test", "trace"])
}

/// The same; all of the decoder's own tests, and both facades.
fn compression(_: &Workspace) -> Result<Verdict, String> {
    let feature = ["--features", "baseten/compression"];
    let packages = ["test", "--package", "baseten", "--package", "baseten-transport"];
    run_cargo(&[&packages[..], &feature, &["--lib", "--test", "compression"]].concat())
}

/// What `serde_json` gives for a number where another crate of the build wants its digits. Not the whole
/// answers: those are compared with what was recorded, digit by digit.
fn numbers(_: &Workspace) -> Result<Verdict, String> {
    let package =
        ["test", "--package", "baseten-openai", "--features", "serde_json/arbitrary_precision"];
    let tests = ["--lib", "--test", "properties", "--test", "shapes", "--test", "collected"];
    run_cargo(&[&package[..], &tests].concat())
}

fn main_job(workspace: &Workspace) -> Result<Verdict, String> {
    promised(workspace, readme::MAIN_JOB)
}

fn format(_: &Workspace) -> Result<Verdict, String> {
    run_cargo(&["fmt", "--all", "--check"])
}

fn clippy(_: &Workspace) -> Result<Verdict, String> {
    run_cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
}

/// Each alone, for `--workspace` would give every crate the features that another one asks for.
fn bare_builds(_: &Workspace) -> Result<Verdict, String> {
    for (package, features) in BARE {
        let build =
            ["clippy", "--package", package, "--no-default-features", "--features", features];
        run_cargo(&[&build[..], &["--", "-D", "warnings"]].concat())?;
    }
    Ok(Verdict::Passed)
}

fn docs(_: &Workspace) -> Result<Verdict, String> {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--all-features"]);
    finish(doc.env("RUSTDOCFLAGS", "-D warnings")).map(Verdict::from)
}

/// What `deny.toml` allows; a bare machine does not have the tool, and building it takes too long.
fn licences(_: &Workspace) -> Result<Verdict, String> {
    let there = cargo().args(["deny", "--version"]).output().is_ok_and(|o| o.status.success());
    if there { run_cargo(&["deny", "check"]) } else { skipped("cargo-deny is not installed") }
}

/// Runs the commands that the README gives after the line `marker`.
fn promised(workspace: &Workspace, marker: &str) -> Result<Verdict, String> {
    let path = workspace.root.join("README.md");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let block = readme::block_after(&text, marker)?;
    say(&block);
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &block]).current_dir(&workspace.root);
    finish(&mut shell).map(Verdict::from)
}

fn skipped(why: &str) -> Result<Verdict, String> {
    Ok(Verdict::Skipped(why.to_owned()))
}

fn run_cargo(arguments: &[&str]) -> Result<Verdict, String> {
    say(format!("cargo {}", arguments.join(" ")));
    finish(cargo().args(arguments)).map(Verdict::from)
}

/// The minutes of every stage, and as its last lines what was skipped and why.
fn table(records: &[Record]) -> String {
    let total: Duration = records.iter().map(|record| record.took).sum();
    let minutes = |took: Duration| took.as_secs_f64() / 60.0;
    let mut lines = vec!["\nminutes  stage".to_owned()];
    let mut last = Vec::new();
    for Record { name, took, outcome } in records {
        let mark = match outcome {
            Ok(Verdict::Passed) => "",
            Ok(Verdict::Skipped(why)) => {
                last.push(format!("SKIPPED {name}: {why}"));
                "  SKIPPED"
            }
            Err(_) => "  FAILED",
        };
        lines.push(format!("{:>7.1}  {name}{mark}", minutes(*took)));
    }
    lines.push(format!("{:>7.1}  in all", minutes(total)));
    lines.extend(last);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_failures_and_ends_with_what_was_skipped() {
        let record =
            |name, seconds, outcome| Record { name, took: Duration::from_secs(seconds), outcome };
        let text = table(&[
            record("tests", 90, Ok(Verdict::Passed)),
            record("licences", 0, Ok(Verdict::Skipped("no tool".to_owned()))),
            record("docs", 6, Err("broken link".to_owned())),
        ]);
        let expected = [
            "",
            "minutes  stage",
            "    1.5  tests",
            "    0.0  licences  SKIPPED",
            "    0.1  docs  FAILED",
            "    1.6  in all",
            "SKIPPED licences: no tool",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
