//! What tungstenite (0.30) would lose, beside the stream that it reads and writes.
//!
//! It does not know the close code 1014, which Baseten lists, nor any other code that is not in its own
//! table: it reports them as a violation of the protocol. A close frame is the last thing a peer says, so
//! the true code is still in the bytes that came last.
//!
//! And it answers pings while it reads: where that fails, it reads no further, although the peer may have
//! said more before it left. So a write that fails is kept here, for who sends to ask for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use baseten_transport::nonblocking::Upgraded;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::close::{Close, CloseCode};

/// A connection that remembers what was read last, and the first write that failed.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) stream: Upgraded,
    last: Vec<u8>,
    broken: Option<io::Error>,
}

/// The largest control frame: two bytes of header and 125 of payload.
const FRAME_MAX: usize = 127;

impl Tail {
    pub(crate) fn new(stream: Upgraded) -> Self {
        Self { stream, last: Vec::with_capacity(2 * FRAME_MAX), broken: None }
    }

    /// The close frame that the bytes end with.
    pub(crate) fn close(&self) -> Option<Close> {
        close_at_end(&self.last)
    }

    /// The write that failed. Since then nothing is written.
    pub(crate) fn broken(&self) -> Option<io::Error> {
        self.broken.as_ref().map(|broken| io::Error::new(broken.kind(), broken.to_string()))
    }

    /// Where it has failed, or did so before, `nowhere` stands for what it would have come to.
    fn written<T>(
        &mut self,
        nowhere: T,
        write: impl FnOnce(Pin<&mut Upgraded>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.broken.is_none() {
            match write(Pin::new(&mut self.stream)) {
                Poll::Ready(Err(error)) => self.broken = Some(error),
                polled => return polled,
            }
        }
        Poll::Ready(Ok(nowhere))
    }

    fn keep(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(FRAME_MAX)..];
        let surplus = (self.last.len() + bytes.len()).saturating_sub(FRAME_MAX);
        self.last.drain(..surplus.min(self.last.len()));
        self.last.extend_from_slice(bytes);
    }
}

/// Unmasked, as a server's frames are: `0x88`, the length, two bytes of code, the reason.
fn close_at_end(bytes: &[u8]) -> Option<Close> {
    let mut starts = (0..bytes.len()).map(|at| &bytes[at..]);
    starts.find_map(|frame| match frame {
        [0x88, length, high, low, reason @ ..] if usize::from(*length) == reason.len() + 2 => {
            let code = CloseCode::from(u16::from_be_bytes([*high, *low]));
            Some(Close { code, reason: std::str::from_utf8(reason).ok()?.into() })
        }
        _ => None,
    })
}

impl AsyncRead for Tail {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.keep(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tail {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written(buf.len(), |stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        self.written(length, |stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.written((), |stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_is_found_at_the_end_alone() {
        let close =
            |code: u16, reason: &str| Some(Close { code: code.into(), reason: reason.into() });
        for (bytes, expect) in [
            (&b"\x88\x02\x03\xf6"[..], close(1014, "")),
            (b"\x81\x02hi\x88\x05\x03\xf6bad", close(1014, "bad")),
            (b"\x88\x02\x03\xf6\x00", None), // something follows
            (b"\x88\x05\x03\xf6ba", None),   // cut
            (b"\x88\x00", None),             // no code
            (b"", None),
        ] {
            assert_eq!(close_at_end(bytes), expect, "{bytes:?}");
        }
    }
}
