//! A socket on tokio's reactor. It knows nothing of who waits for it.

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
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
    known: AtomicU8,
}

/// What is known of what can be read, within one [`Socket::poll_for`].
#[repr(u8)]
enum Known {
    Nothing,
    /// It was read empty.
    Empty,
    /// And somebody would have read on.
    Wanted,
    /// Nobody waits at the end of a poll: each read has to.
    Outside,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        Self { stream, bell, waker, known: AtomicU8::new(Known::Outside as u8) }
    }

    /// Polls for somebody who waits here. When a read has emptied the socket hyper reads on, as often as
    /// not with nobody to wait for more: those reads are not made. Only a poll that comes to nothing
    /// asks the runtime after all.
    pub(super) fn poll_for<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        loop {
            self.know(Known::Nothing);
            let polled = poll(cx);
            let wanted = self.knows(Known::Wanted);
            self.know(Known::Outside);
            if polled.is_ready() || !wanted || self.stream.poll_read_ready(cx).is_pending() {
                return polled;
            }
        }
    }

    /// One task at a time polls a connection: nothing else depends on the order of these.
    fn know(&self, known: Known) {
        self.known.store(known as u8, Ordering::Relaxed);
    }

    fn knows(&self, known: Known) -> bool {
        self.known.load(Ordering::Relaxed) == known as u8
    }
}

impl wire::Socket for Socket {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.knows(Known::Empty) || self.knows(Known::Wanted) {
            self.know(Known::Wanted);
            return Poll::Pending;
        }
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
                (_, Some(read)) => {
                    // An end, and what came since, stay known to the runtime.
                    let more = || self.stream.try_io(Interest::READABLE, || Ok(())).is_ok();
                    if self.knows(Known::Nothing) && !more() {
                        self.know(Known::Empty);
                    }
                    return Poll::Ready(Ok(read));
                }
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::Duration;

    use tokio::runtime;
    use tokio::time::timeout;

    use super::*;
    use crate::wire::Socket as _;

    #[test]
    fn what_comes_after_the_socket_was_read_empty_is_heard_all_the_same() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut peer, _) = listener.accept().unwrap();
            let socket = Socket::new(stream);
            let mut left = b"abcdefgh".chunks(1);
            peer.write_all(left.next().unwrap()).unwrap();
            let mut heard = Vec::new();
            let hear = poll_fn(|cx| {
                socket.poll_for(cx, |cx| {
                    let mut buf = [0; 8];
                    // As hyper does: it reads on until there is nothing more.
                    while let Poll::Ready(read) = socket.poll_read(cx, &mut buf) {
                        heard.extend_from_slice(&buf[..read.unwrap()]);
                        if let Some(next) = left.next() {
                            peer.write_all(next).unwrap();
                        }
                    }
                    if heard.len() == 8 { Poll::Ready(()) } else { Poll::Pending }
                })
            });
            let heard_all = timeout(Duration::from_secs(20), hear).await;
            assert_eq!((heard_all, &heard[..]), (Ok(()), &b"abcdefgh"[..]));
        });
    }
}
