//! What a transport is made from.

use std::time::Duration;

use baseten_core::Budget;

/// How a transport connects; cheap to clone.
///
/// ```
/// use baseten_transport::{Options, blocking::Transport};
/// let transport = Transport::new(Options::default());
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// How long connections are kept.
    pub pool: Pool,
    /// The retry budget, shared with whoever holds a clone of it.
    pub budget: Budget,
    /// The most that the head of an answer may have, in bytes, and that is read ahead of whoever takes
    /// the body. Default 64 KiB; less than 8 KiB counts as that.
    pub head_limit: usize,
    /// Whom to trust, and how to encrypt.
    #[cfg(feature = "tls")]
    pub tls: crate::Tls,
    /// Which connections go through which proxy; none unless said.
    #[cfg(feature = "proxy")]
    pub proxies: crate::Proxies,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool: Pool::default(),
            budget: Budget::default(),
            head_limit: 64 << 10,
            #[cfg(feature = "tls")]
            tls: crate::Tls::default(),
            #[cfg(feature = "proxy")]
            proxies: crate::Proxies::default(),
        }
    }
}

/// How connections are kept for the next call. Nothing watches them meanwhile: they are looked at
/// when a call wants one. In the async transport one belongs to the runtime that it was opened in, and
/// only calls made there can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// How long a connection may lie idle. Default 30 s; a shorter `Keep-Alive: timeout=` of the
    /// server wins, with a second to spare. Those that nobody comes back for are closed by calls to
    /// whatever origin: one in each such time (in 30 s, if it is longer) looks at all of them, as it
    /// begins or ends. A client that makes no call keeps its last ones until it makes one or is dropped.
    pub idle: Duration,
    /// How old a connection may become, so that DNS changes are followed. Default 1 h.
    pub max_age: Duration,
    /// How many idle ones are kept for one origin; the oldest goes first. Default 128.
    pub max_idle: usize,
    /// How many connections may be open to one origin, in use and idle; 0 counts as 1. Calls beyond
    /// that wait, first come first, for as long as the queue clock allows
    /// ([`baseten_core::Timeouts::queue`]). An answer that is streamed holds its connection until it has
    /// been read to its end or dropped: a thread that holds as many of them as there may be waits in
    /// vain for one more. Default none: the platform's own limits are told by 429, and a line in
    /// the client would hide them.
    pub max_connections_per_origin: Option<usize>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30),
            max_age: Duration::from_secs(3600),
            max_idle: 128,
            max_connections_per_origin: None,
        }
    }
}
