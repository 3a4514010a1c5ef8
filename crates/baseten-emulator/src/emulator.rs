//! The emulator itself: start, address, install, look, stop.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use baseten_webhook::Secret;
use tokio::sync::oneshot;

use crate::delivery::{self, Courier};
use crate::desk::{Desk, Route};
use crate::fault::{Fault, Step, When};
use crate::jobs::Jobs;
use crate::names::Names;
use crate::route::Kind;
use crate::script::Script;
use crate::seen::{Log, Seen, TimedOut};
use crate::server;
use crate::service::Shared;
use crate::tls::Tls;

/// The key that an emulator accepts when it was given no other. Not a secret.
pub const DUMMY_KEY: &str = "dummy-key-0000";

/// A running stand-in for Baseten's inference API, on a thread of its own.
///
/// Every model and chain id exists; `predict` echoes its input until something else is installed.
/// Dropping it stops the thread and closes every socket.
///
/// ```
/// use baseten_emulator::{Answer, DUMMY_KEY, Emulator};
/// use std::io::{Read, Write};
///
/// let emulator = Emulator::start()?;
/// emulator.model("abc").then(Answer::platform_error(503));
///
/// let mut socket = std::net::TcpStream::connect(emulator.addr())?;
/// write!(
///     socket,
///     "POST /production/predict HTTP/1.1\r\nHost: model-abc.{}\r\nAuthorization: Api-Key {DUMMY_KEY}\r\n\
///      Connection: close\r\nContent-Length: 2\r\n\r\n{{}}",
///     emulator.root(),
/// )?;
/// let mut answer = String::new();
/// socket.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 503 "));
/// assert_eq!(emulator.seen().arrivals()[0].text(), Some("{}"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Emulator {
    shared: Arc<Shared>,
    addr: SocketAddr,
    ca: Option<(Vec<u8>, String)>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What an emulator is started with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Builder {
    port: u16,
    keys: Vec<String>,
    keep_body: usize,
    max_body: u64,
    tls: bool,
    webhook_secrets: Vec<String>,
    webhook_pause: Duration,
}

impl Emulator {
    /// Starts one with the defaults: a free port on 127.0.0.1, [`DUMMY_KEY`], no TLS.
    ///
    /// # Errors
    /// When the port cannot be bound, or the thread or its event loop cannot be started.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Options first.
    pub fn builder() -> Builder {
        Builder {
            port: 0,
            keys: Vec::new(),
            keep_body: 1 << 20,
            max_body: 100 << 20,
            tls: false,
            webhook_secrets: Vec::new(),
            webhook_pause: Duration::from_secs(2),
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT` (`https` under TLS): for clients that set the `Host` header
    /// themselves.
    pub fn url(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// The base URL of a model for clients that take one: [`url`](Self::url) and `/model/{id}`.
    pub fn base_url(&self, model_id: &str) -> String {
        format!("{}/model/{model_id}", self.url())
    }

    /// The base URL of a chain: [`url`](Self::url) and `/chain/{id}`.
    pub fn chain_base_url(&self, chain_id: &str) -> String {
        format!("{}/chain/{chain_id}", self.url())
    }

    /// `api.localhost:PORT`: put `model-{id}.` before it. Any other root works as well as long as
    /// it leads here.
    pub fn root(&self) -> String {
        format!("api.localhost:{}", self.addr.port())
    }

    /// The DER of the authority to trust; `None` without TLS. Made anew by every emulator.
    pub fn ca_der(&self) -> Option<&[u8]> {
        self.ca.as_ref().map(|(der, _)| &**der)
    }

    /// The PEM of the same.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca.as_ref().map(|(_, pem)| &**pem)
    }

    /// Installs answers for a model; for its `predict` to begin with. From then on its id is known, which
    /// matters for one with a hyphen: see [`regional`](Self::regional).
    pub fn model(&self, id: &str) -> Route {
        self.shared.names.id(Kind::Model, id);
        Route::new(Arc::clone(&self.shared.desk), Kind::Model, id)
    }

    /// Installs answers for all models that have none of their own.
    pub fn any_model(&self) -> Route {
        Route::any(Arc::clone(&self.shared.desk), Kind::Model)
    }

    /// Installs answers for a chain; for its `run_remote` to begin with. From then on its id is known.
    pub fn chain(&self, id: &str) -> Route {
        self.shared.names.id(Kind::Chain, id);
        Route::new(Arc::clone(&self.shared.desk), Kind::Chain, id)
    }

    /// Installs answers for the Model APIs; for `v1/chat/completions` to begin with. They are at
    /// `inference.localhost:PORT`, and at `/v1` of [`url`](Self::url).
    pub fn model_apis(&self) -> Route {
        Route::new(Arc::clone(&self.shared.desk), Kind::ModelApis, "")
    }

    /// Tells of a regional environment: `model-{id}-{name}.` and `chain-{id}-{name}.` are hosts of it.
    ///
    /// A host does not say whether `model-a-b.` is the model `a-b` or the model `a` in an environment `b`.
    /// Here it is the first of: an id that was named to [`model`](Self::model) or [`chain`](Self::chain);
    /// an id and an environment told here, after which no others exist; an id that was named, and an
    /// environment; an id up to the first hyphen, and an environment.
    ///
    /// ```
    /// use baseten_emulator::Emulator;
    ///
    /// let emulator = Emulator::start()?;
    /// emulator.model("my-model"); // so `model-my-model.` is no environment of a model `my`
    /// emulator.regional("eu-west"); // and neither is any other `model-my-….`
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn regional(&self, name: &str) {
        self.shared.names.environment(name);
    }

    /// The async requests that were submitted, and what becomes of them.
    pub fn jobs(&self) -> Jobs {
        self.shared.jobs.clone()
    }

    /// Plans a fault. Takes effect at once, without a restart.
    ///
    /// ```
    /// use baseten_emulator::{Emulator, Fault, When};
    ///
    /// let emulator = Emulator::start()?;
    /// for n in 0..3 {
    ///     emulator.inject(When::Request(0), Fault::cut().at_byte(n));
    ///     // call, and expect that only n bytes of the answer came
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn inject(&self, when: When, fault: Fault) {
        self.shared.script.plan(when, fault, self.shared.log.next());
    }

    /// Plans a whole script.
    pub fn play(&self, script: impl IntoIterator<Item = Step>) {
        for Step { when, fault } in script {
            self.inject(when, fault);
        }
    }

    /// Forgets the faults that have not met their request or connection yet.
    pub fn clear_faults(&self) {
        self.shared.script.clear();
    }

    /// What it saw so far.
    pub fn seen(&self) -> Seen {
        self.shared.log.snapshot()
    }

    /// Forgets what has ended. Numbers go on where they were.
    pub fn forget(&self) {
        self.shared.log.forget();
    }

    /// The time since it started, the clock of everything in [`Seen`].
    pub fn elapsed(&self) -> Duration {
        self.shared.log.now()
    }

    /// Waits until `cond` holds, without polling: it is looked at after everything that happens.
    /// Blocks the thread, so an async test calls it in `spawn_blocking`.
    ///
    /// # Errors
    /// When `cond` does not hold within `ceiling`; the error holds what was seen.
    pub fn wait_until(
        &self,
        ceiling: Duration,
        cond: impl FnMut(&Seen) -> bool,
    ) -> Result<Seen, TimedOut> {
        self.shared.log.wait_until(ceiling, cond)
    }
}

impl Builder {
    /// Listens on this port of 127.0.0.1. Default: 0, any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Accepts this key, with either scheme. May be called again. Default: [`DUMMY_KEY`].
    pub fn key(mut self, key: &str) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Keeps at most this many bytes of each request's body. Default: 1 MiB.
    pub fn keep_body(mut self, bytes: usize) -> Self {
        self.keep_body = bytes;
        self
    }

    /// Answers 413 to larger bodies, before reading them where their length is declared. Default:
    /// 100 MiB, the platform's limit (documented as 100 MB).
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Serves TLS 1.2 and 1.3, with a certificate for `127.0.0.1`, `localhost`, `api.localhost` and
    /// `*.api.localhost` by an authority of its own ([`Emulator::ca_pem`]). Default: no TLS.
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Signs webhooks with this secret. May be called again, for one that is being replaced. Default: none,
    /// and no signature.
    pub fn webhook_secret(mut self, secret: &str) -> Self {
        self.webhook_secrets.push(secret.into());
        self
    }

    /// Waits this long before a webhook is posted again. Default: 2 s, as Baseten does.
    pub fn webhook_pause(mut self, pause: Duration) -> Self {
        self.webhook_pause = pause;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When a webhook secret is none, the port cannot be bound, or the thread or its event loop cannot be started.
    pub fn start(mut self) -> io::Result<Emulator> {
        if self.keys.is_empty() {
            self.keys.push(DUMMY_KEY.into());
        }
        let secrets = self.webhook_secrets.iter().map(|secret| Secret::new(secret));
        let secrets = secrets.collect::<Result<Vec<_>, _>>();
        let secrets = secrets.map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let courier = Courier { secrets, pause: self.webhook_pause };
        let (jobs, over) = Jobs::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let tls = self.tls.then(Tls::generate).transpose()?;
        let (acceptor, ca) = tls.map(|tls| (tls.acceptor, (tls.ca_der, tls.ca_pem))).unzip();
        let shared = Arc::new(Shared {
            log: Arc::new(Log::new()),
            desk: Arc::new(Desk::default()),
            names: Names::default(),
            script: Script::default(),
            jobs,
            keys: self.keys,
            keep_body: self.keep_body,
            max_body: self.max_body,
            acceptor,
        });
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let serving = Arc::clone(&shared);
        let webhooks = delivery::run(shared.jobs.clone(), courier, over);
        let thread = std::thread::Builder::new()
            .name("baseten-emulator".into())
            .spawn(move || server::run((listener, serving), webhooks, stopped, ready))?;
        is_ready.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(Emulator { shared, addr, ca, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Dropping the sender stops the thread too.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its own hook.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("addr", &self.addr).finish_non_exhaustive()
    }
}
