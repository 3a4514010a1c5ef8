//! Where an answer is written to, in one of the two ways to wait.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

pub(crate) trait Sink {
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Writes all of it and counts what was taken, whatever happens.
pub(crate) async fn write_all(
    sink: &mut impl Sink,
    mut bytes: &[u8],
    written: &mut u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| sink.poll_write(cx, bytes)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            taken => {
                *written += taken as u64;
                bytes = &bytes[taken..];
            }
        }
    }
    Ok(())
}
