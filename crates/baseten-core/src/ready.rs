//! Waiting for a deployment to start: when to wake it, when to ask whether it is ready.
//!
//! A state machine like [`crate::Watch`]. Of all that wait for one deployment, one asks; the others
//! look at what it has found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;

use crate::error::Error;
use crate::options::{CallOptions, RetryPolicy, Timeouts};
use crate::watch::may_differ_next_time;

/// The route on which Truss servers (0.18) tell whether the model is loaded, and custom servers that
/// Truss builds, too.
pub const READINESS: &str = "v1/models/model";

/// The deployments that a client waits for. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Starts(Arc<Mutex<BTreeMap<Box<str>, Starting>>>);

#[derive(Debug, Default)]
struct Starting {
    waiting: usize,
    /// Whether one of them asks.
    asking: bool,
    /// When it was found ready last.
    ready: Option<Duration>,
}

/// What a driver has to do next.
#[derive(Debug)]
pub enum StartStep {
    /// Come back after this long.
    Wait(Duration),
    /// Wake the deployment and report what came. It may take 15 s.
    Wake(CallOptions),
    /// Ask whether it is ready and report what came.
    Ask(CallOptions),
    /// The wait is over: it is ready, or was not until the limit.
    Over(Result<bool, Error>),
}

/// One caller's wait for a deployment.
///
/// It wakes, then asks at once, after 1 s and ever less often, up to every 15 s. 408, 425, 429, 5xx and
/// broken connections mean "not yet", and so does 404 from what may be asleep: development deployments
/// answer that then. A wake that came to any of these is made again, before each question, until it is
/// taken, or answered with 404 itself: there is nothing to wake.
#[derive(Debug)]
pub struct StartWait {
    starts: Starts,
    key: Box<str>,
    options: CallOptions,
    began: Duration,
    until: Duration,
    interval: Duration,
    waking: Waking,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waking {
    /// To be woken, from then on.
    Due(Duration),
    Woken,
    /// Nothing is known there that could be woken.
    Unknown,
}

#[derive(Debug)]
enum State {
    /// Somebody else asks.
    Looking,
    /// It is the one that asks, from then on.
    Asking(Duration),
    Over(Option<Result<bool, Error>>),
}

/// How often those look who do not ask.
const LOOK: Duration = Duration::from_millis(250);
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
const LAST_INTERVAL: Duration = Duration::from_secs(15);
/// What a request is given at least, however near the limit is.
const ASK_LEAST: Duration = Duration::from_secs(1);
/// The most that one wake may take, which the platform answers at once.
const WAKE: Duration = Duration::from_secs(15);

impl StartWait {
    /// Waits for what `key` names, its URL for one, from `now` on for at most `limit`, and a second
    /// longer if a request is under way then. Of `options` the clocks and limits count.
    #[must_use]
    pub fn new(
        starts: &Starts,
        key: &str,
        options: &CallOptions,
        now: Duration,
        limit: Duration,
    ) -> Self {
        starts.lock().entry(key.into()).or_default().waiting += 1;
        Self {
            starts: starts.clone(),
            key: key.into(),
            options: options.clone(),
            began: now,
            until: now.saturating_add(limit),
            interval: FIRST_INTERVAL,
            waking: Waking::Due(now),
            state: State::Looking,
        }
    }

    /// What to do at `now`.
    pub fn step(&mut self, now: Duration) -> StartStep {
        let found = |start: &mut Starting, wait: &Self| start.ready >= Some(wait.began);
        if let State::Over(outcome) = &mut self.state {
            let told = || Err(Error::request("the wait was over already"));
            return StartStep::Over(outcome.take().unwrap_or_else(told));
        }
        if self.with(found) {
            return StartStep::Over(Ok(true));
        }
        if now >= self.until {
            return StartStep::Over(Ok(false));
        }
        let left = self.until - now;
        if matches!(self.state, State::Looking) {
            if self.with(|start, _| std::mem::replace(&mut start.asking, true)) {
                return StartStep::Wait(LOOK.min(left));
            }
            self.state = State::Asking(now);
        }
        match (&self.state, self.waking) {
            (State::Asking(at), _) if now < *at => StartStep::Wait((*at - now).min(left)),
            (_, Waking::Due(at)) if now >= at => StartStep::Wake(self.within(left.min(WAKE))),
            // It may be parked until the deployment has started: it has all the time that is left.
            _ => StartStep::Ask(self.within(left)),
        }
    }

    /// What came of waking.
    pub fn on_wake<T>(&mut self, now: Duration, answer: Result<T, Error>) {
        // Waking is no condition: what runs already is found by asking.
        self.state = State::Asking(now);
        self.waking = match answer {
            Ok(_) => Waking::Woken,
            Err(error) if is_unknown(&error) => Waking::Unknown,
            Err(error) if may_differ_next_time(&error) => {
                let pause = self.interval.max(error.retry_after().unwrap_or_default());
                Waking::Due(now.saturating_add(pause))
            }
            Err(error) => {
                self.state = State::Over(Some(Err(error)));
                return;
            }
        };
    }

    /// What came of asking.
    pub fn on_answer<T>(&mut self, now: Duration, answer: Result<T, Error>) {
        if !matches!(self.state, State::Asking(_)) {
            return;
        }
        let may_sleep = self.waking != Waking::Unknown;
        self.state = match answer {
            Ok(_) => {
                self.with(|start, _| start.ready = Some(now));
                State::Over(Some(Ok(true)))
            }
            Err(error) if may_differ_next_time(&error) || (may_sleep && is_unknown(&error)) => {
                let pause = self.interval.max(error.retry_after().unwrap_or_default());
                self.interval = (self.interval * 3 / 2).min(LAST_INTERVAL);
                State::Asking(now.saturating_add(pause))
            }
            Err(error) => State::Over(Some(Err(error))),
        };
    }

    /// One request, for which there is this much time.
    fn within(&self, time: Duration) -> CallOptions {
        let own = self.options.timeouts;
        let time = time.max(ASK_LEAST);
        let total = Some(own.total.map_or(time, |own| own.min(time)));
        CallOptions {
            timeouts: Timeouts { total, ..own },
            retry: RetryPolicy { max_attempts: 1, ..self.options.retry },
            ..self.options.clone()
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Starting, &Self) -> T) -> T {
        look(self.starts.lock().entry(self.key.clone()).or_default(), self)
    }
}

impl Drop for StartWait {
    fn drop(&mut self) {
        let mut starts = self.starts.lock();
        let Some(start) = starts.get_mut(&self.key) else { return };
        start.waiting -= 1;
        start.asking &= matches!(self.state, State::Looking);
        if start.waiting == 0 {
            starts.remove(&self.key);
        }
    }
}

impl Starts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Starting>> {
        // Every change is complete before the lock goes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_unknown(error: &Error) -> bool {
    error.status() == Some(StatusCode::NOT_FOUND)
}
