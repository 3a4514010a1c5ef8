//! A real chain: two chainlets that `truss chains` generates, each in a server of its own. The entry point
//! asks the other one, as it would inside a deployment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use baseten::Error;
use serde_json::{Value, json};

use super::{App, clear};
use crate::interop::case::{Case, Found, told};
use crate::interop::edge::Edge;
use crate::interop::facade::Chained;
use crate::interop::server::{Launch, Server};
use crate::interop::venv::{Venv, Wanted, run as run_command};

#[rustfmt::skip]
pub(crate) const CASES: &[Case<Chained>] = &[
    Case { name: "typed arguments and output, through both chainlets", requests: 1, run: square,
        expect: "9, 200, attempts: 1" },
    Case { name: "the entry point raises", requests: 1, run: |chain, _| Ok(raised(chain, &json!({"n": 3, "broken": true}))),
        expect: "Status, 500, Answered: the entry point is out of order; ValueError at chain.py:run_remote, nested: false" },
    Case { name: "a chainlet further in raises", requests: 1, run: |chain, _| Ok(raised(chain, &json!({"n": -1}))),
        expect: "Status, 500, Answered: ValueError: n must not be negative; ValueError at chain.py:run_remote, nested: true" },
    Case { name: "an argument of another type", requests: 1, run: |chain, _| Ok(raised(chain, &json!({"n": "three"}))),
        expect: "Status, 400, Answered: Input Parsing Error:\n  `n`: Input should be a valid integer, unable to parse \
            string as an integer.; no kind at nowhere, nested: false" },
];

fn square(chain: &Chained, _: &Edge) -> Result<Found, Error> {
    let answer = chain.run_remote::<_, u32>(&json!({"n": 3}))?;
    let meta = &answer.meta;
    Ok(format!("{}, {}, attempts: {}", answer.value, meta.status().as_u16(), meta.attempts())
        .into())
}

/// What is told of an exception: its kind, its words, where it was raised, and what was below it.
fn raised(chain: &Chained, input: &Value) -> Found {
    let error = match chain.run_remote::<_, Value>(input) {
        Ok(answer) => return format!("answered with {}", answer.value).into(),
        Err(error) => error,
    };
    let api = error.api();
    let kind = api.and_then(|api| api.kind()).unwrap_or("no kind");
    let stack = api.map(|api| api.stack()).unwrap_or_default();
    let place = stack.last().map(|frame| {
        let file = frame.filename.rsplit('/').next().unwrap_or_default();
        format!("{file}:{}", frame.name)
    });
    let nested = api.and_then(|api| api.nested()).is_some();
    let place = place.unwrap_or_else(|| "nowhere".to_owned());
    format!("{}; {kind} at {place}, nested: {nested}", told(&error)).into()
}

/// The servers of both chainlets; the entry point is the one to call.
pub(super) struct Chainlets {
    inner: App,
    outer: App,
    addresses: PathBuf,
    venv: Venv,
}

impl Chainlets {
    /// Has `truss` generate both chainlets, lays them out and installs what they need.
    pub(super) fn install(
        cli: &Venv,
        sources: &Path,
        folder: &Path,
    ) -> Result<Self, super::Unready> {
        let generated = generate(cli, &sources.join("truss-chain"), folder)?;
        let lay_out = |name: &str| {
            let truss = generated.join(format!("chainlet_{name}"));
            App::lay_out(cli, &truss, &folder.join(name))
        };
        let (inner, outer) = (lay_out("Inner")?, lay_out("Outer")?);
        let requirements = outer.requirements(&["truss==0.18.35"])?;
        let pins = sources.join("pins/truss-chain.txt");
        let constraints = [&*outer.file("constraints.txt"), &pins];
        let wanted = Wanted { requirements: &requirements, constraints: &constraints };
        let venv = Venv::ready(&folder.join("server"), &wanted);
        let venv = venv.map_err(super::Unready::NotInstalled)?;
        Ok(Self { inner, outer, addresses: folder.join("addresses"), venv })
    }

    /// Starts the one that is asked, tells the entry point where it is, and starts that.
    pub(super) fn start(&self, sources: &Path) -> Result<(Server, Server), String> {
        let inner = self.serve(&self.inner, sources)?;
        let url = format!("http://{}/v1/models/model:predict", inner.address());
        let book = json!({"Inner": {"predict_url": url}}).to_string();
        let write = || {
            fs::create_dir_all(&self.addresses)?;
            fs::write(self.addresses.join("dynamic_chainlet_config"), book)
        };
        write().map_err(|e| format!("{}: {e}", self.addresses.display()))?;
        Ok((inner, self.serve(&self.outer, sources)?))
    }

    fn serve(&self, app: &App, sources: &Path) -> Result<Server, String> {
        let mut launch = Launch::new(&self.venv.program("python"), (&self.venv, sources), &app.0)?;
        let port = launch.port.to_string();
        let command = launch.command().arg(sources.join("truss-chain/serve.py"));
        command.env("INFERENCE_SERVER_PORT", port).env("CHAINLET_ADDRESSES", &self.addresses);
        command.env("TRUSS_SECRET_baseten_chain_api_key", "dummy");
        launch.ready = "/v1/models/model/loaded";
        launch.start()
    }
}

/// Writes a folder for each chainlet. They are made below the folder for temporary files, and everything
/// beside the chain's source would go into them.
fn generate(cli: &Venv, chain: &Path, folder: &Path) -> Result<PathBuf, String> {
    let (source, work, home) = (folder.join("source"), folder.join("work"), folder.join("home"));
    clear(&source)?;
    clear(&work)?;
    let write = || {
        for made in [&source, &work, &home] {
            fs::create_dir_all(made)?;
        }
        fs::copy(chain.join("chain.py"), source.join("chain.py"))?;
        fs::write(home.join(".trussrc"), TRUSSRC)
    };
    write().map_err(|e| format!("{}: {e}", folder.display()))?;
    let path = std::env::var("PATH").unwrap_or_default();
    let tools = cli.program("ruff").with_file_name("").display().to_string();
    let mut command = Command::new(cli.program("truss"));
    command.args(["chains", "push", "--dryrun", "--non-interactive", "--remote", "local"]);
    command.arg(source.join("chain.py")).current_dir(folder);
    command.env("HOME", &home).env("TMPDIR", &work).env("PATH", format!("{tools}:{path}"));
    run_command(&mut command)?;
    Ok(work.join(".chains_generated/Outer"))
}

/// A remote that is never called.
const TRUSSRC: &str =
    "[local]\nremote_provider = baseten\napi_key = dummy\nremote_url = http://127.0.0.1:9\n";
