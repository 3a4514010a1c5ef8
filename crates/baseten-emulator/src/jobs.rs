//! Async requests: submitted, asked for, cancelled and counted, as the platform's documentation
//! describes them. Nothing is run: a job's statuses are a list that each status request moves on. One
//! whose webhook is on this machine goes through it by itself, and then has its webhook delivered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::allowance::Allowance;
use crate::answer::Answer;
use crate::job::{Job, JobStatus, deployment, id_field};
use crate::route::Target;
use crate::submission;

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
        let ahead = state.script.iter().copied().collect();
        let mut job = Job::new(request_id, target, submission, ahead);
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
        Answer::json(job.told())
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
        job.webhook()
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
        let mut jobs = self.jobs.iter_mut().filter(|job| job.is_known(kept));
        jobs.find(|job| job.request_id == request_id && job.is_of(target))
    }
}

fn unknown() -> Answer {
    Answer::json(json!({ "error": "async request not found" })).with_status(404)
}
