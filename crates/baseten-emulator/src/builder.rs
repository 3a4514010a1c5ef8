//! What an emulator is started with, and the start.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use baseten_webhook::Secret;
use tokio::sync::oneshot;

use crate::delivery::{self, Courier};
use crate::desk::Desk;
use crate::emulator::{DUMMY_KEY, Emulator};
use crate::jobs::Jobs;
use crate::names::Names;
use crate::script::Script;
use crate::seen::Log;
use crate::server;
use crate::service::Shared;
use crate::sleep::Sleepers;
use crate::tls::Tls;

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

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            port: 0,
            keys: Vec::new(),
            keep_body: 1 << 20,
            max_body: 100 << 20,
            tls: false,
            webhook_secrets: Vec::new(),
            webhook_pause: Duration::from_secs(2),
        }
    }

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
            sleepers: Sleepers::default(),
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
        let door = is_ready.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(Emulator { shared, door, addr, ca, stop: Some(stop), thread: Some(thread) })
    }
}
