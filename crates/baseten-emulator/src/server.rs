//! The emulator's thread: accepts connections, runs hyper on each, and closes them as they end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::link::Link;
use crate::seen::Log;
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
    shared.log.work_here();
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
    let log = Arc::clone(&shared.log);
    let wire = serve(wire, &link, shared).await;
    close(wire.into_inner(), &link, &log).await;
}

/// HTTP on one connection, until it ends by itself or a fault ends it.
async fn serve(wire: HttpWire, link: &Arc<Link>, shared: Arc<Shared>) -> HttpWire {
    let log = Arc::clone(&shared.log);
    let service = Service { shared, link: Arc::clone(link) };
    let mut http = http1::Builder::new().serve_connection(wire, service);
    std::future::poll_fn(|cx| {
        let _step = log.step();
        let ended = http.poll_without_shutdown(cx);
        if ended.is_ready() || link.killed().is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    http.into_parts().io
}

/// Ends the connection as the fault, or HTTP, wants it.
async fn close(socket: Socket, link: &Link, log: &Log) {
    let kill = link.killed();
    if kill == Some(Kill::Reset) {
        socket.arm_reset();
    }
    // Closing while a body is on its way would answer it with an RST, and that may cost the peer
    // the answer that it has not read yet.
    let lingers = kill != Some(Kill::Reset) && link.is_uploading();
    let says_so = lingers || matches!(kill, None | Some(Kill::Close));
    let mut socket = Some(socket);
    std::future::poll_fn(|cx| {
        let _step = log.step();
        if let Some(socket) = socket.as_mut().filter(|_| says_so) {
            // The peer may be gone already.
            let _ = ready!(Pin::new(socket).poll_shutdown(cx));
        }
        socket.take_if(|_| !lingers);
        link.closed();
        Poll::Ready(())
    })
    .await;
    let Some(mut socket) = socket else { return };
    let mut sink = vec![0; 64 * 1024];
    while socket.read(&mut sink).await.is_ok_and(|n| n > 0) {}
}
