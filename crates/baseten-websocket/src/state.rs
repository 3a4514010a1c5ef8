//! What is received and sent on a connection, and how it ended, as polls. It knows nothing of who waits.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use baseten_transport::nonblocking::Upgraded;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WireError, Message as Frame};

use crate::close::{Close, CloseCode};
use crate::error::{Error, ErrorKind, Session};
use crate::idle::{Idle, Tick};
use crate::message::Message;
use crate::options::Options;
use crate::tail::Tail;

pub(crate) struct State {
    /// `None` once the connection is given up.
    socket: Option<WebSocketStream<Tail>>,
    session: Session,
    pub(crate) options: Options,
    /// The idle clocks, one for each direction.
    pub(crate) idle: [Idle; 2],
    /// We have said that we close.
    closing: bool,
    /// Nothing more will be received, and why.
    pub(crate) end: Option<End>,
}

#[derive(Clone, Debug)]
pub(crate) enum End {
    /// In order: all was said, or we closed it ourselves.
    Finished(Option<Close>),
    /// Out of order.
    Failed(ErrorKind, String, Option<Close>),
}

/// Which direction a task waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    In,
    Out,
}

/// How much of the wire is read at once, in bytes, kept for each connection.
const READ_BUFFER: usize = 16 * 1024;

/// How much is put together before it is written, in bytes.
const WRITE_BUFFER: usize = 128 * 1024;

impl State {
    /// `idle` is the limit of both clocks.
    pub(crate) async fn new(
        stream: Upgraded,
        session: Session,
        options: Options,
        idle: Option<Duration>,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            // For a message, and answers to pings: a server that takes none of them gets fewer.
            .max_write_buffer_size(options.message_limit.saturating_add(2 * WRITE_BUFFER))
            .max_message_size(Some(options.message_limit))
            // The head of a frame tells that it is too long for a message.
            .max_frame_size(Some(options.frame_limit.min(options.message_limit)));
        let tail = Tail::new(stream);
        let socket = WebSocketStream::from_raw_socket(tail, Role::Client, Some(config)).await;
        let idle = [idle, idle].map(Idle::new);
        Self { socket: Some(socket), session, options, idle, closing: false, end: None }
    }

    pub(crate) fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        loop {
            let socket = match (&mut self.socket, &self.end) {
                (Some(socket), None) => socket,
                (_, Some(End::Finished(_))) => return Poll::Ready(Ok(None)),
                _ => return Poll::Ready(Err(self.over())),
            };
            match socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(Frame::Text(text)))) => {
                    return self.received(Message::Text(text.as_str().into()));
                }
                Poll::Ready(Some(Ok(Frame::Binary(bytes)))) => {
                    return self.received(Message::Binary(bytes));
                }
                Poll::Ready(Some(Ok(Frame::Close(frame)))) => {
                    let close = told(frame, socket.get_ref());
                    // It is answered as far as the socket takes that now.
                    let _ = socket.poll_flush_unpin(cx);
                    let in_order = self.closing || close.code.is_finished();
                    self.end = Some(if in_order {
                        End::Finished(Some(close))
                    } else {
                        let what = "closed by the server with".into();
                        End::Failed(ErrorKind::Closed, what, Some(close))
                    });
                }
                // A ping has been answered in the queue, which the next poll writes.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.failed(error, cx)),
                Poll::Ready(None) => self.lose(),
                Poll::Pending => {
                    let received = socket.get_ref().stream.received();
                    match ready!(self.idle[Way::In as usize].poll(received, cx)) {
                        Tick::Half => self.say(Frame::Ping(Bytes::new()), cx),
                        Tick::Over(limit) => {
                            let what = format!("nothing came for {limit:?}, not even after a ping");
                            self.give_up(ErrorKind::Timeout, what);
                        }
                    }
                }
            }
        }
    }

    fn received(&mut self, message: Message) -> Poll<Result<Option<Message>, Error>> {
        self.session.received += 1;
        Poll::Ready(Ok(Some(message)))
    }

    /// What came is no message, or nothing will come any more.
    fn failed(&mut self, error: WireError, cx: &mut Context<'_>) -> Result<Option<Message>, Error> {
        match &error {
            WireError::Io(_) | WireError::Protocol(GONE) => self.lose(),
            WireError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                self.say(goodbye(1009), cx);
                let is_frame = *max_size < self.options.message_limit;
                let what = if is_frame { "frame of" } else { "message of at least" };
                let what = format!("a {what} {size} bytes came, over the limit of {max_size}");
                self.give_up(ErrorKind::TooLarge, what);
            }
            WireError::Utf8(_) => {
                self.say(goodbye(1007), cx);
                self.give_up(ErrorKind::Protocol, "a text that came is no UTF-8");
            }
            _ => {
                self.say(goodbye(1002), cx);
                self.give_up(ErrorKind::Protocol, "what came is no WebSocket");
            }
        }
        match self.end {
            Some(End::Finished(_)) => Ok(None),
            _ => Err(self.over().because(error)),
        }
    }

    /// The connection has ended without a close. If we have said goodbye, that is no news.
    fn lose(&mut self) {
        if self.closing {
            (self.socket, self.end) = (None, Some(End::Finished(None)));
        } else {
            self.give_up(ErrorKind::Disconnected, "the connection ended, and nobody had closed it");
        }
    }

    /// Closes the socket at once.
    pub(crate) fn give_up(&mut self, kind: ErrorKind, what: impl Into<String>) {
        (self.socket, self.end) = (None, Some(End::Failed(kind, what.into(), None)));
    }

    /// Says something in passing. If it cannot be said, reading will tell why.
    fn say(&mut self, frame: Frame, cx: &mut Context<'_>) {
        let Some(socket) = self.socket.as_mut().filter(|_| !self.closing) else { return };
        if socket.start_send_unpin(frame).is_ok() {
            let _ = socket.poll_flush_unpin(cx);
        }
    }

    pub(crate) fn send(
        &mut self,
        frame: &mut Option<Frame>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            let open = self.end.is_none() && !(self.closing && frame.is_some());
            let Some(socket) = self.socket.as_mut().filter(|_| open) else {
                let error = self.over();
                return Poll::Ready(Err(if frame.is_some() { error.unsent() } else { error }));
            };
            // Also before a frame: the queue has room for one message.
            let polled = socket.poll_flush_unpin(cx);
            let polled = match socket.get_ref().broken() {
                Some(broken) => Poll::Ready(Err(broken.into())),
                None => polled,
            };
            let done = match polled {
                Poll::Ready(Ok(())) => {
                    let Some(frame) = frame.take() else { return Poll::Ready(Ok(())) };
                    self.session.sent += u64::from(frame.is_text() || frame.is_binary());
                    self.closing |= frame.is_close();
                    socket.start_send_unpin(frame)
                }
                Poll::Ready(failed) => failed,
                Poll::Pending => {
                    let sent = socket.get_ref().stream.sent();
                    let idle = &mut self.idle[Way::Out as usize];
                    if let Tick::Over(limit) = ready!(idle.poll(sent, cx)) {
                        let what = format!("the server took no byte for {limit:?}");
                        return Poll::Ready(Err(self.error(ErrorKind::Timeout, what)));
                    }
                    Ok(())
                }
            };
            if let Err(error) = done {
                let what =
                    "the connection broke; what the server said before can still be received";
                let error = self.error(ErrorKind::Disconnected, what).because(error);
                return Poll::Ready(Err(if frame.is_some() { error.unsent() } else { error }));
            }
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, what: impl Into<String>) -> Error {
        Error::on(self.session.clone(), kind, what)
    }

    /// That nothing more can be said or heard.
    fn over(&self) -> Error {
        match &self.end {
            Some(End::Failed(kind, what, close)) => {
                let error = self.error(*kind, what.clone());
                match close {
                    Some(close) => error.with_close(close.clone()),
                    None => error,
                }
            }
            _ => self.error(ErrorKind::Request, "it is closed"),
        }
    }
}

/// What a close frame says.
fn told(frame: Option<CloseFrame>, tail: &Tail) -> Close {
    let Some(CloseFrame { code, reason }) = frame else {
        return Close { code: CloseCode::NoStatus, reason: String::new() };
    };
    let known = Close { code: u16::from(code).into(), reason: reason.as_str().into() };
    let replaced = known.code == CloseCode::Protocol && known.reason == REPLACED;
    replaced.then(|| tail.close()).flatten().unwrap_or(known)
}

/// Why we end it, for the server's log.
fn goodbye(code: u16) -> Frame {
    Frame::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))
}

/// What tungstenite (0.30) says in place of a code that it does not know: see [`Tail`].
const REPLACED: &str = "Protocol violation";

/// How tungstenite tells an end without a close.
const GONE: ProtocolError = ProtocolError::ResetWithoutClosingHandshake;
