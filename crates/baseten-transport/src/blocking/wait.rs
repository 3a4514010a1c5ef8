//! Waiting on the caller's thread: each wait is over within one poll.

use std::future::{Future, poll_fn};
use std::io;
use std::io::ErrorKind::{NotConnected, TimedOut};
use std::mem;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::held::Held;
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

    async fn lookup(host: &str, port: u16, due: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
        let host = host.to_owned();
        let look = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        let Some(due) = due else { return look() };
        // A thread, since nothing else can stop waiting for the system's resolver.
        let (give, take) = mpsc::sync_channel(1);
        thread::Builder::new().name("baseten-dns".into()).spawn(move || give.send(look()))?;
        take.recv_timeout(due.saturating_duration_since(Instant::now()))
            .unwrap_or_else(|_| Err(timed_out()))
    }

    fn open(address: SocketAddr) -> io::Result<Opening> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        Ok(Opening { socket, begun: false })
    }

    async fn first(
        open: &mut Vec<(SocketAddr, Opening)>,
        until: Option<Instant>,
    ) -> Option<(SocketAddr, io::Result<Held>)> {
        let left =
            || until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        loop {
            // One alone is waited for by the system. Beside others, none can be without keeping the
            // rest waiting: they are looked at in turns, which costs a moment where 250 ms are lost
            // already.
            let patience = if open.len() == 1 { left() } else { LOOK };
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

    async fn sleep(pause: Duration) {
        thread::sleep(pause);
    }

    async fn drive<T: Send>(
        wire: &Arc<Wire<Held>>,
        (): &mut (),
        mut due: impl FnMut() -> Option<Instant> + Send,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> Result<T, Elapsed> {
        let waker = Waker::from(wire.clone());
        let turn = |_: &mut Context<'_>| {
            Poll::Ready(turns(wire, &mut Context::from_waker(&waker), &mut due, &mut poll))
        };
        // hyper's channels are tokio's: inside a tokio task they refuse to move after a while, until
        // the task yields, which this one never does.
        tokio::task::unconstrained(poll_fn(turn)).await
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
        // A socket that takes no timeout could block for ever.
        held.grant(left).map_err(|_| Elapsed)?;
    }
}

/// Keeps the loop from spinning where a poll leaves its turn to read unused.
const UNUSED_TURN: Duration = Duration::from_millis(1);
