//! The two ways to wait, as one trait.
//!
//! Everything else in this crate is written once over [`Net`]. The blocking one finishes each of
//! these waits within a single poll, so that a future made of them is ready when first polled.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use baseten_core::CancelToken;

use crate::clock::Due;
use crate::wire::{Socket, Wire};

/// A clock ran out, or the caller gave up.
#[derive(Debug)]
pub(crate) struct Elapsed;

/// How to wait for the world.
pub(crate) trait Net: Send + Sync + 'static {
    type Socket: Socket;
    /// A connection that is being opened.
    type Opening: Send;
    /// What a connection keeps for its clocks.
    type Timer: Default + Send;
    /// What a connection is bound to: it can be used only where this is the same.
    type Home: PartialEq + Send;

    fn home() -> Self::Home;

    /// Resolves a name; fails with `TimedOut` when `due` has come.
    fn lookup(
        host: &str,
        port: u16,
        due: Due<'_>,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Begins to open a connection, which [`Net::first`] goes on with. Dropping it closes it.
    fn open(address: SocketAddr) -> io::Result<Self::Opening>;

    /// Waits until one of these has come to something, takes it out and says what: a socket with
    /// `TCP_NODELAY` and keep-alive probes, or why not. `None` when `until` has come.
    fn first(
        open: &mut Vec<(SocketAddr, Self::Opening)>,
        until: Due<'_>,
    ) -> impl Future<Output = Option<(SocketAddr, io::Result<Self::Socket>)>> + Send;

    /// Polls whenever it is woken, until there is a result or `due` has come.
    fn wait<T: Send>(
        due: Due<'_>,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> impl Future<Output = Result<T, Elapsed>> + Send;

    /// Polls what is on a wire until there is a result, the clock has run out or the caller gives up.
    /// `due` is asked again whenever nothing moves, so that it may depend on what has moved.
    fn drive<T: Send>(
        wire: &Arc<Wire<Self::Socket>>,
        timer: &mut Self::Timer,
        cancel: Option<&CancelToken>,
        due: impl FnMut() -> Option<Instant> + Send,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> impl Future<Output = Result<T, Elapsed>> + Send;
}

/// Lets time pass; fails if the caller gives up meanwhile.
pub(crate) async fn pause<N: Net>(
    pause: Duration,
    cancel: Option<&CancelToken>,
) -> Result<(), Elapsed> {
    let due = Due::after(pause, cancel);
    let never = N::wait(due, |_| Poll::<std::convert::Infallible>::Pending).await;
    match never {
        Ok(never) => match never {},
        Err(elapsed) if due.is_canceled() => Err(elapsed),
        Err(Elapsed) => Ok(()),
    }
}

/// Probes an idle connection, so that routers on the way do not forget it and a dead peer is noticed.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// What every socket is set to.
pub(crate) fn configure(socket: socket2::SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEP_ALIVE))
}

/// Says that nothing more will be written. A peer that has left the connection needs not be told, and
/// that it left must not hide what it said before: an alert of TLS, for one.
pub(crate) fn close_write(socket: &socket2::SockRef<'_>) -> io::Result<()> {
    match socket.shutdown(Shutdown::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        closed => closed,
    }
}

pub(crate) fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_waits_for_nothing_and_is_probed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = socket2::SockRef::from(&stream);
        assert!(!socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
        configure(socket2::SockRef::from(&stream)).unwrap();
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    }
}
