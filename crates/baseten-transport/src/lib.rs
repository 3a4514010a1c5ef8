//! A small HTTP/1.1 transport on hyper: it carries out a [`baseten_core::Call`] over sockets.
//!
//! Two ways to wait, one implementation. [`blocking::Transport`] runs the whole exchange on the
//! caller's thread: no runtime, no helper thread, no unsafe. `nonblocking::Transport` (feature
//! `tokio`) runs it inside the caller's future: no spawned task, so that dropping the future closes
//! the socket at once.
//!
//! It knows DNS, TCP, TLS, proxies, HTTP/1.1 and pooling. It must not know Baseten's URLs, JSON, OpenAI or
//! environment variables, and it decides nothing: whether to try again is the call's business.

mod body;
mod clock;
mod connection;
#[cfg(feature = "compression")]
mod decoding;
#[cfg(not(feature = "compression"))]
#[path = "no_decoding.rs"]
mod decoding;
mod dial;
mod failure;
mod net;
mod options;
mod pool;
#[cfg(feature = "proxy")]
mod proxy;
#[cfg(not(feature = "proxy"))]
#[path = "no_proxy.rs"]
mod proxy;
mod race;
mod send;
mod sink;
mod slots;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod upload;
mod wire;

pub mod blocking;
#[cfg(feature = "tokio")]
pub mod nonblocking;

pub use options::{Options, Pool};
#[cfg(feature = "proxy")]
pub use proxy::{InvalidProxy, Proxies};
#[cfg(feature = "tls")]
pub use tls::{InvalidTls, Tls};
