//! One TCP connection, seen from two sides.
//!
//! hyper owns the reading and writing end and gives no access to it, so what the rest of the crate
//! needs of a socket stands beside it: how many bytes it took and gave, and the wish to look only at
//! what is there already.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};

/// A socket that can be polled through a shared reference.
pub(crate) trait Socket: Send + Sync + 'static {
    /// Waits for bytes in the way of its [`crate::net::Net`].
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    /// Takes what is there now; `Pending` if there is nothing, and nobody will be woken.
    fn read_now(&self, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;
    /// Whether nothing has come: no byte, no end, no error. Looks without taking anything.
    fn is_silent(&self) -> bool;
    fn close_write(&self) -> io::Result<()>;
}

/// A socket and what is counted on it.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    pub(crate) socket: S,
    sent: AtomicU64,
    received: AtomicU64,
    /// Bytes of the application among those received, or [`UNCOUNTED`]: where there is no TLS they all are.
    heard: AtomicU64,
    /// What `sent` was when nothing was left to be written.
    flushed: AtomicU64,
    reads: AtomicU8,
}

/// Nobody counts what is heard: it is what is received.
const UNCOUNTED: u64 = u64::MAX;

/// What a read does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reads {
    /// It waits for bytes.
    Wait,
    /// It takes what is there.
    Now,
    /// It is not made: whoever polls has nothing to hear.
    Never,
}

impl<S: Socket> Wire<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self {
            socket,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            heard: AtomicU64::new(UNCOUNTED),
            flushed: AtomicU64::new(0),
            reads: AtomicU8::new(Reads::Wait as u8),
        }
    }

    /// Bytes of the application that the socket took since it was opened, with what TLS wraps them in,
    /// but without what TLS says by itself: a goodbye to a server that has left is no request.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes that the socket gave since it was opened.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// So many bytes of the application have gone.
    pub(crate) fn send(&self, bytes: usize) {
        add(&self.sent, bytes);
    }

    /// Bytes that the peer has said, without what TLS adds: a session ticket is no answer.
    pub(crate) fn heard(&self) -> u64 {
        match self.heard.load(Ordering::Relaxed) {
            UNCOUNTED => self.received(),
            heard => heard,
        }
    }

    /// Counts what is heard from now on by [`Self::hear`].
    pub(crate) fn count_heard(&self) {
        self.heard.store(0, Ordering::Relaxed);
    }

    /// So many bytes of the application have come.
    #[cfg(feature = "tls")]
    pub(crate) fn hear(&self, bytes: usize) {
        add(&self.heard, bytes);
    }

    /// Says that nothing is left to be written.
    pub(crate) fn flushed(&self) {
        self.flushed.store(self.sent(), Ordering::Relaxed);
    }

    /// Whether nothing is left to be written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.flushed.load(Ordering::Relaxed) == self.sent()
    }

    /// What reads do during `poll`; they wait again after it.
    pub(crate) fn with_reads<T>(&self, reads: Reads, poll: impl FnOnce() -> T) -> T {
        self.reads.store(reads as u8, Ordering::Relaxed);
        let polled = poll();
        self.reads.store(Reads::Wait as u8, Ordering::Relaxed);
        polled
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let reads = self.reads.load(Ordering::Relaxed);
        if reads == Reads::Now as u8 {
            return self.read_now(buf);
        }
        if reads == Reads::Never as u8 {
            return Poll::Pending;
        }
        let read = self.socket.poll_read(cx, buf);
        self.receive(&read);
        read
    }

    pub(crate) fn read_now(&self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = self.socket.read_now(buf);
        self.receive(&read);
        read
    }

    fn receive(&self, read: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = read {
            add(&self.received, *bytes);
        }
    }

    /// Writes what the caller counts, if it is the application's, by [`Self::send`].
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_write(cx, bufs)
    }
}

/// One task at a time polls a connection: no read-modify-write is needed.
fn add(counter: &AtomicU64, bytes: usize) {
    counter.store(counter.load(Ordering::Relaxed) + bytes as u64, Ordering::Relaxed);
}
