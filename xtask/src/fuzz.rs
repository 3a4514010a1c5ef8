//! `cargo xtask fuzz [TARGET] [--seconds N]`: libFuzzer on what reads bytes of others.
//!
//! The targets are the workspace `xtask/fuzz`. They are built by the stable compiler, which needs no
//! more than LLVM's own coverage pass; libFuzzer itself is C++. Seeds stay as they are: a target works
//! on a copy in the target folder, where what it found is kept for the next run.
//!
//! Without `--seconds` the seed and the number of runs are fixed and the corpus is the seeds alone, so
//! that a commit which passes here passes elsewhere. Who looks for what is new gives it seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ci::Verdict;
use crate::output::say;
use crate::workspace::{Workspace, cargo, finish};

/// One program of `xtask/fuzz/targets`.
struct Target {
    name: &'static str,
    /// The folder of its seeds, and what their names have in them.
    seeds: (&'static str, &'static str),
    /// What takes some five seconds.
    runs: u32,
}

/// How long a target runs.
#[derive(Clone, Copy)]
enum Length {
    /// The target's own number of runs, from the same seed each time.
    Fixed,
    Seconds(u32),
}

#[rustfmt::skip]
const TARGETS: &[Target] = &[
    Target { name: "sse",         seeds: ("crates/baseten-core/tests/sse", ".sse"), runs: 30_000 },
    Target { name: "error_body",  seeds: ("xtask/fuzz/seeds/error_body", ""), runs: 300_000 },
    Target { name: "base_url",    seeds: ("xtask/fuzz/seeds/base_url", ""), runs: 30_000 },
    Target { name: "head",        seeds: ("crates/baseten/tests/recorded", ".http"), runs: 100_000 },
    Target { name: "chat_stream", seeds: ("crates/baseten-openai/tests/wire", ".sse"), runs: 15_000 },
    Target { name: "embeddings",  seeds: ("crates/baseten-openai/tests/wire", "embeddings"), runs: 300_000 },
    Target { name: "numbers",     seeds: ("xtask/fuzz/seeds/numbers", ""), runs: 150_000 },
    Target { name: "signature",   seeds: ("xtask/fuzz/seeds/signature", ""), runs: 400_000 },
];

/// What makes rustc count edges and comparisons in the way libFuzzer reads them.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Reads the words after `fuzz` and runs what they name; `None` if they are no such words.
pub(crate) fn run(words: &[&str]) -> Option<Result<Verdict, String>> {
    let (name, length) = match words {
        [] => (None, Length::Fixed),
        ["--seconds", seconds] => (None, Length::Seconds(seconds.parse().ok()?)),
        [name] => (Some(*name), Length::Fixed),
        [name, "--seconds", seconds] => (Some(*name), Length::Seconds(seconds.parse().ok()?)),
        _ => return None,
    };
    let targets: Vec<&Target> =
        TARGETS.iter().filter(|target| name.is_none_or(|name| name == target.name)).collect();
    (!targets.is_empty()).then(|| Workspace::load().and_then(|w| fuzz(&w, &targets, length)))
}

/// All targets, in the way that says the same each time.
pub(crate) fn all(workspace: &Workspace) -> Result<Verdict, String> {
    fuzz(workspace, &TARGETS.iter().collect::<Vec<_>>(), Length::Fixed)
}

fn fuzz(workspace: &Workspace, targets: &[&Target], length: Length) -> Result<Verdict, String> {
    let there = Command::new("c++").arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        return Ok(Verdict::Skipped(
            "no C++ compiler `c++`, which libFuzzer is built by".to_owned(),
        ));
    }
    let programs = build(workspace)?;
    let mut failures = Vec::new();
    for target in targets {
        if let Err(what) = run_one(workspace, &programs, target, length) {
            failures.push(what);
        }
    }
    if failures.is_empty() { Ok(Verdict::Passed) } else { Err(failures.join("\n")) }
}

/// Builds all targets; the folder they are in.
fn build(workspace: &Workspace) -> Result<PathBuf, String> {
    let folder = workspace.target.join("fuzz");
    let host = host()?;
    let mut build = cargo();
    // Named, the host's own triple keeps the flags away from build scripts.
    build.args(["build", "--quiet", "--locked", "--release", "--target", &host]);
    build.arg("--target-dir").arg(&folder);
    build.env("RUSTFLAGS", INSTRUMENTATION).env_remove("CARGO_ENCODED_RUSTFLAGS");
    finish(build.current_dir(workspace.root.join("xtask/fuzz")))?;
    Ok(folder.join(host).join("release"))
}

/// The triple of this machine, as rustc names it.
fn host() -> Result<String, String> {
    let output =
        Command::new("rustc").arg("-vV").output().map_err(|e| format!("cannot run rustc: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// Runs a target on its seeds and, for seconds, on what earlier runs found.
fn run_one(
    workspace: &Workspace,
    programs: &Path,
    target: &Target,
    length: Length,
) -> Result<(), String> {
    let name = target.name;
    let (corpus, extent) = match length {
        Length::Fixed => ("fixed", ["-seed=1".to_owned(), format!("-runs={}", target.runs)]),
        Length::Seconds(seconds) => {
            ("corpus", ["-seed=0".to_owned(), format!("-max_total_time={seconds}")])
        }
    };
    let folder = workspace.target.join("fuzz").join(corpus).join(name);
    let seeds = |e| format!("seeds of {name}: {e}");
    if matches!(length, Length::Fixed) && folder.exists() {
        fs::remove_dir_all(&folder).map_err(seeds)?;
    }
    copy_seeds(workspace, target, &folder).map_err(seeds)?;
    let crashes = workspace.target.join("fuzz").join("crashes");
    fs::create_dir_all(&crashes).map_err(|e| format!("{}: {e}", crashes.display()))?;
    let mut program = Command::new(programs.join(name));
    program.arg(&folder).args(extent);
    program.arg(format!("-artifact_prefix={}/{name}-", crashes.display()));
    program.arg(format!("-dict={}", workspace.root.join("xtask/fuzz/words.dict").display()));
    program.env("RUST_BACKTRACE", "0");
    program.args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    let output = program.output().map_err(|e| format!("cannot run {name}: {e}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("fuzz {name}: {}\n{}", output.status, failure(&told)));
    }
    let corpus = fs::read_dir(&folder).map_or(0, Iterator::count);
    let runs = runs(&told).ok_or_else(|| format!("fuzz {name}: did not say how often it ran"))?;
    say(format!("{name:<12} {runs:>10} runs, {corpus:>5} inputs in its corpus"));
    Ok(())
}

fn copy_seeds(workspace: &Workspace, target: &Target, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let (folder, part) = target.seeds;
    for entry in fs::read_dir(workspace.root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().contains(part) {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// How often the target was run, of libFuzzer's last lines.
fn runs(told: &str) -> Option<u64> {
    let line = told.lines().find_map(|l| l.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

/// Of all that a failed target told: what the panic says, libFuzzer's verdict, where the input is.
fn failure(told: &str) -> String {
    let lines: Vec<&str> = told.lines().collect();
    let start = lines
        .iter()
        .position(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"))
        .unwrap_or_else(|| lines.len().saturating_sub(20));
    let input = lines.iter().find(|line| line.contains("Test unit written to"));
    lines[start..].iter().take(6).chain(input).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_listed_and_has_seeds() {
        let workspace = Workspace::load().expect("our own workspace");
        let programs = fs::read_dir(workspace.root.join("xtask/fuzz/targets")).expect("a folder");
        let mut found: Vec<String> = programs
            .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
            .collect();
        found.sort();
        let mut listed: Vec<String> =
            TARGETS.iter().map(|target| format!("{}.rs", target.name)).collect();
        listed.sort();
        assert_eq!(found, listed);

        for Target { name, seeds: (folder, part), .. } in TARGETS {
            let files = fs::read_dir(workspace.root.join(folder)).expect("a folder of seeds");
            let fits = |name: &str| name.contains(part);
            let seeds = files
                .filter(|file| fits(&file.as_ref().expect("a file").file_name().to_string_lossy()));
            assert!(seeds.count() > 1, "{name}");
        }
    }

    #[test]
    fn a_failure_tells_the_panic_and_where_the_input_is() {
        let told = "INFO: Seed: 1\n#2\tINITED\n\nthread '<unnamed>' panicked at targets/sse.rs:20:9:\n\
                    byte by byte\n==7== ERROR: libFuzzer: deadly signal\nNOTE: a\nSUMMARY: b\nc\nd\n\
                    artifact_prefix='x'; Test unit written to /t/crashes/sse-crash-1\nBase64: YQ==";
        let text = failure(told);
        assert!(text.starts_with("thread '<unnamed>' panicked at targets/sse.rs:20:9:\nbyte"));
        assert!(text.ends_with("Test unit written to /t/crashes/sse-crash-1"), "{text}");
        assert!(!text.contains("INITED"));
    }

    #[test]
    fn runs_are_read_from_the_last_lines() {
        assert_eq!(runs("Done\nstat::number_of_executed_units: 4711\nstat::x: 2"), Some(4711));
        assert_eq!(runs("Done"), None);
    }

    #[test]
    fn words_that_name_nothing_are_refused() {
        for words in [&["nothing"][..], &["sse", "--seconds"], &["--seconds", "soon"]] {
            assert!(run(words).is_none(), "{words:?}");
        }
    }
}
