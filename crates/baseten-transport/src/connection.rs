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
    /// Until when it may lie in the pool; `None` is for ever.
    pub(crate) until: Option<Instant>,
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
        Ok(Self {
            link,
            wire,
            timer,
            home: N::home(),
            opened: Instant::now(),
            until: None,
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
        let next = match Pin::new(&mut *rest).poll_frame(cx) {
            Poll::Pending => self.wire.with_reads(Reads::Now, || self.link.poll_frame(rest, cx)),
            ready => ready,
        };
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

    /// The next frame of a body that was asked for one before: hyper has to hear of the wish before its
    /// connection reads on.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
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

#[cfg(test)]
#[cfg(feature = "tls")]
mod tests {
    use std::io::{self, IoSlice, Write as _};
    use std::pin::pin;
    use std::sync::{Mutex, MutexGuard};

    use baseten_core::{Endpoint, Hosts, ModelId, Operation, Origin, Target};
    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::ServerConnection;

    use super::*;
    use crate::blocking::wait::ready;
    use crate::options::Options;
    use crate::tls::{Sessions, Tls};

    /// A server in memory that is also the socket to it.
    struct Peer(Mutex<State>);

    struct State {
        tls: ServerConnection,
        /// What it has said and nobody has read, as it is on the wire.
        said: Vec<u8>,
        heard: u64,
        /// What the socket takes before it is full.
        room: usize,
        gone: bool,
    }

    impl Peer {
        fn lock(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap()
        }
    }

    impl Socket for Peer {
        fn poll_read(&self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            self.read_now(buf)
        }

        fn read_now(&self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            let State { tls, said, gone, .. } = &mut *self.lock();
            while tls.wants_write() {
                tls.write_tls(said).unwrap();
            }
            let bytes = said.len().min(buf.len());
            if bytes == 0 && !*gone {
                return Poll::Pending;
            }
            buf[..bytes].copy_from_slice(&said[..bytes]);
            said.drain(..bytes);
            Poll::Ready(Ok(bytes))
        }

        fn poll_write(&self, _: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            let State { tls, heard, room, .. } = &mut *self.lock();
            if *room == 0 {
                return Poll::Pending;
            }
            let whole: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            let bytes = whole.len().min(*room);
            *heard += bytes as u64;
            *room -= bytes;
            let mut taken = &whole[..bytes];
            while !taken.is_empty() {
                tls.read_tls(&mut taken).unwrap();
                // An alert is an error of what it is about.
                let _ = tls.process_new_packets();
            }
            Poll::Ready(Ok(bytes))
        }

        fn is_silent(&self) -> bool {
            true
        }

        fn close_write(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn origin() -> Origin {
        let target = Target::model(ModelId::new("abc").unwrap());
        let hosts = Hosts::base_url("https://localhost").unwrap();
        Endpoint::new(&hosts, &target, &Operation::Predict).unwrap().origin().clone()
    }

    fn ask(link: &mut Link<Peer>) -> impl Future<Output = Sent> + use<> {
        let body = Outgoing::Whole(Bytes::from_static(b"{}"));
        link.start(http::Request::post("/").body(body).unwrap())
    }

    /// A connection over TLS that has served a call, with no byte underway.
    fn connection() -> (Arc<Wire<Peer>>, Link<Peer>) {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![signed.cert.der().clone()], key).unwrap();
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        let state = State { tls, said: Vec::new(), heard: 0, room: usize::MAX, gone: false };
        let wire = Arc::new(Wire::new(Peer(Mutex::new(state))));
        let tls = Tls::default().with_only_roots(signed.cert.der()).unwrap();
        let sessions = Sessions::of(&Options { tls, ..Options::default() });
        let mut stream = Stream::tls(wire.clone(), sessions.session(&origin()).unwrap());
        let cx = &mut Context::from_waker(Waker::noop());
        while stream.poll_handshake(cx).map(Result::unwrap).is_pending() {}
        let (sender, conn) = ready(http1::Builder::new().handshake(stream)).unwrap();
        let mut link = Link { sender, conn: Some(conn), over: false };
        let mut served = pin!(ask(&mut link));
        assert!(link.poll_head(served.as_mut(), cx).is_pending());
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        wire.socket.lock().tls.writer().write_all(answer).unwrap();
        assert!(matches!(link.poll_head(served, cx), Poll::Ready(Ok(_))));
        assert!(link.settle());
        (wire, link)
    }

    /// How a server ends a connection.
    #[derive(Clone, Copy, Debug)]
    enum Ending {
        Goodbye,
        /// Nothing before the end of the socket.
        Cut,
        BadRecord,
    }

    impl Peer {
        fn end(&self, ending: Ending) {
            const BAD_RECORD: &[u8] = b"\x17\x03\x03\x00\x20 what nobody can have encrypted..";
            let State { tls, said, gone, .. } = &mut *self.lock();
            match ending {
                Ending::Goodbye => tls.send_close_notify(),
                Ending::Cut => {}
                Ending::BadRecord => said.extend_from_slice(BAD_RECORD),
            }
            *gone = true;
        }
    }

    #[test]
    fn only_what_carries_a_request_is_counted_as_sent() {
        use Ending::{BadRecord, Cut, Goodbye};
        let (all, none) = (usize::MAX, 0);
        //   ends with  takes  after a first look  is written to  has some of the request
        for (ending, room, late, written, counted) in [
            (Goodbye, all, false, true, false), // our own goodbye is no request
            (BadRecord, all, false, true, false), // nor is what we say to that
            (Cut, all, false, false, false),
            (Goodbye, all, true, true, true),
            (Cut, 1, true, true, true), // a byte of its record may be enough to do harm
            (Cut, none, true, false, false), // what waits to be written was not
            (BadRecord, all, true, true, true),
        ] {
            let (wire, mut link) = connection();
            let peer = &wire.socket;
            peer.lock().room = room;
            let (before, heard) = (wire.sent(), peer.lock().heard);
            if !late {
                peer.end(ending);
            }
            let mut sent = pin!(ask(&mut link));
            let cx = &mut Context::from_waker(Waker::noop());
            let case = format!("{ending:?}, room for {room}, late: {late}");
            if late {
                assert!(link.poll_head(sent.as_mut(), cx).is_pending(), "{case}");
                peer.end(ending);
            }
            let polled = link.poll_head(sent.as_mut(), cx);
            assert!(matches!(polled, Poll::Ready(Err(_))), "{case}: {polled:?}");
            assert_eq!(peer.lock().heard > heard, written, "{case}");
            assert_eq!(wire.sent() > before, counted, "{case}");
        }
    }
}
