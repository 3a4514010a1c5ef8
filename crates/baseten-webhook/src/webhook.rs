//! What a webhook says: the payload, as Baseten documents it, with room for what it will add.

use std::fmt;
use std::time::SystemTime;

use baseten_core::JobError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{self, Error, NotAWebhook};
use crate::{lenient, time};

/// The end of an asynchronous request, as a webhook tells it.
///
/// An output is told once, so a body is refused only for what nothing can be done without: it must be an
/// object of JSON with a `request_id` and a `time`. What else is missing or `null` counts as not told, a
/// text that came as something else is kept as its JSON, and [`errors`](Self::errors) are read whatever
/// they are. Fields that are not known here are kept in [`other`](Self::other) and written again. Ids are
/// texts as they came; `baseten-core` has types to check them.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use baseten_webhook::{JobError, JobErrorCode, Webhook};
///
/// let mut sent = Webhook::new("35f4", SystemTime::UNIX_EPOCH + Duration::from_micros(1));
/// sent.errors.push(JobError::new(JobErrorCode::ModelNotReady, "starting"));
/// let body = serde_json::to_vec(&sent)?;
///
/// let read = Webhook::parse(&body)?;
/// assert_eq!(read.request_id, "35f4");
/// let why = read.output::<String>().unwrap_err();
/// assert_eq!(why.to_string(), "the async request failed: MODEL_NOT_READY: starting");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Webhook {
    /// The async request's id. A delivery can come again: act once for each id.
    #[serde(deserialize_with = "lenient::id")]
    pub request_id: String,
    /// The model that ran.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The chain that ran. Baseten does not document what a chain's webhook has; either id may be
    /// missing.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// The deployment that ran.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// What happened; the field `type`. Without one, an [`Event::Other`] that is empty.
    #[serde(rename = "type", default = "Event::untold", deserialize_with = "lenient::event")]
    pub event: Event,
    /// When this delivery was sent, to the microsecond.
    #[serde(with = "time")]
    pub time: SystemTime,
    /// The output as it came; `None` for `null`, which is what a failure has. See
    /// [`output`](Self::output).
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
    /// What went wrong; empty if nothing did. Each as [`JobError`] reads it.
    #[serde(default, deserialize_with = "lenient::errors")]
    pub errors: Vec<JobError>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a webhook tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// An async request ended, well or not: so far Baseten sends nothing else.
    AsyncRequestCompleted,
    /// Something newer than this version; empty if nothing was told.
    #[serde(untagged)]
    Other(Box<str>),
}

impl Event {
    pub(crate) fn untold() -> Self {
        Self::Other(Box::default())
    }
}

impl Webhook {
    /// A webhook without output and without errors; the other fields are yours to set.
    #[must_use]
    pub fn new(request_id: impl Into<String>, time: SystemTime) -> Self {
        Self {
            request_id: request_id.into(),
            model_id: None,
            chain_id: None,
            deployment_id: None,
            event: Event::AsyncRequestCompleted,
            time,
            data: None,
            errors: Vec::new(),
            other: Map::new(),
        }
    }

    /// Reads a body without verifying it: for what you trust already, such as your own queue.
    /// [`Verifier::verify`](crate::Verifier::verify) is for what comes from outside.
    ///
    /// A field beside `data` that a [`Value`] cannot hold, as it is nested too deep or has a number out of
    /// range, is read as the text that it is: such errors are one [`JobError`] with it for a message.
    ///
    /// # Errors
    /// [`Error::InvalidTime`] or [`Error::NotAWebhook`].
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(body).or_else(|error| {
            let readable = lenient::readable(body);
            let read = readable.and_then(|body| serde_json::from_slice(&body).ok());
            read.ok_or_else(|| refused(body, &error))
        })
    }

    /// Whether the request ended well.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.errors.is_empty()
    }

    /// The output, in a type of yours: whatever the model returned, an object or a text or anything.
    /// Types that borrow borrow from `self`.
    ///
    /// # Errors
    /// [`OutputError::Failed`] if there are errors, [`OutputError::Unexpected`] if the type does not
    /// fit.
    pub fn output<'a, T: Deserialize<'a>>(&'a self) -> Result<T, OutputError> {
        if let Some(first) = self.errors.first() {
            return Err(OutputError::Failed(Box::new(first.clone())));
        }
        let json = self.data.as_ref().map_or("null", |data| data.get());
        serde_json::from_str(json)
            .map_err(|error| OutputError::Unexpected { message: error::cut(&error.to_string()) })
    }
}

/// The serde error has only words, so a wrong time is looked for again: on this path alone.
fn refused(body: &[u8], error: &serde_json::Error) -> Error {
    #[derive(Deserialize)]
    struct Sent {
        time: String,
    }
    let sent: Option<Sent> = serde_json::from_slice(body).ok();
    match sent.and_then(|sent| time::parse(&sent.time).err()) {
        Some(invalid) => Error::InvalidTime(invalid),
        None => Error::NotAWebhook(NotAWebhook::new(error)),
    }
}

/// Why there is no output of the asked type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputError {
    /// The request failed; this is its first error.
    Failed(Box<JobError>),
    /// The output is of another type.
    Unexpected {
        /// In the reader's words, cut where they quote the output at length.
        message: Box<str>,
    },
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "the async request failed: {error}"),
            Self::Unexpected { message } => {
                write!(f, "the async request's output is not of the asked type: {message}")
            }
        }
    }
}

impl std::error::Error for OutputError {}
