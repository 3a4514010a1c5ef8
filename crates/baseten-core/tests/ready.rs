//! Waiting for a deployment to start, with a fake clock: what is sent, by whom, and what ends it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::time::{Duration, SystemTime};

use baseten_core::{
    Access, Answer, Budget, Call, CallOptions, Cause, Credential, Error, Failure, Hosts, ModelId,
    Operation, Start, StartStep, StartWait, Starts, Step, Target, Timeouts,
};
use bytes::Bytes;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const KEY: &str = "https://model-abc.api.baseten.co/development/sync/v1/models/model";

/// An answer: a status, or 0 for a broken connection.
fn answer(status: u16) -> Result<(), Error> {
    refused(status, &[])
}

fn refused(status: u16, headers: &[(&str, &str)]) -> Result<(), Error> {
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
            let mut head = http::Response::builder().status(status);
            for (name, value) in headers {
                head = head.header(*name, *value);
            }
            let head = head.body(()).unwrap().into_parts().0;
            call.on_rejected(Duration::ZERO, head, Bytes::new());
        }
    }
    let Step::Fail(error) = call.step(Duration::ZERO) else { panic!("{status} is no end") };
    Err(error)
}

/// What a wait did, and how it ended.
struct Ran {
    /// When it woke and when it asked.
    wakes: Vec<Duration>,
    asks: Vec<Duration>,
    ended: Result<bool, Error>,
}

/// Runs a wait against the answers to waking and those to asking, the last of which stays.
fn run(limit: Duration, wakes: &[u16], asks: &[u16]) -> Ran {
    let mut now = Duration::ZERO;
    let mut wait = StartWait::new(&Starts::default(), KEY, &CallOptions::default(), now, limit);
    let (mut woke, mut asked) = (Vec::new(), Vec::new());
    loop {
        match wait.step(now) {
            StartStep::Wait(pause) => now += pause,
            StartStep::Wake(options) => {
                assert_eq!(options.retry.max_attempts, 1);
                let total = options.timeouts.total.unwrap();
                assert_eq!(total, (limit - now).clamp(SECOND, 15 * SECOND), "at {now:?}");
                let status = wakes[woke.len().min(wakes.len() - 1)];
                woke.push(now);
                wait.on_wake(now, answer(status));
            }
            StartStep::Ask(options) => {
                assert_eq!(options.retry.max_attempts, 1);
                assert_eq!(options.timeouts.total, Some((limit - now).max(SECOND)));
                let status = asks[asked.len().min(asks.len() - 1)];
                asked.push(now);
                wait.on_answer(now, answer(status));
            }
            StartStep::Over(ended) => return Ran { wakes: woke, asks: asked, ended },
        }
        assert!(now <= limit);
    }
}

#[test]
#[rustfmt::skip]
fn what_means_not_yet_and_what_ends_it() {
    const MINUTE: Duration = Duration::from_secs(60);
    //   waking             asking                  woken asked  outcome      reason
    for (wakes, asks, woken, asked, outcome, reason) in [
        (&[202][..],          &[200][..],               1, 1,  Ok(true),  "ready at once"),
        (&[202],              &[503, 503, 200],         1, 3,  Ok(true),  "loads its model"),
        (&[202],              &[404, 404, 200],         1, 3,  Ok(true),  "a development deployment that was asleep"),
        (&[202],              &[408, 425, 429, 502, 504, 500, 0, 200], 1, 8, Ok(true), "may be another next time"),
        (&[202],              &[404],                   1, 9,  Ok(false), "asleep until the limit"),
        (&[404],              &[200],                   1, 1,  Ok(true),  "cannot be woken, and runs"),
        (&[404],              &[404],                   1, 1,  Err(404),  "there is no such deployment"),
        (&[503],              &[200],                   1, 1,  Ok(true),  "waking is no condition"),
        (&[0],                &[200],                   1, 1,  Ok(true),  "waking is no condition"),
        (&[429, 202],         &[404, 404, 200],         2, 3,  Ok(true),  "asleep, and woken at the second try"),
        (&[429, 0, 503, 202], &[404, 404, 404, 404, 503, 200], 4, 6, Ok(true), "woken until that is taken, and no more"),
        (&[503],              &[503, 404, 200],         3, 3,  Ok(true),  "never woken by us"),
        (&[503],              &[404],                   9, 9,  Ok(false), "not known to be there until the limit"),
        (&[503, 404],         &[404],                   2, 2,  Err(404),  "there is no such deployment"),
        (&[503, 401],         &[404],                   2, 1,  Err(401),  "the key is wrong"),
        (&[401],              &[200],                   1, 0,  Err(401),  "the key is wrong"),
        (&[403],              &[200],                   1, 0,  Err(403),  "the key is wrong"),
        (&[202],              &[401],                   1, 1,  Err(401),  "the key is wrong"),
        (&[202],              &[503, 400],              1, 2,  Err(400),  "the route is wrong"),
    ] {
        let ran = run(MINUTE, wakes, asks);
        let ended = ran.ended.map_err(|error| error.status().unwrap().as_u16());
        assert_eq!((ran.wakes.len(), ran.asks.len(), ended), (woken, asked, outcome), "{reason}");
    }
}

#[test]
fn a_wake_is_made_again_at_the_pace_of_the_questions_or_of_the_server() {
    let ran = run(HOUR, &[503, 503, 503, 202], &[404, 404, 404, 404, 200]);
    assert_eq!(ran.wakes, ran.asks[..4]);

    let mut wait =
        StartWait::new(&Starts::default(), KEY, &CallOptions::default(), Duration::ZERO, HOUR);
    assert!(matches!(wait.step(Duration::ZERO), StartStep::Wake(_)));
    wait.on_wake(Duration::ZERO, refused(429, &[("retry-after", "10")]));
    // It is asked for all the same in the meantime.
    for second in [0, 1, 3, 6] {
        let now = second * SECOND;
        assert!(matches!(wait.step(now), StartStep::Ask(_)), "after {second} s");
        wait.on_answer(now, answer(404));
    }
    assert!(matches!(wait.step(9 * SECOND), StartStep::Wait(_)));
    assert!(matches!(wait.step(10 * SECOND), StartStep::Wake(_)));
}

#[test]
fn a_total_clock_of_the_callers_own_is_kept() {
    let own = SECOND / 5;
    let timeouts = Timeouts { total: Some(own), ..Timeouts::default() };
    let options = CallOptions { timeouts, ..CallOptions::default() };
    let mut wait = StartWait::new(&Starts::default(), KEY, &options, Duration::ZERO, HOUR);
    let StartStep::Wake(wake) = wait.step(Duration::ZERO) else { panic!("to be woken") };
    wait.on_wake(Duration::ZERO, answer(202));
    let StartStep::Ask(ask) = wait.step(Duration::ZERO) else { panic!("to be asked for") };
    assert_eq!((wake.timeouts.total, ask.timeouts.total), (Some(own), Some(own)));
}

#[test]
fn it_asks_ever_less_often_until_the_limit() {
    let ran = run(120 * SECOND, &[202], &[503]);
    assert!(!ran.ended.unwrap());
    let gaps: Vec<f64> =
        ran.asks.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    assert_eq!(gaps[..3], [1.0, 1.5, 2.25]);
    assert!(gaps.iter().all(|gap| *gap <= 15.0) && gaps.last() == Some(&15.0), "{gaps:?}");
    let ran = run(Duration::ZERO, &[202], &[200]);
    assert!(ran.wakes.is_empty() && ran.asks.is_empty() && !ran.ended.unwrap());
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
