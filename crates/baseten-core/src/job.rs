//! What the platform says of a queued run: where it stands, what went wrong, how long the queue is.
//!
//! Types for the answers of the platform's description of asynchronous inference. Values and members
//! that are newer than this version are kept, and written again as they came. The output of a run is in
//! none of them: it goes to the webhook.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::id::AsyncRequestId;

/// That a run is queued.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Submitted {
    /// The id to ask by; webhooks have it, too.
    #[serde(deserialize_with = "async_request_id")]
    pub request_id: AsyncRequestId,
}

/// Where a queued run stands. The platform knows it until about an hour after the run has ended.
///
/// ```
/// use baseten_core::{JobStatus, RunStatus, WebhookStatus};
/// let status: JobStatus = serde_json::from_str(
///     r#"{"request_id": "r1", "status": "SUCCEEDED", "webhook_status": "PENDING"}"#,
/// )?;
/// assert!(status.status.is_over() && !status.is_settled()); // the webhook is still to be delivered
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobStatus {
    /// The run's id.
    #[serde(default)]
    pub request_id: String,
    /// The model, if it is one's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The chain, if it is one's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// The deployment that it is queued for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// Where the run stands.
    pub status: RunStatus,
    /// Where the delivery of its output stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_status: Option<WebhookStatus>,
    /// When it was queued, in UTC, as the platform wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When `status` last changed, in UTC, as the platform wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_at: Option<String>,
    /// What went wrong, if something did.
    #[serde(default, deserialize_with = "or_default")]
    pub errors: Vec<JobError>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum RunStatus {
    /// It waits. Only now can it be canceled.
    Queued,
    /// It runs.
    InProgress,
    /// It has run.
    Succeeded,
    /// It has failed, after the attempts that it was allowed.
    Failed,
    /// It waited longer than it was allowed to.
    Expired,
    /// It was canceled before it ran.
    Canceled,
    /// It has run, but its output could not be delivered, and is lost.
    WebhookFailed,
    /// Something newer than this version.
    #[serde(untagged)]
    Other(Box<str>),
}

/// Where the delivery of a run's output stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum WebhookStatus {
    /// Not delivered yet.
    Pending,
    /// Delivered.
    Succeeded,
    /// All attempts to deliver it have failed.
    Failed,
    /// There will be none: the run was canceled.
    Canceled,
    /// None was asked for.
    NoWebhookProvided,
    /// Something newer than this version.
    #[serde(untagged)]
    Other(Box<str>),
}

/// One thing that went wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobError {
    /// What kind of thing.
    pub code: JobErrorCode,
    /// In words.
    #[serde(default)]
    pub message: String,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What kind of thing went wrong with a run. The first five are tried again by the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum JobErrorCode {
    /// The model answered 500.
    ModelPredictError,
    /// The model answered 504.
    ModelPredictTimeout,
    /// The model was not ready.
    ModelNotReady,
    /// The model answered 502 or 503.
    ModelUnavailable,
    /// The platform itself failed.
    InternalServerError,
    /// There is no such model or deployment.
    ModelDoesNotExist,
    /// The model did not take the input.
    ModelInvalidInput,
    /// The model takes no queued runs.
    AsyncRequestNotSupported,
    /// Something newer than this version.
    #[serde(untagged)]
    Other(Box<str>),
}

/// What came of taking a run back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Canceling")]
pub enum Cancellation {
    /// It was queued, and will not run.
    Canceled,
    /// It runs or has run: only what is queued can be canceled.
    TooLate {
        /// In the platform's words.
        message: String,
    },
}

/// How long the queue of a deployment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueStatus {
    /// The model, if it is one's queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The chain, if it is one's queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// The deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// How many runs wait.
    #[serde(rename = "num_queued_requests")]
    pub queued: u64,
    /// How many run.
    #[serde(rename = "num_in_progress_requests")]
    pub in_progress: u64,
}

impl JobStatus {
    /// Whether nothing will change any more: the run is over, and so is the delivery of its output.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.status.is_over() && self.webhook_status != Some(WebhookStatus::Pending)
    }
}

impl RunStatus {
    /// Whether the run has ended, in any way: every status but `Queued` and `InProgress`, those
    /// included that are newer than this version.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

/// As on the wire: `IN_PROGRESS`.
impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// As on the wire: `NO_WEBHOOK_PROVIDED`.
impl fmt::Display for WebhookStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// As on the wire: `MODEL_PREDICT_ERROR`.
impl fmt::Display for JobErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl JobError {
    /// An error with this code and these words: for a test, or for who sends webhooks on.
    #[must_use]
    pub fn new(code: JobErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), other: Map::new() }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// [`Cancellation`] on the wire.
#[derive(Deserialize)]
struct Canceling {
    canceled: bool,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
}

impl From<Canceling> for Cancellation {
    fn from(Canceling { canceled, message }: Canceling) -> Self {
        if canceled { Self::Canceled } else { Self::TooLate { message } }
    }
}

/// `null` is taken for nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn async_request_id<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<AsyncRequestId, D::Error> {
    let text = String::deserialize(deserializer)?;
    AsyncRequestId::new(text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: &str) -> JobStatus {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_the_platform_says_survives_a_round_trip() {
        for json in [
            r#"{"request_id":"r1","model_id":"abc","deployment_id":"d1","status":"FAILED","webhook_status":"SUCCEEDED","created_at":"2026-11-23T07:04:36.000123Z","status_at":"2026-11-23T07:04:38Z","errors":[{"code":"MODEL_PREDICT_ERROR","message":"no"}]}"#,
            r#"{"request_id":"r1","chain_id":"c1","status":"QUEUED","errors":[]}"#,
            r#"{"request_id":"r1","status":"PAUSED","webhook_status":"LATER","errors":[{"code":"NEW","message":"","hint":1}],"region":"us"}"#,
        ] {
            let read = status(json);
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
        let newer = status(r#"{"status":"PAUSED","webhook_status":"LATER","errors":null}"#);
        assert_eq!(newer.status, RunStatus::Other("PAUSED".into()));
        assert_eq!(newer.webhook_status, Some(WebhookStatus::Other("LATER".into())));
    }

    #[test]
    fn a_run_is_over_before_its_webhook_is() {
        //   status             webhook                      over   settled
        for (run, webhook, over, settled) in [
            ("QUEUED", r#""PENDING""#, false, false),
            ("IN_PROGRESS", r#""NO_WEBHOOK_PROVIDED""#, false, false),
            ("SUCCEEDED", r#""PENDING""#, true, false),
            ("SUCCEEDED", r#""SUCCEEDED""#, true, true),
            ("SUCCEEDED", r#""FAILED""#, true, true),
            ("SUCCEEDED", "null", true, true), // nothing is said of a webhook
            ("FAILED", r#""PENDING""#, true, false), // failures are delivered, too
            ("FAILED", r#""NO_WEBHOOK_PROVIDED""#, true, true),
            ("EXPIRED", r#""SUCCEEDED""#, true, true),
            ("CANCELED", r#""CANCELED""#, true, true),
            ("WEBHOOK_FAILED", r#""FAILED""#, true, true),
            ("PAUSED", r#""PENDING""#, true, false),
            ("PAUSED", "null", true, true), // unknown, and not one of the two that go on
        ] {
            let read = status(&format!(r#"{{"status":"{run}","webhook_status":{webhook}}}"#));
            assert_eq!(
                (read.status.is_over(), read.is_settled()),
                (over, settled),
                "{run} {webhook}"
            );
            assert_eq!(read.status.to_string(), run);
        }
    }

    #[test]
    fn too_late_is_no_error() {
        for (json, expect) in [
            (r#"{"request_id":"r1","canceled":true,"message":"ok"}"#, Cancellation::Canceled),
            (
                r#"{"canceled":false,"message":"it runs"}"#,
                Cancellation::TooLate { message: "it runs".into() },
            ),
            (
                r#"{"canceled":false,"message":null}"#,
                Cancellation::TooLate { message: String::new() },
            ),
        ] {
            assert_eq!(serde_json::from_str::<Cancellation>(json).unwrap(), expect);
        }
        assert!(serde_json::from_str::<Cancellation>(r#"{"message":"?"}"#).is_err());
    }

    #[test]
    fn an_id_that_could_leave_its_path_is_not_taken() {
        for (json, expect) in [
            (r#"{"request_id":"a/../b"}"#, "async request id has '/' at byte 1"),
            (r#"{"request_id":""}"#, "async request id is empty"),
            (r#"{"request_id":7}"#, "invalid type: integer"),
            ("{}", "missing field `request_id`"),
        ] {
            let error = serde_json::from_str::<Submitted>(json).unwrap_err().to_string();
            assert!(error.starts_with(expect), "{error}");
        }
    }
}
