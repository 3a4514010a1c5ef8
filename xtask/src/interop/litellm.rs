//! The LiteLLM proxy as the README configures it, between our clients and our emulator.

mod answers;
mod refusals;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use baseten::{Credential, Error};
use baseten_emulator::{Arrival, DUMMY_KEY, Emulator, Route};

use super::case::patient;
use super::edge::Edge;
use super::engine::Engine;
use super::facade::{Client, KEY, Wait};
use super::server::{Launch, Server};
use super::venv::{Venv, Wanted};
use super::{Run, Unready};
use crate::ci::readme;

/// What the README calls its model and its deployment.
const MODEL: &str = "org/model";
const DEPLOYMENT: &str = "abcd1234";

/// The same deployment by LiteLLM's own provider for Baseten.
const NATIVE: &str = "native";

/// A client of the gateway, and what stands behind it.
struct Gateway {
    engine: Engine,
    wait: Wait,
    emulator: Arc<Emulator>,
}

pub(super) fn run(run: &mut Run) -> Result<(), Unready> {
    let venv = run.phase("install", |run| {
        let requirements = run.sources.join("pins/litellm.txt");
        let wanted = Wanted { requirements: &requirements, constraints: &[] };
        Venv::ready(&run.folder.join("venv"), &wanted).map_err(Unready::NotInstalled)
    })?;
    let emulator = Emulator::start().map_err(|e| format!("no emulator: {e}"))?;
    let emulator = Arc::new(emulator);
    let config = run.folder.join("litellm.yaml");
    configure(&run.readme, &config, &emulator.base_url(DEPLOYMENT))?;
    let server = run.start(|sources, folder| start(&venv, sources, folder, &config))?;
    for cases in [answers::CASES, refusals::CASES] {
        run.cases("", cases, server.address(), |wait, edge| Gateway::new(wait, edge, &emulator));
    }
    Ok(())
}

impl Gateway {
    /// A client for the next case: nothing is installed at the emulator, which has seen nothing.
    fn new(wait: Wait, edge: &Edge, emulator: &Arc<Emulator>) -> Result<Self, Error> {
        let gateway = Client::new(wait, &edge.base_url())?.gateway()?.options(patient());
        let gateway = Self { engine: gateway, wait, emulator: emulator.clone() };
        for route in [gateway.chats(), gateway.embeddings()] {
            route.clear();
        }
        emulator.forget();
        Ok(gateway)
    }

    /// A client with another key.
    fn engine_with(&self, edge: &Edge, key: &str) -> Result<Engine, Error> {
        let credential = Credential::api_key(key)?;
        Ok(Client::with(self.wait, &edge.base_url(), credential)?.gateway()?.options(patient()))
    }

    fn chats(&self) -> Route {
        self.emulator.model(DEPLOYMENT).at("sync/v1/chat/completions")
    }

    fn embeddings(&self) -> Route {
        self.emulator.model(DEPLOYMENT).at("sync/v1/embeddings")
    }

    /// The requests that have come through.
    fn arrivals(&self) -> Vec<Arc<Arrival>> {
        self.emulator.seen().arrivals().to_vec()
    }
}

/// Writes the README's configuration, for another place than Baseten and with a second model.
fn configure(from: &Path, file: &Path, deployment: &str) -> Result<(), String> {
    let text = fs::read_to_string(from).map_err(|e| format!("{}: {e}", from.display()))?;
    let mut config = readme::block_after(&text, readme::LITELLM)?;
    let native = format!(
        "model_list:\n  - model_name: {NATIVE}\n    litellm_params:\n      model: baseten/{MODEL}\n      \
         api_base: {deployment}/environments/production/sync/v1\n      \
         api_key: os.environ/BASETEN_API_KEY"
    );
    let baseten = format!("https://model-{DEPLOYMENT}.api.baseten.co");
    for (from, to) in [(baseten.as_str(), deployment), ("model_list:", &native)] {
        if !config.contains(from) {
            return Err(format!("the README's configuration has no {from}"));
        }
        config = config.replacen(from, to, 1);
    }
    fs::write(file, config).map_err(|e| format!("{}: {e}", file.display()))
}

fn start(venv: &Venv, sources: &Path, folder: &Path, config: &Path) -> Result<Server, String> {
    let program: PathBuf = venv.program("litellm");
    let mut launch = Launch::new(&program, (venv, sources), folder)?;
    let port = launch.port.to_string();
    let command = launch.command();
    command.arg("--config").arg(config).args(["--host", "127.0.0.1", "--port", &port]);
    command.env("BASETEN_API_KEY", DUMMY_KEY).env("LITELLM_MASTER_KEY", KEY);
    // Its prices come from the internet otherwise.
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    launch.ready = "/health/liveliness";
    launch.start()
}
