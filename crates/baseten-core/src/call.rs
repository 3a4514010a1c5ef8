//! The life of one call: when to send, when to wait, when to give up.
//!
//! [`Call`] is a state machine without a clock, a socket or a random source of its own: time is a
//! [`Duration`] since the call began, wall time and the seed for jitter are handed in once. Any
//! driver can run it, and every run can be replayed.

mod accepted;
mod attempt;

use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderValue;
use http::response::Parts;

use crate::api_error::ApiError;
use crate::budget::{Budget, Reserved};
use crate::delivery::{self, Delivery};
use crate::error::{Error, Stop};
use crate::failure::{Cause, Clock, Failure};
use crate::options::{CallOptions, Clocks, RetryPolicy};
use crate::pace;
use crate::pacer::{Paced, Turn};
use crate::request::{Label, Request};
use crate::response::{self, Headers, Meta, Timings};
use crate::trace::CallSpan;

pub use accepted::Accepted;
pub use attempt::{Attempt, Deadline, Outcome, Tried};

/// What a call takes from outside, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The time of day at which it began, for `Retry-After` dates.
    pub wall: SystemTime,
    /// Any number; it decides the jitter between attempts.
    pub seed: u64,
}

/// What a driver has to do next.
#[derive(Debug)]
pub enum Step {
    /// Send the request and report how it went.
    Send(Attempt),
    /// Ask again after this long.
    Wait(Duration),
    /// The call is over.
    Fail(Error),
}

/// One call, from its first attempt to an accepted answer or an error.
///
/// The driver's loop is [`Call::step`], and after each `Send` exactly one of [`Call::on_failure`],
/// [`Call::on_rejected`] and [`Call::accept`].
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use baseten_core::{Budget, Call, CallOptions, Cause, Failure, Start, Step};
/// # use baseten_core::{Answer, Credential, Endpoint, Hosts, ModelId, Operation, Target, Template};
/// # let target = Target::model(ModelId::new("abcd1234")?);
/// # let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict)?;
/// # let request = Template::new(endpoint, &Credential::none(), Answer::Json)?.json("hi")?;
/// let start = Start { wall: SystemTime::UNIX_EPOCH, seed: 7 };
/// let mut call = Call::new(&request, &CallOptions::default(), &Budget::new(), start);
/// assert!(matches!(call.step(Duration::ZERO), Step::Send(attempt) if attempt.number == 1));
/// call.on_failure(Duration::from_millis(3), Failure::before_sending(Cause::Connect, None));
/// assert!(matches!(call.step(Duration::from_millis(3)), Step::Wait(_))); // nothing was sent: again
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Call {
    label: Label,
    policy: RetryPolicy,
    clocks: Clocks,
    send_deadline: bool,
    /// What the caller named the request.
    id: Option<Arc<str>>,
    /// That, as the last attempt was sent with it. Boxed, since few name theirs.
    sent_id: Option<Box<HeaderValue>>,
    /// A part of a body that comes but once was taken.
    body_taken: bool,
    budget: Budget,
    start: Start,
    tried: Vec<Tried>,
    span: CallSpan,
    /// The last pause that backing off drew.
    drawn: Duration,
    /// What attempts take their turns from, and the place in line of the next one.
    paced: Option<Paced>,
    turn: Option<Turn>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// To be sent at `at`, after a wait of `waited`.
    Ready {
        at: Duration,
        waited: Duration,
        again: Option<Again>,
    },
    Sending {
        began: Duration,
        waited: Duration,
    },
    Over(Option<Error>),
}

/// What another attempt stands on.
#[derive(Debug)]
struct Again {
    /// How the one before failed.
    last: Error,
    reserved: Reserved,
}

/// That another attempt is made.
struct Retry {
    pause: Duration,
    reserved: Reserved,
}

/// The shortest and the longest pause between attempts that the client chooses by itself.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(20);

impl Call {
    /// A call that has not been sent yet.
    #[must_use]
    pub fn new(request: &Request, options: &CallOptions, budget: &Budget, start: Start) -> Self {
        let label = request.label();
        Self {
            span: request.span().begin(&label),
            label,
            policy: options.retry,
            clocks: Clocks::new(&options.timeouts, request.endpoint(), request.is_whole()),
            send_deadline: options.send_deadline,
            id: request.id().cloned(),
            sent_id: None,
            body_taken: false,
            budget: budget.clone(),
            start,
            tried: Vec::new(),
            drawn: PAUSE_MIN,
            paced: request.paced().cloned(),
            turn: None,
            state: State::Ready { at: Duration::ZERO, waited: Duration::ZERO, again: None },
        }
    }

    /// What to do at `now`, the time since the call began.
    ///
    /// A driver that asks while an attempt is under way has given that attempt up: it is taken as
    /// canceled, and the call fails.
    pub fn step(&mut self, now: Duration) -> Step {
        match &mut self.state {
            State::Ready { at, .. } if now < *at => Step::Wait(*at - now),
            State::Ready { at, waited, .. } => {
                let (at, mut waited) = (*at, *waited);
                if let Some(failure) = self.overdue(now) {
                    self.give_up(now, failure);
                    return self.step(now);
                }
                if let Some(pause) = self.in_line(now) {
                    return Step::Wait(pause);
                }
                if self.paced.is_some() {
                    waited += now - at;
                }
                let authorization = match self.authorization(now) {
                    Ok(authorization) => authorization,
                    Err(failure) => {
                        self.give_up(now, failure);
                        return self.step(now);
                    }
                };
                let ready = mem::replace(&mut self.state, State::Sending { began: now, waited });
                if let State::Ready { again: Some(again), .. } = ready {
                    again.reserved.spend();
                }
                self.sent_id = self.attempt_id();
                let (number, id) = (self.number(), self.sent_id.clone());
                Step::Send(Attempt { number, deadline: self.deadline(now), id, authorization })
            }
            State::Over(error) => Step::Fail(
                error
                    .take()
                    .unwrap_or_else(|| Error::request("the call was over already").at(&self.label)),
            ),
            State::Sending { .. } => {
                self.on_failure(now, Failure::after_sending(Cause::Canceled, None));
                self.step(now)
            }
        }
    }

    /// How long things may take: `total` counts from the beginning of the call, each other clock from its
    /// own, anew for each attempt.
    #[must_use]
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Some of a body that comes but once ([`Request::is_streamed`]) was taken: whatever comes of this
    /// attempt, there is no other. A driver says so before it says what came of it.
    pub fn body_taken(&mut self) {
        self.body_taken = true;
    }

    /// The attempt brought no answer. Between two attempts: there is to be no other.
    pub fn on_failure(&mut self, now: Duration, failure: Failure) {
        let State::Sending { .. } = self.state else { return self.give_up(now, failure) };
        let delivery = delivery::of_failure(&failure);
        let (cause, reused) = (failure.cause, failure.reused);
        self.record(now, Outcome::Failed(cause), delivery, None);
        let error = Error::failed(&self.label, failure, delivery);
        // What the caller decided, what the clock decided, and what fails the same again: at the end of
        // a line that was too long, for one.
        let over = matches!(
            cause,
            Cause::Canceled
                | Cause::Credential
                | Cause::TokenExpired { .. }
                | Cause::Tls
                | Cause::ProxyLogin
                | Cause::Reader { .. }
                | Cause::ReaderLength { .. }
                | Cause::Timeout { clock: Clock::Total | Clock::Queue, .. }
        );
        // A pooled connection that was dead all along says nothing about the server: no pause.
        let pause = (reused && delivery == Delivery::NotSent).then_some(Duration::ZERO);
        let verdict = self.may_retry(delivery, over.then_some(Stop::Final));
        let verdict = verdict.and_then(|()| self.retry(now, pause));
        self.follow(now, verdict, error);
    }

    /// The answer has a status that [`Request::accepts`] does not. `body` is as much of it as was kept.
    pub fn on_rejected(&mut self, now: Duration, mut head: Parts, mut body: Bytes) {
        if let Some(secret) = self.label.secret() {
            head.headers = secret.hide_in_headers(&head.headers).unwrap_or(head.headers);
            body = secret.hide_bytes(body);
        }
        let api = ApiError::parse(&body);
        let trust = self.policy.trust_refusals;
        let endpoint = self.label.endpoint();
        let delivery = delivery::of_answer(endpoint, trust, head.status, &head.headers, &api);
        let wall = self.start.wall + now;
        let asked = pace::retry_after(&head.headers, wall).or_else(|| {
            let daily = head.status == StatusCode::TOO_MANY_REQUESTS && api.is_daily_limit();
            daily.then(|| pace::until_midnight(wall))
        });
        if let Some(paced) = &self.paced
            && head.status == StatusCode::TOO_MANY_REQUESTS
        {
            paced.too_many(now, asked, self.policy.longest_wait);
        }
        let request_id = response::request_id(&head.headers).map(Into::into);
        self.record(now, Outcome::Status(head.status), delivery, request_id);
        let error = Error::rejected(&self.label, head, body, api, delivery);
        let error = error.asked_to_wait(asked, wall);
        let jitter = Duration::from_millis(self.draw(250));
        let pause = asked.map(|asked| asked.saturating_add(jitter));
        let too_long = asked.is_some_and(|asked| asked > self.policy.longest_wait);
        let verdict = self.may_retry(delivery, too_long.then_some(Stop::TooLong));
        let verdict = verdict.and_then(|()| self.retry(now, pause));
        self.follow(now, verdict, error);
    }

    /// The answer has the status that was asked for: the call is never sent again, even if the body breaks.
    #[must_use]
    pub fn accept(self, now: Duration, head: Parts) -> Accepted {
        self.budget.earn();
        let waited = self.tried.iter().map(|tried| tried.waited).sum::<Duration>()
            + match self.state {
                State::Sending { waited, .. } | State::Ready { waited, .. } => waited,
                State::Over(_) => Duration::ZERO,
            };
        let began = if let State::Sending { began, .. } = self.state { began } else { now };
        self.span.accepted(self.number(), &self.label, &head, now.saturating_sub(began));
        let timings = Timings { waited, head: now, total: Duration::ZERO };
        let meta = Meta {
            label: self.label,
            status: head.status,
            headers: Headers::new(head.headers),
            failed: self.tried,
            timings,
            id: self.sent_id,
            encoded: None,
        };
        Accepted { meta, span: self.span }
    }

    /// Whether the total clock ran out before the next attempt: the driver came late.
    fn overdue(&self, now: Duration) -> Option<Failure> {
        let limit = self.clocks.total.filter(|limit| now >= *limit)?;
        let cause = Cause::Timeout { clock: Clock::Total, limit };
        Some(Failure::before_sending(cause, None))
    }

    /// How long it is not the next attempt's turn yet, within the total clock.
    fn in_line(&mut self, now: Duration) -> Option<Duration> {
        let paced = self.paced.as_ref()?;
        let turn = self.turn.get_or_insert_with(|| paced.turn());
        let Some(pause) = turn.pause(paced.time(now)) else {
            self.turn = None;
            return None;
        };
        Some(self.clocks.total.map_or(pause, |limit| pause.min(limit.saturating_sub(now))))
    }

    /// What an attempt that is sent now may tell of the total clock.
    fn deadline(&self, now: Duration) -> Option<Deadline> {
        let left = self.clocks.total.filter(|_| self.send_deadline)?.saturating_sub(now);
        let at = self.start.wall.checked_add(now)?.checked_add(left)?;
        let ms = |time: Duration| u64::try_from(time.as_nanos().div_ceil(1_000_000)).ok();
        let at = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Deadline { timeout_ms: ms(left)?, at_ms: ms(at)? })
    }

    /// The key of an attempt that is made now, unless it stands in the request. What a server says of
    /// it is searched for this one.
    fn authorization(&mut self, now: Duration) -> Result<Option<HeaderValue>, Failure> {
        let Some(credential) = self.label.changing() else { return Ok(None) };
        let value = credential.header_at(self.label.endpoint(), self.start.wall + now)?;
        self.label = self.label.showing(value.as_ref());
        Ok(value)
    }

    /// The name of the attempt: that of the request, and the attempt's number after a dash.
    fn attempt_id(&self) -> Option<Box<HeaderValue>> {
        let id = HeaderValue::try_from(format!("{}-{}", self.id.as_ref()?, self.number()));
        Some(Box::new(id.expect("the id was checked to be visible ASCII")))
    }

    /// The number of the attempt that is next or under way.
    fn number(&self) -> u32 {
        self.tried.len() as u32 + 1
    }

    fn record(
        &mut self,
        now: Duration,
        outcome: Outcome,
        delivery: Delivery,
        request_id: Option<Box<str>>,
    ) {
        let (began, waited) = match self.state {
            State::Sending { began, waited } => (began, waited),
            _ => (now, Duration::ZERO),
        };
        let number = self.number();
        let tried = Tried { number, waited, began, ended: now, outcome, delivery, request_id };
        self.span.attempt(&tried);
        self.tried.push(tried);
    }

    /// Whether trying again is harmless, and nothing else speaks against it.
    fn may_retry(&self, delivery: Delivery, against: Option<Stop>) -> Result<(), Stop> {
        let harmless = match delivery {
            Delivery::NotSent | Delivery::Refused => true,
            Delivery::MaybeRan => {
                self.label.endpoint().is_repeatable() || self.policy.may_run_twice
            }
            Delivery::Answered => return Err(Stop::Final),
        };
        match against {
            Some(stop) => Err(stop),
            None if self.body_taken => Err(Stop::BodyTaken),
            None if harmless => Ok(()),
            None => Err(Stop::MayRunTwice),
        }
    }

    /// Takes another attempt out of what is left, and says after which pause it is made.
    fn retry(&mut self, now: Duration, asked: Option<Duration>) -> Result<Retry, Stop> {
        if self.tried.len() as u32 >= self.policy.max_attempts {
            return Err(Stop::Attempts);
        }
        let pause = asked.unwrap_or_else(|| self.back_off());
        if self.clocks.total.is_some_and(|limit| now.saturating_add(pause) >= limit) {
            return Err(Stop::Deadline);
        }
        let reserved = self.budget.reserve().ok_or(Stop::Budget)?;
        Ok(Retry { pause, reserved })
    }

    fn follow(&mut self, now: Duration, verdict: Result<Retry, Stop>, last: Error) {
        match verdict {
            Ok(Retry { pause, reserved }) => {
                let (at, again) = (now.saturating_add(pause), Some(Again { last, reserved }));
                self.state = State::Ready { at, waited: pause, again };
            }
            Err(stop) => self.end(now, stop, last),
        }
    }

    /// The call ends before its next attempt, which never was one.
    fn give_up(&mut self, now: Duration, failure: Failure) {
        let State::Ready { again, .. } = &mut self.state else { return };
        let last = again.take().map(|again| again.last);
        let error = Error::failed(&self.label, failure, Delivery::NotSent);
        self.end(now, Stop::Final, error.after(last));
    }

    fn end(&mut self, now: Duration, stop: Stop, error: Error) {
        let error = error.stopped(stop, mem::take(&mut self.tried)).with_elapsed(now);
        let error = error.named(self.sent_id.take());
        self.span.failed(&error);
        self.state = State::Over(Some(error));
    }

    /// Decorrelated jitter: somewhere between the shortest pause and three times the last one.
    fn back_off(&mut self) -> Duration {
        let most = (self.drawn * 3).min(PAUSE_MAX);
        let spread = (most - PAUSE_MIN).as_millis() as u64;
        self.drawn = PAUSE_MIN + Duration::from_millis(self.draw(spread));
        self.drawn
    }

    /// A number from 0 to `most` (splitmix64 over the seed and the attempt).
    fn draw(&self, most: u64) -> u64 {
        let attempt = u64::from(self.number());
        let mut x = self.start.seed.wrapping_add(attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % (most + 1)
    }
}
