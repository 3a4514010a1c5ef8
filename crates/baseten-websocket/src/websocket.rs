//! The connection as its user sees it: whole, or in halves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use baseten_core::Meta;
use baseten_transport::nonblocking::Upgrade;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::close::{Close, CloseCode};
use crate::error::{Error, ErrorKind};
use crate::handshake;
use crate::message::Message;
use crate::options::Options;
use crate::shared::Shared;

/// An open WebSocket. Dropping it closes the socket at once, without a goodbye; [`WebSocket::close`]
/// says one.
///
/// Pings are answered while somebody receives, so do not stop: a Truss server (0.18) pings every 20 s
/// unless set otherwise, and closes with 1011 when no answer comes. When nothing has come for half of the
/// idle clock ([`baseten_core::Timeouts::idle`], 120 s), the server is pinged, so that only a peer that is
/// gone runs into it. The clock counts the time for which somebody waited since the last byte, over all
/// futures that were dropped meanwhile, as by a `select!` with a ticker; it stands still while nobody
/// waits. Sending has one of its own.
#[derive(Debug)]
pub struct WebSocket {
    sender: Sender,
    receiver: Receiver,
}

/// The half of a [`WebSocket`] that sends. The socket is closed when both halves are dropped.
pub struct Sender(Arc<Shared>);

/// The half of a [`WebSocket`] that receives. It also answers pings, so keep it receiving.
pub struct Receiver(Arc<Shared>);

impl WebSocket {
    /// Opens a WebSocket with limits of 100 MiB. The upgrade is a call: sent again where its policy
    /// allows (a GET is safe to repeat until the server has switched), within its clocks.
    ///
    /// # Errors
    /// The call's own: a refused upgrade is [`baseten_core::ErrorKind::Status`] with status and body, a
    /// handshake that is none [`baseten_core::ErrorKind::Decode`].
    pub async fn connect(upgrade: &Upgrade) -> Result<Self, baseten_core::Error> {
        Self::connect_with(upgrade, &Options::default()).await
    }

    /// The same with limits of your own.
    ///
    /// # Errors
    /// As [`WebSocket::connect`].
    pub async fn connect_with(
        upgrade: &Upgrade,
        options: &Options,
    ) -> Result<Self, baseten_core::Error> {
        let stream = handshake::shake(upgrade).await?;
        let shared = Arc::new(Shared::new(stream, upgrade, *options).await);
        Ok(Self { sender: Sender(shared.clone()), receiver: Receiver(shared) })
    }

    /// Status (101), headers, attempts and timings of the handshake.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.sender.0.meta
    }

    /// Two halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// As [`Sender::send`].
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.sender.send(message).await
    }

    /// As [`Sender::send_text`].
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.sender.send_text(text).await
    }

    /// As [`Sender::send_binary`].
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_binary(&mut self, bytes: impl Into<Bytes>) -> Result<(), Error> {
        self.sender.send_binary(bytes).await
    }

    /// As [`Sender::send_json`].
    ///
    /// # Errors
    /// As [`Sender::send_json`].
    pub async fn send_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.sender.send_json(value).await
    }

    /// As [`Sender::ping`].
    ///
    /// # Errors
    /// As [`Sender::ping`].
    pub async fn ping(&mut self, payload: impl Into<Bytes>) -> Result<(), Error> {
        self.sender.ping(payload).await
    }

    /// As [`Receiver::receive`].
    ///
    /// # Errors
    /// As [`Receiver::receive`].
    pub async fn receive(&mut self) -> Result<Option<Message>, Error> {
        self.receiver.receive().await
    }

    /// As [`Receiver::receive_json`].
    ///
    /// # Errors
    /// As [`Receiver::receive_json`].
    pub async fn receive_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        self.receiver.receive_json().await
    }

    /// As [`Receiver::closed`].
    #[must_use]
    pub fn closed(&self) -> Option<Close> {
        self.receiver.closed()
    }

    /// Says goodbye and waits until the server has answered, for 10 s at most in all, also where the server
    /// takes nothing and what was to be sent before is still in the queue; messages that come meanwhile
    /// are dropped. Use [`WebSocket::split`] and [`Sender::close`] to receive them.
    ///
    /// # Errors
    /// [`ErrorKind::Request`] for a code that is never sent (1005, 1006, 1015, those that RFC 6455
    /// reserves) or a reason over 123 bytes: nothing was said then. A server that is gone already is no
    /// error.
    pub async fn close(mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let said_and_answered = async {
            self.sender.close(code, reason).await?;
            while self.receiver.receive().await?.is_some() {}
            Ok::<(), Error>(())
        };
        match tokio::time::timeout(GOODBYE, said_and_answered).await {
            Ok(Err(error)) if error.kind() == ErrorKind::Request => Err(error),
            // Late or never, or nobody is left to hear it: the socket is closed all the same.
            _ => Ok(()),
        }
    }
}

/// How long a goodbye is waited for.
const GOODBYE: Duration = Duration::from_secs(10);

impl Sender {
    /// Sends a message and waits until the socket has taken it. A future dropped before that may leave
    /// the message in the queue, to go with the next one. A server that itself waits to be heard takes
    /// nothing: where both sides say much, receive meanwhile, with the other half.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for a message over [`Options::message_limit`], of which nothing is sent;
    /// how the connection ended where it is over, [`ErrorKind::Request`] if it did in order, also while
    /// this waits and the other half hears it; and
    /// [`ErrorKind::Timeout`] where the server takes no byte for the time of the idle clock, and again at
    /// once until it takes one. Receiving then still gives what the server said before.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.0.send(message.into()).await
    }

    /// Sends text.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.0.send(Message::Text(text.into())).await
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_binary(&mut self, bytes: impl Into<Bytes>) -> Result<(), Error> {
        self.0.send(Message::Binary(bytes.into())).await
    }

    /// Sends a value as JSON, in a text.
    ///
    /// # Errors
    /// [`ErrorKind::Request`] if it does not serialize; otherwise as [`Sender::send`].
    pub async fn send_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        match serde_json::to_string(value) {
            Ok(text) => self.send_text(text).await,
            Err(error) => {
                let what = "the message does not serialize to JSON";
                Err(self.0.error(ErrorKind::Request, what).unsent().because(error))
            }
        }
    }

    /// Sends a ping. Its answer only shows in that the idle clock begins anew.
    ///
    /// # Errors
    /// [`ErrorKind::Request`] for more than 125 bytes; otherwise as [`Sender::send`].
    pub async fn ping(&mut self, payload: impl Into<Bytes>) -> Result<(), Error> {
        self.0.ping(payload.into()).await
    }

    /// Says goodbye. Nothing can be sent after it; the other half goes on to receive what the server
    /// still says, up to its own goodbye. That the server was first is no error.
    ///
    /// # Errors
    /// As [`WebSocket::close`], and as [`Sender::send`].
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.0.close(code, reason).await
    }
}

impl Receiver {
    /// The next message; `None` when the server has finished (1000, or no code) or has answered our own
    /// goodbye. After the end it stays at the end. A future dropped before it is ready loses nothing.
    ///
    /// # Errors
    /// Every other end, again each time it is asked: see [`ErrorKind`]. What the server said before it left
    /// comes first, also where it no longer takes anything. To what is no WebSocket, no UTF-8 or too large,
    /// 1002, 1007 or 1009 is said.
    pub async fn receive(&mut self) -> Result<Option<Message>, Error> {
        self.0.receive().await
    }

    /// The next message, text or bytes, read as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if it is not the JSON that `T` takes, and the connection goes on; otherwise
    /// as [`Receiver::receive`].
    pub async fn receive_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let Some(message) = self.receive().await? else { return Ok(None) };
        serde_json::from_slice(message.as_bytes()).map(Some).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let length = message.as_bytes().len();
            let what = format!(
                "a message of {length} bytes is not the JSON expected, at line {line} column {column}"
            );
            self.0.error(ErrorKind::Decode, what)
        })
    }

    /// How the server closed the connection, once it has been received.
    #[must_use]
    pub fn closed(&self) -> Option<Close> {
        self.0.closed()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("meta", &self.0.meta).finish_non_exhaustive()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("meta", &self.0.meta).finish_non_exhaustive()
    }
}
