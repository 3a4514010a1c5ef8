//! What the emulator saw: connections, requests, and how each of them ended.
//!
//! A log and a condition variable. It decides nothing: the connection writes, tests read.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::route::{Operation, Target};

/// A snapshot of everything an emulator has seen. Cheap to clone: entries are shared.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    connections: Vec<Arc<Connection>>,
    arrivals: Vec<Arc<Arrival>>,
}

/// A TCP connection that was accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connection {
    /// Its number, from 0, in the order of acceptance.
    pub index: usize,
    /// When it was accepted, since the emulator started.
    pub opened: Duration,
    /// When our side of it was closed and by whom; `None` while it is open.
    pub closed: Option<(Duration, Closer)>,
    /// How many request heads arrived on it.
    pub requests: usize,
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closer {
    /// The peer sent FIN or RST first.
    Peer,
    /// The emulator, by the rules of HTTP: `Connection: close`, or a request it cannot parse.
    Emulator,
    /// The emulator, because a fault said so.
    Fault,
}

/// A request whose head arrived.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Arrival {
    /// Its number, from 0, in the order in which heads arrived.
    pub index: usize,
    /// The number of the connection it came on.
    pub connection: usize,
    /// When its head was complete, since the emulator started.
    pub at: Duration,
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// The `Host` header, as sent.
    pub host: Option<String>,
    /// Header names and values as sent: order, repetition and case are kept.
    pub headers: Vec<(String, Bytes)>,
    /// The model or chain it was meant for; `None` when no route matched.
    pub target: Option<Target>,
    /// What was asked of it; `None` when no route matched.
    pub operation: Option<Operation>,
    /// The body, up to [`Builder::keep_body`](crate::Builder::keep_body) bytes.
    pub body: Bytes,
    /// How many bytes of body arrived.
    pub body_len: u64,
    /// The messages that came over it as a WebSocket, text or bytes; of each as much as of a body.
    pub messages: Vec<Bytes>,
    /// Whether the body was read to its end.
    pub body_complete: bool,
    /// The `X-BASETEN-REQUEST-ID` of the answer.
    pub request_id: String,
    /// The status of the answer; `None` before it began, and for [`Answer::raw`](crate::Answer::raw).
    pub status: Option<u16>,
    /// How many bytes of the answer our socket (under TLS: the TLS layer) has taken, head included.
    pub sent: u64,
    /// How many chunks of a streamed answer were written and flushed.
    pub events: usize,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every byte of the answer was handed to the socket.
    Completed {
        /// When, since the emulator started.
        at: Duration,
    },
    /// The peer closed, reset or half-closed the connection before the answer was complete.
    PeerLeft {
        /// When it was noticed, since the emulator started.
        at: Duration,
        /// How many chunks of a streamed answer had been written.
        after_events: usize,
        /// How many bytes of the answer had been written.
        after_bytes: u64,
    },
    /// A fault, or the answer's own [`Ending`](crate::Ending), ended it.
    CutByFault {
        /// When, since the emulator started.
        at: Duration,
        /// How many bytes of the answer had been written.
        after_bytes: u64,
    },
}

/// [`Emulator::wait_until`](crate::Emulator::wait_until) reached its ceiling; holds what was seen by then.
#[derive(Clone, Debug)]
pub struct TimedOut {
    /// How long the wait was.
    pub ceiling: Duration,
    /// The snapshot at the end of the wait.
    pub seen: Seen,
}

impl Seen {
    /// The connections, in order of acceptance.
    pub fn connections(&self) -> &[Arc<Connection>] {
        &self.connections
    }

    /// The requests, in order of arrival.
    pub fn arrivals(&self) -> &[Arc<Arrival>] {
        &self.arrivals
    }

    /// The request that arrived last.
    pub fn last(&self) -> Option<&Arrival> {
        self.arrivals.last().map(|arrival| &**arrival)
    }

    /// How many connections were accepted.
    pub fn opened(&self) -> usize {
        self.connections.len()
    }

    /// How many connections are closed.
    pub fn closed(&self) -> usize {
        self.connections.iter().filter(|connection| connection.closed.is_some()).count()
    }

    /// How many exchanges have ended, well or not.
    pub fn ended(&self) -> usize {
        self.arrivals.iter().filter(|arrival| arrival.outcome.is_some()).count()
    }
}

impl Arrival {
    /// The first value of a header, by name in any case; `None` when absent or not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The kept body as text; `None` when it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

impl std::fmt::Display for TimedOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "not seen within {:?}: {} connections ({} closed), {} requests ({} ended)",
            self.ceiling,
            self.seen.opened(),
            self.seen.closed(),
            self.seen.arrivals.len(),
            self.seen.ended(),
        )
    }
}

impl std::error::Error for TimedOut {}

/// The log behind the snapshots.
#[derive(Debug)]
pub(crate) struct Log {
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
    /// Held while a connection works, so that a snapshot never shows the middle of a step: a peer
    /// that has read the end of an answer finds it completed here.
    step: Mutex<()>,
    /// The thread of the connections; an answer by closure may look at the log from inside a step.
    worker: OnceLock<ThreadId>,
}

#[derive(Debug, Default)]
struct State {
    seen: Seen,
    next_connection: usize,
    next_arrival: usize,
    /// Nobody waiting: spare the system call of a notification.
    waiters: usize,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
            step: Mutex::default(),
            worker: OnceLock::new(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The calling thread is the one that serves connections.
    pub(crate) fn work_here(&self) {
        // Called once, before anything is served.
        let _ = self.worker.set(std::thread::current().id());
    }

    /// Begins a step of a connection; it ends with the guard.
    pub(crate) fn step(&self) -> MutexGuard<'_, ()> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> Seen {
        let inside = self.worker.get() == Some(&std::thread::current().id());
        let _between_steps = (!inside).then(|| self.step());
        self.lock().seen.clone()
    }

    /// Drops what has ended; numbering goes on.
    pub(crate) fn forget(&self) {
        let seen = &mut self.lock().seen;
        seen.arrivals.retain(|arrival| arrival.outcome.is_none());
        seen.connections.retain(|connection| connection.closed.is_none());
    }

    /// The numbers that the next connection and the next request will get.
    pub(crate) fn next(&self) -> (usize, usize) {
        let state = self.lock();
        (state.next_connection, state.next_arrival)
    }

    pub(crate) fn wait_until(
        &self,
        ceiling: Duration,
        mut cond: impl FnMut(&Seen) -> bool,
    ) -> Result<Seen, TimedOut> {
        let end = Instant::now() + ceiling;
        // What the caller's own socket has shown it is to be seen here from the first look on.
        drop(self.step());
        let mut state = self.lock();
        loop {
            if cond(&state.seen) {
                return Ok(state.seen.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(TimedOut { ceiling, seen: state.seen.clone() });
            }
            state.waiters += 1;
            state = self
                .changed
                .wait_timeout(state, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
            state.waiters -= 1;
        }
    }

    pub(crate) fn open(&self) -> usize {
        let opened = self.now();
        self.change(|state| {
            let index = state.next_connection;
            state.next_connection += 1;
            state.seen.connections.push(Arc::new(Connection {
                index,
                opened,
                closed: None,
                requests: 0,
            }));
            index
        })
    }

    pub(crate) fn close(&self, connection: usize, by: Closer) {
        let now = self.now();
        self.change(|state| {
            if let Some(connection) = state.connection(connection) {
                connection.closed.get_or_insert((now, by));
            }
        });
    }

    /// Records a request; fills in its number and the time.
    pub(crate) fn arrive(&self, mut arrival: Arrival) -> usize {
        arrival.at = self.now();
        self.change(|state| {
            arrival.index = state.next_arrival;
            state.next_arrival += 1;
            if let Some(connection) = state.connection(arrival.connection) {
                connection.requests += 1;
            }
            let index = arrival.index;
            state.seen.arrivals.push(Arc::new(arrival));
            index
        })
    }

    pub(crate) fn update(&self, arrival: usize, change: impl FnOnce(&mut Arrival)) {
        self.change(|state| {
            if let Some(arrival) = state.arrival(arrival) {
                change(arrival);
            }
        });
    }

    pub(crate) fn arrival(&self, index: usize) -> Option<Arc<Arrival>> {
        let state = self.lock();
        let at = state.seen.arrivals.binary_search_by_key(&index, |arrival| arrival.index).ok()?;
        Some(Arc::clone(&state.seen.arrivals[at]))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        if state.waiters > 0 {
            self.changed.notify_all();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn connection(&mut self, index: usize) -> Option<&mut Connection> {
        let list = &mut self.seen.connections;
        let at = list.binary_search_by_key(&index, |connection| connection.index).ok()?;
        Some(Arc::make_mut(&mut list[at]))
    }

    fn arrival(&mut self, index: usize) -> Option<&mut Arrival> {
        let list = &mut self.seen.arrivals;
        let at = list.binary_search_by_key(&index, |arrival| arrival.index).ok()?;
        Some(Arc::make_mut(&mut list[at]))
    }
}
