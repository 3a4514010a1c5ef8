//! One connection and both of its directions: what is sent, what is received, and how it ended.
//!
//! Two tasks may poll it, each for its direction; a lock is held for the time of a poll, never over a
//! wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use baseten_core::{Clocks, Meta};
use baseten_transport::nonblocking::{Upgrade, Upgraded};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Error as WireError, Message as Frame};

use crate::close::{Close, CloseCode};
use crate::error::{Error, ErrorKind, Session};
use crate::idle::{Idle, Tick};
use crate::message::Message;
use crate::options::Options;
use crate::tail::Tail;

pub(crate) struct Shared {
    state: Mutex<State>,
    wakers: Arc<Wakers>,
    pub(crate) meta: Meta,
    options: Options,
    idle: Option<Duration>,
}

struct State {
    socket: WebSocketStream<Tail>,
    session: Session,
    /// We have said that we close.
    closing: bool,
    /// Nothing more will be received, and why.
    end: Option<End>,
}

#[derive(Clone, Debug)]
enum End {
    /// In order: all was said, or we closed it ourselves.
    Finished(Option<Close>),
    /// Out of order.
    Failed(ErrorKind, String, Option<Close>),
}

/// Which direction a task waits for.
#[derive(Clone, Copy, Debug)]
enum Way {
    In,
    Out,
}

impl Shared {
    pub(crate) async fn new(stream: Upgraded, upgrade: &Upgrade, options: Options) -> Self {
        let endpoint = upgrade.template.endpoint();
        let meta = stream.meta().clone();
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(options.message_limit))
            .max_frame_size(Some(options.frame_limit));
        let tail = Tail::new(stream);
        let socket = WebSocketStream::from_raw_socket(tail, Role::Client, Some(config)).await;
        let session = Session::new(endpoint.path(), &meta);
        let idle = Clocks::new(&upgrade.options.timeouts, endpoint, false).idle;
        let state = Mutex::new(State { socket, session, closing: false, end: None });
        Self { state, wakers: Arc::default(), meta, options, idle }
    }

    /// How the peer closed, once it has.
    pub(crate) fn closed(&self) -> Option<Close> {
        match &self.lock().end {
            Some(End::Finished(close) | End::Failed(_, _, close)) => close.clone(),
            None => None,
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, what: impl Into<String>) -> Error {
        Error::on(self.lock().session.clone(), kind, what)
    }

    pub(crate) async fn receive(&self) -> Result<Option<Message>, Error> {
        let mut idle = Idle::new(self.idle);
        std::future::poll_fn(|cx| self.poll(Way::In, cx, |state, cx| state.receive(&mut idle, cx)))
            .await
    }

    pub(crate) async fn send(&self, message: Message) -> Result<(), Error> {
        let (length, limit) = (message.as_bytes().len(), self.options.message_limit);
        if length > limit {
            let what = format!("a message of {length} bytes is over the limit of {limit}");
            return Err(self.error(ErrorKind::TooLarge, what).unsent());
        }
        self.put(match message {
            Message::Text(text) => Frame::text(text),
            Message::Binary(bytes) => Frame::Binary(bytes),
        })
        .await
    }

    pub(crate) async fn ping(&self, payload: Bytes) -> Result<(), Error> {
        if payload.len() > CONTROL_MAX {
            let what =
                format!("a ping of {} bytes is over the limit of {CONTROL_MAX}", payload.len());
            return Err(self.error(ErrorKind::Request, what).unsent());
        }
        self.put(Frame::Ping(payload)).await
    }

    pub(crate) async fn close(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let too_long = reason.len() > CONTROL_MAX - 2;
        if too_long || !code.may_be_sent() {
            let what = if too_long {
                format!("a close reason of {} bytes is over the limit of 123", reason.len())
            } else {
                format!("the close code {code} is never sent")
            };
            return Err(self.error(ErrorKind::Request, what).unsent());
        }
        if self.lock().end.is_some() {
            return Ok(());
        }
        let code = u16::from(code).into();
        self.put(Frame::Close(Some(CloseFrame { code, reason: reason.into() }))).await
    }

    /// Hands a frame to the socket and waits until it has taken it.
    async fn put(&self, frame: Frame) -> Result<(), Error> {
        let mut idle = Idle::new(self.idle);
        let mut frame = Some(frame);
        let sent = |state: &mut State, cx: &mut Context<'_>| state.send(&mut frame, &mut idle, cx);
        let mut sent = sent;
        std::future::poll_fn(|cx| self.poll(Way::Out, cx, &mut sent)).await
    }

    /// Polls with a waker that wakes both directions: tungstenite reads while it writes and writes while
    /// it reads, so whichever is polled last must not take the other's place.
    fn poll<T>(
        &self,
        way: Way,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut State, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.wakers.register(way, cx.waker());
        let both = Waker::from(self.wakers.clone());
        poll(&mut self.lock(), &mut Context::from_waker(&both))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside tungstenite leaves nothing that could be misread: the next poll fails or waits.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of the wire is read at once, in bytes, kept for each connection.
const READ_BUFFER: usize = 16 * 1024;

/// The largest payload of a ping or close, in bytes.
const CONTROL_MAX: usize = 125;

impl State {
    fn receive(
        &mut self,
        idle: &mut Idle,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, Error>> {
        loop {
            if let Some(end) = &self.end {
                return Poll::Ready(self.ended(end.clone()));
            }
            let end = match self.socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(Frame::Text(text)))) => {
                    return self.received(Message::Text(text.as_str().into()));
                }
                Poll::Ready(Some(Ok(Frame::Binary(bytes)))) => {
                    return self.received(Message::Binary(bytes));
                }
                Poll::Ready(Some(Ok(Frame::Close(close)))) => self.closed(close, cx),
                // A ping has been answered in the queue, which the next poll writes.
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.failed(error)),
                Poll::Ready(None) if self.closing => End::Finished(None),
                Poll::Ready(None) => lost(),
                Poll::Pending => {
                    let received = self.socket.get_ref().stream.received();
                    match std::task::ready!(idle.poll(received, cx)) {
                        Tick::Half => {
                            self.probe(cx);
                            continue;
                        }
                        Tick::Over(limit) => {
                            let what = format!("nothing came for {limit:?}, not even after a ping");
                            End::Failed(ErrorKind::Timeout, what, None)
                        }
                    }
                }
            };
            self.end = Some(end);
        }
    }

    fn received(&mut self, message: Message) -> Poll<Result<Option<Message>, Error>> {
        self.session.received += 1;
        Poll::Ready(Ok(Some(message)))
    }

    /// The peer has closed; its frame is answered as far as the socket takes it now.
    fn closed(&mut self, frame: Option<CloseFrame>, cx: &mut Context<'_>) -> End {
        let _ = self.socket.poll_flush_unpin(cx);
        let close = match frame {
            None => Close { code: CloseCode::NoStatus, reason: String::new() },
            Some(frame) => {
                let known = Close {
                    code: u16::from(frame.code).into(),
                    reason: frame.reason.as_str().into(),
                };
                let replaced = known.code == CloseCode::Protocol && known.reason == REPLACED;
                let sent = replaced.then(|| self.socket.get_ref().close()).flatten();
                sent.unwrap_or(known)
            }
        };
        if self.closing || close.code.is_finished() {
            return End::Finished(Some(close));
        }
        End::Failed(ErrorKind::Closed, "closed by the server with".into(), Some(close))
    }

    fn ended(&self, end: End) -> Result<Option<Message>, Error> {
        let (kind, what, close) = match end {
            End::Finished(_) => return Ok(None),
            End::Failed(kind, what, close) => (kind, what, close),
        };
        let error = Error::on(self.session.clone(), kind, what);
        Err(match close {
            Some(close) => error.with_close(close),
            None => error,
        })
    }

    fn failed(&mut self, error: WireError) -> Result<Option<Message>, Error> {
        let end = match &error {
            // Our own goodbye came first; that the peer did not answer it is no news.
            WireError::Io(_) | WireError::Protocol(GONE) if self.closing => End::Finished(None),
            WireError::Io(_) | WireError::Protocol(GONE) => lost(),
            WireError::Capacity(_) => {
                let what = "a message that came is over the limit".into();
                End::Failed(ErrorKind::TooLarge, what, None)
            }
            _ => End::Failed(ErrorKind::Protocol, "what came is no WebSocket".into(), None),
        };
        self.end = Some(end.clone());
        self.ended(end).map_err(|told| told.because(error))
    }

    /// Asks the peer for a sign of life. If it cannot be asked, reading will tell.
    fn probe(&mut self, cx: &mut Context<'_>) {
        if !self.closing && self.socket.start_send_unpin(Frame::Ping(Bytes::new())).is_ok() {
            let _ = self.socket.poll_flush_unpin(cx);
        }
    }

    fn send(
        &mut self,
        frame: &mut Option<Frame>,
        idle: &mut Idle,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            let polled = if frame.is_some() {
                self.socket.poll_ready_unpin(cx)
            } else {
                self.socket.poll_flush_unpin(cx)
            };
            match polled {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.unsendable(error))),
                Poll::Ready(Ok(())) => {
                    let Some(frame) = frame.take() else { return Poll::Ready(Ok(())) };
                    let (is_message, is_close) =
                        (frame.is_text() || frame.is_binary(), frame.is_close());
                    if let Err(error) = self.socket.start_send_unpin(frame) {
                        return Poll::Ready(Err(self.unsendable(error)));
                    }
                    self.session.sent += u64::from(is_message);
                    self.closing |= is_close;
                }
                Poll::Pending => {
                    let sent = self.socket.get_ref().stream.sent();
                    if let Tick::Over(limit) = std::task::ready!(idle.poll(sent, cx)) {
                        let what = format!("the server took no byte for {limit:?}");
                        let session = self.session.clone();
                        return Poll::Ready(Err(Error::on(session, ErrorKind::Timeout, what)));
                    }
                }
            }
        }
    }

    /// What could not be sent. What the peer said before is still to be received.
    fn unsendable(&self, error: WireError) -> Error {
        let session = self.session.clone();
        match (&error, &self.end) {
            (_, Some(End::Failed(kind, what, Some(close)))) => {
                Error::on(session, *kind, what.clone()).with_close(close.clone())
            }
            (WireError::Protocol(tungstenite::error::ProtocolError::SendAfterClosing), _)
            | (WireError::AlreadyClosed | WireError::ConnectionClosed, _) => {
                Error::on(session, ErrorKind::Request, "it is closed").unsent()
            }
            _ => {
                let what =
                    "the connection broke; what the server said before can still be received";
                Error::on(session, ErrorKind::Disconnected, what).because(error)
            }
        }
    }
}

/// What tungstenite (0.30) says in place of a code that it does not know: see [`Tail`].
const REPLACED: &str = "Protocol violation";

/// How tungstenite tells an end without a close.
const GONE: tungstenite::error::ProtocolError =
    tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;

fn lost() -> End {
    let what = "the connection ended, and nobody had closed it";
    End::Failed(ErrorKind::Disconnected, what.into(), None)
}

/// The tasks that wait, one for each direction.
#[derive(Default)]
struct Wakers(Mutex<[Option<Waker>; 2]>);

impl Wakers {
    fn register(&self, way: Way, waker: &Waker) {
        let slot = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[way as usize];
        match slot {
            Some(known) => known.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        let waiting =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).each_mut().map(Option::take);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}
