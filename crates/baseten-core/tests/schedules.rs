//! A million random lives of calls that share a budget: no job runs twice unless that is allowed,
//! extra attempts keep their bound, and every call ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::time::{Duration, SystemTime};

use baseten_core::{
    Answer, Budget, Call, CallOptions, Cause, Clock, Credential, Delivery, Endpoint, Failure,
    Hosts, ModelId, Operation, Request, RetryPolicy, Start, Step, Target, Template,
};
use bytes::Bytes;

const CALLS: u64 = 1_000_000;

/// A small random source (xorshift), so that a seed replays a run.
struct Dice {
    state: u64,
    /// How many of a hundred attempts succeed.
    health: u64,
}

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % sides
    }
}

/// What the world did with one attempt: whether the job ran, and what the client got to know.
enum Event {
    Accepted,
    Failed { ran: bool, failure: Failure },
    Rejected { ran: bool, status: u16, from_model: bool, retry_after: Option<u64> },
}

fn happens(dice: &mut Dice) -> Event {
    if dice.roll(100) < dice.health {
        return Event::Accepted;
    }
    let failed = |ran, cause, sent| {
        let failure = Failure { sent, ..Failure::before_sending(cause, None) };
        Event::Failed { ran, failure }
    };
    let limit = Duration::from_secs(1);
    match dice.roll(8) {
        0 => failed(false, Cause::Connect, 0),
        1 => failed(false, Cause::Disconnected, 0),
        // Sent, and nobody can tell whether it ran.
        2 => failed(dice.roll(2) == 0, Cause::Disconnected, 1 + dice.roll(1000)),
        3 => failed(dice.roll(2) == 0, Cause::Timeout { clock: Clock::FirstByte, limit }, 200),
        4 => {
            let retry_after = (dice.roll(2) == 0).then(|| dice.roll(5));
            let status = [429, 503, 529][dice.roll(3) as usize];
            Event::Rejected { ran: false, status, from_model: false, retry_after }
        }
        // The model's own code answers: it ran.
        5 => Event::Rejected { ran: true, status: 429, from_model: true, retry_after: None },
        6 => {
            let status = [500, 502, 504][dice.roll(3) as usize];
            Event::Rejected { ran: dice.roll(2) == 0, status, from_model: false, retry_after: None }
        }
        _ => Event::Rejected { ran: false, status: 400, from_model: false, retry_after: None },
    }
}

#[derive(Default)]
struct Tally {
    calls: u64,
    attempts: u64,
    successes: u64,
    ran_twice: u64,
}

fn request() -> Request {
    let target = Target::model(ModelId::new("abc").unwrap());
    let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict).unwrap();
    Template::new(endpoint, &Credential::none(), Answer::Json).unwrap().empty()
}

/// One call to its end.
fn live(
    request: &Request,
    options: &CallOptions,
    budget: &Budget,
    dice: &mut Dice,
    tally: &mut Tally,
) {
    let start = Start { wall: SystemTime::UNIX_EPOCH, seed: dice.roll(u64::MAX) };
    let mut call = Call::new(request, options, budget, start);
    let (mut now, mut runs) = (Duration::ZERO, 0);
    tally.calls += 1;
    for _ in 0..1000 {
        match call.step(now) {
            Step::Wait(pause) => {
                assert!(pause <= Duration::from_secs(61), "{pause:?}");
                now += pause;
                match dice.roll(40) {
                    0 => return, // nobody waits for it any more
                    1 => call.on_failure(now, Failure::before_sending(Cause::Canceled, None)),
                    2 => now += Duration::from_secs(3600), // its driver slept
                    _ => {}
                }
            }
            Step::Fail(error) => {
                assert!(runs == 0 || error.delivery() != Delivery::NotSent, "{error}");
                assert!(runs == 0 || error.delivery() != Delivery::Refused, "{error}");
                tally.ran_twice += u64::from(runs > 1);
                return;
            }
            Step::Send(attempt) => {
                tally.attempts += 1;
                assert!(attempt.number <= 3);
                now += Duration::from_millis(dice.roll(500));
                match happens(dice) {
                    Event::Accepted => {
                        let head = http::Response::new(()).into_parts().0;
                        drop(call.accept(now, head));
                        tally.successes += 1;
                        tally.ran_twice += u64::from(runs > 0);
                        return;
                    }
                    Event::Failed { ran, failure } => {
                        runs += u64::from(ran);
                        call.on_failure(now, failure);
                    }
                    Event::Rejected { ran, status, from_model, retry_after } => {
                        runs += u64::from(ran);
                        let mut head = http::Response::builder().status(status);
                        if from_model {
                            head = head.header("x-baseten-error-source", "04");
                        }
                        if let Some(seconds) = retry_after {
                            head = head.header("retry-after", seconds);
                        }
                        let head = head.body(()).unwrap().into_parts().0;
                        call.on_rejected(now, head, Bytes::new());
                    }
                }
            }
        }
    }
    panic!("a call without end");
}

/// Calls of one client through good and bad times.
fn run(options: CallOptions, seed: u64) -> Tally {
    let (request, budget) = (request(), Budget::new());
    let (mut dice, mut tally) = (Dice { state: seed, health: 100 }, Tally::default());
    for n in 0..CALLS {
        if n % 5000 == 0 {
            dice.health = [100, 99, 90, 50, 10, 0][dice.roll(6) as usize];
        }
        live(&request, &options, &budget, &mut dice, &mut tally);
        let extra = tally.attempts - tally.calls;
        assert!(extra * 10 <= 100 + tally.successes, "{extra} extra, {} ok", tally.successes);
    }
    tally
}

#[test]
fn by_default_no_job_runs_twice() {
    let tally = run(CallOptions::default(), 0x5eed);
    assert_eq!(tally.ran_twice, 0);
    assert!(tally.attempts > tally.calls && tally.successes > CALLS / 10, "the dice roll");
}

#[test]
fn with_leave_it_may_and_the_bound_holds_all_the_same() {
    let retry = RetryPolicy::default().may_run_twice();
    let tally = run(CallOptions { retry, ..CallOptions::default() }, 0x5eed);
    assert!(tally.ran_twice > 0, "else the test above could not fail");
}
