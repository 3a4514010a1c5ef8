//! WebSockets: what is said both ways, and how they end.

use std::sync::Arc;
use std::time::Duration;

use baseten::{Error, Model};
use baseten_websocket::{CloseCode, Message, WebSocket};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::interop::case::{Case, Found, SOON};
use crate::interop::edge::Edge;

/// A model to talk with. WebSockets are async alone.
pub(crate) struct Talker(pub(crate) Arc<Runtime>, pub(crate) Model);

/// Of a model that has a WebSocket method.
#[rustfmt::skip]
pub(crate) const CASES: &[Case<Talker>] = &[
    Case { name: "a WebSocket echoes", requests: 1, run: echo,
        expect: "101, attempts: 1; Text(\"echo:hi ünïcode\"), Binary(b\"\\x03\\x02\\x01\\0\"); closed by us" },
    Case { name: "8 MiB there and back", requests: 1, run: large,
        expect: "the same bytes, backwards" },
    Case { name: "the model's method returns", requests: 1, run: |talker, _| talker.told("bye"),
        expect: "Text(\"goodbye\"), the end: 1000 (normal)" },
    Case { name: "the model raises on a WebSocket", requests: 1, run: |talker, _| talker.told("boom"),
        expect: "Closed, MaybeRan: 1011 (internal error): Internal Server Error (in model/chainlet)." },
    Case { name: "the model's own close code", requests: 1, run: |talker, _| talker.told("close 4001"),
        expect: "Closed, MaybeRan: 4001: as asked" },
    Case { name: "the server's pings are answered", requests: 1, run: pings,
        expect: "silence, then Text(\"echo:still here\")" },
    Case { name: "a client that does not receive answers none", requests: 1, run: deaf,
        expect: "Closed: 1011 (internal error): keepalive ping timeout" },
    Case { name: "a WebSocket that is dropped", requests: 1, run: dropped,
        expect: "left by the client" },
];

/// Of one that has none.
#[rustfmt::skip]
pub(crate) const ABSENT: &[Case<Talker>] = &[
    Case { name: "a WebSocket to a model without the method", requests: 1, run: |talker, _| talker.told("hi"),
        expect: "Closed, MaybeRan: 1003 (unsupported data): WebSocket is not implemented on this deployment." },
];

impl Talker {
    async fn open(&self) -> Result<WebSocket, Error> {
        WebSocket::connect(&self.1.websocket()?).await
    }

    /// Says one thing, and takes what comes up to the end.
    fn told(&self, text: &str) -> Result<Found, Error> {
        self.0.block_on(async {
            let mut socket = self.open().await?;
            let mut found = Vec::new();
            // A server that has closed already takes nothing; what it said is what counts.
            let _ = socket.send_text(text).await;
            loop {
                match socket.receive().await {
                    Ok(Some(message)) => found.push(format!("{message:?}")),
                    Ok(None) => {
                        let close = socket.closed().map(|close| close.to_string());
                        found.push(format!("the end: {}", close.unwrap_or_default()));
                        break;
                    }
                    Err(error) => {
                        let (kind, delivery) = (error.kind(), error.delivery());
                        found.push(format!("{kind:?}, {delivery:?}: {}", ended(&error)));
                        break;
                    }
                }
            }
            Ok(found.join(", ").into())
        })
    }
}

/// How the server closed it, or else what the error says.
fn ended(error: &baseten_websocket::Error) -> String {
    error.close().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What a session should not have failed with, in words.
fn failed(error: baseten_websocket::Error) -> Found {
    format!("failed: {error}").into()
}

fn echo(talker: &Talker, _: &Edge) -> Result<Found, Error> {
    talker.0.block_on(async {
        let mut socket = talker.open().await?;
        let (status, attempts) = (socket.meta().status().as_u16(), socket.meta().attempts());
        let talk = async {
            socket.send_text("hi ünïcode").await?;
            let text = socket.receive().await?;
            socket.send_binary(&b"\x00\x01\x02\x03"[..]).await?;
            let bytes = socket.receive().await?;
            socket.close(CloseCode::Normal, "").await?;
            Ok((text, bytes))
        };
        Ok(match talk.await {
            Ok((Some(text), Some(bytes))) => {
                format!("{status}, attempts: {attempts}; {text:?}, {bytes:?}; closed by us").into()
            }
            Ok(_) => "the server ended it".into(),
            Err(error) => failed(error),
        })
    })
}

fn large(talker: &Talker, _: &Edge) -> Result<Found, Error> {
    talker.0.block_on(async {
        let (mut sender, mut receiver) = talker.open().await?.split();
        let bytes: Vec<u8> = (0..8 << 20).map(|at| (at % 251) as u8).collect();
        let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
        let (sent, received) = tokio::join!(sender.send_binary(bytes), receiver.receive());
        Ok(match sent.and(received) {
            Ok(Some(Message::Binary(found))) if found == backwards => {
                "the same bytes, backwards".into()
            }
            Ok(_) => "something else".into(),
            Err(error) => failed(error),
        })
    })
}

/// A server whose pings go unanswered for a second closes; this waits for longer than that.
fn pings(talker: &Talker, _: &Edge) -> Result<Found, Error> {
    talker.0.block_on(async {
        let mut socket = talker.open().await?;
        if let Ok(found) = timeout(Duration::from_secs(4), socket.receive()).await {
            return Ok(found.map_or_else(failed, |message| format!("{message:?}").into()));
        }
        if let Err(error) = socket.send_text("still here").await {
            return Ok(failed(error));
        }
        let found = socket.receive().await;
        Ok(found.map_or_else(failed, |message| match message {
            Some(message) => format!("silence, then {message:?}").into(),
            None => "the server ended it".into(),
        }))
    })
}

/// That pings really come: nobody answers them here.
fn deaf(talker: &Talker, _: &Edge) -> Result<Found, Error> {
    talker.0.block_on(async {
        let mut socket = talker.open().await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        Ok(match socket.receive().await {
            Err(error) => format!("{:?}: {}", error.kind(), ended(&error)).into(),
            Ok(message) => format!("{message:?}").into(),
        })
    })
}

fn dropped(talker: &Talker, edge: &Edge) -> Result<Found, Error> {
    drop(talker.0.block_on(talker.open())?);
    let left = edge.wait(SOON, |seen| seen.left_by_client == 1);
    Ok(if left { "left by the client".into() } else { format!("{:?}", edge.seen()).into() })
}
