//! A connection to a proxy that has become one to a target.

use std::io::ErrorKind::PermissionDenied;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use baseten_core::Origin;

use super::handshake::Refusal;
use super::{Handshake, Proxies, Proxy};
use crate::clock::Due;
use crate::dial;
use crate::net::{self, Elapsed, Net};
use crate::race;
use crate::wire::{Socket, Wire};

/// A tunnel to `origin`; `None` if no proxy is on the way.
pub(crate) async fn tunnel<N: Net>(
    proxies: &Proxies,
    origin: &Origin,
    timer: &mut N::Timer,
    due: Due<'_>,
) -> Option<io::Result<Arc<Wire<N::Socket>>>> {
    let proxy = proxies.on_the_way_to(origin)?;
    let tunnel = through::<N>(proxy, origin, timer, due).await;
    Some(tunnel.map_err(|error| io::Error::new(kind(&error), format!("{proxy}: {error}"))))
}

/// `PermissionDenied` stands for a login that the proxy does not take, and for nothing else: a system
/// that forbids the connection itself says so in the text.
fn kind(error: &io::Error) -> io::ErrorKind {
    let refusal = error.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>());
    match error.kind() {
        _ if refusal.is_some_and(|refusal| refusal.is_about_login()) => PermissionDenied,
        PermissionDenied => io::ErrorKind::Other,
        kind => kind,
    }
}

async fn through<N: Net>(
    proxy: &Proxy,
    origin: &Origin,
    timer: &mut N::Timer,
    due: Due<'_>,
) -> io::Result<Arc<Wire<N::Socket>>> {
    let mut handshake = proxy.handshake(origin).map_err(io::Error::other)?;
    let addresses = dial::resolve::<N>(&proxy.host, proxy.port, due).await?;
    let socket = race::connect::<N>(&addresses, due).await?;
    let wire = Arc::new(Wire::new(socket));
    match N::drive(&wire, timer, due.cancel, || due.at, |cx| poll(&mut handshake, &wire, cx)).await
    {
        Ok(done) => done.map(|()| wire),
        Err(Elapsed) => Err(net::timed_out()),
    }
}

/// Moves the handshake as far as the wire allows; ready when the tunnel is open.
fn poll<S: Socket>(
    handshake: &mut Handshake,
    wire: &Wire<S>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        while !handshake.unsent().is_empty() {
            match ready!(wire.poll_write(cx, &[IoSlice::new(handshake.unsent())]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => handshake.sent(bytes),
            }
        }
        let mut buf = [0; 1024];
        let room = handshake.wants().min(buf.len());
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        match ready!(wire.poll_read(cx, &mut buf[..room]))? {
            0 => return Poll::Ready(Err(closed())),
            bytes => handshake.received(&buf[..bytes]).map_err(io::Error::other)?,
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection before it answered")
}
