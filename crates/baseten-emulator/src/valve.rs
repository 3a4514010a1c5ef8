//! Carries out faults on one stream of outgoing bytes: says how many may pass before something happens.
//!
//! It counts and decides; it never touches a socket. One valve stands before TLS, one behind it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::Sleep;

use crate::fault::{Action, At, Fault};

/// How a connection is ended on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    Reset,
    Cut,
    Close,
}

/// What may happen next on the stream.
#[derive(Debug, PartialEq)]
pub(crate) enum Pass {
    /// Up to this many of the offered bytes may be written.
    Bytes(usize),
    /// This byte goes instead of the next offered one; then call [`Valve::flipped`].
    Flipped(u8),
    /// These go before the offered bytes; then call [`Valve::inserted`].
    Inserted(Bytes),
    /// Other connections are refused from here on; then ask again.
    Refuse,
    /// The connection ends here.
    Kill(Kill),
    /// Nothing was offered and nothing is due.
    Nothing,
}

/// The faults that lie ahead of one stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Valve {
    /// Bytes sent on the connection, and how many of them before the current answer.
    total: u64,
    base: u64,
    head: HeadScan,
    armed: Vec<Armed>,
    /// The wait of the fault that is due.
    wait: Option<Pin<Box<Sleep>>>,
    /// Bytes to be sent before any others, and where they began. What was due there already
    /// comes after them.
    insert: BytesMut,
    inserted_at: u64,
    pace: Option<Pace>,
    pause: Option<Pin<Box<Sleep>>>,
    /// The current answer may be sent (its faults count), and was sent.
    open: bool,
    done: bool,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    /// Planned for the connection: survives the requests on it.
    lasting: bool,
    /// Its wait has begun.
    waits: bool,
}

#[derive(Debug)]
struct Pace {
    bytes: usize,
    every: Duration,
    lasting: bool,
}

impl Valve {
    /// For a whole connection.
    pub(crate) fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let armed = faults.into_iter().map(|fault| Armed { fault, lasting: true, waits: false });
        Self { armed: armed.collect(), ..Self::default() }
    }

    /// A request has arrived: what was left of the last one is dropped.
    pub(crate) fn begin(&mut self) {
        self.armed.retain(|armed| armed.lasting);
        self.armed.iter_mut().for_each(|armed| armed.waits = false);
        self.pace.take_if(|pace| !pace.lasting);
        self.base = self.total;
        self.head = HeadScan::default();
        (self.wait, self.pause, self.open, self.done) = (None, None, false, false);
    }

    /// Its answer is ready; these faults are its own.
    pub(crate) fn open(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.open = true;
        let armed = faults.into_iter().map(|fault| Armed { fault, lasting: false, waits: false });
        self.armed.extend(armed);
    }

    /// Its answer was sent completely.
    pub(crate) fn end(&mut self) {
        self.done = true;
    }

    /// Bytes sent since the request arrived.
    pub(crate) fn sent(&self) -> u64 {
        self.total - self.base
    }

    /// What may be done, given that `next` stands ready to be written.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, next: &[u8]) -> Poll<Pass> {
        if self.armed.is_empty() && self.insert.is_empty() && self.pace.is_none() {
            return Poll::Ready(if next.is_empty() {
                Pass::Nothing
            } else {
                Pass::Bytes(next.len())
            });
        }
        if !elapsed(&mut self.pause, cx) {
            return Poll::Pending;
        }
        while let Some(due) = self.armed.iter().position(|armed| self.is_due(armed)) {
            if !self.waited(due, cx) {
                return Poll::Pending;
            }
            match &self.armed[due].fault.action {
                Action::Reset => return Poll::Ready(Pass::Kill(Kill::Reset)),
                Action::Cut => return Poll::Ready(Pass::Kill(Kill::Cut)),
                Action::Close => return Poll::Ready(Pass::Kill(Kill::Close)),
                Action::Stall => return Poll::Pending,
                Action::Refuse => {
                    self.disarm(due);
                    return Poll::Ready(Pass::Refuse);
                }
                Action::Send(bytes) => {
                    self.inserted_at = self.total;
                    self.insert.extend_from_slice(bytes);
                }
                Action::Slow { bytes, every } => {
                    let (bytes, lasting) = ((*bytes).max(1), self.armed[due].lasting);
                    self.pace = Some(Pace { bytes, every: *every, lasting });
                }
                Action::Garble(mask) => {
                    let coming = if self.insert.is_empty() { next } else { &self.insert };
                    return Poll::Ready(match coming.first() {
                        Some(byte) => Pass::Flipped(byte ^ mask),
                        None => Pass::Nothing,
                    });
                }
                Action::Delay | Action::Header { .. } | Action::Answer(_) => {}
            }
            self.disarm(due);
        }
        let inserting = !self.insert.is_empty();
        let coming = if inserting { &self.insert } else { next };
        if self.armed.iter().any(|armed| matches!(armed.fault.at, At::Body(_))) {
            // Not beyond the next fault: what it inserts belongs before the rest.
            let scanned = usize::try_from(self.head.scanned.saturating_sub(self.sent()));
            let certain = self.allowed(coming.len());
            self.head.scan(coming.get(scanned.unwrap_or(0)..certain).unwrap_or_default());
        }
        let coming = if inserting { &self.insert } else { next };
        let n = self.allowed(coming.len());
        Poll::Ready(match n {
            0 => Pass::Nothing,
            _ if inserting => Pass::Inserted(Bytes::copy_from_slice(&coming[..n])),
            _ => Pass::Bytes(n),
        })
    }

    /// This many bytes were written.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.total += bytes as u64;
        if let Some(Pace { every, .. }) = self.pace
            && !every.is_zero()
        {
            self.pause = Some(Box::pin(tokio::time::sleep(every)));
        }
    }

    /// This many of the inserted bytes were written.
    pub(crate) fn inserted(&mut self, bytes: usize) {
        self.insert.advance(bytes);
        self.wrote(bytes);
    }

    /// The flipped byte was written. Returns whether it stood for an inserted one.
    pub(crate) fn flipped(&mut self) -> bool {
        let due = self.armed.iter().position(|armed| self.is_due(armed));
        if let Some(due) = due {
            self.disarm(due);
        }
        let was_inserted = !self.insert.is_empty();
        if was_inserted {
            self.insert.advance(1);
        }
        self.wrote(1);
        was_inserted
    }

    /// How many of `offered` bytes may go before the next fault or pause.
    fn allowed(&self, offered: usize) -> usize {
        let pace = self.pace.as_ref().map_or(usize::MAX, |pace| pace.bytes);
        let ahead = self.armed.iter().filter_map(|armed| self.position(armed)).min();
        let ahead = ahead.map_or(usize::MAX, |at| {
            usize::try_from(at.saturating_sub(self.total)).unwrap_or(usize::MAX)
        });
        // A fault that is reached but not active (its answer is not ready) limits nothing.
        let ahead = if ahead == 0 { usize::MAX } else { ahead };
        offered.min(pace).min(ahead)
    }

    /// Where on the connection's stream a fault lies, if that is known yet.
    fn position(&self, armed: &Armed) -> Option<u64> {
        match armed.fault.at {
            At::Byte(n) if armed.lasting => Some(n),
            At::Byte(n) => self.base.checked_add(n),
            At::Body(n) => (self.base + self.head.body_at?).checked_add(n),
            At::End | At::Upload(_) => None,
        }
    }

    fn is_due(&self, armed: &Armed) -> bool {
        let inserting = !self.insert.is_empty();
        if armed.fault.at == At::End {
            return self.done && !inserting;
        }
        let reached = self
            .position(armed)
            .is_some_and(|at| at <= self.total && !(inserting && at <= self.inserted_at));
        reached && (self.open || armed.lasting)
    }

    fn waited(&mut self, due: usize, cx: &mut Context<'_>) -> bool {
        let armed = &mut self.armed[due];
        if !armed.waits && !armed.fault.wait.is_zero() {
            armed.waits = true;
            self.wait = Some(Box::pin(tokio::time::sleep(armed.fault.wait)));
        }
        elapsed(&mut self.wait, cx)
    }

    fn disarm(&mut self, index: usize) {
        self.armed.remove(index);
    }
}

/// Whether there is no timer left to wait for.
fn elapsed(timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> bool {
    if let Some(sleep) = timer {
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        *timer = None;
    }
    true
}

/// Finds the end of the head in an answer's bytes; heads of 1xx answers are passed over, but for 101,
/// after which comes another protocol.
#[derive(Debug, Default)]
struct HeadScan {
    /// Bytes of the answer that were looked at.
    scanned: u64,
    /// Where the body begins.
    body_at: Option<u64>,
    /// Bytes since this head began, and the tenth to the twelfth of them: its status.
    length: usize,
    status: [u8; 3],
    /// How much of CR LF CR LF the last bytes are.
    matched: usize,
}

impl HeadScan {
    fn scan(&mut self, bytes: &[u8]) {
        const END: &[u8; 4] = b"\r\n\r\n";
        for &byte in bytes {
            if self.body_at.is_some() {
                return;
            }
            self.scanned += 1;
            self.length += 1;
            if let Some(digit) = self.length.checked_sub(10).and_then(|at| self.status.get_mut(at))
            {
                *digit = byte;
            }
            self.matched = match (byte == END[self.matched], byte) {
                (true, _) => self.matched + 1,
                (false, b'\r') => 1,
                (false, _) => 0,
            };
            if self.matched == END.len() {
                if self.status[0] == b'1' && &self.status != b"101" {
                    (self.length, self.matched) = (0, 0);
                } else {
                    self.body_at = Some(self.scanned);
                }
            }
        }
    }
}
