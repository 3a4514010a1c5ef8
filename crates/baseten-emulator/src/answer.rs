//! Answers as values: what a test installs for a model, whole, streamed or raw.
//!
//! Only values and their constructors. Which answer is given is `desk`'s, how it is sent `body`'s.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::frame::Frame;
use crate::serial;

/// What a model or chain answers.
///
/// ```
/// use baseten_emulator::{Answer, Emulator};
/// use std::time::Duration;
///
/// let emulator = Emulator::start()?;
/// // First the platform sheds load, then the model streams.
/// emulator
///     .model("abc")
///     .then(Answer::platform_error(429).header("retry-after", "1"))
///     .then(Answer::stream(["to", "ken"]).paced(Duration::from_millis(20)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// The status code. Ignored by [`Body::Raw`].
    pub status: u16,
    /// Headers in the order in which they are sent; a `content-length` here is sent as it is, true or not.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// What follows the head.
    pub body: Body,
    /// When set, the answer is given after this many bytes of the request's body, and the rest is
    /// never read: the connection is closed after it. Default: the request is read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<u64>,
    /// What goes wrong with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// The body of an [`Answer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Body {
    /// In one piece, with a `content-length`.
    Whole(#[serde(with = "serial::data")] Bytes),
    /// In chunks (`transfer-encoding: chunked`), each flushed by itself.
    Stream(Stream),
    /// Bytes instead of head and body: the emulator adds nothing. Afterwards the connection is closed.
    Raw(Stream),
    /// A WebSocket, which begins with these frames: see [`Answer::websocket`]. A request that asks for
    /// none gets 426 instead.
    WebSocket(Vec<Frame>),
}

/// Chunks, and how they end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Stream {
    /// The chunks. Each is one write; an empty one is only a pause.
    pub chunks: Vec<Chunk>,
    /// What happens after the last.
    pub ending: Ending,
    /// A generator of a Truss model: sent as one JSON string when the request's `Accept` is
    /// exactly `application/json` and its user agent does not contain `openai` (Truss server 0.18).
    pub gathered: bool,
}

/// A piece of a streamed body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// The pause before it, counted from when the one before was written. Default: none.
    #[serde(default, with = "serial::millis", skip_serializing_if = "Duration::is_zero")]
    pub after: Duration,
    /// Its bytes.
    #[serde(with = "serial::data")]
    pub data: Bytes,
}

/// What happens after the last chunk of a [`Stream`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// The body ends as HTTP demands.
    #[default]
    Finish,
    /// It begins again with the first chunk, for ever.
    Repeat,
    /// close_notify and FIN, without the end of the chunked framing.
    Close,
    /// FIN, without close_notify.
    Cut,
    /// RST.
    Reset,
    /// Silence on an open connection.
    Stall,
}

impl Answer {
    /// Status 200 and a JSON body.
    pub fn json(value: serde_json::Value) -> Self {
        Self::bytes("application/json", value.to_string())
    }

    /// Status 200 and any body.
    pub fn bytes(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new(200, Body::Whole(body.into())).header("content-type", content_type)
    }

    /// A Truss generator: `application/octet-stream` in chunks, whatever they hold, and gathered
    /// into one JSON string on `Accept: application/json` (see [`Stream::gathered`]).
    pub fn stream<C: Into<Chunk>>(chunks: impl IntoIterator<Item = C>) -> Self {
        let chunks = chunks.into_iter().map(Into::into).collect();
        let stream = Stream { chunks, ending: Ending::Finish, gathered: true };
        Self::new(200, Body::Stream(stream)).header("content-type", "application/octet-stream")
    }

    /// Server-sent events as an inference engine sends them: `data: {event}` and an empty line
    /// each, `data: [DONE]` at the end, `text/event-stream`, never gathered.
    pub fn sse<E: AsRef<str>>(events: impl IntoIterator<Item = E>) -> Self {
        let frame = |event: &str| Chunk::from(format!("data: {event}\n\n"));
        let mut chunks: Vec<_> = events.into_iter().map(|event| frame(event.as_ref())).collect();
        chunks.push(frame("[DONE]"));
        let stream = Stream { chunks, ..Stream::default() };
        Self::new(200, Body::Stream(stream))
            .header("content-type", "text/event-stream; charset=utf-8")
    }

    /// Chunks that begin again and again until the peer leaves.
    pub fn endless(chunk: impl Into<Chunk>) -> Self {
        Self::stream([chunk]).ending(Ending::Repeat)
    }

    /// Anything at all instead of an answer. Then the connection is closed, or see [`Answer::ending`].
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::raw_chunks([bytes.into()])
    }

    /// The same in pieces.
    pub fn raw_chunks<C: Into<Chunk>>(chunks: impl IntoIterator<Item = C>) -> Self {
        let chunks = chunks.into_iter().map(Into::into).collect();
        Self::new(200, Body::Raw(Stream { chunks, ..Stream::default() }))
    }

    /// An empty answer with this status.
    pub fn status(status: u16) -> Self {
        Self::new(status, Body::Whole(Bytes::new()))
    }

    pub(crate) fn new(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body, early: None, faults: Vec::new() }
    }

    /// Changes the status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Lets this much time pass before the head: a cold start, or slow inference.
    pub fn delayed(self, delay: Duration) -> Self {
        self.fault(Fault::delay(delay))
    }

    /// Sets the pause before every chunk but the first. No effect on a whole body.
    pub fn paced(mut self, pause: Duration) -> Self {
        if let Body::Stream(stream) | Body::Raw(stream) = &mut self.body {
            stream.chunks.iter_mut().skip(1).for_each(|chunk| chunk.after = pause);
        }
        self
    }

    /// Sets what happens after the last chunk. No effect on a whole body.
    pub fn ending(mut self, ending: Ending) -> Self {
        if let Body::Stream(stream) | Body::Raw(stream) = &mut self.body {
            stream.ending = ending;
        }
        self
    }

    /// Answers once this many bytes of the request's body were read (0: at its head), and reads
    /// no more. A body that has already arrived is drained and the connection kept.
    pub fn early(mut self, after: u64) -> Self {
        self.early = Some(after);
        self
    }

    /// Lets something go wrong with it.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

impl From<Bytes> for Chunk {
    fn from(data: Bytes) -> Self {
        Self { after: Duration::ZERO, data }
    }
}

impl From<&'static str> for Chunk {
    fn from(data: &'static str) -> Self {
        Bytes::from_static(data.as_bytes()).into()
    }
}

impl From<String> for Chunk {
    fn from(data: String) -> Self {
        Bytes::from(data).into()
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(data: Vec<u8>) -> Self {
        Bytes::from(data).into()
    }
}

impl<D: Into<Bytes>> From<(Duration, D)> for Chunk {
    fn from((after, data): (Duration, D)) -> Self {
        Self { after, data: data.into() }
    }
}
