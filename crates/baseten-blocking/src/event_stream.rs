//! A streamed answer, event by event.

use std::fmt;

use baseten_core::{Error, Limits, Meta, Response};
use baseten_openai::{
    Collect, ModelSpan, Progress, StreamDecoder, StreamEnd, StreamEvent, StreamReader,
    StreamTimings,
};
use baseten_transport::blocking::Body;

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
    /// Until it is over.
    span: Option<ModelSpan>,
    over: bool,
}

impl<C: Collect> EventStream<C> {
    pub(crate) fn new(
        body: Body,
        decoder: StreamDecoder<C>,
        limits: Limits,
        span: ModelSpan,
    ) -> Self {
        let decoder = decoder.event_limit(limits.event).document_limit(limits.body);
        let reader = StreamReader::new(decoder);
        Self { body, reader, span: Some(span), over: false }
    }

    /// The next chunk, `None` at the end. Events that are no part of the answer are passed over; see
    /// [`Self::event`].
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Truncated`] if the stream broke off,
    /// [`baseten_core::ErrorKind::Stream`] if the server reported an error in it, and what can go wrong
    /// with any body. After an error there is only the end.
    pub fn chunk(&mut self) -> Result<Option<&C::Chunk>, Error> {
        loop {
            match self.advance()? {
                Progress::Other => {}
                found => return Ok((found == Progress::Chunk).then(|| self.reader.chunk())),
            }
        }
    }

    /// The next text of the first answer, `None` at the end. Chunks without text are passed over: those
    /// that only tell the role, thinking, a part of a tool call, the reason of the end or usage. They are
    /// collected all the same.
    ///
    /// # Errors
    /// As [`EventStream::chunk`].
    pub fn text(&mut self) -> Result<Option<&str>, Error> {
        while self.chunk()?.is_some() {
            if !self.reader.text().is_empty() {
                return Ok(Some(self.reader.text()));
            }
        }
        Ok(None)
    }

    /// The next event, `None` at the end: a chunk, or a named event that is none, such as those of hosted
    /// tools.
    ///
    /// # Errors
    /// As [`EventStream::chunk`].
    pub fn event(&mut self) -> Result<Option<StreamEvent<'_, C::Chunk>>, Error> {
        let found = self.advance()?;
        Ok(self.reader.event(found))
    }

    /// Reads to the end: the whole answer, put together.
    ///
    /// # Errors
    /// As [`EventStream::chunk`]; [`baseten_core::ErrorKind::Truncated`], too, if an error has been told
    /// before. What had come by then is in [`EventStream::partial`], as long as there is the stream.
    pub fn collect(mut self) -> Result<Response<C::Answer>, Error> {
        while self.chunk()?.is_some() {}
        let meta = self.meta().clone();
        Ok(Response { value: self.reader.into_answer(&meta)?, meta })
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

    /// Status, headers, attempts and timings of the answer.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        self.body.meta()
    }

    /// When what the model wrote came: the time to the first token, and tokens in a second.
    #[must_use]
    pub fn timings(&self) -> StreamTimings {
        self.reader.timings()
    }

    /// Goes on to the next event or the end.
    fn advance(&mut self) -> Result<Progress, Error> {
        let found = self.find();
        if !matches!(found, Ok(Progress::Chunk | Progress::Other)) {
            self.over = true;
            match found {
                Ok(_) => self.body.content_is_over(),
                // Whoever goes on after what nobody can read goes on for nobody.
                Err(_) => self.body.close(),
            }
            if let Some(span) = self.span.take() {
                span.end_stream(self.reader.partial(), self.timings(), found.as_ref().err());
            }
        }
        found
    }

    fn find(&mut self) -> Result<Progress, Error> {
        while !self.over {
            match self.reader.advance(self.body.meta(), || self.body.elapsed())? {
                Progress::More => self.reader.push(self.body.chunk()?),
                found => return Ok(found),
            }
        }
        Ok(Progress::End)
    }
}

impl<C: Collect> fmt::Debug for EventStream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("meta", self.meta())
            .field("timings", &self.timings())
            .finish_non_exhaustive()
    }
}
