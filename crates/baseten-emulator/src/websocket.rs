//! A WebSocket on a connection that has left HTTP: the handshake's answer, and the model behind it.
//!
//! Texts and close codes are literals from recordings of Truss server 0.18; frames are tungstenite's.
//! Faults at bytes keep working, since every byte still goes through the connection's valves.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde::de::IgnoredAny;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::frame::Frame;
use crate::link::Link;
use crate::seen::{Arrival, Log};
use crate::wire::HttpWire;

/// What a connection is to do once the head of its 101 was written.
#[derive(Debug)]
pub(crate) struct Talk {
    /// The arrival that asked for it.
    pub(crate) arrival: usize,
    /// The model's id.
    pub(crate) model: String,
    pub(crate) frames: Vec<Frame>,
    /// The largest message that is taken, in bytes.
    pub(crate) limit: usize,
    /// How much of a message is kept in the log.
    pub(crate) keep: usize,
}

/// The headers that accept the WebSocket that a request asks for; `None` when it asks for none.
pub(crate) fn handshake(request: &Arrival) -> Option<[(&'static str, String); 3]> {
    let says = |name, value: &str| {
        let tokens = request.header(name).unwrap_or_default().split(',');
        tokens.map(str::trim).any(|token| token.eq_ignore_ascii_case(value))
    };
    let asked = says("upgrade", "websocket")
        && says("connection", "upgrade")
        && says("sec-websocket-version", "13");
    let key = request.header("sec-websocket-key").filter(|_| asked)?;
    Some([
        ("upgrade", "websocket".into()),
        ("connection", "Upgrade".into()),
        ("sec-websocket-accept", derive_accept_key(key.as_bytes())),
    ])
}

/// Talks until either side ends it, and gives the connection back to be closed. `early` came together
/// with the request.
pub(crate) async fn serve(
    wire: HttpWire,
    early: Bytes,
    talk: Talk,
    link: &Arc<Link>,
    log: &Log,
) -> HttpWire {
    let config = WebSocketConfig::default()
        .max_message_size(Some(talk.limit))
        .max_frame_size(Some(talk.limit));
    let mut socket = WebSocketStream::from_partially_read(
        Bytewise(wire),
        early.into(),
        Role::Server,
        Some(config),
    )
    .await;
    {
        let mut session = pin!(session(&mut socket, &talk, log));
        std::future::poll_fn(|cx| {
            let _step = log.step();
            let ended = session.as_mut().poll(cx).is_ready();
            if ended || link.killed().is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
    link.finished();
    socket.into_inner().0
}

async fn session(socket: &mut WebSocketStream<Bytewise>, talk: &Talk, log: &Log) {
    for frame in &talk.frames {
        let (message, last) = match frame.clone() {
            Frame::Text(text) => (Message::text(text), false),
            Frame::Binary(bytes) => (Message::Binary(bytes), false),
            Frame::Ping(bytes) => (Message::Ping(bytes), false),
            Frame::Close { code, reason } => (close(code, reason), true),
        };
        if socket.send(message).await.is_err() || (last && part(socket).await) {
            return;
        }
    }
    while let Some(message) = socket.next().await {
        let replies = match message {
            Ok(Message::Text(text)) => {
                record(log, talk, text.as_bytes());
                say(text.as_str(), &talk.model)
            }
            Ok(Message::Binary(bytes)) => {
                record(log, talk, &bytes);
                vec![Message::Binary(bytes.iter().rev().copied().collect())]
            }
            // The library answers pings and closes by itself.
            Ok(_) => continue,
            Err(Error::Capacity(_)) => vec![close(1009, String::new())],
            Err(_) => return,
        };
        for reply in replies {
            let last = reply.is_close();
            if socket.send(reply).await.is_err() || (last && part(socket).await) {
                return;
            }
        }
    }
}

/// What the model says to a text.
fn say(text: &str, model: &str) -> Vec<Message> {
    let is_json = text.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok();
    match text {
        "bye" => vec![Message::text("goodbye"), close(1000, String::new())],
        "boom" => vec![close(1011, "Internal Server Error (in model/chainlet).".into())],
        _ if is_json => {
            let model = serde_json::Value::from(model);
            vec![Message::text(format!(r#"{{"echo": {text}, "model": {model}}}"#))]
        }
        _ => vec![Message::text(format!("echo:{text}"))],
    }
}

fn close(code: u16, reason: String) -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }))
}

/// Waits until the peer has answered our close, or left. What else it says is dropped.
async fn part(socket: &mut WebSocketStream<Bytewise>) -> bool {
    while let Some(Ok(_)) = socket.next().await {}
    true
}

fn record(log: &Log, talk: &Talk, message: &[u8]) {
    let kept = Bytes::copy_from_slice(&message[..message.len().min(talk.keep)]);
    log.update(talk.arrival, |arrival| arrival.messages.push(kept));
}

/// The connection as tokio reads and writes it.
#[derive(Debug)]
struct Bytewise(HttpWire);

impl AsyncRead for Bytewise {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_frames(cx, buf)
    }
}

impl AsyncWrite for Bytewise {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        hyper::rt::Write::poll_write(Pin::new(&mut self.0), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_shutdown(Pin::new(&mut self.0), cx)
    }
}

#[cfg(test)]
mod tests {
    use super::derive_accept_key;

    /// From a recording of Truss server 0.18.
    #[test]
    fn proves_to_have_read_the_key() {
        let accept = derive_accept_key(b"MDEyMzQ1Njc4OWFiY2RlZg==");
        assert_eq!(accept, "BACScCJPNqyz+UBoqMH89VmURoA=");
    }
}
