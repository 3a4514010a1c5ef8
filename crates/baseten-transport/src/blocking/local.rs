//! Readers and writers of the caller's, which block.

use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::sink::Sink;
use crate::upload::{self, Source};

/// A request body that is taken from readers while it is sent, so that it need not fit into memory: at
/// most about 200 KiB of it are there at a time.
///
/// It is given but once: a call with such a body is sent again only as long as nothing was taken of it.
/// While a reader blocks no clock of the call is looked at.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// use baseten_transport::blocking::Upload;
/// let file = std::fs::File::open("talk.wav")?;
/// let length = file.metadata()?.len();
/// let known = Upload::new(file).with_length(length);
/// let unknown = Upload::new(std::io::stdin()); // goes in chunks
/// # Ok(()) }
/// ```
pub struct Upload(upload::Upload);

impl Upload {
    /// All that a reader gives, until it ends.
    pub fn new<R: Read + Send + 'static>(reader: R) -> Self {
        Self(upload::Upload::of_source(Reading(Box::new(reader))))
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

struct Reading<R>(Box<R>);

impl<R: Read + Send> Source for Reading<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self(reader) = self.get_mut();
        Poll::Ready(uninterrupted(|| reader.read(buf)))
    }
}

pub(super) struct Writing<W>(pub(super) W);

impl<W: Write> Sink for Writing<W> {
    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(uninterrupted(|| self.0.write(bytes)))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.flush())
    }
}

fn uninterrupted<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match work() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
