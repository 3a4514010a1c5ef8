//! A streamed answer, event by event.

use std::fmt;
use std::time::Duration;

use baseten_core::{Error, Meta, Response};
use baseten_openai::{Collect, Progress, StreamDecoder, StreamEnd, StreamReader};
use baseten_transport::nonblocking::Body;

/// The streamed answer of a chat model.
pub type ChatStream = EventStream<baseten_openai::ChatStream>;

/// The streamed answer of a model that completes text.
pub type CompletionStream = EventStream<baseten_openai::CompletionStream>;

/// Chunks of an answer as they come, and the whole collected beside them.
///
/// It ends as finished (`None`), or with an error that is truncated or failed; [`Self::partial`] has
/// what came before either. `[DONE]` ends it at once. Dropping it before closes the connection, so that
/// the server can stop.
pub struct EventStream<C: Collect> {
    body: Body,
    reader: StreamReader<C>,
    timings: StreamTimings,
    over: bool,
}

/// When chunks came, counted from the beginning of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamTimings {
    /// How many chunks have come.
    pub chunks: u64,
    /// When the first one was read; zero before.
    pub first: Duration,
    /// When the last one was read; zero before.
    pub last: Duration,
}

impl StreamTimings {
    /// How many of `tokens` came in a second after the first chunk; `None` for fewer than two chunks.
    #[must_use]
    pub fn tokens_per_second(&self, tokens: u64) -> Option<f64> {
        let span = self.last.checked_sub(self.first)?.as_secs_f64();
        (self.chunks > 1 && span > 0.0).then(|| tokens.saturating_sub(1) as f64 / span)
    }
}

impl<C: Collect> EventStream<C> {
    pub(crate) fn new(body: Body, decoder: StreamDecoder<C>) -> Self {
        let reader = StreamReader::new(decoder);
        Self { body, reader, timings: StreamTimings::default(), over: false }
    }

    /// The next chunk, `None` at the end.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Truncated`] if the stream broke off,
    /// [`baseten_core::ErrorKind::Stream`] if the server reported an error in it, and what can go wrong
    /// with any body. After an error there is only the end.
    pub async fn chunk(&mut self) -> Result<Option<&C::Chunk>, Error> {
        let found = self.find().await;
        if !matches!(found, Ok(true)) {
            self.over = true;
            self.body.content_is_over();
        }
        Ok(found?.then(|| self.reader.chunk()))
    }

    /// Reads to the end: the whole answer, put together.
    ///
    /// # Errors
    /// As [`EventStream::chunk`].
    pub async fn collect(mut self) -> Result<Response<C::Answer>, Error> {
        while self.chunk().await?.is_some() {}
        let meta = self.meta().clone();
        Ok(Response { value: self.reader.into_answer(), meta })
    }

    /// What has come so far, put together; before an error, too.
    #[must_use]
    pub fn partial(&self) -> &C::Answer {
        self.reader.partial()
    }

    /// How the stream ended, once it has and was no error.
    #[must_use]
    pub fn end(&self) -> Option<StreamEnd> {
        self.reader.end()
    }

    /// Status, headers and attempts of the answer.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        self.body.meta()
    }

    /// When chunks came.
    #[must_use]
    pub fn timings(&self) -> StreamTimings {
        self.timings
    }

    /// Whether there is a next chunk.
    async fn find(&mut self) -> Result<bool, Error> {
        while !self.over {
            match self.reader.advance(self.body.meta())? {
                Progress::Chunk => {
                    self.note();
                    return Ok(true);
                }
                Progress::More => self.reader.push(self.body.chunk().await?),
                // Events of hosted tools are no part of the answer.
                Progress::Other => {}
                Progress::End => break,
            }
        }
        Ok(false)
    }

    fn note(&mut self) {
        let now = self.body.elapsed();
        if self.timings.chunks == 0 {
            self.timings.first = now;
        }
        self.timings.last = now;
        self.timings.chunks += 1;
    }
}

impl<C: Collect> fmt::Debug for EventStream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("meta", self.meta())
            .field("timings", &self.timings)
            .finish_non_exhaustive()
    }
}
