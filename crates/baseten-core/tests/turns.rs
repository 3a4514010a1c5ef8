//! Calls whose attempts take turns, with a fake clock: how often they are sent, whatever they are
//! answered, and what a line that is too long comes to.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, SystemTime};

use baseten_core::{
    Access, Answer, AsyncRequestId, Budget, Call, CallOptions, Clock, Credential, Delivery, Error,
    Hosts, ModelId, Operation, Pacer, RetryPolicy, Start, Step, Stop, Target, Timeouts,
};
use bytes::Bytes;

const SECOND: Duration = Duration::from_secs(1);
/// How long an answer takes.
const TRIP: Duration = Duration::from_millis(20);

/// A call that begins at `now`.
fn call(pacer: &Pacer, budget: &Budget, options: &CallOptions, now: Duration, seed: u64) -> Call {
    let access = Access::new(Hosts::baseten(), Credential::none());
    let target = Target::model(ModelId::new("abc").unwrap());
    let operation = Operation::AsyncStatus(AsyncRequestId::new("r1").unwrap());
    let template = access.template(&target, &operation, Answer::Json).unwrap();
    let request = template.empty().in_turn(pacer, now);
    Call::new(&request, options, budget, Start { wall: SystemTime::UNIX_EPOCH, seed })
}

fn head(status: u16, headers: &[(&str, &str)]) -> http::response::Parts {
    let mut answer = http::Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(()).unwrap().into_parts().0
}

/// A budget that is full.
fn rich() -> Budget {
    let budget = Budget::new();
    (0..1000).for_each(|_| budget.earn());
    budget
}

/// When each attempt of forty calls, begun within a second, is sent, all of them answered with this.
fn sent(status: u16, headers: &[(&str, &str)]) -> Vec<Duration> {
    let (pacer, budget) = (Pacer::new(5), rich());
    let options = CallOptions::default();
    let mut calls = Vec::new();
    let mut waiting = BinaryHeap::new();
    for seed in 0..40 {
        let began = SECOND * 7 + SECOND * seed / 40;
        calls.push((call(&pacer, &budget, &options, began, u64::from(seed)), began));
        waiting.push(Reverse((began, seed as usize)));
    }
    let mut sent = Vec::new();
    while let Some(Reverse((at, index))) = waiting.pop() {
        let (call, began) = &mut calls[index];
        let now = at - *began;
        match call.step(now) {
            Step::Wait(pause) => waiting.push(Reverse((at + pause, index))),
            Step::Fail(error) => {
                assert_eq!((error.stop(), error.attempts().len()), (Stop::Attempts, 3))
            }
            Step::Send(_) => {
                sent.push(at);
                call.on_rejected(now + TRIP, head(status, headers), Bytes::new());
                waiting.push(Reverse((at + TRIP, index)));
            }
        }
    }
    sent
}

/// The most that were sent within any one second.
fn most_in_a_second(sent: &[Duration]) -> usize {
    let within =
        |from: &Duration| sent.iter().filter(|at| (*from..*from + SECOND).contains(at)).count();
    sent.iter().map(within).max().unwrap()
}

#[test]
fn every_attempt_takes_a_turn() {
    let sent = sent(503, &[]);
    assert_eq!(sent.len(), 3 * 40);
    let most = most_in_a_second(&sent);
    assert!((13..=18).contains(&most), "{most}: the pace is kept and used");
}

#[test]
fn a_429_holds_them_all() {
    for (headers, hold) in [
        (&[][..], SECOND),
        (&[("retry-after", "0")], SECOND),
        (&[("retry-after", "3")], 3 * SECOND),
    ] {
        let sent = sent(429, headers);
        assert_eq!(sent.len(), 3 * 40);
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= hold), "{headers:?}: {sent:?}");
    }
}

#[test]
fn a_hold_is_no_longer_than_callers_wait() {
    for longest in [60 * SECOND, SECOND / 10] {
        let (pacer, began) = (Pacer::new(5), 1000 * SECOND);
        let retry = RetryPolicy { longest_wait: longest, ..RetryPolicy::default() };
        let options = CallOptions { retry, ..CallOptions::default() };
        let mut refused = call(&pacer, &Budget::new(), &options, began, 1);
        assert!(matches!(refused.step(Duration::ZERO), Step::Send(_)));
        refused.on_rejected(TRIP, head(429, &[("retry-after", "3600")]), Bytes::new());
        let Step::Fail(error) = refused.step(TRIP) else { panic!("it waits for an hour") };
        assert_eq!(error.stop(), Stop::TooLong);
        let mut turn = pacer.turn();
        let mut now = began + TRIP;
        while let Some(pause) = turn.pause(now) {
            now += pause;
        }
        assert_eq!(now, began + TRIP + longest);
    }
}

fn fails(mut call: Call, mut now: Duration) -> (Error, Duration) {
    loop {
        match call.step(now) {
            Step::Wait(pause) => now += pause,
            Step::Fail(error) => return (error, now),
            Step::Send(_) => panic!("sent at {now:?}"),
        }
    }
}

#[test]
fn the_total_clock_runs_in_line() {
    let (pacer, budget) = (Pacer::new(5), Budget::new());
    let timeouts = Timeouts { total: Some(5 * SECOND), ..Timeouts::default() };
    let options = CallOptions { timeouts, ..CallOptions::default() };
    let mut second = call(&pacer, &budget, &options, Duration::ZERO, 2);
    assert!(matches!(second.step(Duration::ZERO), Step::Send(_)));
    second.on_rejected(TRIP, head(503, &[]), Bytes::new());
    pacer.hold(TRIP, 60 * SECOND);

    // Nothing was sent, and that is what is told, when it is over.
    let (error, over) = fails(call(&pacer, &budget, &options, TRIP, 1), Duration::ZERO);
    assert_eq!((error.clock(), over), (Some((Clock::Total, 5 * SECOND)), 5 * SECOND));
    assert_eq!((error.delivery(), error.attempts().len()), (Delivery::NotSent, 0));
    // Or only once, and what that came to.
    let (error, over) = fails(second, TRIP);
    assert_eq!((error.clock(), over), (Some((Clock::Total, 5 * SECOND)), 5 * SECOND));
    assert_eq!((error.delivery(), error.attempts().len()), (Delivery::Refused, 1));
    assert_eq!(budget.left(), 10, "what was not sent costs nothing");
}

#[test]
fn what_was_waited_in_line_is_told() {
    let (pacer, budget) = (Pacer::new(5), Budget::new());
    pacer.hold(Duration::ZERO, 3 * SECOND);
    let mut call = call(&pacer, &budget, &CallOptions::default(), SECOND, 1);
    let mut now = Duration::ZERO;
    while let Step::Wait(pause) = call.step(now) {
        now += pause;
    }
    assert!((2 * SECOND..3 * SECOND).contains(&now), "{now:?}");
    let response = call.accept(now + TRIP, head(200, &[])).finish(now + TRIP, ());
    assert_eq!((response.meta.timings().waited, response.meta.attempts()), (now, 1));
}

#[test]
fn a_call_that_is_dropped_in_line_gives_its_place_back() {
    let (pacer, budget) = (Pacer::new(5), Budget::new());
    let begin = |seed| {
        let mut call = call(&pacer, &budget, &CallOptions::default(), Duration::ZERO, seed);
        let step = call.step(Duration::ZERO);
        (call, step)
    };
    let (_first, Step::Send(_)) = begin(1) else { panic!("its turn") };
    let (second, Step::Wait(pause)) = begin(2) else { panic!("not so fast") };
    drop(second);
    let (_third, Step::Wait(same)) = begin(3) else { panic!("not so fast") };
    assert_eq!(pause, same);
}
