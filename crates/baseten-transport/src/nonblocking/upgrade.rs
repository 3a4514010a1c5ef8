//! A connection that has left HTTP: opened as any call is, then bytes both ways.
//!
//! It knows no protocol but the one it leaves; frames are the business of whoever asked for it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use baseten_core::{CallOptions, Error, Meta, Request, Template};
use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBuf, Write};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Transport;
use super::socket::Socket;
use crate::send::Switched;
use crate::slots::Slot;
use crate::stream::Stream;
use crate::wire::Wire;

/// What connections in another protocol are opened with: through which transport, where and with which
/// key, under which options. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// What dials and sends.
    pub transport: Transport,
    /// Address, key and headers.
    pub template: Template,
    /// Clocks and retries until the server has switched; from then on only the idle clock counts, and
    /// it is for whoever speaks the protocol to keep it.
    pub options: CallOptions,
}

impl Transport {
    /// Sends a request to switch protocols, again where its policy allows, until the server switches
    /// (101). The connection then serves this alone.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] for a request that does not ask for it; otherwise whatever
    /// the call came to. An answer that is not 101 is [`baseten_core::ErrorKind::Status`], a 200 too.
    pub async fn upgrade(
        &self,
        request: &Request,
        options: &CallOptions,
    ) -> Result<Upgraded, Error> {
        let Switched { stream, early, wire, meta, slot } = self.0.upgrade(request, options).await?;
        Ok(Upgraded { stream, early, wire, meta, _slot: slot })
    }
}

/// A connection after the server has switched protocols, plain or through TLS. What came together with
/// the answer is read first. Dropping it closes the socket at once.
pub struct Upgraded {
    stream: Stream<Socket>,
    early: Bytes,
    wire: Arc<Wire<Socket>>,
    meta: Meta,
    _slot: Option<Slot>,
}

impl Upgraded {
    /// Status, headers and attempts of the answer that switched.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// How many bytes the socket has taken since it was opened, HTTP included, and of TLS what wraps them,
    /// not what it says by itself: what a clock on writing watches.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.wire.sent()
    }

    /// How many bytes the socket has given since it was opened: what an idle clock watches.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.wire.received()
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let taken = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..taken]);
            self.early.advance(taken);
            return Poll::Ready(Ok(()));
        }
        let mut room = ReadBuf::new(buf.initialize_unfilled());
        ready!(Pin::new(&mut self.stream).poll_read(cx, room.unfilled()))?;
        let read = room.filled().len();
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

/// A write that failed is told at once, and what the peer sent before can still be read.
impl AsyncWrite for Upgraded {
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.or_broken(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_broken(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_broken(closed)
    }
}

impl Upgraded {
    /// Nothing waits for a socket that takes no more.
    fn or_broken<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match (polled, self.stream.broken()) {
            (Poll::Pending, Some(broken)) => Poll::Ready(Err(broken)),
            (polled, _) => polled,
        }
    }
}

impl std::fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upgraded").field("meta", &self.meta).finish_non_exhaustive()
    }
}
