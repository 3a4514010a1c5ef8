//! Waiting for a queued run: when to ask, and when to stop asking.
//!
//! [`Watch`] is to a queued run what [`crate::Call`] is to a request: a state machine that reads no
//! clock and sends nothing. Its requests are paced together with all others of a client.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::error::{Error, ErrorKind};
use crate::job::JobStatus;
use crate::options::{CallOptions, RetryPolicy, Timeouts};
use crate::pacer::{Pacer, Turn};
use crate::response::Response;

/// What a driver has to do next.
#[derive(Debug)]
pub enum WatchStep {
    /// Come back after this long.
    Wait(Duration),
    /// Ask for the status once, with these options, and report what came.
    Ask(CallOptions),
    /// The wait is over.
    Over(Result<JobOutcome, Error>),
}

/// What came of waiting for a queued run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JobOutcome {
    /// It has ended, in any way, and so has the delivery of its output.
    Settled(JobStatus),
    /// The limit was reached first. The run goes on; this is what was last known of it.
    Pending(Option<JobStatus>),
    /// The platform does not know it (404): it ended more than an hour ago, or the id is another
    /// model's. This is what was last known of it.
    Gone(Option<JobStatus>),
}

/// The wait for one queued run.
///
/// The driver's loop is [`Watch::step`], and after each `Ask` one [`Watch::on_answer`]. It asks at once,
/// then after 1 s and ever less often, up to every 30 s; with many runs watched the [`Pacer`] stretches
/// that. An answer that may be different next time (no connection, 408, 425, 429, 5xx) is no end:
/// only 3 in a row are before anything is known of the run, 20 afterwards. At the limit the last one is
/// told if nothing is known of the run, and forgotten if something is.
///
/// ```
/// use std::time::Duration;
/// use baseten_core::{CallOptions, Pacer, Watch, WatchStep};
/// let pacer = Pacer::new(7);
/// let minute = Duration::from_secs(60);
/// let mut watch = Watch::new(&pacer, &CallOptions::default(), Duration::ZERO, minute);
/// assert!(matches!(watch.step(Duration::ZERO), WatchStep::Ask(_)));
/// ```
#[derive(Debug)]
pub struct Watch {
    pacer: Pacer,
    options: CallOptions,
    until: Duration,
    interval: Duration,
    last: Option<JobStatus>,
    failed: Option<Error>,
    failures: u32,
    state: State,
    /// How it ended, until that is told.
    outcome: Option<Result<JobOutcome, Error>>,
}

#[derive(Debug)]
enum State {
    Resting { until: Duration },
    InLine(Turn),
    Asked,
    Over,
}

const FIRST_INTERVAL: Duration = Duration::from_secs(1);
const LAST_INTERVAL: Duration = Duration::from_secs(30);
/// The most that one request for a status may take, and the least that it is given.
const ASK: Duration = Duration::from_secs(30);
const ASK_LEAST: Duration = Duration::from_secs(1);
const FAILURES_UNKNOWN: u32 = 3;
const FAILURES_KNOWN: u32 = 20;

impl Watch {
    /// Waits from `now` on for at most `limit`, and as much longer as the last request takes, which
    /// is given a second at least. Of `options` the clocks and limits count; there are no retries
    /// within a request, since another follows.
    #[must_use]
    pub fn new(pacer: &Pacer, options: &CallOptions, now: Duration, limit: Duration) -> Self {
        Self {
            pacer: pacer.clone(),
            options: options.clone(),
            until: now.saturating_add(limit),
            interval: FIRST_INTERVAL,
            last: None,
            failed: None,
            failures: 0,
            state: State::Resting { until: now },
            outcome: None,
        }
    }

    /// What to do at `now`.
    pub fn step(&mut self, now: Duration) -> WatchStep {
        if now >= self.until && !matches!(self.state, State::Over) {
            let last = self.last.take();
            // A failure tells something only where nothing is known.
            let failed = self.failed.take().filter(|_| last.is_none());
            self.over(failed.map_or(Ok(JobOutcome::Pending(last)), Err));
        }
        if matches!(self.state, State::Over) {
            let told = || Err(Error::request("the wait was over already"));
            return WatchStep::Over(self.outcome.take().unwrap_or_else(told));
        }
        let left = self.until - now;
        match &mut self.state {
            State::Resting { until } if now < *until => {
                return WatchStep::Wait((*until - now).min(left));
            }
            State::InLine(_) => {}
            // Rested; or a driver asks again that has not reported: that request is lost.
            _ => self.state = State::InLine(self.pacer.watching_turn()),
        }
        if let State::InLine(turn) = &mut self.state
            && let Some(pause) = turn.pause(now)
        {
            return WatchStep::Wait(pause.min(left));
        }
        self.state = State::Asked;
        WatchStep::Ask(self.ask(left))
    }

    /// What came of asking.
    pub fn on_answer(&mut self, now: Duration, answer: Result<Response<Bytes>, Error>) {
        match answer.and_then(Response::json::<JobStatus>) {
            Ok(answer) if answer.value.is_settled() => {
                self.over(Ok(JobOutcome::Settled(answer.value)));
            }
            Ok(answer) => {
                self.last = Some(answer.value);
                self.failed = None;
                self.failures = 0;
                self.rest(now, Duration::ZERO);
            }
            Err(error) => self.on_failure(now, error),
        }
    }

    fn on_failure(&mut self, now: Duration, error: Error) {
        if error.status() == Some(StatusCode::NOT_FOUND) {
            let last = self.last.take();
            return self.over(Ok(JobOutcome::Gone(last)));
        }
        self.failures += 1;
        let patience = if self.last.is_some() { FAILURES_KNOWN } else { FAILURES_UNKNOWN };
        if self.failures >= patience || !may_differ_next_time(&error) {
            return self.over(Err(error));
        }
        let asked = error.retry_after();
        if error.status() == Some(StatusCode::TOO_MANY_REQUESTS) {
            self.pacer.too_many(now, asked, self.options.retry.longest_wait);
        }
        self.failed = Some(error);
        self.rest(now, asked.unwrap_or_default());
    }

    fn over(&mut self, outcome: Result<JobOutcome, Error>) {
        self.outcome = Some(outcome);
        self.state = State::Over;
    }

    /// Until the next interval, which is jittered by a quarter to either side, or longer if asked to.
    fn rest(&mut self, now: Duration, asked: Duration) {
        let interval = self.interval * 3 / 4 + self.pacer.draw(self.interval / 2);
        self.interval = (self.interval * 3 / 2).min(LAST_INTERVAL);
        self.state = State::Resting { until: now.saturating_add(interval.max(asked)) };
    }

    fn ask(&self, left: Duration) -> CallOptions {
        let own = self.options.timeouts;
        let total = left.clamp(ASK_LEAST, ASK);
        let total = Some(own.total.map_or(total, |own| own.min(total)));
        CallOptions {
            timeouts: Timeouts { total, ..own },
            retry: RetryPolicy { max_attempts: 1, ..self.options.retry },
            ..self.options.clone()
        }
    }
}

/// Whether the same request may be answered another time.
pub(crate) fn may_differ_next_time(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Connect
        | ErrorKind::Timeout
        | ErrorKind::Disconnected
        | ErrorKind::Truncated => true,
        ErrorKind::Status => error.status().is_some_and(|status| {
            matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()
        }),
        _ => false,
    }
}
