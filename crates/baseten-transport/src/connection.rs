//! One HTTP/1.1 connection, polled by whoever has a call on it.
//!
//! hyper's connection is a future of its own; it moves only while one of the functions here is
//! driven, in the task that waits for its answer. Dropping it closes the socket.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::{TrySendError, http1};

use crate::clock::{Limits, Patience};
use crate::net::Net;
use crate::slots::Slot;
use crate::stream::Stream;
use crate::upload::Outgoing;
use crate::wire::{Reads, Socket, Wire};

pub(crate) struct Connection<N: Net> {
    pub(crate) link: Link<N::Socket>,
    pub(crate) wire: Arc<Wire<N::Socket>>,
    pub(crate) timer: N::Timer,
    /// Where it can be used.
    pub(crate) home: N::Home,
    pub(crate) opened: Instant,
    /// When it went back to the pool.
    pub(crate) idle_since: Instant,
    /// What the server promised to keep it open for (`Keep-Alive: timeout=`).
    pub(crate) keep_alive: Option<Duration>,
    /// Whether it has served a call.
    pub(crate) reused: bool,
    /// An answer whose content is over, while the end of its framing has not come: it has to before
    /// another call.
    pub(crate) rest: Option<Incoming>,
    /// Those of the call that it serves.
    pub(crate) limits: Limits,
    /// How long it has been waited for what comes next.
    pub(crate) patience: Patience,
    /// The most that the head of an answer may have, and that is read ahead of the caller, in bytes.
    pub(crate) head_limit: usize,
    /// While it serves a call, and where their number is limited. The last, since it is passed on when
    /// the socket is closed.
    pub(crate) slot: Option<Slot>,
}

/// hyper's two ends: where requests go in, and what moves them.
pub(crate) struct Link<S: Socket> {
    sender: http1::SendRequest<Outgoing>,
    /// `None` once it is over and somebody still waited.
    conn: Option<http1::Connection<Stream<S>, Outgoing>>,
    /// Whether hyper is done with the socket: it must not be polled again.
    over: bool,
}

/// How hyper answers a request that it was handed.
pub(crate) type Sent = Result<http::Response<Incoming>, TrySendError<http::Request<Outgoing>>>;

impl<N: Net> Connection<N> {
    /// Hands a ready stream to hyper.
    pub(crate) async fn open(
        wire: Arc<Wire<N::Socket>>,
        stream: Stream<N::Socket>,
        timer: N::Timer,
        head_limit: usize,
    ) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        let (sender, conn) = builder.max_buf_size(head_limit).handshake(stream).await?;
        let link = Link { sender, conn: Some(conn), over: false };
        let now = Instant::now();
        Ok(Self {
            link,
            wire,
            timer,
            home: N::home(),
            opened: now,
            idle_since: now,
            keep_alive: None,
            reused: false,
            rest: None,
            limits: Limits::default(),
            patience: Patience::default(),
            head_limit,
            slot: None,
        })
    }

    /// Whether it can take another call: looks, without waiting, at what came while it lay idle. A
    /// session ticket is no harm; an end, or an answer that nobody asked for, is.
    pub(crate) fn is_alive(&mut self) -> bool {
        if self.rest.is_some() {
            let ended = matches!(self.poll_rest(), Poll::Ready(true));
            return ended && self.wire.with_reads(Reads::Now, || self.link.settle());
        }
        // Its exchange was over when it came here: with nothing since, there is nothing to notice.
        let silent = self.wire.socket.is_silent();
        silent || self.wire.with_reads(Reads::Now, || self.link.settle())
    }

    /// Looks, without waiting, whether the rest of the last answer is its end; `false` if it is more.
    pub(crate) fn poll_rest(&mut self) -> Poll<bool> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(true) };
        let cx = &mut Context::from_waker(Waker::noop());
        let next = self.wire.with_reads(Reads::Now, || self.link.poll_frame(rest, true, cx));
        next.map(|frame| {
            self.rest = None;
            frame.is_none()
        })
    }

    /// Whether its exchange is over and it could take another one. Nothing is read for that: what
    /// comes from now on is looked at when it is wanted again.
    pub(crate) fn is_done(&mut self) -> bool {
        // Mostly hyper knows already: it looks for more as soon as an exchange is over.
        self.link.sender.is_ready() || self.wire.with_reads(Reads::Never, || self.link.settle())
    }
}

impl<S: Socket> Link<S> {
    /// Queues a request; [`Self::poll_head`] moves it.
    pub(crate) fn start(
        &mut self,
        request: http::Request<Outgoing>,
    ) -> impl Future<Output = Sent> + Send + use<S> {
        self.sender.try_send_request(request)
    }

    pub(crate) fn poll_head(
        &mut self,
        mut sent: Pin<&mut impl Future<Output = Sent>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http::Response<Incoming>, hyper::Error>> {
        let ended = self.poll_conn(cx);
        let mut polled = sent.as_mut().poll(cx);
        if polled.is_pending() && self.over {
            // A connection that ends tells whoever is still in its queue when it is let go of.
            self.conn = None;
            polled = sent.poll(cx);
        }
        polled.map(|sent| {
            sent.map_err(|back| {
                // What the request was told is what broke the connection. If it was told no more than
                // that it comes back, the connection's own error says why; in any other case that one
                // may be about closing what was broken already.
                let error = back.error();
                let untold = error.is_canceled() && std::error::Error::source(error).is_none();
                let ended = ended.and_then(Result::err).filter(|_| untold);
                ended.unwrap_or_else(|| back.into_error())
            })
        })
    }

    /// The next frame of the body. `asked` says that this is a new wish, which hyper has to hear of
    /// before its connection reads on.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        asked: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if asked && let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let ended = self.poll_conn(cx);
        let mut polled = Pin::new(&mut *body).poll_frame(cx);
        if polled.is_pending() && self.over {
            self.conn = None;
            polled = Pin::new(body).poll_frame(cx);
        }
        match (polled, ended) {
            (Poll::Ready(Some(Err(_))), Some(Err(error))) => Poll::Ready(Some(Err(error))),
            (frame, _) => frame,
        }
    }

    /// Lets hyper notice what there is to notice, with nobody waiting; `true` if it could take another
    /// request now. Needed after the last byte of a body, too: only then is the exchange over.
    fn settle(&mut self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        self.poll_conn(cx).is_none() && !self.over && self.sender.is_ready()
    }

    /// The stream after the server has switched protocols, and what came of the new one together with
    /// its answer. hyper is done with a connection as soon as it has read a 101.
    #[cfg(feature = "tokio")]
    pub(crate) fn into_stream(self) -> (Stream<S>, Bytes) {
        let conn = self.conn.expect("nobody waited any more when the server had switched");
        let parts = conn.into_parts();
        (parts.io, parts.read_buf)
    }

    /// Moves hyper's connection; `Some` when it ended just now.
    fn poll_conn(&mut self, cx: &mut Context<'_>) -> Option<hyper::Result<()>> {
        if self.over {
            return None;
        }
        match Pin::new(self.conn.as_mut()?).poll(cx) {
            Poll::Ready(ended) => {
                self.over = true;
                Some(ended)
            }
            Poll::Pending => None,
        }
    }
}
