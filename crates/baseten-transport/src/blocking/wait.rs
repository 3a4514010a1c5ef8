//! Waiting on the caller's thread: each wait is over within one poll.

use std::future::{Future, poll_fn};
use std::io;
use std::io::ErrorKind::{NotConnected, TimedOut};
use std::mem;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use baseten_core::CancelToken;
use socket2::{Domain, Socket, Type};

use super::held::Held;
use crate::clock::Due;
use crate::net::{Elapsed, Net, timed_out};
use crate::wire::Wire;

/// The blocking way to wait.
pub(crate) struct Blocking;

/// The result of a future that waits only in blocking ways, and so is ready when first polled.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    let cx = &mut Context::from_waker(Waker::noop());
    match pin!(future).poll(cx) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("every wait of `Blocking` ends within its poll"),
    }
}

impl Net for Blocking {
    type Socket = Held;
    type Opening = Opening;
    type Timer = ();
    type Home = ();

    fn home() {}

    async fn lookup(host: &str, port: u16, due: Due<'_>) -> io::Result<Vec<SocketAddr>> {
        let host = host.to_owned();
        let look = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        if due.at.is_none() && due.cancel.is_none() {
            return look();
        }
        // A thread, since nothing else can stop waiting for the system's resolver.
        let ((give, take), asker) = (mpsc::sync_channel(1), thread::current());
        let look = move || {
            let _ = give.send(look());
            asker.unpark();
        };
        thread::Builder::new().name("baseten-dns".into()).spawn(look)?;
        let found = move |_: &mut Context<'_>| take.try_recv().map_or(Poll::Pending, Poll::Ready);
        Self::wait(due, found).await.unwrap_or_else(|Elapsed| Err(timed_out()))
    }

    fn open(address: SocketAddr) -> io::Result<Opening> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        Ok(Opening { socket, begun: false })
    }

    async fn first(
        open: &mut Vec<(SocketAddr, Opening)>,
        until: Due<'_>,
    ) -> Option<(SocketAddr, io::Result<Held>)> {
        let left = || until.left().unwrap_or(Duration::MAX);
        loop {
            // One alone is waited for by the system. Beside others, none can be without keeping the
            // rest waiting, nor can one that may be given up: they are looked at in turns, which costs
            // a moment where 250 ms are lost already.
            let alone = open.len() == 1 && until.cancel.is_none();
            let patience = if alone { left() } else { LOOK };
            for index in 0..open.len() {
                let (address, opening) = &mut open[index];
                if let Some(opened) = opening.progress(*address, patience) {
                    let (address, opening) = open.swap_remove(index);
                    return Some((address, opened.and_then(|()| Held::new(opening.socket.into()))));
                }
            }
            match left() {
                Duration::ZERO => return None,
                left => thread::sleep(left.min(LOOK)),
            }
        }
    }

    async fn wait<T: Send>(
        due: Due<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> Result<T, Elapsed> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let cx = &mut Context::from_waker(&waker);
        let mut cancel = due.cancel.map(CancelToken::canceled);
        loop {
            if let Poll::Ready(output) = poll(cx) {
                return Ok(output);
            }
            if let Some(canceled) = &mut cancel {
                // Looked at by what is left.
                let _ = Pin::new(canceled).poll(cx);
            }
            match due.left() {
                Some(Duration::ZERO) => return Err(Elapsed),
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }

    async fn drive<T: Send>(
        wire: &Arc<Wire<Held>>,
        (): &mut (),
        cancel: Option<&CancelToken>,
        mut due: impl FnMut() -> Option<Instant> + Send,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> Result<T, Elapsed> {
        // Canceling shuts the socket down: nothing else ends a read that blocks.
        let mut canceled = cancel.map(CancelToken::canceled);
        if let Some(canceled) = &mut canceled {
            let shut_down = Waker::from(Arc::new(ShutDown(wire.clone())));
            if Pin::new(canceled).poll(&mut Context::from_waker(&shut_down)).is_ready() {
                return Err(Elapsed);
            }
        }
        let is_canceled = || cancel.is_some_and(CancelToken::is_canceled);
        let mut due = || if is_canceled() { Some(Instant::now()) } else { due() };
        let turn = |_: &mut Context<'_>| {
            let cx = &mut Context::from_waker(&wire.socket.waker);
            Poll::Ready(turns(wire, cx, &mut due, &mut poll))
        };
        // hyper's channels are tokio's: inside a tokio task they refuse to move after a while, until
        // the task yields, which this one never does.
        let driven = tokio::task::unconstrained(poll_fn(turn)).await;
        // Out of the line first: from here on the socket is shut down only if the token says so. What
        // it came to then counts for nothing, since an answer may seem to end there.
        drop(canceled);
        if is_canceled() { Err(Elapsed) } else { driven }
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Ends a read or a write that blocks on this socket.
struct ShutDown(Arc<Wire<Held>>);

impl Wake for ShutDown {
    fn wake(self: Arc<Self>) {
        self.0.socket.shut_down();
    }
}

/// A socket that is being connected.
pub(crate) struct Opening {
    socket: Socket,
    begun: bool,
}

impl Opening {
    /// What it has come to, if it has: the first time it waits for up to `patience`, then it looks.
    fn progress(&mut self, address: SocketAddr, patience: Duration) -> Option<io::Result<()>> {
        if !mem::replace(&mut self.begun, true) {
            return match self.socket.connect_timeout(&address.into(), patience) {
                // Not the system's own timeout: it goes on connecting.
                Err(error) if error.kind() == TimedOut && error.raw_os_error().is_none() => None,
                connected => Some(connected),
            };
        }
        match self.socket.take_error().and_then(|error| error.map_or(Ok(()), Err)) {
            Ok(()) => match self.socket.peer_addr() {
                Err(error) if error.kind() == NotConnected => None,
                peer => Some(peer.map(|_| ())),
            },
            failed => Some(failed),
        }
    }
}

/// How long sockets that are being connected side by side are left alone.
const LOOK: Duration = Duration::from_millis(2);

/// Polls, and reads when nothing else moves, until there is a result or the clock has run out.
fn turns<T>(
    wire: &Wire<Held>,
    cx: &mut Context<'_>,
    due: &mut impl FnMut() -> Option<Instant>,
    poll: &mut impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Elapsed> {
    let held = &wire.socket;
    held.take_woken();
    loop {
        if let Poll::Ready(output) = poll(cx) {
            held.revoke();
            return Ok(output);
        }
        if held.take_woken() {
            continue;
        }
        if held.revoke() {
            // Nobody wanted to read, and nobody was woken: only the clock can end this.
            thread::sleep(UNUSED_TURN);
        }
        let left = match due().map(|due| due.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return Err(Elapsed),
            left => left,
        };
        held.grant(left);
    }
}

/// Keeps the loop from spinning where a poll leaves its turn to read unused.
const UNUSED_TURN: Duration = Duration::from_millis(1);

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_waker_that_somebody_keeps_keeps_no_socket_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let wire = Arc::new(Wire::new(Held::new(stream).unwrap()));
        let kept = |cx: &mut Context<'_>| Poll::Ready(cx.waker().clone());
        let kept = ready(Blocking::drive(&wire, &mut (), None, || None, kept)).unwrap();
        drop(wire);
        let (mut peer, _) = listener.accept().unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "closed, while the waker is there");
        kept.wake();
    }

    #[test]
    fn a_socket_that_takes_no_timeout_is_not_a_clock_that_ran_out() {
        // What is no socket takes no timeout of one.
        let directory = OwnedFd::from(std::fs::File::open("/").unwrap());
        let wire = Wire::new(Held::around(directory.into()));
        let cx = &mut Context::from_waker(Waker::noop());
        let later = Instant::now() + Duration::from_secs(20);
        let read = turns(&wire, cx, &mut || Some(later), &mut |cx| wire.poll_read(cx, &mut [0]));
        assert!(matches!(read, Ok(Err(_))), "{read:?}");
    }
}
