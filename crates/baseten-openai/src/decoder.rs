//! A streamed answer, from bytes to chunks to the whole.
//!
//! When a stream is over and how is decided here; what a chunk is and how chunks make an answer, in
//! the [`Collect`] of its kind.

use std::fmt;

use baseten_core::{
    ApiError,
    sse::{self, Event},
};
use bytes::Bytes;
use serde_json::Value;

use crate::{
    ChatRequest, CompletionRequest, Extra, StreamError, StreamErrorKind, Summary,
    chat_stream::ChatStream,
    completion_stream::CompletionStream,
    reader::{Item, Reader},
};

/// Reads the streamed answer of a chat model.
pub type ChatDecoder = StreamDecoder<ChatStream>;

/// Reads the streamed answer of a model that completes text.
pub type CompletionDecoder = StreamDecoder<CompletionStream>;

/// One kind of stream: what its events are, and what they come to.
pub trait Collect: Default + fmt::Debug {
    /// An event.
    type Chunk: Default + fmt::Debug;
    /// The whole.
    type Answer: Default + fmt::Debug + Summary;

    /// Reads an event into `chunk` and adds it. `false` if it is none of this kind of stream, which
    /// only an event with a name of its own may be.
    #[doc(hidden)]
    fn read(
        &mut self,
        event: &[u8],
        named: bool,
        chunk: &mut Self::Chunk,
    ) -> Result<bool, StreamErrorKind>;

    /// Reads an answer that came in one piece, and gives it as a chunk.
    #[doc(hidden)]
    fn read_document(&mut self, body: &[u8]) -> Result<Self::Chunk, StreamErrorKind>;

    /// Whether the model wrote something in this event, and not only the server.
    #[doc(hidden)]
    fn is_written(chunk: &Self::Chunk) -> bool;

    /// The new text of the first answer; empty if there is none.
    #[doc(hidden)]
    fn text(chunk: &Self::Chunk) -> &str;

    /// Whether there are this many choices and each has said why it ended.
    #[doc(hidden)]
    fn has_reasons(&self, choices: usize) -> bool;

    #[doc(hidden)]
    fn answer(&self) -> &Self::Answer;

    #[doc(hidden)]
    fn into_answer(self) -> Self::Answer;
}

/// Reads a streamed answer: bytes of the body in, chunks out, and the whole answer collected beside.
///
/// The stream ends in one of three ways, and never without saying which: finished
/// ([`Progress::End`], [`end`](Self::end)), or with a [`StreamError`] that is truncated or failed and
/// holds what had arrived. `[DONE]` ends it at once; nothing after it is read, and the body need not
/// end. Where the body ends without `[DONE]`, the answer is finished if every choice has a
/// `finish_reason`, and truncated if one has not: servers exist that never send `[DONE]`, and a reason
/// is the model's own word that it was done.
///
/// A server that was asked for a stream and answers in one piece is read as well: as one chunk.
///
/// ```
/// use baseten_openai::{ChatDecoder, Progress, StreamEnd};
///
/// let mut decoder = ChatDecoder::new();
/// let body = ["data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"choices\":[{\"del",
///     "ta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\n", "data: [DONE]\n\n"];
/// let mut text = String::new();
/// for piece in body {
///     decoder.push(piece.into());
///     while let Progress::Chunk = decoder.advance()? {
///         text += decoder.chunk().text();
///     }
/// }
/// decoder.finish(); // the body is over; not needed after `[DONE]`
/// assert_eq!(decoder.advance()?, Progress::End);
/// assert_eq!(decoder.end(), Some(StreamEnd::Done));
/// assert_eq!(text, "Hello");
/// assert_eq!(decoder.into_answer().text(), "Hello");
/// # Ok::<(), baseten_openai::StreamError>(())
/// ```
#[derive(Debug)]
pub struct StreamDecoder<C: Collect> {
    reader: Reader,
    collect: C,
    chunk: C::Chunk,
    chunks: usize,
    /// The event that [`Progress::Other`] told of.
    other: Option<Box<Event>>,
    /// How many choices there must be for an end without `[DONE]`.
    choices: usize,
    over: bool,
    end: Option<StreamEnd>,
}

/// What [`StreamDecoder::advance`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A chunk: see [`StreamDecoder::chunk`].
    Chunk,
    /// A named event that is no chunk, such as those of hosted tools: see [`StreamDecoder::other`].
    Other,
    /// Nothing without more bytes: push some, or say that there are none with
    /// [`finish`](StreamDecoder::finish).
    More,
    /// The stream is over.
    End,
}

/// How a finished stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// With `[DONE]`, and every choice has its reason.
    Done,
    /// With `[DONE]`, but a choice has no `finish_reason`. Some engines never give one, so the answer
    /// counts as whole. Or there is no choice at all, as in a stream that was none of a chat.
    DoneWithoutReason,
    /// The body ended without `[DONE]`, but every choice has its `finish_reason`. What follows that,
    /// such as `usage`, may be missing.
    ReasonWithoutDone,
    /// The server did not stream: the answer came in one piece.
    Document,
}

impl<C: Collect> StreamDecoder<C> {
    /// A decoder that takes events of up to [`sse::DEFAULT_EVENT_LIMIT`] bytes, for a request with
    /// one choice.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(sse::DEFAULT_EVENT_LIMIT)
    }

    /// For a request with several choices: how many there must be for an end without `[DONE]`.
    #[must_use]
    pub fn choices(mut self, count: u32) -> Self {
        self.choices = count.max(1) as usize;
        self
    }

    /// The same for events, or an answer that came in one piece, of up to `bytes`. To be said before
    /// anything is pushed: what was is forgotten.
    #[must_use]
    pub fn event_limit(self, bytes: usize) -> Self {
        Self { reader: Reader::new(bytes), ..self }
    }

    /// The same with another limit for an answer that came in one piece. To be said after the one for
    /// events.
    #[must_use]
    pub fn document_limit(self, bytes: usize) -> Self {
        Self { reader: self.reader.document_limit(bytes), ..self }
    }

    /// A decoder that takes events, or an answer that came in one piece, of up to `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            reader: Reader::new(limit),
            collect: C::default(),
            chunk: C::Chunk::default(),
            chunks: 0,
            other: None,
            choices: 1,
            over: false,
            end: None,
        }
    }

    /// The answer in a body that is all there.
    pub(crate) fn collect(body: &[u8]) -> Result<C::Answer, StreamError<C::Answer>> {
        let mut decoder = Self::with_limit(usize::MAX);
        decoder.push(Bytes::copy_from_slice(body));
        decoder.finish();
        while decoder.advance()? != Progress::End {}
        Ok(decoder.into_answer())
    }

    /// Takes the next bytes of the body.
    pub fn push(&mut self, bytes: Bytes) {
        if !self.over {
            self.reader.push(bytes);
        }
    }

    /// Says that the body has ended, properly: [`advance`](Self::advance) then tells what that
    /// means, and never [`Progress::More`]. A body that broke is the caller's error, with
    /// [`partial`](Self::partial) beside it.
    pub fn finish(&mut self) {
        self.reader.end();
    }

    /// Goes on to the next chunk or the end, as far as the bytes reach.
    ///
    /// When it answers [`Progress::More`], the decoder holds no reference to what was pushed.
    ///
    /// # Errors
    /// [`StreamError`] if the stream is truncated, holds an error of the server or something that
    /// cannot be read. After an error there is only [`Progress::End`].
    pub fn advance(&mut self) -> Result<Progress, StreamError<C::Answer>> {
        self.other = None;
        while !self.over {
            match self.reader.next() {
                Ok(Item::Event(event)) => match self.read(event) {
                    Ok(Some(progress)) => return Ok(progress),
                    Ok(None) => {}
                    Err(kind) => return Err(self.fail(kind)),
                },
                Ok(Item::Cut(event)) => match self.read(event) {
                    Ok(Some(progress)) => return Ok(progress),
                    Ok(None) | Err(StreamErrorKind::Undecodable(_)) => self.close(false)?,
                    Err(kind) => return Err(self.fail(kind)),
                },
                Ok(Item::Document(body)) => return self.read_document(&body),
                Ok(Item::More) => return Ok(Progress::More),
                Ok(Item::Done) => self.close(true)?,
                Ok(Item::End) => self.close(false)?,
                Err(too_long) => return Err(self.fail(StreamErrorKind::TooLong(too_long))),
            }
        }
        Ok(Progress::End)
    }

    /// The last chunk that [`Progress::Chunk`] told of.
    #[must_use]
    pub fn chunk(&self) -> &C::Chunk {
        &self.chunk
    }

    /// The event that [`Progress::Other`] just told of.
    #[must_use]
    pub fn other(&self) -> Option<&Event> {
        self.other.as_deref()
    }

    /// How the stream ended, once it has and was no error.
    #[must_use]
    pub fn end(&self) -> Option<StreamEnd> {
        self.end.filter(|_| self.over)
    }

    /// What was collected so far. Empty after an error, which has taken it.
    #[must_use]
    pub fn partial(&self) -> &C::Answer {
        self.collect.answer()
    }

    /// What was collected: the answer, if the stream has finished.
    #[must_use]
    pub fn into_answer(self) -> C::Answer {
        self.collect.into_answer()
    }

    /// Reads an event; `None` if it holds nothing.
    fn read(&mut self, event: Event) -> Result<Option<Progress>, StreamErrorKind> {
        if event.name.eq_ignore_ascii_case(b"error") {
            return Err(StreamErrorKind::Failed(ApiError::parse(&event.data)));
        }
        if event.data.trim_ascii().is_empty() {
            return Ok(None);
        }
        let named = !event.name.is_empty() && event.name != "message";
        if self.collect.read(&event.data, named, &mut self.chunk)? {
            self.chunks += 1;
            return Ok(Some(Progress::Chunk));
        }
        self.other = Some(Box::new(event));
        Ok(Some(Progress::Other))
    }

    fn read_document(&mut self, body: &[u8]) -> Result<Progress, StreamError<C::Answer>> {
        self.chunk = self.collect.read_document(body).map_err(|kind| match kind {
            StreamErrorKind::Undecodable(error) if error.is_cut() => {
                self.fail(StreamErrorKind::Truncated)
            }
            kind => self.fail(kind),
        })?;
        self.chunks += 1;
        self.end = Some(StreamEnd::Document);
        Ok(Progress::Chunk)
    }

    fn close(&mut self, done: bool) -> Result<(), StreamError<C::Answer>> {
        let end = match (self.end, done, self.collect.has_reasons(self.choices)) {
            (Some(end), _, _) => end,
            (None, true, true) => StreamEnd::Done,
            (None, true, false) => StreamEnd::DoneWithoutReason,
            (None, false, true) => StreamEnd::ReasonWithoutDone,
            (None, false, false) => return Err(self.fail(StreamErrorKind::Truncated)),
        };
        self.over = true;
        self.end = Some(end);
        Ok(())
    }

    fn fail(&mut self, kind: StreamErrorKind) -> StreamError<C::Answer> {
        self.over = true;
        self.end = None;
        StreamError::new(kind, std::mem::take(&mut self.collect).into_answer(), self.chunks)
    }
}

impl ChatDecoder {
    /// A decoder for the answer to this request: it knows how many choices there must be.
    #[must_use]
    pub fn for_request(request: &ChatRequest) -> Self {
        Self::new().choices(asked(request.n, &request.extra))
    }
}

impl CompletionDecoder {
    /// A decoder for the answer to this request: it knows how many choices there must be, `n` to each
    /// prompt.
    #[must_use]
    pub fn for_request(request: &CompletionRequest) -> Self {
        let prompts = u32::try_from(request.prompt.len()).unwrap_or(u32::MAX);
        Self::new().choices(asked(request.n, &request.extra).saturating_mul(prompts))
    }
}

/// How many choices a request asks for; what is in `extra` goes over the field.
fn asked(n: Option<u32>, extra: &Extra) -> u32 {
    let over = extra.get("n").and_then(Value::as_u64);
    over.map(|n| u32::try_from(n).unwrap_or(u32::MAX)).or(n).unwrap_or(1)
}

impl<C: Collect> Default for StreamDecoder<C> {
    fn default() -> Self {
        Self::new()
    }
}
