//! The emulator's thread: accepts connections, runs hyper on each, and closes them as they end.

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::link::Link;
use crate::service::{Service, Shared};
use crate::valve::Kill;
use crate::wire::{HttpWire, Socket};

/// Serves until `stop` fires or is dropped. Whatever runs then is dropped with its sockets.
pub(crate) fn run(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    stop: oneshot::Receiver<()>,
    ready: std::sync::mpsc::Sender<io::Result<()>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let listening = runtime.and_then(|runtime| {
        let guard = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        drop(guard);
        Ok((runtime, listener))
    });
    match listening {
        Ok((runtime, listener)) => {
            // Whoever started us may be gone.
            let _ = ready.send(Ok(()));
            runtime.spawn(accept(listener, shared));
            let _ = runtime.block_on(stop);
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&shared)));
            }
            // Out of file descriptors, mostly: give the others time to finish.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // It can only fail on a socket that is dead already.
    let _ = stream.set_nodelay(true);
    let index = shared.log.open();
    let faults = shared.script.for_connection(index);
    let link = Arc::new(Link::new(index, Arc::clone(&shared.log), &faults));
    let socket = Socket::new(stream, Arc::clone(&link));
    let wire = HttpWire::new(socket, Arc::clone(&link));
    let wire = serve(wire, &link, shared).await;
    close(wire, &link).await;
}

/// HTTP on one connection, until it ends by itself or a fault ends it.
async fn serve(wire: HttpWire, link: &Arc<Link>, shared: Arc<Shared>) -> HttpWire {
    let service = Service { shared, link: Arc::clone(link) };
    let mut http = http1::Builder::new().serve_connection(wire, service);
    std::future::poll_fn(|cx| {
        let ended = http.poll_without_shutdown(cx);
        if ended.is_ready() || link.killed().is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    http.into_parts().io
}

/// Ends the connection as the fault, or HTTP, wants it.
async fn close(wire: HttpWire, link: &Link) {
    let mut socket = wire.into_inner();
    let kill = link.killed();
    match kill {
        Some(Kill::Reset) => socket.arm_reset(),
        Some(Kill::Cut) => {}
        Some(Kill::Close) | None => {
            // The peer may be gone already.
            let _ = socket.shutdown().await;
        }
    }
    if kill == Some(Kill::Reset) || !link.is_uploading() {
        drop(socket);
        link.closed();
        return;
    }
    // Closing now would answer the bytes still on their way with an RST, and that may cost the
    // peer the answer it has not read yet.
    let _ = socket.shutdown().await;
    link.closed();
    let mut sink = vec![0; 64 * 1024];
    while socket.read(&mut sink).await.is_ok_and(|n| n > 0) {}
}
