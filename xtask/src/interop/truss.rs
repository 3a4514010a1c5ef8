//! Baseten's own Truss server: installed, laid out as in its image, asked what a model is asked; a chain
//! of two such servers, and a chain that streams.

mod chain;
mod streams;
mod websocket;
mod whole;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use baseten::Error;

use super::case::{Case, patient};
use super::facade::{Client, Facade, Wait};
use super::server::{Launch, Server};
use super::venv::{Venv, Wanted, run as run_command};
use super::{Run, Unready};
use chain::Chainlets;
use websocket::Talker;

/// A folder with the server's code and a truss in it, as in the image that Baseten builds.
#[derive(Debug)]
struct App(PathBuf);

pub(super) fn run(run: &mut Run) -> Result<(), Unready> {
    let (apps, venv, chainlets) = run.phase("install", |run| install(&run.sources, &run.folder))?;
    let server = run.start(|sources, _| apps.predicts.start(&venv, sources))?;
    for cases in [whole::CASES, streams::CASES] {
        run.cases("", cases, server.address(), |wait, edge| {
            Ok(Client::new(wait, &edge.base_url())?.model()?.options(patient()))
        });
    }
    talk(run, websocket::ABSENT, &server);
    drop(server);
    let server = run.start(|sources, _| apps.talks.start(&venv, sources))?;
    talk(run, websocket::CASES, &server);
    drop(server);
    let mut inner = None;
    let entry = run.start(|sources, _| {
        let (asked, entry) = chainlets.start(sources)?;
        inner = Some(asked);
        Ok(entry)
    })?;
    run.cases("chain: ", chain::CASES, entry.address(), |wait, edge| {
        Client::new(wait, &edge.base_url())?.chain(patient())
    });
    drop((inner, entry));
    let entry = run.start(|sources, _| chainlets.speak(sources))?;
    run.cases("chain, streamed: ", chain::STREAMS, entry.address(), |wait, edge| {
        Client::new(wait, &edge.base_url())?.chain(patient())
    });
    Ok(())
}

/// Runs cases of WebSockets, which the async facade alone has.
fn talk(run: &mut Run, cases: &[Case<Talker>], server: &Server) {
    run.cases_in(&[Wait::Async], ("", cases), server.address(), |wait, edge| {
        match Client::new(wait, &edge.base_url())?.model()?.options(patient()) {
            Facade::Async(runtime, model) => Ok(Talker(runtime, model)),
            Facade::Blocking(_) => Err(Error::request("the blocking facade has no WebSockets")),
        }
    });
}

/// The command line with which `truss` writes build contexts; `folder` is this peer's.
pub(super) fn cli(sources: &Path, folder: &Path) -> Result<Venv, Unready> {
    let requirements = sources.join("pins/truss-cli.txt");
    let wanted = Wanted { requirements: &requirements, constraints: &[] };
    Venv::ready(&folder.join("cli"), &wanted).map_err(Unready::NotInstalled)
}

/// Has `truss` write a build context into `context`, made anew. Its home is beside it.
pub(super) fn build_context(cli: &Venv, truss: &Path, context: &Path) -> Result<(), String> {
    clear(context)?;
    let mut command = Command::new(cli.program("truss"));
    command.args(["image", "build-context", "--non-interactive"]).arg(context).arg(truss);
    run_command(command.env("HOME", context.with_file_name("home"))).map(drop)
}

/// Both of our trusses, laid out: a model does not both predict and talk.
struct Apps {
    predicts: App,
    talks: App,
}

/// Installs truss, has it lay our trusses out, and installs what they need to run.
fn install(sources: &Path, folder: &Path) -> Result<(Apps, Venv, Chainlets), Unready> {
    let cli = cli(sources, folder)?;
    let predicts = App::lay_out(&cli, &sources.join("truss"), folder)?;
    let talks = App::lay_out(&cli, &sources.join("truss-websocket"), &folder.join("websocket"))?;
    let requirements = predicts.requirements(&[])?;
    let pins = sources.join("pins/truss-server.txt");
    let constraints = [&*predicts.file("constraints.txt"), &pins];
    let wanted = Wanted { requirements: &requirements, constraints: &constraints };
    let venv = Venv::ready(&folder.join("server"), &wanted).map_err(Unready::NotInstalled)?;
    let chainlets = Chainlets::install(&cli, sources, &folder.join("chain"))?;
    Ok((Apps { predicts, talks }, venv, chainlets))
}

impl App {
    /// Lays a truss of ours out below `folder`.
    fn lay_out(cli: &Venv, truss: &Path, folder: &Path) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let (context, app) = (folder.join("context"), Self(folder.join("app")));
        build_context(cli, truss, &context)?;
        clear(&app.0)?;
        for (from, to) in [
            (context.join("server"), app.0.clone()),
            (context.join("model"), app.file("model")),
            (context.join("config.yaml"), app.file("config.yaml")),
            (context.join("packages"), app.file("packages")),
        ] {
            // Only chainlets have packages.
            if from.exists() {
                fs::rename(&from, &to).map_err(|e| format!("{}: {e}", from.display()))?;
            }
        }
        Ok(app)
    }

    /// What the server's template requires, without the line that names an index, and more.
    fn requirements(&self, more: &[&str]) -> Result<PathBuf, String> {
        let file = self.file("requirements.txt");
        let edit = || {
            let text = fs::read_to_string(&file)?;
            let lines = text.lines().filter(|line| !line.starts_with("-i "));
            // The server answers with it (fastapi's `ORJSONResponse`); the base image brings it.
            let lines = lines.chain(["orjson"]).chain(more.iter().copied());
            let lines: Vec<&str> = lines.collect();
            fs::write(&file, lines.join("\n"))
        };
        edit().map_err(|e: io::Error| format!("{}: {e}", file.display()))?;
        Ok(file)
    }

    fn start(&self, venv: &Venv, sources: &Path) -> Result<Server, String> {
        let mut launch = Launch::new(&venv.program("python"), (venv, sources), &self.0)?;
        let port = launch.port.to_string();
        launch.command().arg("main.py").env("INFERENCE_SERVER_PORT", port);
        launch.ready = "/v1/models/model/loaded";
        launch.start()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Removes what an earlier run has left.
fn clear(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}
