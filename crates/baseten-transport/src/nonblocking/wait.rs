//! Waiting on tokio's reactor and timers.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use baseten_core::{CancelToken, Canceled};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::task::coop;
use tokio::time::{self, Sleep};

use super::socket::Socket;
use crate::clock::Due;
use crate::net::{self, Elapsed, Net, timed_out};
use crate::wire::Wire;

/// The async way to wait.
pub(crate) struct Tokio;

type Opening = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

impl Net for Tokio {
    type Socket = Socket;
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
    ) -> Option<(SocketAddr, io::Result<Socket>)> {
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
            Ok(Socket::new(stream))
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

    /// No `async fn`: that would keep what it is called with twice.
    fn drive<T: Send>(
        wire: &Arc<Wire<Socket>>,
        timer: &mut Timer,
        cancel: Option<&CancelToken>,
        mut due: impl FnMut() -> Option<Instant> + Send,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> impl Future<Output = Result<T, Elapsed>> + Send {
        let Socket { bell, waker, .. } = &wire.socket;
        let (mut attendance, mut cancel) = (bell.attend(), cancel.map(CancelToken::canceled));
        poll_fn(move |cx| {
            // Before anything else, so that nothing is sent any more.
            if is_canceled(&mut cancel, cx) {
                return Poll::Ready(Err(Elapsed));
            }
            // The timer rings as well: it lies in the pool with the connection, and must not hold the
            // task whose call it served, nor wake it.
            attendance.poll(cx, || {
                let cx = &mut Context::from_waker(waker);
                match wire.socket.poll_for(cx, &mut poll) {
                    Poll::Ready(output) => Poll::Ready(Ok(output)),
                    Poll::Pending => timer.poll_ringing(due(), cx).map(Err),
                }
            })
        })
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
    /// Whether it was set when it was polled last. tokio puts off a task that has done much in its turn.
    set: bool,
}

impl Timer {
    /// For a context that always wakes the same way: a timer that is set for it, and has not fired, needs
    /// not be polled again.
    fn poll_ringing(&mut self, due: Option<Instant>, cx: &mut Context<'_>) -> Poll<Elapsed> {
        let rings = self.sleep.as_ref().filter(|sleep| self.set && !sleep.is_elapsed());
        let in_time =
            |sleep: &Pin<Box<Sleep>>| due.is_none_or(|due| sleep.deadline().into_std() <= due);
        if rings.is_some_and(in_time) { Poll::Pending } else { self.poll(due, cx) }
    }

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
        self.set = coop::has_budget_remaining();
        Poll::Pending
    }
}
