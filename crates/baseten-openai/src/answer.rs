//! Answers of a call, read: what cannot be read becomes the error of that call.
//!
//! What both facades do with a body that has come, and with one that comes; they only wait for it.

use std::fmt;
use std::time::Duration;

use baseten_core::{Error, ErrorKind, Meta, Response, sse::Event};
use bytes::Bytes;

use crate::{
    Collect, DecodeError, Progress, StreamDecoder, StreamEnd, StreamError, StreamErrorKind,
};

/// Reads a whole answer with one of the `decode` functions of this crate.
///
/// # Errors
/// [`ErrorKind::Decode`] if it cannot be read, [`ErrorKind::Stream`] if it is an error of the server
/// under a success status; the body is in the error.
pub fn read<T>(
    response: Response<Bytes>,
    decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) -> Result<Response<T>, Error> {
    match decode(&response.value) {
        Ok(value) => Ok(Response { value, meta: response.meta }),
        Err(error) => Err(of_decode(&response.meta, error, response.value)),
    }
}

/// Reads an answer that streams in: bytes in, chunks out, errors as the call's.
///
/// ```no_run
/// # fn more() -> Option<bytes::Bytes> { None }
/// # fn example(meta: baseten_core::Meta) -> Result<(), baseten_core::Error> {
/// use baseten_openai::{ChatDecoder, Progress, StreamReader};
/// let began = std::time::Instant::now();
/// let mut reader = StreamReader::new(ChatDecoder::new());
/// loop {
///     match reader.advance(&meta, || began.elapsed())? {
///         Progress::Chunk => print!("{}", reader.chunk().text()),
///         Progress::More => reader.push(more()),
///         Progress::Other => {}
///         Progress::End => break,
///     }
/// }
/// # Ok(()) }
/// ```
pub struct StreamReader<C: Collect> {
    /// Boxed, since it is large and a stream is moved from hand to hand.
    decoder: Box<StreamDecoder<C>>,
    /// What had come before an error.
    partial: Option<Box<C::Answer>>,
    timings: StreamTimings,
}

/// When what the model wrote came, counted from the beginning of the call.
///
/// Only chunks with something written count: text, thinking, a part of a tool call. One that only
/// names the role, tells the reason of the end or the usage is not the time of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamTimings {
    /// How many chunks with something written have come.
    pub chunks: u64,
    /// When the first of them was read: the time to the first token. Zero before.
    pub first: Duration,
    /// When the last of them was read; zero before.
    pub last: Duration,
}

impl StreamTimings {
    fn note(&mut self, now: Duration) {
        if self.chunks == 0 {
            self.first = now;
        }
        self.last = now;
        self.chunks += 1;
    }

    /// How many of `tokens` came in a second after the first; `None` for fewer than two chunks.
    #[must_use]
    pub fn tokens_per_second(&self, tokens: u64) -> Option<f64> {
        let span = self.last.checked_sub(self.first)?.as_secs_f64();
        (self.chunks > 1 && span > 0.0).then(|| tokens.saturating_sub(1) as f64 / span)
    }
}

impl<C: Collect> StreamReader<C> {
    /// A reader around a decoder that has read nothing yet.
    #[must_use]
    pub fn new(decoder: StreamDecoder<C>) -> Self {
        let decoder = Box::new(decoder);
        Self { decoder, partial: None, timings: StreamTimings::default() }
    }

    /// Takes the next bytes of the body; `None` is its end.
    pub fn push(&mut self, bytes: Option<Bytes>) {
        match bytes {
            Some(bytes) => self.decoder.push(bytes),
            None => self.decoder.finish(),
        }
    }

    /// Goes on as far as the bytes reach; see [`StreamDecoder::advance`]. `now` is asked for each
    /// chunk with something written and for an error: the time since the call began.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`], [`ErrorKind::Stream`] (the server's own error), [`ErrorKind::Decode`]
    /// or [`ErrorKind::TooLarge`]. What had come is in [`StreamReader::partial`]; there is only
    /// [`Progress::End`] after it.
    pub fn advance(
        &mut self,
        meta: &Meta,
        now: impl FnOnce() -> Duration,
    ) -> Result<Progress, Error> {
        let progress = match self.decoder.advance() {
            Ok(progress) => progress,
            Err(error) => {
                let (error, partial) = of_stream(meta, error);
                self.partial = Some(Box::new(partial));
                return Err(error.with_elapsed(now()));
            }
        };
        if progress == Progress::Chunk && C::is_written(self.decoder.chunk()) {
            self.timings.note(now());
        }
        Ok(progress)
    }

    /// When what the model wrote came.
    #[must_use]
    pub fn timings(&self) -> StreamTimings {
        self.timings
    }

    /// The chunk that [`Progress::Chunk`] told of.
    #[must_use]
    pub fn chunk(&self) -> &C::Chunk {
        self.decoder.chunk()
    }

    /// How the stream ended, once it has and was no error.
    #[must_use]
    pub fn end(&self) -> Option<StreamEnd> {
        self.decoder.end()
    }

    /// What was collected so far, before an error too.
    #[must_use]
    pub fn partial(&self) -> &C::Answer {
        self.partial.as_deref().unwrap_or_else(|| self.decoder.partial())
    }

    /// What the last step came to, as an event; `None` if it was none.
    #[must_use]
    pub fn event(&self, progress: Progress) -> Option<StreamEvent<'_, C::Chunk>> {
        match progress {
            Progress::Chunk => Some(StreamEvent::Chunk(self.decoder.chunk())),
            Progress::Other => self.decoder.other().map(StreamEvent::Other),
            Progress::More | Progress::End => None,
        }
    }

    /// The new text of the last chunk, of the first answer; empty if there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        C::text(self.decoder.chunk())
    }

    /// What was collected: the answer.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if the stream has not finished: it may have failed before, which was told
    /// then.
    pub fn into_answer(self, meta: &Meta) -> Result<C::Answer, Error> {
        match self.end() {
            Some(_) => Ok(self.decoder.into_answer()),
            None => {
                let told =
                    "the stream has not finished: what was collected is a part of the answer";
                Err(meta.error(ErrorKind::Truncated, told, Bytes::new()))
            }
        }
    }
}

/// One event of a streamed answer.
#[derive(Clone, Copy, Debug)]
pub enum StreamEvent<'a, C> {
    /// A part of the answer.
    Chunk(&'a C),
    /// A named event that is no part of it, such as those of hosted tools.
    Other(&'a Event),
}

impl<C: Collect> fmt::Debug for StreamReader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader").field("end", &self.end()).finish_non_exhaustive()
    }
}

fn of_decode(meta: &Meta, error: DecodeError, body: Bytes) -> Error {
    match error.api() {
        Some(api) => {
            let api = api.clone();
            meta.error(ErrorKind::Stream, error.to_string(), body).with_api(api)
        }
        None => meta.error(ErrorKind::Decode, "the answer cannot be read", body).because(error),
    }
}

fn of_stream<A>(meta: &Meta, error: StreamError<A>) -> (Error, A) {
    let told = error.to_string();
    let (kind, partial) = error.into_parts();
    let error = |kind| meta.error(kind, told, Bytes::new());
    let error = match kind {
        StreamErrorKind::Truncated => error(ErrorKind::Truncated),
        StreamErrorKind::Failed(api) => error(ErrorKind::Stream).with_api(api),
        StreamErrorKind::Undecodable(why) => error(ErrorKind::Decode).because(why),
        StreamErrorKind::TooLong(why) => error(ErrorKind::TooLarge).because(why),
    };
    (error, partial)
}
