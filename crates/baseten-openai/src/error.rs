//! Answers that are not what they should be.

use std::fmt;

use baseten_core::{ApiError, sse::TooLong};

use crate::ChatResponse;

/// An answer that could not be read as what it should have been.
///
/// Keeps the first 500 bytes of the text in question, for a person to look at.
#[derive(Debug)]
pub struct DecodeError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    what: &'static str,
    start: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Json(serde_json::Error),
    Api(ApiError),
    Shape(&'static str),
}

/// How much of a text an error keeps.
const KEPT: usize = 500;

impl DecodeError {
    pub(crate) fn of_json(
        what: &'static str,
        text: impl AsRef<[u8]>,
        source: serde_json::Error,
    ) -> Self {
        Self::new(what, text.as_ref(), Cause::Json(source))
    }

    pub(crate) fn of_api(what: &'static str, text: &[u8], error: ApiError) -> Self {
        Self::new(what, text, Cause::Api(error))
    }

    pub(crate) fn of_shape(what: &'static str, text: &[u8], problem: &'static str) -> Self {
        Self::new(what, text, Cause::Shape(problem))
    }

    pub(crate) fn of_stream(what: &'static str, body: &[u8], kind: StreamErrorKind) -> Self {
        match kind {
            StreamErrorKind::Undecodable(error) => error,
            StreamErrorKind::Failed(error) => Self::of_api(what, body, error),
            StreamErrorKind::Truncated => Self::of_shape(what, body, "is a stream that broke off"),
            StreamErrorKind::TooLong(_) => Self::of_shape(what, body, "has an event too long"),
        }
    }

    fn new(what: &'static str, text: &[u8], cause: Cause) -> Self {
        let start = text.get(..KEPT).unwrap_or(text);
        Self(Box::new(Inner { what, start: String::from_utf8_lossy(start).into_owned(), cause }))
    }

    /// It ends where more should follow.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(&self.0.cause, Cause::Json(error) if error.is_eof())
    }

    /// The start of the text that could not be read; empty if there was none.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.0.start
    }

    /// The server's own error, if the text was one: some send it with status 200.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match &self.0.cause {
            Cause::Api(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { what, cause, .. } = &*self.0;
        match cause {
            Cause::Json(_) => write!(f, "{what} cannot be read"),
            Cause::Api(error) => write!(f, "{what} is an error of the server: {error}"),
            Cause::Shape(problem) => write!(f, "{what} {problem}"),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Cause::Json(source) => Some(source),
            _ => None,
        }
    }
}

/// A stream that did not finish, with what had arrived of the answer.
#[derive(Debug)]
pub struct StreamError<A = ChatResponse>(Box<Broken<A>>);

#[derive(Debug)]
struct Broken<A> {
    kind: StreamErrorKind,
    partial: A,
    chunks: usize,
}

/// Why a stream did not finish.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamErrorKind {
    /// The body ended before the answer did. A model server whose model fails in the middle of a
    /// stream looks like this: it ends the body as if all were well.
    Truncated,
    /// The server sent an error in place of an event.
    Failed(ApiError),
    /// An event, or the body in place of events, could not be read.
    Undecodable(DecodeError),
    /// An event was longer than the decoder's limit.
    TooLong(TooLong),
}

impl<A> StreamError<A> {
    pub(crate) fn new(kind: StreamErrorKind, partial: A, chunks: usize) -> Self {
        Self(Box::new(Broken { kind, partial, chunks }))
    }

    /// Why it did not finish.
    #[must_use]
    pub fn kind(&self) -> &StreamErrorKind {
        &self.0.kind
    }

    /// What had arrived of the answer.
    #[must_use]
    pub fn partial(&self) -> &A {
        &self.0.partial
    }

    /// How many chunks that was.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.0.chunks
    }

    /// Why it did not finish and what had arrived, for keeps.
    #[must_use]
    pub fn into_parts(self) -> (StreamErrorKind, A) {
        (self.0.kind, self.0.partial)
    }
}

impl<A> fmt::Display for StreamError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            StreamErrorKind::Truncated => {
                write!(
                    f,
                    "the stream broke off without an end marker, after {} chunks",
                    self.chunks()
                )
            }
            StreamErrorKind::Failed(error) if error.message().is_empty() => {
                f.write_str("the server reported an error in the stream, and not which")
            }
            StreamErrorKind::Failed(error) => {
                write!(f, "the server reported an error in the stream: {error}")
            }
            StreamErrorKind::Undecodable(_) => f.write_str("the stream holds what is no chunk"),
            StreamErrorKind::TooLong(_) => f.write_str("the stream cannot be read on"),
        }
    }
}

impl<A: fmt::Debug> std::error::Error for StreamError<A> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            StreamErrorKind::Undecodable(error) => Some(error),
            StreamErrorKind::TooLong(error) => Some(error),
            StreamErrorKind::Truncated | StreamErrorKind::Failed(_) => None,
        }
    }
}
