//! A std socket whose reads are held back until nothing else can move.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use socket2::SockRef;

use crate::net;
use crate::wire::Socket;

/// The socket, and what its driver and its reader tell each other. One thread at a time uses it; the
/// atomics are there so that a connection can move between threads.
#[derive(Debug)]
pub(crate) struct Held {
    stream: TcpStream,
    turn: AtomicU8,
    /// A write found the send buffer full.
    blocked: AtomicBool,
    /// What hyper is polled with.
    pub(super) waker: Waker,
    woken: Arc<Woken>,
    /// The read timeout that the socket has, in milliseconds.
    patience: AtomicU64,
    /// What the system said when it took no timeout, as its number.
    fault: AtomicI32,
}

/// Whether somebody woke the task: there is more to do before reading. It stands by itself, since hyper
/// may keep a waker for longer than the socket is to be open.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

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
    /// Take what is there; if there is nothing, the socket is broken.
    Last,
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
        Ok(Self::around(stream))
    }

    pub(super) fn around(stream: TcpStream) -> Self {
        let woken = Arc::<Woken>::default();
        Self {
            stream,
            turn: AtomicU8::new(Turn::Hold as u8),
            blocked: AtomicBool::new(false),
            waker: Waker::from(woken.clone()),
            woken,
            patience: AtomicU64::new(0),
            fault: AtomicI32::new(0),
        }
    }

    /// Forgets that it was woken, and says whether it was.
    pub(super) fn take_woken(&self) -> bool {
        let Woken(woken) = &*self.woken;
        woken.load(Relaxed) && woken.swap(false, Relaxed)
    }

    /// Lets the next read wait for as long as `left`; `None` is for ever. After a write that found no
    /// room the read only looks, since the peer may be waiting for us. One that could block for ever,
    /// since the socket takes no timeout, fails if nothing is there.
    pub(super) fn grant(&self, left: Option<Duration>) {
        let turn = if self.blocked.swap(false, Relaxed) {
            Turn::Now
        } else {
            match self.be_patient(left) {
                Ok(()) => Turn::Block,
                Err(error) => return self.refuse(&error),
            }
        };
        self.turn.store(turn as u8, Relaxed);
    }

    fn refuse(&self, error: &io::Error) {
        self.fault.store(error.raw_os_error().unwrap_or_default(), Relaxed);
        self.turn.store(Turn::Last as u8, Relaxed);
    }

    fn be_patient(&self, left: Option<Duration>) -> io::Result<()> {
        // 0 stands for no timeout: a timeout rounds up, and is never 0.
        let wanted = left.map_or(0, |left| (left.as_millis() as u64).saturating_add(1));
        let has = self.patience.load(Relaxed);
        if wanted.abs_diff(has) > PATIENCE_STEP || (wanted == 0) != (has == 0) {
            let timeout = (wanted > 0).then(|| Duration::from_millis(wanted));
            self.stream.set_read_timeout(timeout)?;
            self.patience.store(wanted, Relaxed);
        }
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
        if turn != Turn::Block as u8 {
            let read = self.read_now(buf);
            if read.is_pending() && turn == Turn::Last as u8 {
                return Poll::Ready(Err(io::Error::from_raw_os_error(self.fault.load(Relaxed))));
            }
            return read;
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

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn read(held: &Held) -> Poll<io::Result<u8>> {
        let (mut byte, cx) = ([0], &mut Context::from_waker(Waker::noop()));
        held.poll_read(cx, &mut byte).map_ok(|_| byte[0])
    }

    #[test]
    fn a_socket_that_takes_no_timeout_is_read_once_more_and_is_broken() {
        const REFUSED: i32 = 22;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let held = Held::new(stream).unwrap();
        peer.write_all(b"x").unwrap();
        held.grant(Some(Duration::from_secs(20)));
        assert!(matches!(read(&held), Poll::Ready(Ok(b'x'))), "with a timeout");
        for said in ["y", ""] {
            peer.write_all(said.as_bytes()).unwrap();
            held.refuse(&io::Error::from_raw_os_error(REFUSED));
            match (read(&held), said) {
                (Poll::Ready(Ok(b'y')), "y") => {}
                (Poll::Ready(Err(error)), "") => assert_eq!(error.raw_os_error(), Some(REFUSED)),
                (other, _) => panic!("{said}: {other:?}"),
            }
        }
        assert!(read(&held).is_pending(), "it was one turn");
    }
}
