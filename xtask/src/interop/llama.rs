//! llama.cpp's server with a model made on the spot: directly, and through nginx as Truss sets it up.

mod chat;
mod choices;
mod refusals;
mod vectors;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use baseten::{Credential, Error};
use serde_json::Value;

use super::case::patient;
use super::edge::Edge;
use super::engine::Engine;
use super::facade::{Client, Facade, Wait};
use super::server::{Launch, Server, get};
use super::venv::{Venv, Wanted, run as run_command};
use super::{Run, Unready, nginx, truss};

/// What the server calls its model.
const MODEL: &str = "acme/tiny";

/// A client of the model behind an edge, and of its engine.
struct Llama {
    model: Facade,
    engine: Engine,
    wait: Wait,
    /// The server itself, whatever stands before it.
    server: SocketAddr,
}

/// What is installed.
struct Installed {
    venv: Venv,
    model: PathBuf,
    /// nginx and the `proxy.conf` for it; or why there is none.
    nginx: Result<(PathBuf, String), String>,
}

pub(super) fn run(run: &mut Run) -> Result<(), Unready> {
    let Installed { venv, model, nginx } =
        run.phase("install", |run| install(&run.sources, &run.folder))?;
    let chat = run.start(|sources, folder| start(&venv, sources, folder, (&model, None)))?;
    let vectors =
        run.start(|sources, folder| start(&venv, sources, folder, (&model, Some("embeddings"))))?;
    cases(run, "directly: ", [chat.address(), vectors.address()], [&chat, &vectors]);
    run.cases("directly: ", chat::BARE, chat.address(), |wait, edge| Llama::new(wait, edge, &chat));
    match nginx {
        Ok((program, conf)) => {
            let mut before = |name, server: &Server| {
                run.start(|sources, folder| {
                    let folder = folder.join(name);
                    nginx::start(&program, (&venv, sources), &folder, &conf, server)
                })
            };
            let (chat_proxy, vectors_proxy) =
                (before("nginx-chat", &chat)?, before("nginx-embeddings", &vectors)?);
            let addresses = [chat_proxy.address(), vectors_proxy.address()];
            cases(run, "through nginx: ", addresses, [&chat, &vectors]);
            run.cases("through nginx: ", chat::PROXIED, addresses[0], |wait, edge| {
                Llama::new(wait, edge, &chat)
            });
        }
        Err(why) => run.skip(format!("through nginx: {why}")),
    }
    Ok(())
}

/// All that is the same on both ways: the chat server and the one for embeddings, each by the address
/// that it is reached at.
fn cases(run: &mut Run, way: &str, at: [SocketAddr; 2], [chat, vectors]: [&Server; 2]) {
    for table in [chat::CASES, choices::CASES, refusals::CASES] {
        run.cases(way, table, at[0], |wait, edge| Llama::new(wait, edge, chat));
    }
    run.cases(way, vectors::CASES, at[1], |wait, edge| Llama::new(wait, edge, vectors));
}

impl Llama {
    fn new(wait: Wait, edge: &Edge, server: &Server) -> Result<Self, Error> {
        let model = Client::new(wait, &edge.base_url())?.model()?.options(patient());
        Ok(Self { engine: model.engine()?, model, wait, server: server.address() })
    }

    /// The same engine for a client with another credential.
    fn engine_with(&self, edge: &Edge, credential: Credential) -> Result<Engine, Error> {
        let model = Client::with(self.wait, &edge.base_url(), credential)?.model()?;
        model.options(patient()).engine()
    }

    /// What the server says of its slots; `None` while it does not answer.
    fn slots(&self) -> Option<Vec<Value>> {
        let answer = get(self.server, "/slots").ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }
}

/// Installs the server, has its model written, and sees what there is of nginx.
fn install(sources: &Path, folder: &Path) -> Result<Installed, Unready> {
    let requirements = sources.join("pins/llama.txt");
    let wanted = Wanted { requirements: &requirements, constraints: &[] };
    let venv = Venv::ready(&folder.join("venv"), &wanted).map_err(Unready::NotInstalled)?;
    let model = folder.join("tiny.gguf");
    let mut write = venv.command("python");
    run_command(write.arg(sources.join("llama/model.py")).arg(&model))?;
    Ok(Installed { venv, model, nginx: proxy(sources, folder)? })
}

/// nginx, and the `proxy.conf` that truss writes for a custom server.
fn proxy(sources: &Path, folder: &Path) -> Result<Result<(PathBuf, String), String>, Unready> {
    let Some(program) = nginx::program() else {
        return Ok(Err("there is no nginx; Debian's is nginx-light".to_owned()));
    };
    // The same installation as for the Truss server.
    let cli = match truss::cli(sources, &folder.with_file_name("truss")) {
        Ok(cli) => cli,
        Err(Unready::NotInstalled(why)) => return Ok(Err(why)),
        Err(broken) => return Err(broken),
    };
    let context = folder.join("context");
    truss::build_context(&cli, &sources.join("custom"), &context)?;
    let file = context.join("proxy.conf");
    let conf = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(Ok((program, conf)))
}

/// Starts the server for chat, or for embeddings.
fn start(
    venv: &Venv,
    sources: &Path,
    folder: &Path,
    (model, embeddings): (&Path, Option<&str>),
) -> Result<Server, String> {
    let mut launch = Launch::new(&venv.program("python"), (venv, sources), folder)?;
    let port = launch.port.to_string();
    launch.command().arg(sources.join("llama/serve.py")).arg(model).arg(port).args(embeddings);
    launch.ready = "/health";
    launch.log = folder.join(format!("{}.log", embeddings.unwrap_or("chat")));
    launch.start()
}
