//! The TCP socket of a connection, with the valve behind TLS before it.
//!
//! It knows bytes only. What they mean, and that TLS may lie above, is `wire`'s.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::fault::Layer;
use crate::link::Link;
use crate::valve::Pass;

/// The socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    link: Arc<Link>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, link: Arc<Link>) -> Self {
        Self { stream, link }
    }

    /// RST.
    pub(crate) fn reset(self) {
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

/// Writes what the valve lets pass.
pub(crate) fn write_through<W: AsyncWrite + Unpin>(
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
            Pass::Refuse => link.refuse(),
            Pass::Kill(kill) => {
                link.kill(kill);
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            Pass::Nothing => return Poll::Ready(Ok(0)),
        }
    }
}

/// Flushes, and does what is due although nothing stands ready to be written.
pub(crate) fn idle_through<W: AsyncWrite + Unpin>(
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
            Pass::Refuse => link.refuse(),
            Pass::Kill(kill) => {
                link.kill(kill);
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            Pass::Bytes(_) | Pass::Nothing => return Pin::new(inner).poll_flush(cx),
        }
    }
}
