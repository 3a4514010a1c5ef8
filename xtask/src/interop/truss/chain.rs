//! Real chains, whose chainlets `truss chains` generates, each in a server of its own: one of two, whose entry
//! point asks the other as it would inside a deployment, and one that answers piece by piece.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use baseten::Error;
use serde_json::{Value, json};

use super::streams::{PAUSE, drop_early, pace, read};
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
    Case { name: "arguments without names", requests: 1, run: |chain, _| Ok(raised(chain, &json!([3]))),
        expect: "Status, 400, Answered: Input Parsing Error:\n  ``: Input should be a valid dictionary or instance of \
            OuterInput.; no kind at nowhere, nested: false" },
];

#[rustfmt::skip]
pub(crate) const STREAMS: &[Case<Chained>] = &[
    Case { name: "a paced entry point", requests: 1, run: |chain, _| pace(chain.run_remote_stream(&pieces(4, PAUSE))?),
        expect: "\"piece 0;\" \"piece 1;\" \"piece 2;\" \"piece 3;\" end, Chunked, one by one" },
    Case { name: "an entry point, gathered", requests: 1, run: gathered,
        expect: "\"piece 0;piece 1;piece 2;\", Length(26)" },
    Case { name: "an entry point that says nothing", requests: 1, run: |chain, _| told_of(chain, &pieces(0, Duration::ZERO)),
        expect: "end, Chunked" },
    // As of a model: the exception is logged, and the body ends as if all were well.
    Case { name: "an entry point that raises midway", requests: 1, run: |chain, _| told_of(chain, &failing()),
        expect: "\"piece 0;\" \"piece 1;\" end, Chunked" },
    Case { name: "one that raises midway, gathered", requests: 1, run: |chain, _| Ok(raised(chain, &failing())),
        expect: "Status, 500, Answered: the entry point failed on purpose, midway; ValueError at chain.py:run_remote, \
            nested: false" },
    Case { name: "a half-read answer, dropped", requests: 1, run: dropped,
        expect: "\"piece 0;\", then the server is left before its next piece" },
];

fn told_of(chain: &Chained, input: &Value) -> Result<Found, Error> {
    Ok(read(&mut chain.run_remote_stream(input)?)?.into())
}

fn gathered(chain: &Chained, _: &Edge) -> Result<Found, Error> {
    let answer = chain.run_remote::<_, String>(&pieces(3, Duration::ZERO))?;
    Ok(format!("{:?}, {:?}", answer.value, answer.meta.framing()).into())
}

fn dropped(chain: &Chained, edge: &Edge) -> Result<Found, Error> {
    let pause = Duration::from_secs(2);
    drop_early(chain.run_remote_stream(&pieces(5, pause))?, pause, edge)
}

fn pieces(count: usize, pause: Duration) -> Value {
    json!({"pieces": count, "pause": pause.as_secs_f64()})
}

fn failing() -> Value {
    json!({"pieces": 4, "fail_at": 2})
}

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

/// The servers of all chainlets: the entry point of a chain is the one to call.
pub(super) struct Chainlets {
    inner: App,
    outer: App,
    speaker: App,
    addresses: PathBuf,
    venv: Venv,
}

impl Chainlets {
    /// Has `truss` generate the chainlets, lays them out and installs what they need.
    pub(super) fn install(
        cli: &Venv,
        sources: &Path,
        folder: &Path,
    ) -> Result<Self, super::Unready> {
        let source = |file| sources.join("truss-chain").join(file);
        let chain = generate(cli, (&source("chain.py"), "Outer"), folder)?;
        let spoken = folder.join("spoken");
        let spoken = generate(cli, (&source("speaker.py"), "Speaker"), &spoken)?;
        let lay_out = |generated: &Path, name: &str| {
            let truss = generated.join(format!("chainlet_{name}"));
            App::lay_out(cli, &truss, &folder.join(name))
        };
        let (inner, outer) = (lay_out(&chain, "Inner")?, lay_out(&chain, "Outer")?);
        let speaker = lay_out(&spoken, "Speaker")?;
        let requirements = outer.requirements(&["truss==0.18.35"])?;
        let pins = sources.join("pins/truss-chain.txt");
        let constraints = [&*outer.file("constraints.txt"), &pins];
        let wanted = Wanted { requirements: &requirements, constraints: &constraints };
        let venv = Venv::ready(&folder.join("server"), &wanted);
        let venv = venv.map_err(super::Unready::NotInstalled)?;
        Ok(Self { inner, outer, speaker, addresses: folder.join("addresses"), venv })
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

    /// Starts the one that answers piece by piece.
    pub(super) fn speak(&self, sources: &Path) -> Result<Server, String> {
        self.serve(&self.speaker, sources)
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

/// Writes a folder for each chainlet of a chain, given its source and its entry point. They are made below the folder for temporary files, and everything
/// beside the chain's source would go into them.
fn generate(cli: &Venv, (chain, entry): (&Path, &str), folder: &Path) -> Result<PathBuf, String> {
    let (source, work, home) = (folder.join("source"), folder.join("work"), folder.join("home"));
    clear(&source)?;
    clear(&work)?;
    let write = || {
        for made in [&source, &work, &home] {
            fs::create_dir_all(made)?;
        }
        fs::copy(chain, source.join("chain.py"))?;
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
    Ok(work.join(".chains_generated").join(entry))
}

/// A remote that is never called.
const TRUSSRC: &str =
    "[local]\nremote_provider = baseten\napi_key = dummy\nremote_url = http://127.0.0.1:9\n";
