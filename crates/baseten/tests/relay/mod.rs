//! What stands between client and server: an HTTP proxy that opens tunnels, or a plain forwarder. It
//! counts what passes, and breaks a connection where it is told.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its own part")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use baseten::{CallOptions, Proxies};
use baseten_emulator::Emulator;
use socket2::SockRef;

use crate::facades::{Facade, trust};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

/// How a connection ends for both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// RST to the client.
    Reset,
    /// FIN to the client; what it still sends is dropped.
    Cut,
    /// Nothing passes any more.
    Stall,
}

/// The piece that does not pass, counted in reads from that side, and what happens instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Break {
    pub(crate) way: Way,
    pub(crate) piece: usize,
    pub(crate) end: End,
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    /// Whether `CONNECT` is expected first.
    is_proxy: bool,
    /// For the next connection.
    plan: Mutex<Option<Option<Break>>>,
    /// What passed on the connection that took the plan: up and down.
    passed: [AtomicUsize; 2],
    fired: AtomicBool,
}

impl Relay {
    pub(crate) fn start(target: SocketAddr, is_proxy: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target,
            is_proxy,
            plan: Mutex::default(),
            passed: Default::default(),
            fired: AtomicBool::default(),
        });
        let serving = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let shared = serving.clone();
                // A connection that broke has nothing to say.
                thread::spawn(move || drop(serve(client, &shared)));
            }
        });
        Self { address, shared }
    }

    /// A client of model `abc` whose every connection goes this way.
    pub(crate) fn facade(
        &self,
        blocking: bool,
        emulator: &Emulator,
        options: CallOptions,
    ) -> Facade {
        let scheme = if emulator.ca_pem().is_some() { "https" } else { "http" };
        let (host, proxies) = if self.shared.is_proxy {
            let proxy = format!("http://{}", self.address);
            // What is on this machine goes past every proxy, so it has a name from elsewhere.
            ("emulator.test".to_owned(), Proxies::none().with_all(&proxy).unwrap())
        } else {
            (self.address.to_string(), Proxies::none())
        };
        let url = format!("{scheme}://{host}/model/abc");
        Facade::through(blocking, &url, &trust(emulator), &proxies, options)
    }

    /// Breaks the next connection, or only counts on it. Later ones pass whole.
    pub(crate) fn plan(&self, plan: Option<Break>) {
        self.shared.passed.iter().for_each(|passed| passed.store(0, Ordering::SeqCst));
        self.shared.fired.store(false, Ordering::SeqCst);
        *self.shared.plan.lock().unwrap() = Some(plan);
    }

    pub(crate) fn passed(&self, way: Way) -> usize {
        self.shared.passed[way as usize].load(Ordering::SeqCst)
    }

    /// Whether what was planned has happened.
    pub(crate) fn fired(&self) -> bool {
        self.shared.fired.load(Ordering::SeqCst)
    }
}

/// One connection on its way.
struct Tunnel<'a> {
    client: TcpStream,
    server: TcpStream,
    shared: &'a Shared,
    plan: Option<Option<Break>>,
    broken: AtomicBool,
}

fn serve(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let plan = shared.plan.lock().unwrap().take();
    let server = TcpStream::connect(shared.target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let tunnel = Tunnel { client, server, shared, plan, broken: AtomicBool::default() };
    if shared.is_proxy {
        tunnel.open()?;
    }
    thread::scope(|scope| {
        scope.spawn(|| tunnel.carry(Way::Up));
        tunnel.carry(Way::Down);
    });
    Ok(())
}

impl Tunnel<'_> {
    fn open(&self) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut piece = [0; 1024];
            let read = (&self.client).read(&mut piece)?;
            if read == 0 || self.breaks(Way::Up) {
                return self.drain();
            }
            head.extend_from_slice(&piece[..read]);
        }
        if self.breaks(Way::Down) {
            return self.drain();
        }
        (&self.client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
    }

    /// Until the client leaves.
    fn drain(&self) -> io::Result<()> {
        io::copy(&mut &self.client, &mut io::sink())?;
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    fn carry(&self, way: Way) {
        let (mut from, mut to) = match way {
            Way::Up => (&self.client, &self.server),
            Way::Down => (&self.server, &self.client),
        };
        let mut piece = vec![0; 64 * 1024];
        loop {
            match from.read(&mut piece) {
                // Whatever one side does, the other is to see.
                Ok(0) => break drop(to.shutdown(Shutdown::Write)),
                Err(_) if way == Way::Down => break self.end(End::Reset),
                Err(_) => break drop(to.shutdown(Shutdown::Both)),
                Ok(_) if self.broken.load(Ordering::SeqCst) || self.breaks(way) => {}
                Ok(read) => {
                    if to.write_all(&piece[..read]).is_err() {
                        break drop(from.shutdown(Shutdown::Both));
                    }
                }
            }
        }
    }

    /// Counts a piece; `true` if it is the one that does not pass.
    fn breaks(&self, way: Way) -> bool {
        let Some(plan) = self.plan else { return false };
        let piece = self.shared.passed[way as usize].fetch_add(1, Ordering::SeqCst);
        match plan {
            Some(plan) if (plan.way, plan.piece) == (way, piece) => {
                self.broken.store(true, Ordering::SeqCst);
                self.shared.fired.store(true, Ordering::SeqCst);
                self.end(plan.end);
                true
            }
            _ => false,
        }
    }

    fn end(&self, end: End) {
        // A side that has left already cannot be told.
        match end {
            End::Reset => {
                // Sent when the last who holds the socket lets go of it: nobody is to go on reading.
                let _ = SockRef::from(&self.client).set_linger(Some(Duration::ZERO));
                let _ = self.client.shutdown(Shutdown::Read);
                let _ = self.server.shutdown(Shutdown::Both);
            }
            End::Cut => {
                let _ = self.client.shutdown(Shutdown::Write);
                let _ = self.server.shutdown(Shutdown::Both);
            }
            End::Stall => {}
        }
    }
}
