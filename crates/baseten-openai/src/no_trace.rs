//! What stands in for [`ModelSpan`] in a build without `tracing`: nothing is told to anybody.

use baseten_core::{Error, Request, Response};

use crate::{ChatRequest, CompletionRequest, EmbeddingRequest, StreamTimings, Summary};

/// Tells nothing: the feature `tracing` is off.
#[derive(Debug)]
pub struct ModelSpan(());

const _: () = assert!(size_of::<ModelSpan>() == 0, "what is off costs no call a byte");

impl ModelSpan {
    /// A chat, as it begins.
    #[must_use]
    pub fn chat(_: &ChatRequest, _: bool) -> Self {
        Self(())
    }

    /// A completion, as it begins.
    #[must_use]
    pub fn completion(_: &CompletionRequest, _: bool) -> Self {
        Self(())
    }

    /// A request for vectors, as it begins.
    #[must_use]
    pub fn embeddings(_: &EmbeddingRequest) -> Self {
        Self(())
    }

    /// The request, as it is.
    #[must_use]
    pub fn on(&self, request: Request) -> Request {
        request
    }

    /// What came of the call, as it is.
    ///
    /// # Errors
    /// The one that was handed in.
    pub fn end<T: Summary>(self, answer: Result<Response<T>, Error>) -> Result<Response<T>, Error> {
        answer
    }

    /// What came of a stream.
    pub fn end_stream<T: Summary>(self, _: &T, _: StreamTimings, _: Option<&Error>) {}
}
