//! One async request: where it stands, and what is told of it. What moves it is `jobs`'.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::delivery;
use crate::route::{Kind, Stage, Target};
use crate::utc::utc;

/// An async request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job {
    /// Its id, as the submission's answer had it.
    pub request_id: String,
    /// The model or chain it is for.
    pub target: Target,
    /// The body of the submission.
    pub submission: Value,
    /// Where it stands.
    pub status: JobStatus,
    /// What went wrong, if it failed.
    pub errors: Vec<JobError>,
    /// What its webhook's receiver answered, attempt by attempt; `None` is no answer.
    pub posted: Vec<Option<u16>>,
    /// Whether its webhook is on its way.
    pub(crate) on_its_way: bool,
    created: SystemTime,
    changed: SystemTime,
    /// When it was over; `None` while it is not.
    ended: Option<Instant>,
    /// The statuses that it will tell.
    pub(crate) ahead: VecDeque<JobStatus>,
}

/// Where an async request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum JobStatus {
    /// Waits. The only status in which it can be cancelled.
    Queued,
    /// Runs.
    InProgress,
    /// Has run.
    Succeeded,
    /// Has failed.
    Failed,
    /// Waited too long.
    Expired,
    /// Was cancelled.
    Canceled,
    /// Has run, but its webhook could not be delivered.
    WebhookFailed,
}

/// Why an async request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// `MODEL_PREDICT_ERROR`, `MODEL_PREDICT_TIMEOUT`, `MODEL_NOT_READY` and others.
    pub code: String,
    /// In words.
    pub message: String,
}

impl Job {
    /// One that has just been submitted, and will tell these statuses.
    pub(crate) fn new(
        request_id: &str,
        target: &Target,
        submission: Value,
        ahead: VecDeque<JobStatus>,
    ) -> Self {
        let now = SystemTime::now();
        Self {
            request_id: request_id.into(),
            target: target.clone(),
            submission,
            status: JobStatus::Queued,
            errors: Vec::new(),
            posted: Vec::new(),
            on_its_way: false,
            created: now,
            changed: now,
            ended: None,
            ahead,
        }
    }

    /// Whether it ended less than this long ago, or has not.
    pub(crate) fn is_known(&self, kept: Duration) -> bool {
        self.ended.is_none_or(|at| at.elapsed() < kept)
    }

    /// What is told of its status.
    pub(crate) fn told(&self) -> Value {
        json!({
            "request_id": self.request_id,
            id_field(self.target.kind): self.target.id,
            "deployment_id": deployment(&self.target),
            "status": self.status,
            "webhook_status": self.webhook_status(),
            "created_at": utc(self.created),
            "status_at": utc(self.changed),
            "errors": self.errors,
        })
    }

    /// Where its webhook goes, and what it says now.
    pub(crate) fn webhook(&self) -> Option<(String, String)> {
        let url = self.webhook_endpoint()?.to_owned();
        let input = self.submission.get("model_input").unwrap_or(&self.submission);
        let output = json!({ "echo": input, "model": self.target.id });
        let body = json!({
            "request_id": self.request_id,
            id_field(self.target.kind): self.target.id,
            "deployment_id": deployment(&self.target),
            "type": "async_request_completed",
            "time": utc(SystemTime::now()),
            "data": if self.errors.is_empty() { output } else { Value::Null },
            "errors": self.errors,
        });
        Some((url, body.to_string()))
    }

    pub(crate) fn is_of(&self, target: &Target) -> bool {
        (self.target.kind, &self.target.id) == (target.kind, &target.id)
    }

    /// Moves it on.
    pub(crate) fn enter(&mut self, status: JobStatus) {
        if self.status != status {
            self.changed = SystemTime::now();
        }
        self.status = status;
        self.ended = match status {
            JobStatus::Queued | JobStatus::InProgress => None,
            _ => self.ended.or_else(|| Some(Instant::now())),
        };
        self.errors = match status {
            JobStatus::Failed => vec![JobError {
                code: "MODEL_PREDICT_ERROR".into(),
                message: "Internal Server Error (in model/chainlet).".into(),
            }],
            // How the platform puts it is not documented.
            JobStatus::Expired => vec![JobError {
                code: "MODEL_PREDICT_TIMEOUT".into(),
                message: "The request expired in the queue".into(),
            }],
            JobStatus::WebhookFailed => std::mem::take(&mut self.errors),
            _ => Vec::new(),
        };
    }

    /// Where the output is to be posted. In bare arguments of a chain the name means nothing.
    fn webhook_endpoint(&self) -> Option<&str> {
        self.submission.get("model_input")?;
        self.submission.get("webhook_endpoint")?.as_str()
    }

    pub(crate) fn has_local_webhook(&self) -> bool {
        self.webhook_endpoint().is_some_and(delivery::is_local)
    }

    fn webhook_status(&self) -> &'static str {
        match self.status {
            _ if self.webhook_endpoint().is_none() => "NO_WEBHOOK_PROVIDED",
            JobStatus::Queued | JobStatus::InProgress => "PENDING",
            _ if self.on_its_way => "PENDING",
            JobStatus::Canceled => "CANCELED",
            JobStatus::WebhookFailed => "FAILED",
            JobStatus::Succeeded | JobStatus::Failed | JobStatus::Expired => "SUCCEEDED",
        }
    }
}

/// Under which name a target's id is told.
pub(crate) fn id_field(kind: Kind) -> &'static str {
    match kind {
        Kind::Model => "model_id",
        Kind::Chain => "chain_id",
        Kind::ModelApis => "model",
    }
}

/// The id of the deployment that a target leads to.
pub(crate) fn deployment(target: &Target) -> String {
    match &target.stage {
        Stage::Deployment(id) => id.clone(),
        Stage::Production | Stage::Bare => "in-production".into(),
        Stage::Development => "in-development".into(),
        Stage::Environment(name) | Stage::Regional(name) => format!("in-{name}"),
    }
}
