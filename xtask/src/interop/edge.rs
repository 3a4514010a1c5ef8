//! A stand-in for Baseten's edge: public paths in front, a container's server behind.
//!
//! It changes request lines and nothing else. All other bytes pass as they come, both ways, and when
//! one side closes so does the other: timings, chunks, cuts and idle closes are the server's own. It
//! must not answer, retry, pool or check anything itself.

mod request_line;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use request_line::RequestLines;

/// The running edge. Its threads end with the process.
#[derive(Debug)]
pub(crate) struct Edge {
    address: SocketAddr,
    record: Arc<Record>,
}

/// What has gone through an edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Connections that clients opened.
    pub(crate) opened: usize,
    /// Requests that began, on all connections.
    pub(crate) requests: usize,
    /// Connections that the client closed first.
    pub(crate) left_by_client: usize,
    /// Connections that the server closed first.
    pub(crate) left_by_server: usize,
}

#[derive(Debug, Default)]
struct Record {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// The two ends of a connection.
#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

impl Edge {
    /// Listens on a free loopback port and passes on to `server`.
    pub(crate) fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (address, record) = (listener.local_addr()?, Arc::<Record>::default());
        let edge = Self { address, record: record.clone() };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                record.note(|seen| seen.opened += 1);
                let record = record.clone();
                thread::spawn(move || connect(&client, server, &record));
            }
        });
        Ok(edge)
    }

    /// The base URL of its one model.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has gone through until now.
    pub(crate) fn seen(&self) -> Seen {
        *self.record.lock()
    }

    /// Waits until what it has seen is as wanted; `false` if that takes longer than `limit`.
    pub(crate) fn wait(&self, limit: Duration, wanted: impl Fn(&Seen) -> bool) -> bool {
        let (seen, _) = self
            .record
            .changed
            .wait_timeout_while(self.record.lock(), limit, |seen| !wanted(seen))
            .unwrap_or_else(PoisonError::into_inner);
        wanted(&seen)
    }
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// Serves one connection until either side closes it.
fn connect(client: &TcpStream, server: SocketAddr, record: &Record) {
    // A client whose server is gone sees its connection close, as it would without us.
    let Ok(server) = TcpStream::connect(server) else { return };
    // Otherwise a small piece may wait for the one before it to be acknowledged.
    for side in [client, &server] {
        side.set_nodelay(true).ok();
    }
    let open = Mutex::new(true);
    let close = |first: Side| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *open) {
            for side in [client, &server] {
                side.shutdown(Shutdown::Both).ok();
            }
            record.note(|seen| match first {
                Side::Client => seen.left_by_client += 1,
                Side::Server => seen.left_by_server += 1,
            });
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut lines = RequestLines::new();
            let read_ended = copy(client, &server, |bytes| {
                let mut out = Vec::with_capacity(bytes.len());
                let begun = lines.pass(bytes, &mut out);
                record.note(|seen| seen.requests += begun);
                out
            });
            close(if read_ended { Side::Client } else { Side::Server });
        });
        let read_ended = copy(&server, client, <[u8]>::to_vec);
        close(if read_ended { Side::Server } else { Side::Client });
    });
}

/// Copies until an end closes: `true` if that is the one that is read.
fn copy(
    mut from: &TcpStream,
    mut to: &TcpStream,
    mut change: impl FnMut(&[u8]) -> Vec<u8>,
) -> bool {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) | Err(_) => return true,
            Ok(count) if to.write_all(&change(&buffer[..count])).is_err() => return false,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// An edge, and both ends of one connection through it.
    fn through() -> (Edge, TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let edge = Edge::start(listener.local_addr().unwrap()).unwrap();
        let client = TcpStream::connect(edge.address).unwrap();
        (edge, client, listener.accept().unwrap().0)
    }

    fn expect(mut side: &TcpStream, text: &str) {
        let mut bytes = vec![0; text.len()];
        side.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    #[test]
    fn requests_are_translated_and_answers_are_not() {
        let (edge, mut client, mut server) = through();
        for count in 1..=3 {
            client.write_all(b"GET /sync/x HTTP/1.1\r\n\r\n").unwrap();
            expect(&server, "GET /x HTTP/1.1\r\n\r\n");
            server.write_all(b"GET /sync/x HTTP/1.1\r\n").unwrap();
            expect(&client, "GET /sync/x HTTP/1.1\r\n");
            assert_eq!(edge.seen(), Seen { opened: 1, requests: count, ..Seen::default() });
        }
    }

    #[test]
    fn when_one_side_closes_so_does_the_other() {
        let (edge, client, mut server) = through();
        drop(client);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        assert!(edge.wait(SOON, |seen| seen.left_by_client == 1));

        let (edge, mut client, mut server) = through();
        server.write_all(b"half an ans").unwrap();
        drop(server);
        expect(&client, "half an ans");
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        assert!(edge.wait(SOON, |seen| seen.left_by_server == 1));
        assert_eq!(edge.seen().left_by_client, 0);
    }
}
