//! The bytes of a connection as HTTP sees them: plain or decrypted, with the valve before TLS.
//!
//! It notices that the peer left and when everything was written. It knows no HTTP but for the
//! head that a raw answer goes without.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::fault::Layer;
use crate::link::{Link, Part};
use crate::socket::{Socket, idle_through, write_through};

/// A socket, or TLS on one.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// What hyper reads and writes.
#[derive(Debug)]
pub(crate) struct HttpWire {
    inner: Wire,
    link: Arc<Link>,
    scratch: Box<[u8]>,
}

impl Wire {
    /// The socket, without a word to TLS.
    pub(crate) fn into_socket(self) -> Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.into_inner().0,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// FIN, after a close_notify under TLS.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl HttpWire {
    pub(crate) fn new(inner: Wire, link: Arc<Link>) -> Self {
        Self { inner, link, scratch: vec![0; 16 * 1024].into() }
    }

    pub(crate) fn into_inner(self) -> Wire {
        self.inner
    }

    /// Reads what is no HTTP any more.
    pub(crate) fn poll_frames(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        if result.is_err() || buf.filled().len() == before {
            self.link.peer_left();
        }
        Poll::Ready(result)
    }
}

impl hyper::rt::Read for HttpWire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = cursor.remaining().min(this.scratch.len());
        let mut buf = ReadBuf::new(&mut this.scratch[..room]);
        let result = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buf));
        let bytes = buf.filled();
        if result.is_err() || bytes.is_empty() {
            this.link.peer_left();
        } else {
            this.link.read(bytes);
            cursor.put_slice(bytes);
        }
        Poll::Ready(result)
    }
}

impl hyper::rt::Write for HttpWire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let buf = match this.link.behead(buf) {
            Part::Keep(n) => &buf[..n],
            Part::Drop(n) => return Poll::Ready(Ok(n)),
        };
        let result = ready!(write_through(&this.link, Layer::Http, &mut this.inner, cx, buf));
        match result {
            Ok(_) => this.link.progress(),
            Err(_) => this.link.peer_left(),
        }
        Poll::Ready(result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = ready!(Pin::new(&mut this.inner).poll_flush(cx));
        if result.is_err() {
            this.link.peer_left();
            return Poll::Ready(result);
        }
        if this.link.flushed() {
            // Faults of the layer below that wait for the end of the answer.
            ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        }
        idle_through(&this.link, Layer::Http, &mut this.inner, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
