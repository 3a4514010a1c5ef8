//! The body of a streamed answer, piece by piece: events, or something else altogether.
//!
//! Knows where the body ends and what an end marker is; what the events hold is for the decoders.

use baseten_core::sse::{self, Event, TooLong};
use bytes::{Bytes, BytesMut};

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What the body gives next.
#[derive(Debug)]
pub(crate) enum Item {
    /// A whole event, other than the end marker.
    Event(Event),
    /// `[DONE]`.
    Done,
    /// The body was no event stream: all of it.
    Document(Bytes),
    /// More bytes are needed.
    More,
    /// The body ended, in the middle of this event.
    Cut(Event),
    /// The body ended.
    End,
}

#[derive(Debug)]
pub(crate) struct Reader {
    framing: sse::Decoder,
    /// Of a body that is no event stream.
    limit: usize,
    body: Body,
    ended: bool,
}

/// What kind of body it is, which its first byte tells.
#[derive(Debug)]
enum Body {
    Unknown,
    Events,
    Document(BytesMut),
}

impl Reader {
    pub(crate) fn new(limit: usize) -> Self {
        let framing = sse::Decoder::new(limit);
        Self { framing, limit, body: Body::Unknown, ended: false }
    }

    /// The same with another limit for a body that is no event stream.
    pub(crate) fn document_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    pub(crate) fn push(&mut self, mut bytes: Bytes) {
        if let Body::Unknown = self.body {
            // A byte order mark may be cut like anything else.
            let before = |byte: &u8| byte.is_ascii_whitespace() || BYTE_ORDER_MARK.contains(byte);
            let Some(start) = bytes.iter().position(|byte| !before(byte)) else { return };
            bytes = bytes.slice(start..);
            // No line of an event stream that means anything begins with one of these.
            self.body = match bytes[0] {
                b'{' | b'[' | b'"' | b'<' => Body::Document(BytesMut::new()),
                _ => Body::Events,
            };
        }
        match &mut self.body {
            Body::Document(document) => document.extend_from_slice(&bytes),
            _ => self.framing.push(bytes),
        }
    }

    /// The body is over: no more [`Item::More`].
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn next(&mut self) -> Result<Item, TooLong> {
        match &mut self.body {
            Body::Document(document) if document.len() > self.limit => {
                return Err(TooLong { limit: self.limit });
            }
            Body::Document(_) | Body::Unknown if !self.ended => return Ok(Item::More),
            Body::Document(document) => {
                let document = std::mem::take(document).freeze();
                self.body = Body::Events;
                match gathered(&document) {
                    Some(events) => self.framing.push(events),
                    None => return Ok(Item::Document(document)),
                }
            }
            Body::Unknown => return Ok(Item::End),
            Body::Events => {}
        }
        Ok(match self.framing.next()? {
            Some(event) => whole(event),
            None if !self.ended => Item::More,
            None => match self.framing.finish() {
                Some(event) if is_done(&event) => Item::Done,
                Some(event) => Item::Cut(event),
                None => Item::End,
            },
        })
    }
}

fn whole(event: Event) -> Item {
    if is_done(&event) { Item::Done } else { Item::Event(event) }
}

/// The end marker; also written as JSON.
fn is_done(event: &Event) -> bool {
    matches!(event.data.trim_ascii(), b"[DONE]" | b"\"[DONE]\"")
}

/// A Truss server that is asked for `application/json` gathers a stream into one JSON string.
fn gathered(document: &[u8]) -> Option<Bytes> {
    let text: String = serde_json::from_slice(document).ok()?;
    Some(text.into())
}
