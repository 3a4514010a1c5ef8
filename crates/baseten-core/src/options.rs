//! What a caller may set: clocks, retries and limits.
//!
//! The same [`CallOptions`] serve as a client's default and as the setting of a single call. A value
//! left at its default follows the endpoint: a deployment may be parked through a cold start, a
//! stream has no end to wait for.

use std::time::Duration;

use crate::cancel::CancelToken;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::sse::DEFAULT_EVENT_LIMIT;
use crate::waiting::OnWaiting;

/// Clocks, retries and limits of a call.
///
/// ```
/// use std::time::Duration;
/// use baseten_core::{CallOptions, Timeouts};
/// let quick = CallOptions {
///     timeouts: Timeouts { total: Some(Duration::from_secs(5)), ..Timeouts::default() },
///     ..CallOptions::default()
/// };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// When to stop waiting.
    pub timeouts: Timeouts,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How much of an answer to take in.
    pub limits: Limits,
    /// Tell the server how long the total clock still leaves, in `Request-Timeout-Ms` and
    /// `Request-Deadline-Ms`, as Baseten's performance client 0.1 does; whether the platform acts on
    /// them is not documented. Nothing is sent where the total clock is off. Default `false`.
    pub send_deadline: bool,
    /// Gives up, when it is canceled, whatever was called with these options. Default none: dropping
    /// an async call cancels it all the same.
    pub cancel: Option<CancelToken>,
    /// Whom to tell that the first byte of an answer has not come. Default nobody.
    pub on_waiting: Option<OnWaiting>,
}

impl CallOptions {
    /// The same, to be given up by this token.
    #[must_use]
    pub fn canceled_by(self, token: &CancelToken) -> Self {
        Self { cancel: Some(token.clone()), ..self }
    }

    /// That they were canceled, as an error of a call of which nothing was sent.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Canceled`].
    pub fn check_canceled(&self) -> Result<(), Error> {
        self.cancel.as_ref().map_or(Ok(()), CancelToken::check)
    }
}

/// Five clocks. `None` keeps the default, [`Duration::MAX`] switches a clock off. Zero switches none off:
/// `queue` and `total` then leave no time, and the others take less than a millisecond for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// In line for a connection, where their number is limited. Default 60 s: as for the pause that a
    /// server may ask for ([`RetryPolicy::longest_wait`]), a caller who has to wait longer should know.
    pub queue: Option<Duration>,
    /// Name resolution, TCP, proxy and TLS together. Default 10 s.
    pub connect: Option<Duration>,
    /// From a ready connection, or from the last byte of the request that the socket took, to the first
    /// byte of the answer: an upload that moves is not silent. Default 1230 s
    /// where a request is parked until a replica is ready (the platform's own answer after 1200 s
    /// must win), 600 s elsewhere. A head that comes byte by byte has to be there in full when this and
    /// `idle` are over, one after the other.
    pub first_byte: Option<Duration>,
    /// Between two bytes of the answer. Any byte counts; it stands still while nobody asks for the
    /// next one, and goes on when somebody does. The body of an error answer has it in all. Default 120 s.
    pub idle: Option<Duration>,
    /// The whole call, with all attempts and waits between them. Default none for a streamed
    /// answer, 1260 s for one taken in whole.
    pub total: Option<Duration>,
}

/// The clocks of one call, with defaults filled in; `None` is a clock that is off, as [`Default`]
/// has them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// See [`Timeouts::queue`].
    pub queue: Option<Duration>,
    /// See [`Timeouts::connect`].
    pub connect: Option<Duration>,
    /// See [`Timeouts::first_byte`].
    pub first_byte: Option<Duration>,
    /// See [`Timeouts::idle`].
    pub idle: Option<Duration>,
    /// See [`Timeouts::total`]; counted from the beginning of the call.
    pub total: Option<Duration>,
}

impl Clocks {
    /// The clocks of a call to `endpoint`, whose answer is taken in whole or streamed.
    #[must_use]
    pub fn new(timeouts: &Timeouts, endpoint: &Endpoint, whole: bool) -> Self {
        let seconds = Duration::from_secs;
        let set = |chosen: Option<Duration>, default| match chosen.unwrap_or(default) {
            Duration::MAX => None,
            limit => Some(limit),
        };
        let wire = |chosen: Option<Duration>, default| {
            set(chosen.map(|limit| limit.max(Duration::from_millis(1))), default)
        };
        let first_byte = seconds(if endpoint.waits_for_replica() { 1230 } else { 600 });
        let total = if whole { seconds(1260) } else { Duration::MAX };
        Self {
            queue: set(timeouts.queue, seconds(60)),
            connect: wire(timeouts.connect, seconds(10)),
            first_byte: wire(timeouts.first_byte, first_byte),
            idle: wire(timeouts.idle, seconds(120)),
            total: set(timeouts.total, total),
        }
    }
}

/// When a call is sent again.
///
/// By default only what provably did not run is retried: what was never sent, and what the server
/// refused before running it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a call is sent at most, the first time included. Default 3; 0 counts as 1.
    pub max_attempts: u32,
    /// Also retry what may have run: 408, 425, 500, 502, 504, a reset or a timeout after sending.
    /// The job may then run, and be billed, twice. Default `false`.
    pub may_run_twice: bool,
    /// Take a 429, 503 or 529 for a refusal where it may come from the model's own server: through
    /// `sync`, and from hosts that are not Baseten's. Default `true`.
    pub trust_refusals: bool,
    /// The longest pause a server may ask for; a longer one fails the call at once, with the time
    /// to come back. Default 60 s.
    pub longest_wait: Duration,
}

impl RetryPolicy {
    /// Every call is sent once.
    #[must_use]
    pub fn never() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// Also retries what may have run: for jobs that are harmless to repeat.
    #[must_use]
    pub fn may_run_twice(self) -> Self {
        Self { may_run_twice: true, ..self }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            may_run_twice: false,
            trust_refusals: true,
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// How much of an answer is taken in, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An answer taken in whole, be it because a server did not stream the chat that it was asked to
    /// stream. Default 512 MiB.
    pub body: usize,
    /// What is kept of the body of an error answer. Default 64 KiB.
    pub error_body: usize,
    /// One event of a stream that the client reads: chat and completions. Default 8 MiB.
    pub event: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 512 << 20, error_body: 64 << 10, event: DEFAULT_EVENT_LIMIT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hosts, ModelId, Operation, Target};

    #[test]
    fn defaults_follow_the_endpoint() {
        let target = Target::model(ModelId::new("abc").unwrap());
        let gateway = Hosts::base_url("https://gateway.example.com").unwrap();
        let s = |seconds| Some(Duration::from_secs(seconds));
        //   hosts              operation           whole   first byte  total
        for (hosts, operation, whole, first_byte, total) in [
            (Hosts::baseten(), Operation::Predict, true, s(1230), s(1260)),
            (Hosts::baseten(), Operation::Predict, false, s(1230), None),
            (Hosts::baseten(), Operation::Wake, true, s(600), s(1260)), // answered at once
            (gateway, Operation::Predict, true, s(600), s(1260)),       // nobody parks it there
        ] {
            let endpoint = Endpoint::new(&hosts, &target, &operation).unwrap();
            let clocks = Clocks::new(&Timeouts::default(), &endpoint, whole);
            assert_eq!((clocks.first_byte, clocks.total), (first_byte, total));
            assert_eq!((clocks.queue, clocks.connect, clocks.idle), (s(60), s(10), s(120)));
        }
    }

    #[test]
    fn a_clock_can_be_switched_off_and_never_stands_at_zero() {
        let target = Target::model(ModelId::new("abc").unwrap());
        let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict).unwrap();
        let (zero, least) = (Some(Duration::ZERO), Some(Duration::from_millis(1)));
        let half = Some(Duration::from_micros(500));
        let all =
            |set| Timeouts { queue: set, connect: set, first_byte: set, idle: set, total: set };
        //   set                    at the wire  in line, and over all
        for (set, wire, caller) in [
            (Some(Duration::MAX), None, None),
            (zero, least, zero), // no time at all is something that a caller may say
            (half, least, half),
            (
                Some(Duration::from_secs(2)),
                Some(Duration::from_secs(2)),
                Some(Duration::from_secs(2)),
            ),
        ] {
            let clocks = Clocks::new(&all(set), &endpoint, true);
            assert_eq!((clocks.connect, clocks.first_byte, clocks.idle), (wire, wire, wire));
            assert_eq!((clocks.queue, clocks.total), (caller, caller));
        }
    }
}
