//! Server-sent events: bytes of a body in, framed events out.
//!
//! The rules are those of the WHATWG HTML standard, section "Server-sent events", applied to bytes:
//! [`Decoder`] finds lines and fields and hands out slices of what was pushed. Nothing here checks
//! UTF-8, decodes JSON, knows `[DONE]`, keeps time or reconnects.
//!
//! One field more than the standard's is known: `error: X` is read as `event: error` and `data: X`. That is
//! how llama.cpp's server told of an error through 2025; by the standard it would be nothing at all.
//!
//! How the bytes were cut on the way never changes the events. Data is copied in two cases only: a
//! line that arrived in several pieces, and an event with several `data` lines.

use std::{collections::VecDeque, fmt, mem, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// The most bytes one event may take unless the caller says otherwise: 8 MiB.
pub const DEFAULT_EVENT_LIMIT: usize = 8 * 1024 * 1024;

/// One event, as its blank line completed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The `event` field; empty when there was none, which the standard calls `message`.
    pub name: Bytes,
    /// The `data` fields, joined by a line feed. May be empty: a bare `data:` is an event.
    pub data: Bytes,
    /// The last `id` the stream has sent, in this event or before it.
    pub id: Bytes,
    /// The last reconnection time the stream has sent, in this event or before it.
    pub retry: Option<Duration>,
}

/// Cuts a body into events.
///
/// ```
/// use baseten_core::sse::Decoder;
///
/// let mut decoder = Decoder::default();
/// decoder.push("data: {\"a\":1}\n\nda".into());
/// assert_eq!(decoder.next()?.expect("a whole event").data, "{\"a\":1}");
/// assert_eq!(decoder.next()?, None); // wants more bytes
///
/// decoder.push("ta: [DONE]\r\n".into());
/// assert_eq!(decoder.next()?, None); // the blank line is missing
/// assert_eq!(decoder.finish().expect("what was begun").data, "[DONE]");
/// # Ok::<(), baseten_core::sse::TooLong>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// The piece being read. Empty (and holding no memory) as soon as it is used up.
    chunk: Bytes,
    /// Pieces pushed while `chunk` still had bytes.
    queue: VecDeque<Bytes>,
    /// The start of a line whose end has not arrived.
    line: BytesMut,
    pending: Pending,
    id: Bytes,
    retry: Option<Duration>,
    /// The last line ended in CR: a LF that follows belongs to it.
    skip_line_feed: bool,
    /// The first line, which may begin with a byte order mark, has been read.
    started: bool,
}

impl Decoder {
    /// A decoder that gives up on an event of more than `limit` bytes. The limit counts the lines of
    /// the event without their ends, and holds for a comment line too.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            chunk: Bytes::new(),
            queue: VecDeque::new(),
            line: BytesMut::new(),
            pending: Pending::default(),
            id: Bytes::new(),
            retry: None,
            skip_line_feed: false,
            started: false,
        }
    }

    /// Takes the next piece of the body. Does no work: [`next`](Self::next) does.
    pub fn push(&mut self, bytes: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = bytes;
        } else {
            self.queue.push_back(bytes);
        }
    }

    /// The next whole event, or `None` when more bytes are needed for one.
    ///
    /// After `None` the decoder holds no reference to what was pushed, unless a begun event has
    /// whole lines in it: the reader of the body can use its buffer again.
    ///
    /// # Errors
    /// [`TooLong`]: the event passed the limit. Asking again gives the same error.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end, more can be pushed")]
    pub fn next(&mut self) -> Result<Option<Event>, TooLong> {
        while let Some(line) = self.next_line()? {
            if !line.is_empty() {
                self.take_field(line);
            } else if let Some(event) = self.dispatch() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Ends the stream: gives the event that was begun but not ended by a blank line, if any.
    ///
    /// The standard drops such an event; whether to use, report or drop it is for the caller, who
    /// knows what an end marker looks like. Call it after [`next`](Self::next) has answered `None`.
    pub fn finish(&mut self) -> Option<Event> {
        debug_assert!(self.chunk.is_empty(), "finish() before next() has answered None");
        let line = mem::take(&mut self.line).freeze();
        let line = self.without_mark(line);
        if !line.is_empty() {
            self.take_field(line);
        }
        self.dispatch()
    }

    /// The next line without its end. Keeps the start of one that has no end yet.
    fn next_line(&mut self) -> Result<Option<Bytes>, TooLong> {
        loop {
            if self.chunk.is_empty() {
                match self.queue.pop_front() {
                    Some(chunk) => self.chunk = chunk,
                    None => return Ok(None),
                }
                continue;
            }
            if mem::take(&mut self.skip_line_feed) && self.chunk[0] == b'\n' {
                self.consume(1);
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', &self.chunk) else {
                self.check(self.line.len() + self.chunk.len())?;
                self.line.extend_from_slice(&self.chunk);
                self.chunk = Bytes::new();
                continue;
            };
            self.check(self.line.len() + end)?;
            self.skip_line_feed = self.chunk[end] == b'\r';
            let line = if self.line.is_empty() {
                self.chunk.slice(..end)
            } else {
                self.line.extend_from_slice(&self.chunk[..end]);
                mem::take(&mut self.line).freeze()
            };
            self.consume(end + 1);
            return Ok(Some(self.without_mark(line)));
        }
    }

    fn consume(&mut self, count: usize) {
        if count == self.chunk.len() {
            self.chunk = Bytes::new();
        } else {
            self.chunk.advance(count);
        }
    }

    fn without_mark(&mut self, mut line: Bytes) -> Bytes {
        if !mem::replace(&mut self.started, true) && line.starts_with(b"\xEF\xBB\xBF") {
            line.advance(3);
        }
        line
    }

    fn check(&self, line: usize) -> Result<(), TooLong> {
        if self.pending.size + line > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        Ok(())
    }

    fn take_field(&mut self, mut line: Bytes) {
        let size = line.len();
        let colon = if line.starts_with(b"data:") { Some(4) } else { memchr(b':', &line) };
        let colon = colon.unwrap_or(size);
        let field = match &line[..colon] {
            b"data" => Field::Data,
            b"event" => Field::Name,
            b"id" => Field::Id,
            b"retry" => Field::Retry,
            b"error" => Field::Error,
            _ => return, // a comment, or a field the standard does not know
        };
        let space = usize::from(line.get(colon + 1) == Some(&b' '));
        line.advance(size.min(colon + 1 + space));
        match field {
            Field::Data => self.pending.data.push(line),
            Field::Name => self.pending.name = line,
            Field::Id if memchr(0, &line).is_some() => return,
            Field::Id => self.id = Bytes::copy_from_slice(&line),
            Field::Retry => self.retry = milliseconds(&line).or(self.retry),
            Field::Error => {
                self.pending.name = Bytes::from_static(b"error");
                self.pending.data.push(line);
            }
        }
        self.pending.size += size;
    }

    /// What a blank line does: an event without a `data` line is no event.
    fn dispatch(&mut self) -> Option<Event> {
        let Pending { name, data, .. } = mem::take(&mut self.pending);
        let data = match data {
            Data::None => return None,
            Data::Line(line) => line,
            Data::Lines(lines) => lines.freeze(),
        };
        Some(Event { name, data, id: self.id.clone(), retry: self.retry })
    }
}

impl Default for Decoder {
    /// A decoder with [`DEFAULT_EVENT_LIMIT`].
    fn default() -> Self {
        Self::new(DEFAULT_EVENT_LIMIT)
    }
}

/// A field that means something.
enum Field {
    Data,
    Name,
    Id,
    Retry,
    Error,
}

/// The event being read.
#[derive(Debug, Default)]
struct Pending {
    name: Bytes,
    data: Data,
    /// Bytes of its lines so far.
    size: usize,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    Line(Bytes),
    Lines(BytesMut),
}

impl Data {
    fn push(&mut self, line: Bytes) {
        *self = match mem::take(self) {
            Self::None => Self::Line(line),
            Self::Line(first) => {
                let mut lines = BytesMut::with_capacity(first.len() + 1 + line.len());
                lines.extend_from_slice(&first);
                Self::Lines(joined(lines, &line))
            }
            Self::Lines(lines) => Self::Lines(joined(lines, &line)),
        }
    }
}

fn joined(mut lines: BytesMut, line: &[u8]) -> BytesMut {
    lines.extend_from_slice(b"\n");
    lines.extend_from_slice(line);
    lines
}

/// Digits only, as the standard has it; a number that does not fit is ignored.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok().map(Duration::from_millis)
}

/// An event was longer than the decoder's limit, so the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The limit in bytes.
    pub limit: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of the stream is longer than the limit of {} bytes", self.limit)
    }
}

impl std::error::Error for TooLong {}
