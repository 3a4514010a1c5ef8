//! Whoever does not read on holds up the server: nothing is read ahead but what buffers hold.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod waits;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use baseten_core::CallOptions;
use baseten_transport::{Options, blocking, nonblocking};
use waits::{Server, read_request, request};

/// More than all buffers of both ends hold.
const OFFERED: usize = 256 << 20;

/// Writes as long as somebody takes it; then says how much that was, and writes on.
fn offer(mut stream: TcpStream, held_up: &Sender<usize>) {
    read_request(&mut stream).unwrap();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {OFFERED}\r\n\r\n").unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let (piece, mut written) = (vec![b'x'; 1 << 20], 0);
    while written < OFFERED {
        match stream.write(&piece[..piece.len().min(OFFERED - written)]) {
            Ok(taken) => written += taken,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                held_up.send(written).unwrap();
                stream.set_write_timeout(None).unwrap();
            }
            Err(_) => break,
        }
    }
    held_up.send(written).ok();
}

fn server() -> (Server, Receiver<usize>) {
    let (held_up, reports) = mpsc::channel();
    (Server::start(move |stream| offer(stream, &held_up)), reports)
}

/// It was held up early on, and has got rid of everything when all was read.
fn check(reports: &Receiver<usize>, read: impl FnOnce() -> usize) {
    let held_up_at = reports.recv().unwrap();
    assert!(held_up_at < OFFERED / 4, "{held_up_at} bytes were taken in unasked");
    assert_eq!(read(), OFFERED);
    assert_eq!(reports.recv().unwrap(), OFFERED);
}

#[test]
fn a_stream_that_is_not_read_holds_up_its_server() {
    let options = CallOptions::default();
    let (server, reports) = server();
    let transport = blocking::Transport::new(Options::default());
    let request = request(&format!("http://{}", server.address));
    let mut body = transport.send(&request, &options).unwrap();
    let first = body.chunk().unwrap().unwrap().len();
    check(&reports, || first + body.map(|chunk| chunk.unwrap().len()).sum::<usize>());
}

#[test]
fn a_stream_that_is_not_polled_holds_up_its_server() {
    let options = CallOptions::default();
    let (server, reports) = server();
    // A thread that turns the reactor meanwhile.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let transport = nonblocking::Transport::new(Options::default());
    let request = request(&format!("http://{}", server.address));
    let mut body = runtime.block_on(transport.send(&request, &options)).unwrap();
    let first = runtime.block_on(body.chunk()).unwrap().unwrap().len();
    check(&reports, || {
        runtime.block_on(async {
            let mut total = first;
            while let Some(chunk) = body.chunk().await.unwrap() {
                total += chunk.len();
            }
            total
        })
    });
}
