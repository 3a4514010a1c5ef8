//! Waiting on tokio's reactor and timers.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Read};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use baseten_core::{CancelToken, Canceled};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::time::{self, Sleep};

use crate::clock::Due;
use crate::net::{self, Elapsed, Net, timed_out};
use crate::wire::{Socket, Wire};

/// The async way to wait.
pub(crate) struct Tokio;

type Opening = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

impl Net for Tokio {
    type Socket = TcpStream;
    type Opening = Opening;
    type Timer = Timer;
    /// Sockets and timers die with the runtime that they were opened in.
    type Home = Option<Id>;

    fn home() -> Option<Id> {
        Handle::try_current().ok().map(|handle| handle.id())
    }

    async fn lookup(host: &str, port: u16, due: Due<'_>) -> io::Result<Vec<SocketAddr>> {
        let mut found = pin!(tokio::net::lookup_host((host, port)));
        match Self::wait(due, |cx| found.as_mut().poll(cx)).await {
            Ok(found) => Ok(found?.collect()),
            Err(Elapsed) => Err(timed_out()),
        }
    }

    fn open(address: SocketAddr) -> io::Result<Opening> {
        Ok(Box::pin(TcpStream::connect(address)))
    }

    async fn first(
        open: &mut Vec<(SocketAddr, Opening)>,
        until: Due<'_>,
    ) -> Option<(SocketAddr, io::Result<TcpStream>)> {
        let any = |cx: &mut Context<'_>| {
            let mut polled = open.iter_mut().map(|(_, opening)| opening.as_mut().poll(cx));
            match polled.by_ref().enumerate().find(|(_, polled)| polled.is_ready()) {
                Some((index, opened)) => opened.map(|opened| (index, opened)),
                None => Poll::Pending,
            }
        };
        let (index, opened) = Self::wait(until, any).await.ok()?;
        let configured = opened.and_then(|stream| {
            net::configure(SockRef::from(&stream))?;
            Ok(stream)
        });
        Some((open.swap_remove(index).0, configured))
    }

    async fn wait<T: Send>(
        due: Due<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> Result<T, Elapsed> {
        let (mut timer, mut cancel) = (Timer::default(), due.cancel.map(CancelToken::canceled));
        poll_fn(|cx| match poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if is_canceled(&mut cancel, cx) => Poll::Ready(Err(Elapsed)),
            Poll::Pending => timer.poll(due.at, cx).map(Err),
        })
        .await
    }

    async fn drive<T: Send>(
        _: &Arc<Wire<TcpStream>>,
        timer: &mut Timer,
        cancel: Option<&CancelToken>,
        mut due: impl FnMut() -> Option<Instant> + Send,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> Result<T, Elapsed> {
        let mut cancel = cancel.map(CancelToken::canceled);
        poll_fn(|cx| {
            // Before anything else, so that nothing is sent any more.
            if is_canceled(&mut cancel, cx) {
                return Poll::Ready(Err(Elapsed));
            }
            match poll(cx) {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending => timer.poll(due(), cx).map(Err),
            }
        })
        .await
    }
}

/// Whether the caller gave up; if not, that wakes.
fn is_canceled(cancel: &mut Option<Canceled<'_>>, cx: &mut Context<'_>) -> bool {
    cancel.as_mut().is_some_and(|canceled| Pin::new(canceled).poll(cx).is_ready())
}

/// One timer for all clocks of a connection, kept with it. It is moved only when a clock would run
/// out before it fires: moving a timer costs more than waking once too often.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn poll(&mut self, due: Option<Instant>, cx: &mut Context<'_>) -> Poll<Elapsed> {
        let Some(due) = due else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(time::sleep_until(due.into())));
        if due < sleep.deadline().into_std() {
            sleep.as_mut().reset(due.into());
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(Elapsed);
            }
            sleep.as_mut().reset(due.into());
        }
        Poll::Pending
    }
}

/// Whether the reactor tells of readiness in edges.
const EDGES: bool = cfg!(any(target_os = "linux", target_os = "android"));

impl Socket for TcpStream {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            // A short read proves an empty socket. Where readiness comes in edges that is told to the
            // runtime, as the outcome of this very read, so that no edge since is lost: the next read
            // then waits instead of asking in vain.
            let mut short = None;
            let read = self.try_io(Interest::READABLE, || {
                let read = (&*SockRef::from(self)).read(buf)?;
                if EDGES && (1..buf.len()).contains(&read) {
                    short = Some(read);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(read)
            });
            match (read, short) {
                (_, Some(read)) => return Poll::Ready(Ok(read)),
                (Err(error), None) if error.kind() == io::ErrorKind::WouldBlock => {}
                (read, None) => return Poll::Ready(read),
            }
        }
    }

    /// Asks the socket itself: what came since the runtime's last turn is not known to it yet.
    fn read_now(&self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let socket = SockRef::from(self);
        let mut asked = false;
        // Through the runtime, if it believes that there is something: an empty socket then corrects
        // it, and saves the next read from asking in vain.
        let result = self.try_io(Interest::READABLE, || {
            asked = true;
            (&*socket).read(buf)
        });
        let result = if asked { result } else { (&*socket).read(buf) };
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            match self.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match self.try_write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn close_write(&self) -> io::Result<()> {
        net::close_write(&SockRef::from(self))
    }
}
