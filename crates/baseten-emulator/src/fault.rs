//! Faults as values: what goes wrong, at which byte, on which request or connection.
//!
//! Only the vocabulary. `valve` carries it out, `script` keeps what is planned.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::serial;

/// Something that goes wrong on purpose.
///
/// Plan one with [`Emulator::inject`](crate::Emulator::inject), or attach it to an answer with
/// [`Answer::fault`]. Without a position it happens at byte 0, that is before the answer's first
/// byte.
///
/// ```
/// use baseten_emulator::Fault;
/// use std::time::Duration;
///
/// let cut = Fault::cut().at_byte(17); // 17 bytes of the answer, then FIN
/// let idle = Fault::close().at_end().after(Duration::from_millis(50)); // a short keep-alive
/// assert_eq!(serde_json::to_string(&cut).unwrap(), r#"{"action":"cut","at":{"byte":17}}"#);
/// # let _ = idle;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// What happens.
    pub action: Action,
    /// Where. Default: before the first byte.
    #[serde(default, skip_serializing_if = "At::is_start")]
    pub at: At,
    /// On which stream of bytes the position is counted. Default: the HTTP stream.
    #[serde(default, skip_serializing_if = "Layer::is_http")]
    pub layer: Layer,
    /// How long it waits once its position is reached; the answer stands still meanwhile. Default: 0.
    #[serde(default, with = "serial::millis", skip_serializing_if = "Duration::is_zero")]
    pub wait: Duration,
}

/// What a [`Fault`] does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// RST: the socket is closed with `SO_LINGER` 0.
    Reset,
    /// FIN without a TLS close_notify. What the peer is still uploading is read and dropped, so
    /// that it is never an RST.
    Cut,
    /// The same with a TLS close_notify; without TLS there is no difference.
    Close,
    /// Nothing more is sent; the connection stays open until the peer leaves.
    Stall,
    /// Connecting fails with `ECONNREFUSED` from then on, until [`Emulator::listen`](crate::Emulator::listen).
    /// This connection and others that are open go on; those that were not accepted yet are reset.
    Refuse,
    /// Nothing but the wait.
    Delay,
    /// The byte at the position is sent XORed with this mask.
    Garble(u8),
    /// These bytes are sent too, before the byte at the position.
    Send(#[serde(with = "serial::data")] Bytes),
    /// From the position on, at most `bytes` go in one write, and `every` passes between two.
    Slow {
        /// Bytes in one write; 0 counts as 1.
        bytes: usize,
        /// The pause between two writes. 0: separate writes at full speed, which a peer that is
        /// slow to read may still see as one.
        #[serde(with = "serial::millis")]
        every: Duration,
    },
    /// A header is added to the answer. The position does not matter.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// This answer is given instead of the installed one. With [`Answer::early`] it comes before
    /// the request's body is read. The position does not matter.
    Answer(Box<Answer>),
}

/// Where a [`Fault`] happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum At {
    /// After this many bytes were sent: of the answer (head, chunk framing and all) when planned
    /// for a request, of the connection when planned for a connection. On a connection, byte 0 is
    /// before anything was read: accepted and gone (with TLS only in [`Layer::Tcp`]).
    Byte(u64),
    /// After this many bytes of the answer that follow its head. On HTTP bytes only.
    Body(u64),
    /// After the answer was sent completely: the connection is idle then. Dropped when the next
    /// request arrives first.
    End,
    /// After at least this many bytes of the request's body were read, and before any more is.
    /// For [`Action::Reset`], [`Action::Cut`], [`Action::Close`], [`Action::Stall`], [`Action::Refuse`]
    /// and [`Action::Delay`].
    Upload(u64),
}

/// On which stream of bytes a position is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layer {
    /// What HTTP sends: before TLS encrypts it.
    #[default]
    Http,
    /// What TCP sends: TLS records, handshake included. Without TLS the same as `Http`.
    Tcp,
}

/// Which requests or connections a [`Fault`] is planned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum When {
    /// The k-th request to come; 0 is the next. Requests that get a 401 or 404 count.
    Request(usize),
    /// Every request from now on.
    EveryRequest,
    /// The k-th connection to come; 0 is the next.
    Connection(usize),
    /// Every connection from now on.
    EveryConnection,
}

/// One line of a fault script, for [`Emulator::play`](crate::Emulator::play).
///
/// ```
/// let script: Vec<baseten_emulator::Step> = serde_json::from_str(
///     r#"[{"when": {"request": 0}, "fault": {"action": "reset", "at": {"body": 3}}},
///         {"when": "every_connection", "fault": {"action": {"slow": {"bytes": 1, "every": 0}}}}]"#,
/// )?;
/// # assert_eq!(script.len(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// On what.
    pub when: When,
    /// What.
    pub fault: Fault,
}

impl Fault {
    /// A fault at byte 0 of the HTTP stream, without a wait.
    pub fn new(action: Action) -> Self {
        Self { action, at: At::Byte(0), layer: Layer::Http, wait: Duration::ZERO }
    }

    /// RST. See [`Action::Reset`].
    pub fn reset() -> Self {
        Self::new(Action::Reset)
    }

    /// FIN without close_notify. See [`Action::Cut`].
    pub fn cut() -> Self {
        Self::new(Action::Cut)
    }

    /// close_notify and FIN. See [`Action::Close`].
    pub fn close() -> Self {
        Self::new(Action::Close)
    }

    /// Silence on an open connection. See [`Action::Stall`].
    pub fn stall() -> Self {
        Self::new(Action::Stall)
    }

    /// No more connections. See [`Action::Refuse`].
    pub fn refuse() -> Self {
        Self::new(Action::Refuse)
    }

    /// A pause of this length.
    pub fn delay(wait: Duration) -> Self {
        Self::new(Action::Delay).after(wait)
    }

    /// One byte XORed with `mask`.
    pub fn garble(mask: u8) -> Self {
        Self::new(Action::Garble(mask))
    }

    /// More bytes than the answer has: before it, in it, or after it.
    pub fn send(bytes: impl Into<Bytes>) -> Self {
        Self::new(Action::Send(bytes.into()))
    }

    /// At most `bytes` in a write, `every` between two.
    pub fn slow(bytes: usize, every: Duration) -> Self {
        Self::new(Action::Slow { bytes, every })
    }

    /// The answer in pieces of `bytes`, each a write of its own.
    pub fn split(bytes: usize) -> Self {
        Self::slow(bytes, Duration::ZERO)
    }

    /// An informational response before the answer: `100`, `103` or any other 1xx.
    pub fn interim(status: u16) -> Self {
        let reason = match status {
            100 => "Continue",
            102 => "Processing",
            103 => "Early Hints",
            _ => "Informational",
        };
        Self::send(format!("HTTP/1.1 {status} {reason}\r\n\r\n"))
    }

    /// `Keep-Alive: timeout={seconds}` on the answer, whatever the server then does.
    pub fn promise_keep_alive(seconds: u64) -> Self {
        Self::new(Action::Header { name: "keep-alive".into(), value: format!("timeout={seconds}") })
    }

    /// Another answer instead of the installed one.
    pub fn answer(answer: Answer) -> Self {
        Self::new(Action::Answer(Box::new(answer)))
    }

    /// After this many bytes. See [`At::Byte`].
    pub fn at_byte(mut self, bytes: u64) -> Self {
        self.at = At::Byte(bytes);
        self
    }

    /// After this many bytes beyond the head; 0 is right after the head. See [`At::Body`].
    pub fn at_body(mut self, bytes: u64) -> Self {
        self.at = At::Body(bytes);
        self
    }

    /// After the complete answer. See [`At::End`].
    pub fn at_end(mut self) -> Self {
        self.at = At::End;
        self
    }

    /// During the upload. See [`At::Upload`].
    pub fn at_upload(mut self, bytes: u64) -> Self {
        self.at = At::Upload(bytes);
        self
    }

    /// Counted over the bytes of TCP. See [`Layer::Tcp`].
    pub fn on_tcp(mut self) -> Self {
        self.layer = Layer::Tcp;
        self
    }

    /// Waits this long at its position before it acts.
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

impl Default for At {
    fn default() -> Self {
        Self::Byte(0)
    }
}

impl At {
    fn is_start(&self) -> bool {
        *self == Self::Byte(0)
    }
}

impl Layer {
    fn is_http(&self) -> bool {
        *self == Self::Http
    }
}
