//! The emulator's thread: accepts connections, runs hyper on each, and closes them as they end.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::door::Door;
use crate::link::Link;
use crate::seen::Log;
use crate::service::{Service, Shared};
use crate::socket::Socket;
use crate::valve::Kill;
use crate::websocket;
use crate::wire::{HttpWire, Wire};

/// Serves until `stop` fires or is dropped. Whatever runs then is dropped with its sockets.
pub(crate) fn run(
    (listener, shared): (std::net::TcpListener, Arc<Shared>),
    webhooks: impl Future<Output = ()> + Send + 'static,
    stop: oneshot::Receiver<()>,
    ready: std::sync::mpsc::Sender<io::Result<Arc<Door>>>,
) {
    shared.log.work_here();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let listening = runtime.and_then(|runtime| {
        let guard = runtime.enter();
        let door = Arc::new(Door::new(listener)?);
        drop(guard);
        Ok((runtime, door))
    });
    match listening {
        Ok((runtime, door)) => {
            // Whoever started us may be gone.
            let _ = ready.send(Ok(Arc::clone(&door)));
            runtime.spawn(accept(door, shared));
            runtime.spawn(webhooks);
            let _ = runtime.block_on(stop);
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}

async fn accept(door: Arc<Door>, shared: Arc<Shared>) {
    loop {
        match std::future::poll_fn(|cx| door.poll_accept(cx)).await {
            Ok(stream) => {
                tokio::spawn(connection(stream, Arc::clone(&door), Arc::clone(&shared)));
            }
            // Out of file descriptors, mostly: give the others time to finish.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, door: Arc<Door>, shared: Arc<Shared>) {
    // It can only fail on a socket that is dead already.
    let _ = stream.set_nodelay(true);
    let index = shared.log.open();
    let faults = shared.script.for_connection(index);
    let link = Arc::new(Link::new(index, Arc::clone(&shared.log), door, &faults));
    let socket = Socket::new(stream, Arc::clone(&link));
    let log = Arc::clone(&shared.log);
    let wire = match secure(socket, &link, &shared).await {
        Ok(wire) => serve(HttpWire::new(wire, Arc::clone(&link)), &link, shared).await,
        Err(socket) => Wire::Plain(socket),
    };
    close(wire, &link, &log).await;
}

/// The TLS handshake, if there is to be one; gives back the socket of one that failed.
async fn secure(mut socket: Socket, link: &Link, shared: &Shared) -> Result<Wire, Socket> {
    let Some(acceptor) = &shared.acceptor else { return Ok(Wire::Plain(socket)) };
    let accepted = std::future::poll_fn(|cx| {
        let _step = shared.log.step();
        // Faults at byte 0, before anything is read.
        Pin::new(&mut socket).poll_flush(cx)
    });
    if accepted.await.is_err() {
        return Err(socket);
    }
    let mut handshake = acceptor.accept(socket).into_fallible();
    let done = std::future::poll_fn(|cx| {
        let _step = shared.log.step();
        Pin::new(&mut handshake).poll(cx)
    });
    done.await.map(|stream| Wire::Tls(Box::new(stream))).map_err(|(error, socket)| {
        if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) {
            link.peer_left();
        }
        socket
    })
}

/// HTTP on one connection, until it ends by itself or a fault ends it.
async fn serve(wire: HttpWire, link: &Arc<Link>, shared: Arc<Shared>) -> Wire {
    let log = Arc::clone(&shared.log);
    let service = Service { shared, link: Arc::clone(link) };
    let mut http = http1::Builder::new().serve_connection(wire, service);
    std::future::poll_fn(|cx| {
        let _step = log.step();
        let ended = http.poll_without_shutdown(cx);
        if ended.is_ready() || link.killed().is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let parts = http.into_parts();
    match link.switched().filter(|_| link.killed().is_none()) {
        Some(talk) => {
            websocket::serve(parts.io, parts.read_buf, talk, link, &log).await.into_inner()
        }
        None => parts.io.into_inner(),
    }
}

/// Ends the connection as the fault, or HTTP, wants it.
async fn close(wire: Wire, link: &Link, log: &Log) {
    let kill = link.killed();
    let mut wire = match kill {
        // Without a close_notify.
        Some(Kill::Cut | Kill::Reset) => Wire::Plain(wire.into_socket()),
        Some(Kill::Close) | None => wire,
    };
    if kill == Some(Kill::Reset) {
        let _step = log.step();
        wire.into_socket().reset();
        link.closed();
        return;
    }
    std::future::poll_fn(|cx| {
        let _step = log.step();
        // The peer may be gone already.
        Pin::new(&mut wire).poll_shutdown(cx).map(|_| link.closed())
    })
    .await;
    if link.is_uploading() {
        // Closing now would answer what is on its way with an RST, and that may cost the peer the
        // answer that it has not read yet.
        let mut socket = wire.into_socket();
        let mut sink = vec![0; 64 * 1024];
        while socket.read(&mut sink).await.is_ok_and(|n| n > 0) {}
    }
}
