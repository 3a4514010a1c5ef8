//! A streamed answer of a chat model, from bytes to chunks to the whole.

use baseten_core::{
    ApiError,
    sse::{self, Event},
};
use bytes::Bytes;

use crate::{
    ChatChunk, ChatCollector, ChatRequest, ChatResponse, StreamError, StreamErrorKind, document,
    reader::{Item, Reader},
    repeat::Repeat,
};

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
/// assert_eq!(decoder.into_response().text(), "Hello");
/// # Ok::<(), baseten_openai::StreamError>(())
/// ```
#[derive(Debug)]
pub struct ChatDecoder {
    reader: Reader,
    repeat: Repeat,
    chunk: ChatChunk,
    /// The event that [`Progress::Other`] told of.
    other: Option<Event>,
    collector: ChatCollector,
    /// How many choices there must be for an end without `[DONE]`.
    choices: usize,
    over: bool,
    end: Option<StreamEnd>,
}

/// What [`ChatDecoder::advance`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A chunk: see [`ChatDecoder::chunk`].
    Chunk,
    /// A named event that is no chunk, such as those of hosted tools: see [`ChatDecoder::other`].
    Other,
    /// Nothing without more bytes: push some, or say that there are none with
    /// [`finish`](ChatDecoder::finish).
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
    /// counts as whole.
    DoneWithoutReason,
    /// The body ended without `[DONE]`, but every choice has its `finish_reason`. What follows that,
    /// such as `usage`, may be missing.
    ReasonWithoutDone,
    /// The server did not stream: the answer came in one piece.
    Document,
}

impl ChatDecoder {
    /// A decoder that takes events of up to [`sse::DEFAULT_EVENT_LIMIT`] bytes, for a request with
    /// one choice.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(sse::DEFAULT_EVENT_LIMIT)
    }

    /// A decoder for the answer to this request: it knows how many choices there must be.
    #[must_use]
    pub fn for_request(request: &ChatRequest) -> Self {
        let choices = request.n.map_or(1, |n| n.max(1) as usize);
        Self { choices, ..Self::new() }
    }

    /// A decoder that takes events, or an answer that came in one piece, of up to `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            reader: Reader::new(limit),
            repeat: Repeat::default(),
            chunk: ChatChunk::default(),
            other: None,
            collector: ChatCollector::new(),
            choices: 1,
            over: false,
            end: None,
        }
    }

    /// The answer in a body that is all there.
    pub(crate) fn collect(body: &[u8]) -> Result<ChatResponse, StreamError> {
        let mut decoder = Self::with_limit(usize::MAX);
        decoder.push(Bytes::copy_from_slice(body));
        decoder.finish();
        while decoder.advance()? != Progress::End {}
        Ok(decoder.into_response())
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
    pub fn advance(&mut self) -> Result<Progress, StreamError> {
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
    pub fn chunk(&self) -> &ChatChunk {
        &self.chunk
    }

    /// The event that [`Progress::Other`] just told of.
    #[must_use]
    pub fn other(&self) -> Option<&Event> {
        self.other.as_ref()
    }

    /// How the stream ended, once it has and was no error.
    #[must_use]
    pub fn end(&self) -> Option<StreamEnd> {
        self.end.filter(|_| self.over)
    }

    /// What was collected so far. Empty after an error, which has taken it.
    #[must_use]
    pub fn partial(&self) -> &ChatResponse {
        self.collector.partial()
    }

    /// What was collected: the answer, if the stream has finished.
    #[must_use]
    pub fn into_response(self) -> ChatResponse {
        self.collector.into_response()
    }

    /// Reads an event; `None` if it holds nothing.
    fn read(&mut self, event: Event) -> Result<Option<Progress>, StreamErrorKind> {
        if let Some(slot) = self.repeat.apply(&event.data, &mut self.chunk) {
            self.collector.push_repeat(&self.chunk, slot);
            return Ok(Some(Progress::Chunk));
        }
        if event.data.is_empty() {
            return Ok(None);
        }
        if event.name == "error" {
            return Err(StreamErrorKind::Failed(ApiError::parse(&event.data)));
        }
        let named = !event.name.is_empty() && event.name != "message";
        match document::read::<ChatChunk>("an event of the stream", &event.data) {
            Ok(chunk) if named && chunk.choices.is_empty() => {}
            Ok(chunk) => {
                self.repeat.learn(&event.data, &chunk);
                self.collector.push(&chunk);
                self.chunk = chunk;
                return Ok(Some(Progress::Chunk));
            }
            Err(StreamErrorKind::Undecodable(_)) if named => {}
            Err(kind) => return Err(kind),
        }
        self.other = Some(event);
        Ok(Some(Progress::Other))
    }

    fn read_document(&mut self, body: &[u8]) -> Result<Progress, StreamError> {
        let response = document::chat(body).map_err(|kind| match kind {
            StreamErrorKind::Undecodable(error) if error.is_cut() => {
                self.fail(StreamErrorKind::Truncated)
            }
            kind => self.fail(kind),
        })?;
        self.chunk = document::as_chunk(&response);
        self.collector.replace(response);
        self.end = Some(StreamEnd::Document);
        Ok(Progress::Chunk)
    }

    fn close(&mut self, done: bool) -> Result<(), StreamError> {
        let choices = &self.collector.partial().choices;
        let reasons = choices.len() >= self.choices
            && choices.iter().all(|choice| choice.finish_reason.is_some());
        let end = match (self.end, done, reasons) {
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

    fn fail(&mut self, kind: StreamErrorKind) -> StreamError {
        self.over = true;
        self.end = None;
        StreamError::new(kind, std::mem::take(&mut self.collector).into_response())
    }
}

impl Default for ChatDecoder {
    fn default() -> Self {
        Self::new()
    }
}
