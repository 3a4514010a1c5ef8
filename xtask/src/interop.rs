//! `cargo xtask interop PEER`: our clients against real servers that others wrote.
//!
//! A peer is installed at pinned versions, started on loopback and called through both facades. A
//! peer that cannot be installed here is skipped, and the verdict says why; one that is there and
//! answers otherwise than expected is a failure. This file runs the cases and counts; how a peer is
//! installed, and what is asked of it, is below.

mod case;
mod edge;
mod facade;
mod server;
mod streams;
mod venv;
mod whole;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::ci::Verdict;
use crate::output::say;
use crate::workspace::Workspace;

use case::Case;
use facade::Wait;
use server::{App, Server};
use venv::{Venv, Wanted};

/// Why there is no server to call.
enum Unready {
    /// It could not be installed: nothing is known about the clients.
    NotInstalled(String),
    Broken(String),
}

/// Runs both facades against Baseten's own Truss server.
///
/// # Errors
///
/// How many cases went otherwise than expected, after a line for each; or why the server, though
/// installed, could not be started.
pub(crate) fn truss() -> Result<Verdict, String> {
    let workspace = Workspace::load()?;
    let sources = workspace.root.join("xtask/interop");
    let start = Instant::now();
    let (app, venv) = match install(&sources, &workspace.target.join("interop/truss")) {
        Ok(installed) => installed,
        Err(Unready::NotInstalled(why)) => {
            return Ok(Verdict::Skipped(format!("the Truss server cannot be installed: {why}")));
        }
        Err(Unready::Broken(why)) => return Err(why),
    };
    let (installed, start) = (start.elapsed(), Instant::now());
    let server = Server::start(&app, &venv, &sources.join("leash.py"))?;
    let (started, start) = (start.elapsed(), Instant::now());
    let cases: Vec<&Case> = whole::CASES.iter().chain(streams::CASES).collect();
    let mut failed = 0;
    for case in &cases {
        for wait in Wait::ALL {
            let (line, passed) = case.run(wait, server.address());
            say(line);
            failed += usize::from(!passed);
        }
    }
    let minutes = |took: Duration| took.as_secs_f64() / 60.0;
    say(format!(
        "{} passed, {failed} failed; minutes: install {:.2}, start {:.2}, run {:.2}",
        cases.len() * Wait::ALL.len() - failed,
        minutes(installed),
        minutes(started),
        minutes(start.elapsed()),
    ));
    if failed == 0 {
        return Ok(Verdict::Passed);
    }
    Err(format!("interop truss: {failed} failed; the server's log is {}", server.log().display()))
}

/// Installs truss, has it lay our truss out, and installs what that needs to run.
fn install(sources: &Path, folder: &Path) -> Result<(App, Venv), Unready> {
    let pins = sources.join("pins");
    let (cli, server) = (pins.join("truss-cli.txt"), pins.join("truss-server.txt"));
    fs::create_dir_all(folder)
        .map_err(|e| Unready::Broken(format!("{}: {e}", folder.display())))?;
    let wanted = Wanted { requirements: &cli, constraints: &[] };
    let cli = Venv::ready(&folder.join("cli"), &wanted).map_err(Unready::NotInstalled)?;
    let app = App::lay_out(&cli, &sources.join("truss"), folder).map_err(Unready::Broken)?;
    let requirements = app.requirements().map_err(Unready::Broken)?;
    let wanted = Wanted {
        requirements: &requirements,
        constraints: &[&app.file("constraints.txt"), &server],
    };
    let venv = Venv::ready(&folder.join("server"), &wanted).map_err(Unready::NotInstalled)?;
    Ok((app, venv))
}
