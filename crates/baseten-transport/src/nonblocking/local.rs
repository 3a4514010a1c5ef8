//! Readers and writers of the caller's, which are polled.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sink::Sink;
use crate::upload::{self, Source};

/// A request body that is taken from readers while it is sent, so that it need not fit into memory: at
/// most about 200 KiB of it are there at a time.
///
/// It is given but once: a call with such a body is sent again only as long as nothing was taken of it.
/// While a reader has nothing the clock of the first byte goes on.
///
/// ```no_run
/// use baseten_transport::nonblocking::Upload;
/// use tokio::io::AsyncRead;
/// fn upload(file: impl AsyncRead + Send + 'static, length: u64) -> Upload { // `tokio::fs::File`, say
///     Upload::new(file).with_length(length) // without a length it goes in chunks
/// }
/// ```
pub struct Upload(upload::Upload);

impl Upload {
    /// All that a reader gives, until it ends.
    pub fn new<R: AsyncRead + Send + 'static>(reader: R) -> Self {
        Self(upload::Upload::of_source(Polling(Box::pin(reader))))
    }

    /// Announces how many bytes the reader gives. One that gives more or less makes the call fail with
    /// [`baseten_core::Cause::ReaderLength`] before the server has a whole request. To see that there is
    /// no more it is read to its end: of one that stays open, a socket for one, hand in `take(length)`.
    #[must_use]
    pub fn with_length(mut self, length: u64) -> Self {
        self.0.set_length(length);
        self
    }

    /// This, and then that.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.0.append(next.0);
        self
    }

    /// The length of it all in bytes, if all of it was announced.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.0.length()
    }

    pub(super) fn into_inner(self) -> upload::Upload {
        self.0
    }
}

/// Bytes that are there, to go before or behind a reader.
impl From<Bytes> for Upload {
    fn from(bytes: Bytes) -> Self {
        Self(upload::Upload::of_bytes(bytes))
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("length", &self.length()).finish_non_exhaustive()
    }
}

struct Polling<R>(Pin<Box<R>>);

impl<R: AsyncRead + Send> Source for Polling<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(self.0.as_mut().poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

pub(super) struct Writing<'w, W>(pub(super) Pin<&'w mut W>);

impl<W: AsyncWrite> Sink for Writing<'_, W> {
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }
}
