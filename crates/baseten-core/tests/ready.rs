//! Waiting for a deployment to start, with a fake clock: what is sent, by whom, and what ends it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::time::{Duration, SystemTime};

use baseten_core::{
    Access, Answer, Budget, Call, CallOptions, Cause, Credential, Error, Failure, Hosts, ModelId,
    Operation, Start, StartStep, StartWait, Starts, Step, Target,
};
use bytes::Bytes;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const KEY: &str = "https://model-abc.api.baseten.co/development/sync/v1/models/model";

/// An answer: a status, or 0 for a broken connection.
fn answer(status: u16) -> Result<(), Error> {
    let access = Access::new(Hosts::baseten(), Credential::none());
    let target = Target::model(ModelId::new("abc").unwrap());
    let request = access.template(&target, &Operation::Wake, Answer::Bytes).unwrap().empty();
    let mut options = CallOptions::default();
    options.retry.max_attempts = 1;
    let start = Start { wall: SystemTime::UNIX_EPOCH, seed: 1 };
    let mut call = Call::new(&request, &options, &Budget::new(), start);
    assert!(matches!(call.step(Duration::ZERO), Step::Send(_)));
    match status {
        200..=299 => return Ok(()),
        0 => {
            let failure = Failure::before_sending(Cause::Disconnected, None);
            call.on_failure(Duration::ZERO, failure);
        }
        _ => {
            let head = http::Response::builder().status(status).body(()).unwrap().into_parts().0;
            call.on_rejected(Duration::ZERO, head, Bytes::new());
        }
    }
    let Step::Fail(error) = call.step(Duration::ZERO) else { panic!("{status} is no end") };
    Err(error)
}

/// Runs a wait against the answer to waking and those to asking, the last of which stays; when it asked,
/// and how it ended.
fn run(limit: Duration, wake: u16, asks: &[u16]) -> (Vec<Duration>, Result<bool, Error>) {
    let mut now = Duration::ZERO;
    let mut wait = StartWait::new(&Starts::default(), KEY, &CallOptions::default(), now, limit);
    let mut times = Vec::new();
    loop {
        match wait.step(now) {
            StartStep::Wait(pause) => now += pause,
            StartStep::Wake(options) => {
                assert_eq!(
                    (times.len(), options.retry.max_attempts),
                    (0, 1),
                    "woken once, at first"
                );
                wait.on_wake(now, answer(wake));
            }
            StartStep::Ask(_) => {
                let status = asks[times.len().min(asks.len() - 1)];
                times.push(now);
                wait.on_answer(now, answer(status));
            }
            StartStep::Over(outcome) => return (times, outcome),
        }
        assert!(now <= limit);
    }
}

#[test]
#[rustfmt::skip]
fn what_means_not_yet_and_what_ends_it() {
    //   waking  asking                        asked  outcome      reason
    for (wake, asks, asked, outcome, reason) in [
        (202, &[200][..],                       1, Ok(true),  "ready at once"),
        (202, &[503, 503, 200],                 3, Ok(true),  "loads its model"),
        (202, &[404, 404, 200],                 3, Ok(true),  "a development deployment that was asleep"),
        (202, &[408, 425, 429, 502, 504, 500, 0, 200], 8, Ok(true), "may be another next time"),
        (404, &[200],                           1, Ok(true),  "cannot be woken, and runs"),
        (404, &[404],                           1, Err(404),  "there is no such deployment"),
        (503, &[200],                           1, Ok(true),  "waking is no condition"),
        (503, &[404],                           1, Err(404),  "not known to be there"),
        (0,   &[200],                           1, Ok(true),  "waking is no condition"),
        (401, &[200],                           0, Err(401),  "the key is wrong"),
        (403, &[200],                           0, Err(403),  "the key is wrong"),
        (202, &[401],                           1, Err(401),  "the key is wrong"),
        (202, &[503, 400],                      2, Err(400),  "the route is wrong"),
    ] {
        let (times, ended) = run(HOUR, wake, asks);
        let ended = ended.map_err(|error| error.status().unwrap().as_u16());
        assert_eq!((times.len(), ended), (asked, outcome), "{reason}");
    }
}

#[test]
fn it_asks_ever_less_often_until_the_limit() {
    let (times, outcome) = run(120 * SECOND, 202, &[503]);
    assert!(!outcome.unwrap());
    let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    assert_eq!(gaps[..3], [1.0, 1.5, 2.25]);
    assert!(gaps.iter().all(|gap| *gap <= 15.0) && gaps.last() == Some(&15.0), "{gaps:?}");
    let (times, outcome) = run(Duration::ZERO, 202, &[200]);
    assert!(times.is_empty() && !outcome.unwrap());
}

#[test]
fn one_of_many_asks_and_another_takes_its_place() {
    let starts = Starts::default();
    let wait = |key, now| StartWait::new(&starts, key, &CallOptions::default(), now, HOUR);
    let mut first = wait(KEY, Duration::ZERO);
    let mut others: Vec<_> = (0..100).map(|_| wait(KEY, Duration::ZERO)).collect();
    assert!(matches!(first.step(Duration::ZERO), StartStep::Wake(_)));
    first.on_wake(Duration::ZERO, answer(202));
    for other in &mut others {
        assert!(matches!(other.step(Duration::ZERO), StartStep::Wait(_)), "one asks");
    }
    assert!(matches!(wait("another", SECOND).step(SECOND), StartStep::Wake(_)), "its own");

    drop(first); // its caller gave up
    let mut asking: Vec<_> = others
        .iter_mut()
        .filter_map(|other| matches!(other.step(SECOND), StartStep::Wake(_)).then_some(other))
        .collect();
    assert_eq!(asking.len(), 1);
    asking[0].on_wake(SECOND, answer(202));
    asking[0].on_answer(2 * SECOND, answer(200));
    for mut other in others {
        assert!(matches!(other.step(3 * SECOND), StartStep::Over(Ok(true))));
    }
    // What was found before somebody began to wait says nothing to it.
    assert!(matches!(wait(KEY, 4 * SECOND).step(4 * SECOND), StartStep::Wake(_)));
}

#[test]
fn an_error_is_told_to_its_caller_and_the_next_one_asks() {
    let starts = Starts::default();
    let wait = || StartWait::new(&starts, KEY, &CallOptions::default(), Duration::ZERO, HOUR);
    let (mut first, mut second) = (wait(), wait());
    assert!(matches!(first.step(SECOND), StartStep::Wake(_)));
    first.on_wake(SECOND, answer(401));
    let StartStep::Over(Err(error)) = first.step(SECOND) else { panic!("401 ends it") };
    assert_eq!(error.status().unwrap().as_u16(), 401);
    assert!(
        matches!(first.step(SECOND), StartStep::Over(Err(_))),
        "told once, and still no success"
    );
    assert!(matches!(second.step(SECOND), StartStep::Wait(_)));
    drop(first);
    assert!(matches!(second.step(SECOND), StartStep::Wake(_)));
}
