//! WebSockets to models and chains on Baseten.
//!
//! The handshake is a call like any other: the same dialer, TLS, proxies, clocks, retries and error
//! bodies, so a refused upgrade is an ordinary [`baseten_core::Error`] with what the platform said.
//! After it, frames are tokio-tungstenite's. Nothing is spawned: what waits is the future that you
//! await, and dropping a [`WebSocket`] closes its socket at once.
//!
//! ```no_run
//! # async fn example(upgrade: baseten_transport::nonblocking::Upgrade) -> Result<(), baseten_websocket::Error> {
//! use baseten_websocket::{Message, WebSocket};
//!
//! // `client.model("abcd1234")?.websocket()?` of the crate `baseten` is such an `upgrade`.
//! let mut socket = WebSocket::connect(&upgrade).await?;
//! socket.send_text("hello").await?;
//! while let Some(message) = socket.receive().await? {
//!     match message {
//!         Message::Text(text) => println!("{text}"),
//!         Message::Binary(bytes) => println!("{} bytes", bytes.len()),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # What ends it
//! A server that closes with 1000, or without a code, has finished: [`WebSocket::receive`] gives `None`.
//! Every other end is an [`Error`]: 1011 where the model raised, 1003 where it has no WebSocket method
//! (Truss server 0.18), [`ErrorKind::Disconnected`] where nobody said goodbye. A connection belongs to
//! one replica and lives for an hour at least, as Baseten's documentation has it; whoever needs it
//! longer opens another one: [`Reconnect`] decides when, and [`Connector`] does it.
//!
//! # What shows elsewhere
//! tungstenite tells the crate `log` of frames, with their payload, at the level `trace`: a logger that
//! lets its targets through at that level prints what was said. The key is in the handshake alone.
//!
//! It knows no URLs, no keys and no sockets: those come with the
//! [`Upgrade`](baseten_transport::nonblocking::Upgrade).

mod close;
mod error;
mod handshake;
mod idle;
mod message;
mod options;
mod reconnect;
mod shared;
mod state;
mod tail;
mod websocket;

pub use close::{Close, CloseCode};
pub use error::{Error, ErrorKind};
pub use message::Message;
pub use options::Options;
pub use reconnect::{Connector, Reconnect};
pub use websocket::{Receiver, Sender, WebSocket};
