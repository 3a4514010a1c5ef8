//! The two layers of a connection's bytes: the TCP socket, and what HTTP sees above it.
//!
//! Each passes outgoing bytes through its valve. Neither knows what the bytes mean.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::fault::Layer;
use crate::link::{Link, Part};
use crate::valve::Pass;

/// The socket, and the valve behind TLS.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    link: Arc<Link>,
}

/// What hyper reads and writes: notices that the peer left, and has the valve before TLS.
#[derive(Debug)]
pub(crate) struct HttpWire {
    inner: Socket,
    link: Arc<Link>,
    scratch: Box<[u8]>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, link: Arc<Link>) -> Self {
        Self { stream, link }
    }

    /// The next close is an RST.
    pub(crate) fn arm_reset(&self) {
        // It can only fail on a socket that is dead already.
        let _ = self.stream.set_zero_linger();
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        write_through(&this.link, Layer::Tcp, &mut this.stream, cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        idle_through(&this.link, Layer::Tcp, &mut this.stream, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl HttpWire {
    pub(crate) fn new(inner: Socket, link: Arc<Link>) -> Self {
        Self { inner, link, scratch: vec![0; 16 * 1024].into() }
    }

    pub(crate) fn into_inner(self) -> Socket {
        self.inner
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
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
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

/// Writes what the valve lets pass.
fn write_through<W: AsyncWrite + Unpin>(
    link: &Link,
    layer: Layer,
    inner: &mut W,
    cx: &mut Context<'_>,
    buf: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        match ready!(link.valve(layer, |valve| valve.poll(cx, buf))) {
            Pass::Bytes(n) => {
                let n = ready!(Pin::new(inner).poll_write(cx, &buf[..n]))?;
                link.valve(layer, |valve| valve.wrote(n));
                return Poll::Ready(Ok(n));
            }
            Pass::Flipped(byte) => {
                ready!(Pin::new(&mut *inner).poll_write(cx, &[byte]))?;
                if !link.valve(layer, |valve| valve.flipped()) {
                    return Poll::Ready(Ok(1));
                }
            }
            Pass::Inserted(bytes) => {
                let n = ready!(Pin::new(&mut *inner).poll_write(cx, &bytes))?;
                link.valve(layer, |valve| valve.inserted(n));
            }
            Pass::Kill(kill) => {
                link.kill(kill);
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            Pass::Nothing => return Poll::Ready(Ok(0)),
        }
    }
}

/// Flushes, and does what is due although nothing stands ready to be written.
fn idle_through<W: AsyncWrite + Unpin>(
    link: &Link,
    layer: Layer,
    inner: &mut W,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let Poll::Ready(pass) = link.valve(layer, |valve| valve.poll(cx, &[])) else {
            // A wait or a stall: its timer wakes the connection, hyper need not know.
            return Poll::Ready(Ok(()));
        };
        match pass {
            Pass::Flipped(byte) => {
                ready!(Pin::new(&mut *inner).poll_write(cx, &[byte]))?;
                link.valve(layer, |valve| valve.flipped());
            }
            Pass::Inserted(bytes) => {
                let n = ready!(Pin::new(&mut *inner).poll_write(cx, &bytes))?;
                link.valve(layer, |valve| valve.inserted(n));
            }
            Pass::Kill(kill) => {
                link.kill(kill);
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            Pass::Bytes(_) | Pass::Nothing => return Pin::new(inner).poll_flush(cx),
        }
    }
}
