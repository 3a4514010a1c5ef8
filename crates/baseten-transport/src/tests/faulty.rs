//! A net whose operations are counted, and of which one fails, over either way to wait.
//!
//! What fails and what is counted is the thread's: both ways to wait stay on it.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Instant;

use baseten_core::CancelToken;

use crate::clock::Due;
use crate::net::{Elapsed, Net};
use crate::wire::{Socket, Wire};

/// What a call asks of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    LookUp,
    Open,
    Connect,
    /// A read that waits.
    Read,
    /// A read of what is there.
    Look,
    Write,
    /// A look at whether anything is there.
    Peek,
    CloseWrite,
}

/// What comes of it instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Reset,
    BrokenPipe,
    /// The end of what there is to read.
    End,
    /// One byte of many.
    Short,
    /// One byte of many, and then a reset.
    Torn,
    /// Not now, but when asked again.
    NotYet,
    /// Yes for no.
    Lie,
}

impl Operation {
    pub(super) const ALL: [Self; 8] = [
        Self::LookUp,
        Self::Open,
        Self::Connect,
        Self::Read,
        Self::Look,
        Self::Write,
        Self::Peek,
        Self::CloseWrite,
    ];

    /// In which ways it can fail.
    pub(super) fn faults(self) -> &'static [Fault] {
        use Fault::{BrokenPipe, End, Lie, NotYet, Reset, Short, Torn};
        match self {
            Self::LookUp | Self::Open | Self::Connect | Self::CloseWrite => &[Reset],
            Self::Read | Self::Look => &[Reset, End, Short, Torn, NotYet],
            Self::Write => &[Reset, BrokenPipe, Short, Torn, NotYet],
            Self::Peek => &[Lie],
        }
    }
}

/// Which operation fails, counted from 0 among its like, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) operation: Operation,
    pub(super) at: usize,
    pub(super) fault: Fault,
}

/// What is planned on this thread, and what came.
#[derive(Default)]
struct Trial {
    plan: Option<Plan>,
    /// How many of the like of what is planned were done.
    done: usize,
    /// Bytes that sockets took.
    written: u64,
}

thread_local! {
    static TRIAL: RefCell<Trial> = RefCell::default();
}

/// Begins to count from 0, and lets an operation fail.
pub(super) fn plan(plan: Option<Plan>) {
    TRIAL.set(Trial { plan, ..Trial::default() });
}

/// Whether what was planned has happened.
pub(super) fn has_failed() -> bool {
    TRIAL.with_borrow(|trial| trial.plan.is_some_and(|plan| trial.done > plan.at))
}

/// How many bytes sockets took since this was asked last.
pub(super) fn take_written() -> u64 {
    TRIAL.with_borrow_mut(|trial| std::mem::take(&mut trial.written))
}

/// How this operation is to fail, if it does. One that has to wait is asked for again, and counts only
/// when it is [`count`]ed.
fn fault(operation: Operation) -> Option<Fault> {
    TRIAL.with_borrow(|trial| {
        let plan = trial.plan?;
        (plan.operation == operation && plan.at == trial.done).then_some(plan.fault)
    })
}

fn count(operation: Operation) {
    TRIAL.with_borrow_mut(|trial| {
        let planned = trial.plan.is_some_and(|plan| plan.operation == operation);
        trial.done += usize::from(planned);
    });
}

/// Counts what happens at once.
fn happens(operation: Operation) -> io::Result<()> {
    let fault = fault(operation);
    count(operation);
    fault.map_or(Ok(()), |_| Err(io::ErrorKind::ConnectionReset.into()))
}

/// `N`, with faults. Every name is this machine's.
pub(super) struct Faulty<N>(PhantomData<fn() -> N>);

/// A socket of `N`, as its driver knows it.
pub(super) struct FaultySocket<N: Net> {
    inner: Arc<Wire<N::Socket>>,
    state: AtomicU8,
}

/// What a socket still does.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum State {
    All,
    /// It reads.
    Unwritable,
    /// It writes.
    AtEnd,
    Dead,
}

impl<N: Net> FaultySocket<N> {
    fn is(&self, state: State) -> bool {
        self.state.load(Relaxed) == state as u8
    }

    fn become_(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }

    fn tear(&self, fault: Option<Fault>) {
        if fault == Some(Fault::Torn) {
            self.become_(State::Dead);
        }
    }

    fn read(
        &self,
        operation: Operation,
        buf: &mut [u8],
        wake: impl FnOnce(),
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.is(State::Dead) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.is(State::AtEnd) {
            return Poll::Ready(Ok(0));
        }
        let fault = fault(operation);
        let polled = match fault {
            Some(Fault::Reset) => {
                self.become_(State::Dead);
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Some(Fault::End) => {
                self.become_(State::AtEnd);
                Poll::Ready(Ok(0))
            }
            Some(Fault::NotYet) => {
                count(operation);
                wake();
                return Poll::Pending;
            }
            Some(Fault::Short | Fault::Torn) => read(&mut buf[..1]),
            _ => read(buf),
        };
        if polled.is_ready() {
            count(operation);
            self.tear(fault);
        }
        polled
    }
}

impl<N: Net> Socket for FaultySocket<N> {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let waker = cx.waker().clone();
        self.read(Operation::Read, buf, || waker.wake(), |buf| self.inner.poll_read(cx, buf))
    }

    fn read_now(&self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.read(Operation::Look, buf, || (), |buf| self.inner.read_now(buf))
    }

    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.is(State::Dead) || self.is(State::Unwritable) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let fault = fault(Operation::Write);
        let polled = match fault {
            Some(Fault::Reset) => {
                self.become_(State::Dead);
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Some(Fault::BrokenPipe) => {
                self.become_(State::Unwritable);
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
            Some(Fault::NotYet) => {
                count(Operation::Write);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Fault::Short | Fault::Torn) => {
                let first = bufs.iter().find(|buf| !buf.is_empty()).map(|buf| &buf[..1]);
                self.inner.poll_write(cx, &[IoSlice::new(first.unwrap_or_default())])
            }
            _ => self.inner.poll_write(cx, bufs),
        };
        if let Poll::Ready(Ok(bytes)) = polled {
            TRIAL.with_borrow_mut(|trial| trial.written += bytes as u64);
        }
        if polled.is_ready() {
            count(Operation::Write);
            self.tear(fault);
        }
        polled
    }

    fn is_silent(&self) -> bool {
        let silent = self.is(State::All) && self.inner.socket.is_silent();
        happens(Operation::Peek).is_ok() && silent
    }

    fn close_write(&self) -> io::Result<()> {
        happens(Operation::CloseWrite)?;
        self.inner.socket.close_write()
    }
}

impl<N: Net> Net for Faulty<N> {
    type Socket = FaultySocket<N>;
    type Opening = N::Opening;
    type Timer = N::Timer;
    type Home = N::Home;

    fn home() -> N::Home {
        N::home()
    }

    async fn lookup(_: &str, port: u16, _: Due<'_>) -> io::Result<Vec<SocketAddr>> {
        happens(Operation::LookUp)?;
        Ok(vec![(Ipv4Addr::LOCALHOST, port).into()])
    }

    fn open(address: SocketAddr) -> io::Result<N::Opening> {
        happens(Operation::Open)?;
        N::open(address)
    }

    async fn first(
        open: &mut Vec<(SocketAddr, N::Opening)>,
        until: Due<'_>,
    ) -> Option<(SocketAddr, io::Result<FaultySocket<N>>)> {
        let (address, opened) = N::first(open, until).await?;
        let opened = happens(Operation::Connect).and(opened);
        let socket = opened.map(|socket| FaultySocket {
            inner: Arc::new(Wire::new(socket)),
            state: AtomicU8::new(State::All as u8),
        });
        Some((address, socket))
    }

    async fn wait<T: Send>(
        due: Due<'_>,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> Result<T, Elapsed> {
        N::wait(due, poll).await
    }

    async fn drive<T: Send>(
        wire: &Arc<Wire<FaultySocket<N>>>,
        timer: &mut N::Timer,
        cancel: Option<&CancelToken>,
        due: impl FnMut() -> Option<Instant> + Send,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> Result<T, Elapsed> {
        N::drive(&wire.socket.inner, timer, cancel, due, poll).await
    }
}
