//! Answers that are JSON of a type of one's own.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::{ChatResponse, FinishReason};

impl ChatResponse {
    /// The text of the first answer as a value of one's own type. Ask for that type with
    /// [`response_format`](crate::ChatRequest::response_format).
    ///
    /// ```
    /// use baseten_openai::{ChatResponse, ParseErrorKind};
    ///
    /// let response = |text: &str, reason: &str| {
    ///     let body = format!(r#"{{"choices":[{{"message":{{"content":{text:?}}},"finish_reason":"{reason}"}}]}}"#);
    ///     ChatResponse::decode(body.as_bytes())
    /// };
    /// assert_eq!(response("[1, 2]", "stop")?.parse::<Vec<u8>>().unwrap(), [1, 2]);
    /// let error = response("[1, 2", "length")?.parse::<Vec<u8>>().unwrap_err();
    /// assert!(matches!(error.kind(), ParseErrorKind::Truncated));
    /// assert_eq!(error.text(), "[1, 2");
    /// # Ok::<(), baseten_openai::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// [`ParseError`], which keeps the text, if the model refused, was cut off or filtered, wants tools
    /// called instead, or wrote what is no such value. An answer that was cut off but is whole JSON is
    /// read, unless it ends in a number: that could have gone on.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ParseError> {
        let message = self.message();
        if let Some(refusal) = message.and_then(|message| message.refusal.as_deref())
            && !refusal.is_empty()
        {
            return Err(ParseError { kind: ParseErrorKind::Refused, text: refusal.into() });
        }
        let text = self.text();
        // A number may have gone on; all other JSON says where it ends.
        if let Some(kind) = self.cut_off()
            && text.ends_with(|last: char| last.is_ascii_digit())
        {
            return Err(ParseError { kind, text: text.into() });
        }
        serde_json::from_str(&text).map_err(|source| {
            let kind = match (self.cut_off(), self.finish_reason()) {
                (Some(kind), _) => kind,
                (_, None) if source.is_eof() && !text.is_empty() => ParseErrorKind::Truncated,
                _ if text.is_empty() && !self.tool_calls().is_empty() => ParseErrorKind::ToolCalls,
                _ => ParseErrorKind::Invalid(source),
            };
            ParseError { kind, text: text.into() }
        })
    }

    fn cut_off(&self) -> Option<ParseErrorKind> {
        match self.finish_reason()? {
            FinishReason::Length => Some(ParseErrorKind::Truncated),
            FinishReason::ContentFilter => Some(ParseErrorKind::Filtered),
            _ => None,
        }
    }
}

/// An answer that is not the value that was asked for.
#[derive(Debug)]
pub struct ParseError {
    kind: ParseErrorKind,
    text: String,
}

/// Why an answer is not the value that was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The model would not answer; the text is what it said instead.
    Refused,
    /// The answer is cut off: `max_tokens`, the context or the stream came to an end.
    Truncated,
    /// A filter held the rest back.
    Filtered,
    /// There is no text: the model wants tools called first.
    ToolCalls,
    /// The text is no JSON, or not of this type.
    Invalid(serde_json::Error),
}

impl ParseError {
    /// Why.
    #[must_use]
    pub fn kind(&self) -> &ParseErrorKind {
        &self.kind
    }

    /// All that the model wrote.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ParseErrorKind::Refused => "the model refused to answer",
            ParseErrorKind::Truncated => "the answer is cut off: allow more tokens",
            ParseErrorKind::Filtered => "a filter held back the rest of the answer",
            ParseErrorKind::ToolCalls => "the model wants tools called before it answers",
            ParseErrorKind::Invalid(_) => "the answer is not of the type asked for",
        })
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ParseErrorKind::Invalid(source) => Some(source),
            _ => None,
        }
    }
}
