//! What the parts of one connection share: the valves, the current exchange, and how it ends.
//!
//! The socket, the HTTP stream, the answer's body and the service all run in one task; the lock
//! is never contended and never held while one of them is called.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use crate::door::Door;
use crate::fault::{Fault, Layer};
use crate::seen::{Closer, Log, Outcome};
use crate::valve::{Kill, Valve};
use crate::websocket::Talk;

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: usize,
    log: Arc<Log>,
    door: Arc<Door>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    http: Valve,
    tcp: Valve,
    head: HeadCapture,
    exchange: Option<Exchange>,
    kill: Option<Kill>,
    peer_left: bool,
    /// What follows a 101.
    talk: Option<Talk>,
}

/// A request and the answer to it.
#[derive(Debug, Default)]
struct Exchange {
    arrival: usize,
    /// Request bytes may still come.
    uploading: bool,
    /// Drop hyper's head: the answer is raw bytes.
    headless: bool,
    /// Chunks handed to hyper, and how many of them were flushed.
    yielded: usize,
    flushed: usize,
    /// The body waits for a flush.
    gate: Option<Waker>,
    /// Hyper has taken the whole body; everything was written.
    taken: bool,
    completed: bool,
    outcome: bool,
}

/// What to do with the first of some bytes.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    Keep(usize),
    Drop(usize),
}

/// Keeps the bytes of a request's head as they come, since hyper drops case and order.
#[derive(Debug, Default)]
struct HeadCapture {
    bytes: Vec<u8>,
    full: bool,
}

impl Link {
    pub(crate) fn new(connection: usize, log: Arc<Log>, door: Arc<Door>, faults: &[Fault]) -> Self {
        let on = |layer| {
            let faults = faults.iter().filter(move |fault| fault.layer == layer);
            Valve::new(faults.cloned())
        };
        let state = State { http: on(Layer::Http), tcp: on(Layer::Tcp), ..State::default() };
        Self { connection, log, door, state: Mutex::new(state) }
    }

    /// Works on a valve.
    pub(crate) fn valve<T>(&self, layer: Layer, work: impl FnOnce(&mut Valve) -> T) -> T {
        let mut state = self.lock();
        match layer {
            Layer::Http => work(&mut state.http),
            Layer::Tcp => work(&mut state.tcp),
        }
    }

    /// Request bytes came in.
    pub(crate) fn read(&self, bytes: &[u8]) {
        self.lock().head.push(bytes);
    }

    /// The bytes of the request head that hyper has just parsed.
    pub(crate) fn take_head(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().head.bytes)
    }

    /// A request begins.
    pub(crate) fn begin(&self, arrival: usize) {
        let mut state = self.lock();
        state.exchange = Some(Exchange { arrival, uploading: true, ..Exchange::default() });
        state.http.begin();
        state.tcp.begin();
    }

    /// Its body was read to the end: what comes now is the next request.
    pub(crate) fn upload_ended(&self) {
        let mut state = self.lock();
        state.head = HeadCapture::default();
        if let Some(exchange) = &mut state.exchange {
            exchange.uploading = false;
        }
    }

    /// Whether the peer may still be sending a body that nobody reads.
    pub(crate) fn is_uploading(&self) -> bool {
        self.lock().exchange.as_ref().is_some_and(|exchange| exchange.uploading)
    }

    /// The answer begins, with what goes wrong with it.
    pub(crate) fn open(&self, headless: bool, faults: &[Fault]) {
        let mut state = self.lock();
        if let Some(exchange) = &mut state.exchange {
            exchange.headless = headless;
        }
        let on = |layer| faults.iter().filter(move |fault| fault.layer == layer).cloned();
        state.http.open(on(Layer::Http));
        state.tcp.open(on(Layer::Tcp));
    }

    /// Takes hyper's head off a raw answer: how many of the bytes to keep, or else to drop.
    pub(crate) fn behead(&self, bytes: &[u8]) -> Part {
        let mut state = self.lock();
        let Some(exchange) = state.exchange.as_mut().filter(|exchange| exchange.headless) else {
            return Part::Keep(bytes.len());
        };
        // Hyper writes a head in one piece, after `100 Continue` if that was asked for.
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.map_or(bytes.len(), |end| end + 4);
        if bytes.starts_with(b"HTTP/1.1 100") {
            return Part::Keep(end);
        }
        exchange.headless = false;
        Part::Drop(end)
    }

    /// Bytes of the answer were written.
    pub(crate) fn progress(&self) {
        let state = self.lock();
        if let Some(exchange) = state.exchange.as_ref().filter(|exchange| !exchange.outcome) {
            let sent = state.http.sent();
            self.log.update(exchange.arrival, |arrival| arrival.sent = sent);
        }
    }

    /// The body may hand on a chunk: the one before was flushed. Else it is woken after the flush.
    pub(crate) fn may_yield(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        let Some(exchange) = &mut state.exchange else { return false };
        if exchange.yielded > exchange.flushed {
            exchange.gate = Some(cx.waker().clone());
            return false;
        }
        true
    }

    /// The body has handed on a chunk.
    pub(crate) fn yielded(&self) {
        if let Some(exchange) = &mut self.lock().exchange {
            exchange.yielded += 1;
        }
    }

    /// Hyper is through with the body.
    pub(crate) fn taken(&self) {
        let mut state = self.lock();
        // After a 101 the answer goes on, without hyper.
        let goes_on = state.talk.is_some();
        if let Some(exchange) = state.exchange.as_mut().filter(|_| !goes_on) {
            exchange.taken = true;
        }
    }

    /// The answer switches protocols.
    pub(crate) fn switch(&self, talk: Talk) {
        self.lock().talk = Some(talk);
    }

    /// What the connection does now that hyper is done with it, if it has switched.
    pub(crate) fn switched(&self) -> Option<Talk> {
        self.lock().talk.take()
    }

    /// The WebSocket is over, whoever ended it.
    pub(crate) fn finished(&self) {
        self.settle(|at, _, _| Outcome::Completed { at });
    }

    /// Everything that hyper had is written. Returns whether that completed the answer.
    pub(crate) fn flushed(&self) -> bool {
        let mut state = self.lock();
        let Some(exchange) = &mut state.exchange else { return false };
        let arrival = exchange.arrival;
        if exchange.yielded > exchange.flushed {
            exchange.flushed = exchange.yielded;
            let events = exchange.flushed;
            self.log.update(arrival, |arrival| arrival.events = events);
        }
        if let Some(gate) = exchange.gate.take() {
            gate.wake();
        }
        let completes = exchange.taken && !exchange.completed;
        if completes {
            exchange.completed = true;
            exchange.outcome = true;
            state.http.end();
            state.tcp.end();
            let at = self.log.now();
            self.log.update(arrival, |arrival| {
                arrival.outcome.get_or_insert(Outcome::Completed { at });
            });
        }
        completes
    }

    /// The connection is to be ended, now.
    pub(crate) fn kill(&self, kill: Kill) {
        self.lock().kill.get_or_insert(kill);
        self.settle(|at, _, after_bytes| Outcome::CutByFault { at, after_bytes });
    }

    /// Other connections are to be refused, from now on.
    pub(crate) fn refuse(&self) {
        self.door.close();
    }

    /// How it is to be ended, if a fault said so.
    pub(crate) fn killed(&self) -> Option<Kill> {
        self.lock().kill
    }

    /// The peer has closed or reset the connection.
    pub(crate) fn peer_left(&self) {
        {
            let mut state = self.lock();
            if state.kill.is_some() {
                return;
            }
            state.peer_left = true;
        }
        self.settle(|at, after_events, after_bytes| Outcome::PeerLeft {
            at,
            after_events,
            after_bytes,
        });
    }

    /// Our socket is gone.
    pub(crate) fn closed(&self) {
        let (kill, peer_left) = {
            let state = self.lock();
            (state.kill, state.peer_left)
        };
        let closer = match kill {
            Some(_) => Closer::Fault,
            None if peer_left => Closer::Peer,
            None => Closer::Emulator,
        };
        self.log.close(self.connection, closer);
    }

    /// Gives the current exchange its outcome, unless it has one.
    fn settle(&self, outcome: impl FnOnce(std::time::Duration, usize, u64) -> Outcome) {
        let mut state = self.lock();
        let sent = state.http.sent();
        let Some(exchange) = state.exchange.as_mut().filter(|exchange| !exchange.outcome) else {
            return;
        };
        exchange.outcome = true;
        let outcome = outcome(self.log.now(), exchange.flushed, sent);
        self.log.update(exchange.arrival, |arrival| {
            arrival.sent = sent;
            arrival.outcome.get_or_insert(outcome);
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    /// A connection whose task has panicked, in an answer by closure, is closed too.
    fn drop(&mut self) {
        self.closed();
    }
}

impl HeadCapture {
    /// A head that is no head: hyper gives up far below this.
    const LIMIT: usize = 1 << 20;

    fn push(&mut self, bytes: &[u8]) {
        if self.full {
            return;
        }
        let from = self.bytes.len().saturating_sub(3);
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes[from..].windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            self.bytes.truncate(from + end + 4);
        }
        self.full = end.is_some() || self.bytes.len() > Self::LIMIT;
    }
}
