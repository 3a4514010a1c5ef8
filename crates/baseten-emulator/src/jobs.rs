//! Async requests: submitted, asked for, cancelled and counted, as the platform's documentation
//! describes them. Nothing is run: a job's statuses are a list that each status request moves on. One
//! whose webhook is on this machine goes through it by itself, and then has its webhook delivered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::allowance::Allowance;
use crate::answer::Answer;
use crate::delivery;
use crate::route::{Kind, Stage, Target};
use crate::submission;
use crate::utc::utc;

/// How long a request is known after its end.
const KEPT: Duration = Duration::from_secs(3600);

/// How many questions about requests are answered within a second.
const QUESTIONS: usize = 20;

/// The async requests of an emulator. See [`Emulator::jobs`](crate::Emulator::jobs).
#[derive(Clone, Debug)]
pub struct Jobs {
    state: Arc<Mutex<State>>,
    /// Ids of jobs whose webhook is to be delivered.
    over: UnboundedSender<String>,
}

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
    on_its_way: bool,
    created: SystemTime,
    changed: SystemTime,
    /// When it was over; `None` while it is not.
    ended: Option<Instant>,
    ahead: VecDeque<JobStatus>,
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

#[derive(Debug)]
struct State {
    script: Vec<JobStatus>,
    kept: Duration,
    questions: Allowance,
    jobs: Vec<Job>,
}

impl Jobs {
    /// Also the ids of jobs whose webhook is to be delivered.
    pub(crate) fn new() -> (Self, UnboundedReceiver<String>) {
        let script = vec![JobStatus::Queued, JobStatus::InProgress, JobStatus::Succeeded];
        let (over, to_deliver) = unbounded_channel();
        let questions = Allowance::new(QUESTIONS);
        let state = State { script, kept: KEPT, questions, jobs: Vec::new() };
        (Self { state: Arc::new(Mutex::new(state)), over }, to_deliver)
    }

    /// The statuses that jobs submitted from now on tell, one each time they are asked; the last
    /// one stays. Default: `QUEUED`, `IN_PROGRESS`, `SUCCEEDED`. An empty list stays `QUEUED`. A job
    /// whose webhook is `http` to this machine is at the last one at once, since nobody has to ask for it.
    ///
    /// When such a job is over, its webhook is posted and signed
    /// ([`Builder::webhook_secret`](crate::Builder::webhook_secret)): with the output
    /// `{"echo": INPUT, "model": "ID"}`, or with errors. Until then its `webhook_status` is `PENDING`.
    /// Webhooks to other machines are not posted, and count as delivered.
    pub fn script(&self, statuses: impl IntoIterator<Item = JobStatus>) {
        self.lock().script = statuses.into_iter().collect();
    }

    /// Moves a job to a status and leaves it there; returns whether it is known.
    pub fn set(&self, request_id: &str, status: JobStatus) -> bool {
        let mut state = self.lock();
        let job = state.jobs.iter_mut().find(|job| job.request_id == request_id);
        let known = job.is_some();
        if let Some(job) = job {
            job.ahead.clear();
            self.enter(job, status);
        }
        known
    }

    /// How long after its end a job is known to those who ask for its status or cancel it; 404 from then on.
    /// Holds for all jobs, at once. Default: an hour, as Baseten does. With none, the end is told once, to
    /// whom it is told first.
    pub fn forget_after(&self, kept: Duration) {
        self.lock().kept = kept;
    }

    /// How many requests for status, cancel and queue status, taken together, are answered within any one
    /// second; the others get 429. `None`: all of them. Default: 20, as in Baseten's API description.
    /// Submissions are not limited.
    pub fn limit(&self, per_second: Option<usize>) {
        self.lock().questions.per_second = per_second;
    }

    /// All jobs, in order of submission, those that are forgotten too.
    pub fn all(&self) -> Vec<Job> {
        self.lock().jobs.clone()
    }

    /// `POST …/async_predict` and `…/async_run_remote`.
    pub(crate) fn submit(&self, target: &Target, request_id: &str, body: &[u8]) -> Answer {
        let submission = match submission::read(target.kind, body) {
            Ok(submission) => submission,
            Err(refusal) => return refusal,
        };
        let mut state = self.lock();
        let now = SystemTime::now();
        let mut job = Job {
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
            ahead: state.script.iter().copied().collect(),
        };
        if let Some(last) = job.ahead.back().copied().filter(|_| job.has_local_webhook()) {
            job.ahead.clear();
            self.enter(&mut job, last);
        }
        state.jobs.push(job);
        Answer::json(json!({ "request_id": request_id })).with_status(201)
    }

    /// `GET /async_request/{id}`.
    pub(crate) fn status(&self, target: &Target, request_id: &str) -> Answer {
        let mut state = self.lock();
        if let Some(refusal) = state.refusal() {
            return refusal;
        }
        let Some(job) = state.find(target, request_id) else { return unknown() };
        if let Some(next) = job.ahead.pop_front() {
            self.enter(job, next);
        }
        Answer::json(json!({
            "request_id": job.request_id,
            id_field(target.kind): target.id,
            "deployment_id": deployment(&job.target),
            "status": job.status,
            "webhook_status": job.webhook_status(),
            "created_at": utc(job.created),
            "status_at": utc(job.changed),
            "errors": job.errors,
        }))
    }

    /// `DELETE /async_request/{id}`.
    pub(crate) fn cancel(&self, target: &Target, request_id: &str) -> Answer {
        let mut state = self.lock();
        if let Some(refusal) = state.refusal() {
            return refusal;
        }
        let Some(job) = state.find(target, request_id) else { return unknown() };
        let canceled = job.status == JobStatus::Queued;
        let message = if canceled {
            job.ahead.clear();
            job.enter(JobStatus::Canceled);
            "The request was canceled"
        } else {
            "Only queued requests can be canceled"
        };
        Answer::json(json!({ "request_id": request_id, "canceled": canceled, "message": message }))
    }

    /// `GET …/async_queue_status`.
    pub(crate) fn queue(&self, target: &Target) -> Answer {
        let mut state = self.lock();
        if let Some(refusal) = state.refusal() {
            return refusal;
        }
        let count = |status| {
            let there = state.jobs.iter().filter(|job| job.is_of(target));
            let there = there.filter(|job| deployment(&job.target) == deployment(target));
            there.filter(|job| job.status == status).count()
        };
        Answer::json(json!({
            id_field(target.kind): target.id,
            "deployment_id": deployment(target),
            "num_queued_requests": count(JobStatus::Queued),
            "num_in_progress_requests": count(JobStatus::InProgress),
        }))
    }

    /// Where a job's webhook goes, and what it says now.
    pub(crate) fn webhook(&self, request_id: &str) -> Option<(String, String)> {
        let state = self.lock();
        let job = state.jobs.iter().find(|job| job.request_id == request_id)?;
        let url = job.webhook_endpoint()?.to_owned();
        let input = job.submission.get("model_input").unwrap_or(&job.submission);
        let output = json!({ "echo": input, "model": job.target.id });
        let body = json!({
            "request_id": job.request_id,
            id_field(job.target.kind): job.target.id,
            "deployment_id": deployment(&job.target),
            "type": "async_request_completed",
            "time": utc(SystemTime::now()),
            "data": if job.errors.is_empty() { output } else { Value::Null },
            "errors": job.errors,
        });
        Some((url, body.to_string()))
    }

    /// The receiver of a job's webhook has answered, or not.
    pub(crate) fn posted(&self, request_id: &str, status: Option<u16>) {
        let mut state = self.lock();
        let job = state.jobs.iter_mut().find(|job| job.request_id == request_id);
        if let Some(job) = job {
            job.posted.push(status);
        }
    }

    /// There will be no more attempts.
    pub(crate) fn delivered(&self, request_id: &str) {
        let mut state = self.lock();
        let job = state.jobs.iter_mut().find(|job| job.request_id == request_id);
        let Some(job) = job else { return };
        job.on_its_way = false;
        if !matches!(job.posted.last(), Some(Some(200..300))) {
            job.enter(JobStatus::WebhookFailed);
        }
    }

    /// Moves a job on, and its webhook with it.
    fn enter(&self, job: &mut Job, status: JobStatus) {
        job.enter(status);
        let is_over =
            matches!(status, JobStatus::Succeeded | JobStatus::Failed | JobStatus::Expired);
        if is_over && !job.on_its_way && job.posted.is_empty() && job.has_local_webhook() {
            job.on_its_way = true;
            // Nobody listens once the emulator has stopped.
            let _ = self.over.send(job.request_id.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What a question gets that is one too many.
    fn refusal(&mut self) -> Option<Answer> {
        let allowed = self.questions.take(Instant::now());
        // The text is ours; the code is of the API description.
        let error = json!({ "error": "Too many requests", "error_code": "rate_limited" });
        (!allowed).then(|| Answer::json(error).with_status(429))
    }

    fn find(&mut self, target: &Target, request_id: &str) -> Option<&mut Job> {
        let kept = self.kept;
        let known = |job: &&mut Job| job.ended.is_none_or(|at| at.elapsed() < kept);
        let mut jobs = self.jobs.iter_mut().filter(known);
        jobs.find(|job| job.request_id == request_id && job.is_of(target))
    }
}

impl Job {
    fn is_of(&self, target: &Target) -> bool {
        (self.target.kind, &self.target.id) == (target.kind, &target.id)
    }

    fn enter(&mut self, status: JobStatus) {
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

    fn has_local_webhook(&self) -> bool {
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

fn unknown() -> Answer {
    Answer::json(json!({ "error": "async request not found" })).with_status(404)
}

fn id_field(kind: Kind) -> &'static str {
    match kind {
        Kind::Model => "model_id",
        Kind::Chain => "chain_id",
        Kind::ModelApis => "model",
    }
}

/// The id of the deployment that a target leads to.
fn deployment(target: &Target) -> String {
    match &target.stage {
        Stage::Deployment(id) => id.clone(),
        Stage::Production | Stage::Bare => "in-production".into(),
        Stage::Development => "in-development".into(),
        Stage::Environment(name) | Stage::Regional(name) => format!("in-{name}"),
    }
}
