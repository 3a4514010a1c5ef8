//! What the platform says of a queued run: where it stands, what went wrong, how long the queue is.
//!
//! Types for the answers of the platform's description of asynchronous inference. Values and members
//! that are newer than this version are kept, and written again as they came. A number where a text is
//! described is kept as its digits, and `null` counts as not said. The output of a run is in none of
//! them: it goes to the webhook.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::id::AsyncRequestId;
use crate::job_error::JobError;
use crate::lenient;

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
    #[serde(default, deserialize_with = "lenient::text_or_default")]
    pub request_id: String,
    /// The model, if it is one's run.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The chain, if it is one's run.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// The deployment that it is queued for.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// Where the run stands. An answer without it is refused: no status is no end.
    #[serde(deserialize_with = "run_status")]
    pub status: RunStatus,
    /// Where the delivery of its output stands.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub webhook_status: Option<WebhookStatus>,
    /// When it was queued, in UTC, as the platform wrote it.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When `status` last changed, in UTC, as the platform wrote it.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub status_at: Option<String>,
    /// What went wrong, if something did.
    #[serde(default, deserialize_with = "errors")]
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
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The chain, if it is one's queue.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// The deployment.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// How many runs wait.
    #[serde(rename = "num_queued_requests", deserialize_with = "lenient::count")]
    pub queued: u64,
    /// How many run.
    #[serde(rename = "num_in_progress_requests", deserialize_with = "lenient::count")]
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

/// [`Cancellation`] on the wire.
#[derive(Deserialize)]
struct Canceling {
    canceled: bool,
    #[serde(default, deserialize_with = "lenient::text_or_default")]
    message: String,
}

impl From<Canceling> for Cancellation {
    fn from(Canceling { canceled, message }: Canceling) -> Self {
        if canceled { Self::Canceled } else { Self::TooLate { message } }
    }
}

fn run_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RunStatus, D::Error> {
    match lenient::text(deserializer)? {
        Some(RunStatus::Other(text)) if text.is_empty() => Err(D::Error::custom("no status")),
        None => Err(D::Error::custom("no status")),
        Some(status) => Ok(status),
    }
}

fn errors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<JobError>, D::Error> {
    Value::deserialize(deserializer).map(JobError::all_in)
}

fn async_request_id<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<AsyncRequestId, D::Error> {
    let text: String = lenient::text_or_default(deserializer)?;
    AsyncRequestId::new(text).map_err(D::Error::custom)
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
    fn what_is_told_otherwise_than_described_is_kept() {
        //   told, and what is written of it
        for (json, expect) in [
            // `null` is not said.
            (
                r#"{"request_id":null,"model_id":null,"chain_id":null,"deployment_id":null,"status":"QUEUED","webhook_status":null,"created_at":null,"status_at":null,"errors":null}"#,
                r#"{"request_id":"","status":"QUEUED","errors":[]}"#,
            ),
            // Numbers for texts, known values beside them.
            (
                r#"{"request_id":17,"model_id":2,"status":"FAILED","webhook_status":3,"created_at":1732345476.5,"status_at":1732345476}"#,
                r#"{"request_id":"17","model_id":"2","status":"FAILED","webhook_status":"3","created_at":"1732345476.5","status_at":"1732345476","errors":[]}"#,
            ),
            // A status that is none of ours, in any type.
            (r#"{"status":3}"#, r#"{"request_id":"","status":"3","errors":[]}"#),
            (
                r#"{"status":{"phase":"NEW"}}"#,
                r#"{"request_id":"","status":"{\"phase\":\"NEW\"}","errors":[]}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&status(json)).unwrap(), expect, "{json}");
        }
        let known = status(r#"{"status":"FAILED","webhook_status":"FAILED"}"#);
        assert_eq!(known.status, RunStatus::Failed);
        assert_eq!(known.webhook_status, Some(WebhookStatus::Failed));
        // Without a status nothing says whether the run is over.
        for (json, told) in [
            ("{}", "missing field `status`"),
            (r#"{"status":null}"#, "no status"),
            (r#"{"status":""}"#, "no status"),
        ] {
            let error = serde_json::from_str::<JobStatus>(json).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
        let queue: QueueStatus = serde_json::from_str(
            r#"{"model_id":7,"num_queued_requests":"12","num_in_progress_requests":3}"#,
        )
        .unwrap();
        assert_eq!(
            (queue.model_id.as_deref(), queue.queued, queue.in_progress),
            (Some("7"), 12, 3)
        );
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
            (
                r#"{"canceled":false,"message":409}"#,
                Cancellation::TooLate { message: "409".into() },
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
            (r#"{"request_id":null}"#, "async request id is empty"),
            (r#"{"request_id":{"id":"a"}}"#, "async request id has '{' at byte 0"),
            ("{}", "missing field `request_id`"),
        ] {
            let error = serde_json::from_str::<Submitted>(json).unwrap_err().to_string();
            assert!(error.starts_with(expect), "{error}");
        }
        // A run is queued by then, so its id is not thrown away over its type.
        let submitted: Submitted = serde_json::from_str(r#"{"request_id":7}"#).unwrap();
        assert_eq!(submitted.request_id.as_str(), "7");
    }
}
