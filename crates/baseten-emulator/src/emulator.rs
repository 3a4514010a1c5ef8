//! The emulator itself: start, address, install, look, stop.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::builder::Builder;
use crate::desk::Route;
use crate::door::Door;
use crate::fault::{Fault, Step, When};
use crate::jobs::Jobs;
use crate::route::Kind;
use crate::seen::{Seen, TimedOut};
use crate::service::Shared;

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
    pub(crate) shared: Arc<Shared>,
    pub(crate) door: Arc<Door>,
    pub(crate) addr: SocketAddr,
    /// Its authority, in DER and PEM.
    pub(crate) ca: Option<(Vec<u8>, String)>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) thread: Option<JoinHandle<()>>,
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
        Builder::new()
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

    /// Lets the development deployment of a model or chain sleep, as it does when it has scaled to zero:
    /// predict, run_remote, sync and WebSockets get 404, whatever is installed for them.
    ///
    /// Once `POST …/wake` was answered by the emulator itself, `early` more requests come too early, the first
    /// of which gets another 404 and the others the 503 of a server that loads its model. Then it serves.
    /// Async requests are queued all the while. `Kind::ModelApis` has no deployments.
    ///
    /// ```
    /// use baseten_emulator::{Emulator, Kind};
    ///
    /// let emulator = Emulator::start()?;
    /// emulator.development_sleeps(Kind::Model, "abc", 2);
    /// // `/model/abc/development/predict`: 404; `…/wake`: 202; predict: 404, 503, 200.
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn development_sleeps(&self, kind: Kind, id: &str, early: usize) {
        self.shared.names.id(kind, id);
        self.shared.sleepers.sleep(kind, id, early);
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

    /// Listens no more: connecting fails with `ECONNREFUSED`. Connections that are open go on, those that were
    /// not accepted yet are reset. No effect the second time. In a script: [`Fault::refuse`].
    pub fn refuse(&self) {
        self.door.close();
    }

    /// Listens again, on the same port, which nobody else had meanwhile. No effect while it listens.
    ///
    /// # Errors
    /// When the system does not give the port.
    pub fn listen(&self) -> io::Result<()> {
        self.door.open()
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
