//! The byte stream that hyper reads and writes: plain, or TLS over it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::tls;
use crate::wire::{Socket, Wire};

pub(crate) struct Stream<S> {
    raw: Raw<S>,
    layer: Layer,
}

enum Layer {
    /// hyper's buffer cannot be read into without unsafe code: bytes pass through this one. It grows with
    /// what comes, since there is one for each open stream.
    Plain(Box<[u8]>),
    Tls(tls::Session),
}

/// What a read of a plain connection takes at first.
const PLAIN_BUFFER: usize = 1024;
/// What it takes at most. hyper doubles its own buffer, again and again, when a read fills the 8 KiB that
/// it begins with.
const PLAIN_BUFFER_MAX: usize = 8 * 1024 - 1;

impl<S: Socket> Stream<S> {
    pub(crate) fn plain(wire: Arc<Wire<S>>) -> Self {
        let layer = Layer::Plain(vec![0; PLAIN_BUFFER].into());
        Self { raw: Raw { wire, broken: None }, layer }
    }

    pub(crate) fn tls(wire: Arc<Wire<S>>, session: tls::Session) -> Self {
        wire.count_heard();
        Self { raw: Raw { wire, broken: None }, layer: Layer::Tls(session) }
    }

    /// The write that failed. hyper hears of it when there is nothing left to read; who writes without
    /// reading has to ask.
    #[cfg(feature = "tokio")]
    pub(crate) fn broken(&self) -> Option<io::Error> {
        let broken = self.raw.broken.as_ref()?;
        Some(io::Error::new(broken.kind(), broken.to_string()))
    }

    /// Ready when bytes of the application can be written.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(_) => Poll::Ready(Ok(())),
            Layer::Tls(session) => session.poll_handshake(&mut self.raw, cx),
        }
    }
}

/// The bytes on the wire.
pub(crate) struct Raw<S> {
    wire: Arc<Wire<S>>,
    /// A write that failed. The peer may have answered before it closed (an early 413 does), so this
    /// is told only when there is nothing left to read.
    broken: Option<io::Error>,
}

impl<S: Socket> Raw<S> {
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(broken) = &self.broken else {
            return self.wire.poll_read(cx, buf);
        };
        match self.wire.read_now(buf) {
            Poll::Ready(Ok(read)) if read > 0 => Poll::Ready(Ok(read)),
            _ => Poll::Ready(Err(io::Error::new(broken.kind(), broken.to_string()))),
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.broken.is_some() {
            return Poll::Pending;
        }
        match self.wire.poll_write(cx, bufs) {
            Poll::Ready(Err(error)) => {
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            written => written,
        }
    }

    /// So many bytes of the application have come.
    #[cfg(feature = "tls")]
    pub(crate) fn hear(&self, bytes: usize) {
        self.wire.hear(bytes);
    }

    /// So many bytes of the application have gone.
    pub(crate) fn send(&self, bytes: usize) {
        self.wire.send(bytes);
    }

    fn close_write(&self) -> io::Result<()> {
        self.wire.socket.close_write()
    }
}

impl<S: Socket> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { raw, layer } = &mut *self;
        let buffer = match layer {
            Layer::Tls(session) => return session.poll_read(raw, cx, &mut cursor),
            Layer::Plain(buffer) => buffer,
        };
        let room = cursor.remaining().min(buffer.len());
        let read = match raw.poll_read(cx, &mut buffer[..room]) {
            Poll::Ready(Ok(read)) => read,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        cursor.put_slice(&buffer[..read]);
        if read == buffer.len() && read < PLAIN_BUFFER_MAX {
            *buffer = vec![0; PLAIN_BUFFER_MAX.min(2 * read)].into();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> Write for Stream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { raw, layer } = &mut *self;
        match layer {
            Layer::Plain(_) => {
                let written = raw.poll_write(cx, bufs);
                if let Poll::Ready(Ok(bytes)) = written {
                    raw.send(bytes);
                }
                written
            }
            Layer::Tls(session) => session.poll_write(raw, cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { raw, layer } = &mut *self;
        if let Layer::Tls(session) = layer {
            ready!(session.poll_flush(raw, cx))?;
        }
        raw.wire.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { raw, layer } = &mut *self;
        if let Layer::Tls(session) = layer {
            match session.poll_close(raw, cx) {
                Poll::Ready(Ok(())) => {}
                pending_or_error => return pending_or_error,
            }
        }
        Poll::Ready(raw.close_write())
    }
}
