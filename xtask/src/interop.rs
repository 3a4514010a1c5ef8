//! `cargo xtask interop PEER`: our clients against real servers that others wrote.
//!
//! A peer is installed at pinned versions, started on loopback and called through both facades. A
//! peer that cannot be installed here is skipped, and the verdict says why; one that is there and
//! answers otherwise than expected is a failure. This file runs the cases and counts; how a peer is
//! installed, and what is asked of it, is below.

mod case;
mod edge;
mod engine;
mod facade;
mod litellm;
mod llama;
mod nginx;
mod server;
mod truss;
mod venv;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use baseten::Error;

use crate::ci::Verdict;
use crate::output::say;
use crate::workspace::Workspace;

use case::Case;
use edge::Edge;
use facade::Wait;
use server::Server;

/// Why there is no server to call.
#[derive(Debug)]
enum Unready {
    /// It could not be installed: nothing is known about the clients.
    NotInstalled(String),
    Broken(String),
}

/// One run against one peer: where its things are, and what has come of it so far.
#[derive(Debug)]
struct Run {
    peer: &'static str,
    readme: PathBuf,
    /// What we wrote for the peers.
    sources: PathBuf,
    /// Where this peer is installed and works; kept between runs.
    folder: PathBuf,
    phases: Vec<(&'static str, Duration)>,
    passed: usize,
    failed: usize,
    logs: Vec<PathBuf>,
    skipped: Vec<String>,
}

/// Runs both facades against Baseten's own Truss server.
///
/// # Errors
///
/// How many cases went otherwise than expected, after a line for each; or why the server, though
/// installed, could not be started.
pub(crate) fn truss() -> Result<Verdict, String> {
    Run::of("truss", truss::run)
}

/// Runs both facades against llama.cpp's server, directly and through nginx as Truss sets it up.
///
/// # Errors
///
/// As [`truss()`].
pub(crate) fn llama() -> Result<Verdict, String> {
    Run::of("llama", llama::run)
}

/// Runs both facades behind the LiteLLM proxy, which has our emulator behind it.
///
/// # Errors
///
/// As [`truss()`].
pub(crate) fn litellm() -> Result<Verdict, String> {
    Run::of("litellm", litellm::run)
}

impl Run {
    fn of(
        peer: &'static str,
        run: fn(&mut Self) -> Result<(), Unready>,
    ) -> Result<Verdict, String> {
        let workspace = Workspace::load()?;
        let folder = workspace.target.join("interop").join(peer);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut record = Self {
            peer,
            readme: workspace.root.join("README.md"),
            sources: workspace.root.join("xtask/interop"),
            folder,
            phases: Vec::new(),
            passed: 0,
            failed: 0,
            logs: Vec::new(),
            skipped: Vec::new(),
        };
        match run(&mut record) {
            Ok(()) => record.verdict(),
            Err(Unready::NotInstalled(why)) => {
                Ok(Verdict::Skipped(format!("it cannot be installed: {why}")))
            }
            Err(Unready::Broken(why)) => Err(format!("interop {peer}: {why}")),
        }
    }

    /// Does something whose minutes count as those of the phase `name`.
    fn phase<T>(&mut self, name: &'static str, work: impl FnOnce(&mut Self) -> T) -> T {
        let start = Instant::now();
        let made = work(self);
        match self.phases.iter_mut().find(|(phase, _)| *phase == name) {
            Some((_, took)) => *took += start.elapsed(),
            None => self.phases.push((name, start.elapsed())),
        }
        made
    }

    /// Has a server started, and keeps where its log is.
    fn start(
        &mut self,
        start: impl FnOnce(&Path, &Path) -> Result<Server, String>,
    ) -> Result<Server, Unready> {
        let server = self.phase("start", |run| start(&run.sources, &run.folder));
        let server = server.map_err(Unready::Broken)?;
        self.logs.push(server.log().to_owned());
        Ok(server)
    }

    /// Runs a table through both facades, each case with the client that `client` makes of a base
    /// URL.
    fn cases<C>(
        &mut self,
        way: &str,
        cases: &[Case<C>],
        server: SocketAddr,
        client: impl Fn(Wait, &Edge) -> Result<C, Error>,
    ) {
        self.cases_in(&Wait::ALL, (way, cases), server, client);
    }

    /// The same through some of the facades.
    fn cases_in<C>(
        &mut self,
        waits: &[Wait],
        (way, cases): (&str, &[Case<C>]),
        server: SocketAddr,
        client: impl Fn(Wait, &Edge) -> Result<C, Error>,
    ) {
        self.phase("run", |run| {
            for case in cases {
                for &wait in waits {
                    let (line, passed) = case.run(way, wait, server, &client);
                    say(line);
                    run.passed += usize::from(passed);
                    run.failed += usize::from(!passed);
                }
            }
        });
    }

    /// Notes that a part could not be run, and why.
    fn skip(&mut self, why: String) {
        self.skipped.push(why);
    }

    fn verdict(self) -> Result<Verdict, String> {
        let Self { peer, phases, passed, failed, logs, skipped, .. } = self;
        let minutes =
            |(name, took): &(&str, Duration)| format!("{name} {:.2}", took.as_secs_f64() / 60.0);
        let minutes: Vec<String> = phases.iter().map(minutes).collect();
        say(format!("{passed} passed, {failed} failed; minutes: {}", minutes.join(", ")));
        if failed > 0 {
            let logs: Vec<String> = logs.iter().map(|log| log.display().to_string()).collect();
            return Err(format!("interop {peer}: {failed} failed; logs: {}", logs.join(", ")));
        }
        match skipped.is_empty() {
            true => Ok(Verdict::Passed),
            false => Ok(Verdict::Skipped(format!("{}; {passed} passed", skipped.join("; ")))),
        }
    }
}

impl From<String> for Unready {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}
