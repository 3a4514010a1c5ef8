//! What the emulator says on a WebSocket unasked, as values.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Body};
use crate::serial;

/// Something that is sent on a WebSocket as soon as it is open. See [`Answer::websocket`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Frame {
    /// A message of text.
    Text(String),
    /// A message of bytes.
    Binary(#[serde(with = "serial::data")] Bytes),
    /// A ping.
    Ping(#[serde(with = "serial::data")] Bytes),
    /// The end: any code, also one that RFC 6455 forbids on the wire. The connection is closed when
    /// the peer has answered.
    Close {
        /// The code.
        code: u16,
        /// The reason, up to 123 bytes.
        reason: String,
    },
}

impl Frame {
    /// The end with this code and reason.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::Close { code, reason: reason.into() }
    }
}

impl Answer {
    /// An accepted WebSocket: these frames are sent at once, then the model behind every id goes on. It
    /// answers text with `echo:TEXT`, JSON objects and lists with `{"echo": INPUT, "model": "ID"}`, and
    /// bytes with the same bytes backwards; at `bye` it says `goodbye` and closes with 1000, and at
    /// `boom` it raises, which Truss server 0.18 makes 1011. Messages over
    /// [`Builder::max_body`](crate::Builder::max_body) end it with 1009.
    ///
    /// A header named here replaces the handshake's own: `sec-websocket-accept` for a wrong one.
    pub fn websocket(frames: impl IntoIterator<Item = Frame>) -> Self {
        Self::new(101, Body::WebSocket(frames.into_iter().collect()))
    }

    /// A Truss server (0.18) whose model has no WebSocket method: it accepts, then closes with 1003.
    pub fn websocket_not_implemented() -> Self {
        let reason = "WebSocket is not implemented on this deployment.";
        Self::websocket([Frame::close(1003, reason)])
    }
}
