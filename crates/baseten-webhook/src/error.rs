//! Why a webhook was refused, and what to do about it. Never a secret, a signature or a body.

use std::fmt;
use std::time::Duration;

use crate::time::InvalidTime;

/// Why a webhook was refused.
///
/// `Display` is one line that says what to do next. Answer 401 if
/// [`is_about_signature`](Self::is_about_signature), else 400.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no signature header, or it is empty.
    NoSignature,
    /// The header cannot be read.
    MalformedSignature(MalformedSignature),
    /// The header has entries, but none of version `v1`.
    NoKnownVersion,
    /// No secret made any of the signatures for this body.
    WrongSignature,
    /// The body is signed, but no webhook.
    NotAWebhook(NotAWebhook),
    /// The body's `time` is no time.
    InvalidTime(InvalidTime),
    /// It was sent too long ago: a replay, or clocks apart.
    TooOld {
        /// Time since it was sent.
        age: Duration,
        /// The most that was allowed.
        tolerance: Duration,
    },
    /// It says that it will be sent later.
    TooEarly {
        /// Time until it is sent.
        ahead: Duration,
        /// The most that was allowed.
        tolerance: Duration,
    },
}

impl Error {
    /// Whether the sender could not show that it knows a secret. If not, the body is signed and
    /// something else is wrong.
    #[must_use]
    pub fn is_about_signature(&self) -> bool {
        matches!(
            self,
            Self::NoSignature
                | Self::MalformedSignature(_)
                | Self::NoKnownVersion
                | Self::WrongSignature
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSignature => f.write_str(
                "the webhook has no X-BASETEN-SIGNATURE; Baseten signs once the workspace has a \
                 webhook secret: create one, or look for a proxy that drops the header",
            ),
            Self::MalformedSignature(malformed) => malformed.fmt(f),
            Self::NoKnownVersion => f.write_str(
                "X-BASETEN-SIGNATURE has no v1= entry; check that it comes from Baseten, then look \
                 for a newer version of this crate",
            ),
            Self::WrongSignature => f.write_str(
                "no secret made any signature of the webhook; check that the body is the raw one, \
                 byte for byte, that the secrets are whole (whsec_ included), and that after a \
                 rotation both the new and the old one are given",
            ),
            Self::NotAWebhook(why) => why.fmt(f),
            Self::InvalidTime(invalid) => write!(f, "the webhook's time is wrong: {invalid}"),
            Self::TooOld { age, tolerance } => write!(
                f,
                "the webhook was sent {age:.1?} ago, more than the {tolerance:?} allowed; it may be \
                 a replay: if not, check this machine's clock or allow more",
            ),
            Self::TooEarly { ahead, tolerance } => write!(
                f,
                "the webhook's time is {ahead:.1?} ahead, more than the {tolerance:?} allowed; \
                 check this machine's clock or allow more",
            ),
        }
    }
}

impl std::error::Error for Error {}

impl From<MalformedSignature> for Error {
    fn from(malformed: MalformedSignature) -> Self {
        Self::MalformedSignature(malformed)
    }
}

/// What cannot be read in the signature header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedSignature {
    /// Counted from one.
    pub(crate) entry: usize,
    pub(crate) fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NoVersion,
    Version,
    Length { digits: usize },
    Digit { index: usize },
}

impl fmt::Display for MalformedSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X-BASETEN-SIGNATURE cannot be read: entry {} ", self.entry)?;
        match self.fault {
            Fault::NoVersion => f.write_str("has no version before it, as in v1=<hex>"),
            Fault::Version => f.write_str("has a version that is not letters and digits"),
            Fault::Length { digits } => write!(f, "has {digits} digits, not 64"),
            Fault::Digit { index } => {
                write!(f, "has something other than a lower-case hex digit at {index}")
            }
        }?;
        f.write_str("; check what passes the header on to you")
    }
}

impl std::error::Error for MalformedSignature {}

/// What is missing in the body, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAWebhook {
    message: Box<str>,
}

impl NotAWebhook {
    pub(crate) fn new(error: &serde_json::Error) -> Self {
        Self { message: cut(&error.to_string()) }
    }
}

impl fmt::Display for NotAWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the body is signed but no webhook of an async request: {}; if it is of another kind, \
             take verify_signature and read it yourself",
            self.message
        )
    }
}

impl std::error::Error for NotAWebhook {}

/// A message of the JSON reader, which may quote a value from the body at any length: its beginning,
/// and its end, which says where in the body that was.
pub(crate) fn cut(text: &str) -> Box<str> {
    /// In characters.
    const MESSAGE_MAX: usize = 120;
    if text.chars().count() <= MESSAGE_MAX {
        return text.into();
    }
    let head: String = text.chars().take(MESSAGE_MAX).collect();
    let place = text.rfind(" at line ").map_or("", |start| &text[start..]);
    format!("{head}…{place}").into()
}
