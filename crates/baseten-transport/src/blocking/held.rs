//! A std socket whose reads are held back until nothing else can move.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use socket2::SockRef;

use crate::net;
use crate::wire::{Socket, Wire};

/// The socket, and what its driver and its reader tell each other. One thread at a time uses it; the
/// atomics are there so that a connection can move between threads.
#[derive(Debug)]
pub(crate) struct Held {
    stream: TcpStream,
    turn: AtomicU8,
    /// A write found the send buffer full.
    blocked: AtomicBool,
    /// Somebody woke the task: there is more to do before reading.
    woken: AtomicBool,
    /// The read timeout that the socket has, in milliseconds.
    patience: AtomicU64,
}

/// What the next read may do.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Turn {
    /// Wait for its turn.
    Hold,
    /// Block until something comes, or the read timeout.
    Block,
    /// Take what is there.
    Now,
}

/// How long a write may block before it looks whether the peer has something to say: one that answers
/// early and stops reading would otherwise never be heard.
const WRITE_SLICE: Duration = Duration::from_millis(20);

/// Setting the read timeout is a system call of its own, not worth a change smaller than this.
const PATIENCE_STEP: u64 = 2;

impl Held {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        net::configure(SockRef::from(&stream))?;
        stream.set_write_timeout(Some(WRITE_SLICE))?;
        Ok(Self {
            stream,
            turn: AtomicU8::new(Turn::Hold as u8),
            blocked: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            patience: AtomicU64::new(0),
        })
    }

    /// Forgets that it was woken, and says whether it was.
    pub(super) fn take_woken(&self) -> bool {
        self.woken.load(Relaxed) && self.woken.swap(false, Relaxed)
    }

    /// Lets the next read wait for as long as `left`; `None` is for ever. After a write that found no
    /// room the read only looks, since the peer may be waiting for us.
    pub(super) fn grant(&self, left: Option<Duration>) -> io::Result<()> {
        if self.blocked.swap(false, Relaxed) {
            self.turn.store(Turn::Now as u8, Relaxed);
            return Ok(());
        }
        // 0 stands for no timeout: a timeout rounds up, and is never 0.
        let wanted = left.map_or(0, |left| (left.as_millis() as u64).saturating_add(1));
        let has = self.patience.load(Relaxed);
        if wanted.abs_diff(has) > PATIENCE_STEP || (wanted == 0) != (has == 0) {
            let timeout = (wanted > 0).then(|| Duration::from_millis(wanted));
            self.stream.set_read_timeout(timeout)?;
            self.patience.store(wanted, Relaxed);
        }
        self.turn.store(Turn::Block as u8, Relaxed);
        Ok(())
    }

    /// Takes a turn back that nobody used; `false` if it was used.
    pub(super) fn revoke(&self) -> bool {
        self.turn.swap(Turn::Hold as u8, Relaxed) != Turn::Hold as u8
    }

    /// Ends whatever another thread does with it: reads see the end, writes fail.
    pub(super) fn shut_down(&self) {
        // One that is not connected any more has nothing to end.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Looks at the next byte without waiting for it.
#[cfg(unix)]
fn peek(stream: &TcpStream) -> io::Result<usize> {
    let mut byte = [MaybeUninit::uninit(); 1];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    SockRef::from(stream).recv_with_flags(&mut byte, flags)
}

/// The same where no flag says "without waiting".
#[cfg(not(unix))]
fn peek(stream: &TcpStream) -> io::Result<usize> {
    let mut byte = [MaybeUninit::uninit(); 1];
    stream.set_nonblocking(true)?;
    let peeked = SockRef::from(stream).peek(&mut byte);
    stream.set_nonblocking(false)?;
    peeked
}

/// Nothing there, or the timeout ran out: Unix says the one, Windows the other.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Socket for Held {
    fn poll_read(&self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let turn = self.turn.load(Relaxed);
        if turn == Turn::Hold as u8 {
            return Poll::Pending;
        }
        self.turn.store(Turn::Hold as u8, Relaxed);
        if turn == Turn::Now as u8 {
            return self.read_now(buf);
        }
        loop {
            match (&self.stream).read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_silence(&error) => return Poll::Pending,
                read => return Poll::Ready(read),
            }
        }
    }

    fn read_now(&self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.is_silent() { Poll::Pending } else { Poll::Ready((&self.stream).read(buf)) }
    }

    fn poll_write(&self, _: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.blocked.load(Relaxed) {
            // hyper and rustls try again within the same poll: once is enough.
            return Poll::Pending;
        }
        loop {
            match (&self.stream).write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_silence(&error) => {
                    self.blocked.store(true, Relaxed);
                    return Poll::Pending;
                }
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_silent(&self) -> bool {
        peek(&self.stream).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn close_write(&self) -> io::Result<()> {
        net::close_write(&SockRef::from(&self.stream))
    }
}

impl Wake for Wire<Held> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.socket.woken.store(true, Relaxed);
    }
}
