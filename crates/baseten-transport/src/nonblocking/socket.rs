//! A socket on tokio's reactor. It knows nothing of who waits for it.

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::bell::Bell;
use crate::net;
use crate::wire;

/// Whether the reactor tells of readiness in edges.
const EDGES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// A socket of tokio's, and how whoever waits for it is woken.
pub(crate) struct Socket {
    stream: TcpStream,
    pub(super) bell: Arc<Bell>,
    /// The bell, as what hyper is polled with.
    pub(super) waker: Waker,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        Self { stream, bell, waker }
    }
}

impl wire::Socket for Socket {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            // A short read proves an empty socket. Where readiness comes in edges that is told to the
            // runtime, as the outcome of this very read, so that no edge since is lost: the next read
            // then waits instead of asking in vain.
            let mut short = None;
            let read = self.stream.try_io(Interest::READABLE, || {
                let read = (&*SockRef::from(&self.stream)).read(buf)?;
                if EDGES && (1..buf.len()).contains(&read) {
                    short = Some(read);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(read)
            });
            match (read, short) {
                (_, Some(read)) => return Poll::Ready(Ok(read)),
                (Err(error), None) if error.kind() == io::ErrorKind::WouldBlock => {}
                (read, None) => return Poll::Ready(read),
            }
        }
    }

    /// Asks the socket itself: what came since the runtime's last turn is not known to it yet.
    fn read_now(&self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let socket = SockRef::from(&self.stream);
        let mut asked = false;
        // Through the runtime, if it believes that there is something: an empty socket then corrects
        // it, and saves the next read from asking in vain.
        let result = self.stream.try_io(Interest::READABLE, || {
            asked = true;
            (&*socket).read(buf)
        });
        let result = if asked { result } else { (&*socket).read(buf) };
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match self.stream.try_write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_silent(&self) -> bool {
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit(); 1]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn close_write(&self) -> io::Result<()> {
        net::close_write(&SockRef::from(&self.stream))
    }
}
