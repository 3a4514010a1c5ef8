//! The TLS state of one connection, polled over its wire: it reads and writes nothing by itself.

use std::io::{self, BufRead, IoSlice, Write as _};
use std::task::{Context, Poll};

use hyper::rt::ReadBufCursor;
use rustls::ClientConnection;

use crate::stream::Raw;
use crate::wire::Socket;

/// The TLS state of one connection.
pub(crate) struct Session {
    tls: Box<ClientConnection>,
    /// Whether bytes of the application are among those that are still to be written.
    owes: bool,
}

impl Session {
    pub(super) fn new(tls: ClientConnection) -> Self {
        Self { tls: Box::new(tls), owes: false }
    }

    pub(crate) fn poll_handshake<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let flushed = self.poll_flush(raw, cx);
            match flushed {
                // Our last message is out as well, without which the server would wait for us.
                Poll::Ready(Ok(())) if !self.tls.is_handshaking() => return flushed,
                Poll::Ready(Err(_)) => return flushed,
                _ => {}
            }
            match self.poll_fill(raw, cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    pub(crate) fn poll_read<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut reader = self.tls.reader();
            match reader.fill_buf() {
                // Empty: the peer said goodbye (close_notify).
                Ok(plain) => {
                    let taken = plain.len().min(cursor.remaining());
                    cursor.put_slice(&plain[..taken]);
                    reader.consume(taken);
                    raw.hear(taken);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The socket ended without a goodbye: what came may be cut.
                Err(error) => return Poll::Ready(Err(error)),
            }
            // A key update asks for an answer; if it cannot go now, the next write takes it.
            if let Poll::Ready(Err(error)) = self.poll_flush(raw, cx) {
                return Poll::Ready(Err(error));
            }
            match self.poll_fill(raw, cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    pub(crate) fn poll_write<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let flushed = self.poll_flush(raw, cx);
        if let Poll::Ready(Err(error)) = flushed {
            return Poll::Ready(Err(error));
        }
        // rustls takes what its own buffer holds; that is bounded.
        let taken = self.tls.writer().write_vectored(bufs)?;
        self.owes |= taken > 0;
        if taken == 0 && flushed.is_pending() {
            return Poll::Pending;
        }
        match self.poll_flush(raw, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    pub(crate) fn poll_flush<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Polled { raw, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(bytes) if self.owes => raw.send(bytes),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.owes = false;
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_close<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.tls.send_close_notify();
        self.poll_flush(raw, cx)
    }

    /// Takes in bytes of the wire; 0 at its end.
    fn poll_fill<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let read = match self.tls.read_tls(&mut Polled { raw, cx }) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if let Err(error) = self.tls.process_new_packets() {
            // The alert tells the peer why; that it may not get through changes nothing here.
            let _ = self.poll_flush(raw, cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(read))
    }
}

/// The polled wire as the blocking reader and writer that rustls takes: `Pending` is `WouldBlock`.
struct Polled<'a, 'b, S> {
    raw: &'a mut Raw<S>,
    cx: &'a mut Context<'b>,
}

fn or_would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<S: Socket> io::Read for Polled<'_, '_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        or_would_block(self.raw.poll_read(self.cx, buf))
    }
}

impl<S: Socket> io::Write for Polled<'_, '_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(self.raw.poll_write(self.cx, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
