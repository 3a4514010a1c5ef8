//! Waiting for queued runs, with a fake clock: what ends a wait, and how often ten thousand ask.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, SystemTime};

use baseten_core::{
    Access, Answer, AsyncRequestId, Budget, Call, CallOptions, Cause, Credential, Error, ErrorKind,
    Failure, Hosts, JobOutcome, ModelId, Operation, Pacer, Response, RetryPolicy, RunStatus, Start,
    Step, Target, Timeouts, Watch, WatchStep,
};
use bytes::Bytes;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

type Asked = Result<Response<Bytes>, Error>;

fn head(status: u16, headers: &[(&str, &str)]) -> http::response::Parts {
    let mut answer = http::Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(()).unwrap().into_parts().0
}

/// What one asking comes to, retries switched off as a watch has them.
fn asked(end: impl FnOnce(Call) -> Asked) -> Asked {
    let access = Access::new(Hosts::baseten(), Credential::none());
    let target = Target::model(ModelId::new("abc").unwrap());
    let operation = Operation::AsyncStatus(AsyncRequestId::new("r1").unwrap());
    let request = access.template(&target, &operation, Answer::Json).unwrap().empty();
    let mut options = CallOptions::default();
    options.retry.max_attempts = 1;
    let start = Start { wall: SystemTime::UNIX_EPOCH, seed: 1 };
    let mut call = Call::new(&request, &options, &Budget::new(), start);
    assert!(matches!(call.step(Duration::ZERO), Step::Send(_)));
    end(call)
}

fn said(json: &'static str) -> Asked {
    asked(|call| {
        let accepted = call.accept(Duration::ZERO, head(200, &[]));
        Ok(accepted.finish(Duration::ZERO, Bytes::from_static(json.as_bytes())))
    })
}

fn refused(status: u16, headers: &[(&str, &str)]) -> Asked {
    asked(|mut call| {
        call.on_rejected(Duration::ZERO, head(status, headers), Bytes::new());
        let Step::Fail(error) = call.step(Duration::ZERO) else { panic!("{status} is no end") };
        Err(error)
    })
}

fn lost(cause: Cause) -> Asked {
    asked(|mut call| {
        call.on_failure(Duration::ZERO, Failure::before_sending(cause, None));
        let Step::Fail(error) = call.step(Duration::ZERO) else { panic!("no end") };
        Err(error)
    })
}

const QUEUED: &str = r#"{"status": "QUEUED", "webhook_status": "PENDING"}"#;
const DELIVERING: &str = r#"{"status": "SUCCEEDED", "webhook_status": "PENDING"}"#;
const DONE: &str = r#"{"status": "SUCCEEDED", "webhook_status": "SUCCEEDED"}"#;

/// Runs a watch against these answers, the last of which stays; when it asked, and how it ended.
fn run(
    limit: Duration,
    answers: &[&dyn Fn() -> Asked],
) -> (Vec<Duration>, Result<JobOutcome, Error>) {
    let mut now = Duration::ZERO;
    let mut watch = Watch::new(&Pacer::new(3), &CallOptions::default(), now, limit);
    let mut times = Vec::new();
    loop {
        match watch.step(now) {
            WatchStep::Wait(pause) => {
                assert!(pause > Duration::ZERO && now + pause <= limit, "{now:?} + {pause:?}");
                now += pause;
            }
            WatchStep::Ask(options) => {
                assert_eq!(options.retry.max_attempts, 1);
                let answer = answers[times.len().min(answers.len() - 1)]();
                times.push(now);
                now += Duration::from_millis(20);
                watch.on_answer(now, answer);
            }
            WatchStep::Over(outcome) => return (times, outcome),
        }
    }
}

#[test]
fn it_waits_for_the_webhook_too() {
    let (times, outcome) =
        run(DAY, &[&|| said(QUEUED), &|| said(DELIVERING), &|| said(DELIVERING), &|| said(DONE)]);
    let JobOutcome::Settled(status) = outcome.unwrap() else { panic!("not settled") };
    assert_eq!(status.status, RunStatus::Succeeded);
    assert_eq!((times.len(), times[0]), (4, Duration::ZERO), "it asks at once");
    assert!(times[3] < 10 * SECOND, "{times:?}");
}

#[test]
fn it_asks_ever_less_often_and_never_less_than_this() {
    let (times, outcome) = run(3600 * SECOND, &[&|| said(QUEUED)]);
    assert!(
        matches!(outcome.unwrap(), JobOutcome::Pending(Some(last)) if last.status == RunStatus::Queued)
    );
    let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    assert!((0.75..1.35).contains(&gaps[0]), "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap < 30.0 * 1.25 + 0.1), "{gaps:?}");
    let late = &gaps[20..];
    assert!(late.iter().all(|gap| *gap > 22.0), "{late:?}");
    let mean = late.iter().sum::<f64>() / late.len() as f64;
    assert!((27.0..33.0).contains(&mean), "{mean}");
}

#[test]
fn a_forgotten_run_is_an_outcome() {
    let (_, outcome) = run(DAY, &[&|| refused(404, &[])]);
    assert_eq!(outcome.unwrap(), JobOutcome::Gone(None));
    let (_, outcome) = run(DAY, &[&|| said(QUEUED), &|| refused(404, &[])]);
    assert!(
        matches!(outcome.unwrap(), JobOutcome::Gone(Some(last)) if last.status == RunStatus::Queued)
    );
}

#[test]
fn what_passes_is_asked_again_and_what_does_not_ends_it() {
    let timeout = Cause::Timeout { clock: baseten_core::Clock::Total, limit: SECOND };
    let passing: [&dyn Fn() -> Asked; 9] = [
        &|| refused(408, &[]),
        &|| refused(425, &[]),
        &|| refused(429, &[]),
        &|| refused(500, &[]),
        &|| refused(503, &[]),
        &|| lost(Cause::Connect),
        &|| lost(Cause::Resolve),
        &|| lost(Cause::Disconnected),
        &|| lost(timeout),
    ];
    for answer in passing {
        let (times, outcome) = run(DAY, &[&|| said(QUEUED), answer, answer, &|| said(DONE)]);
        assert!(matches!(outcome.unwrap(), JobOutcome::Settled(_)));
        assert_eq!(times.len(), 4);
        // Not for ever: at most 3 in a row before anything is known, 20 afterwards.
        assert_eq!(run(DAY, &[answer]).0.len(), 3);
        let (times, outcome) = run(DAY, &[&|| said(QUEUED), answer]);
        assert_eq!(times.len(), 21);
        outcome.unwrap_err();
    }
    for (answer, kind) in [
        (&(|| refused(401, &[])) as &dyn Fn() -> Asked, ErrorKind::Status),
        (&|| refused(403, &[]), ErrorKind::Status),
        (&|| refused(400, &[]), ErrorKind::Status),
        (&|| said(r#"{"request_id": "r1"}"#), ErrorKind::Decode),
        (&|| lost(Cause::BodyTooLarge { limit: 1 }), ErrorKind::TooLarge),
    ] {
        let (times, outcome) = run(DAY, &[&|| said(QUEUED), answer]);
        assert_eq!((times.len(), outcome.unwrap_err().kind()), (2, kind));
    }
}

#[test]
fn the_limit_ends_it_and_what_is_known_is_told() {
    let (times, outcome) = run(10 * SECOND, &[&|| said(QUEUED)]);
    assert!(times.last().unwrap() < &(10 * SECOND));
    assert!(matches!(outcome.unwrap(), JobOutcome::Pending(Some(_))));
    // A failure does not take back what was known of the run, and is all there is to say where nothing was.
    let (times, outcome) = run(10 * SECOND, &[&|| said(QUEUED), &|| refused(503, &[])]);
    assert!(
        times.len() > 2
            && matches!(outcome.unwrap(), JobOutcome::Pending(Some(last)) if last.status == RunStatus::Queued)
    );
    let (times, outcome) = run(SECOND / 2, &[&|| refused(503, &[])]);
    assert_eq!((times.len(), outcome.unwrap_err().status().unwrap().as_u16()), (1, 503));
    let (times, outcome) = run(Duration::ZERO, &[&|| said(DONE)]);
    assert_eq!((times.len(), outcome.unwrap()), (0, JobOutcome::Pending(None)));
}

#[test]
fn a_request_for_the_status_is_bounded_by_what_is_left() {
    let own = Timeouts { total: Some(5 * SECOND), ..Timeouts::default() };
    let own = CallOptions { timeouts: own, ..CallOptions::default() };
    for (options, limit, total) in [
        (CallOptions::default(), DAY, 30 * SECOND),
        (CallOptions::default(), 12 * SECOND, 12 * SECOND),
        (CallOptions::default(), SECOND / 100, SECOND), // enough to ask once
        (own, DAY, 5 * SECOND),
    ] {
        let mut watch = Watch::new(&Pacer::new(1), &options, Duration::ZERO, limit);
        let WatchStep::Ask(options) = watch.step(Duration::ZERO) else { panic!("{limit:?}") };
        assert_eq!(options.timeouts.total, Some(total));
    }
}

#[test]
fn a_429_holds_everybody_and_names_its_time() {
    let pacer = Pacer::new(1);
    let watching = |now| Watch::new(&pacer, &CallOptions::default(), now, DAY);
    let (mut first, mut second) = (watching(Duration::ZERO), watching(Duration::ZERO));
    assert!(matches!(first.step(Duration::ZERO), WatchStep::Ask(_)));
    first.on_answer(Duration::ZERO, refused(429, &[("retry-after", "7")]));
    let WatchStep::Wait(_) = second.step(SECOND) else { panic!("asked too early") };
    assert!(pacer.turn().pause(6 * SECOND).is_some(), "nor may anybody else");
    assert!(matches!(second.step(8 * SECOND), WatchStep::Ask(_)));
}

#[test]
fn no_pause_that_a_server_asks_for_is_too_much() {
    let (pacer, hour) = (Pacer::new(1), 3600 * SECOND);
    let retry = RetryPolicy { longest_wait: Duration::MAX, ..RetryPolicy::default() };
    let patient = CallOptions { retry, ..CallOptions::default() };
    let mut watch = Watch::new(&pacer, &patient, Duration::ZERO, DAY);
    assert!(matches!(watch.step(Duration::ZERO), WatchStep::Ask(_)));
    watch.on_answer(Duration::ZERO, refused(429, &[("retry-after", "1e300")]));
    // That run is asked for no more, within its limit; the others are after an hour.
    assert!(matches!(watch.step(hour), WatchStep::Wait(pause) if pause == DAY - hour));
    let mut turn = pacer.turn();
    assert!(turn.pause(hour - SECOND).is_some());
    let mut now = hour;
    while let Some(pause) = turn.pause(now) {
        now += pause;
    }
    assert!(now < hour + SECOND, "{now:?}");
    // At the end of time, too.
    let mut last = pacer.turn();
    assert!(pacer.turn().pause(Duration::MAX).is_none() && last.pause(Duration::MAX).is_none());
}

/// When each of these watches asks, until `end`; answers come after 20 ms.
struct Simulation {
    now: Duration,
    waiting: BinaryHeap<Reverse<(Duration, usize)>>,
    watches: Vec<Option<Watch>>,
    asked: Vec<(Duration, usize)>,
    steps: usize,
}

impl Simulation {
    fn new(pacer: &Pacer, count: usize) -> Self {
        let watch = || Some(Watch::new(pacer, &CallOptions::default(), Duration::ZERO, DAY));
        Self {
            now: Duration::ZERO,
            waiting: (0..count).map(|index| Reverse((Duration::ZERO, index))).collect(),
            watches: (0..count).map(|_| watch()).collect(),
            asked: Vec::new(),
            steps: 0,
        }
    }

    fn run(&mut self, end: Duration, answer: impl Fn() -> Asked) {
        while let Some(Reverse((at, index))) = self.waiting.pop() {
            if at > end {
                self.waiting.push(Reverse((at, index)));
                break;
            }
            self.now = at;
            self.steps += 1;
            let Some(watch) = &mut self.watches[index] else { continue };
            match watch.step(at) {
                WatchStep::Wait(pause) => self.waiting.push(Reverse((at + pause, index))),
                WatchStep::Ask(_) => {
                    self.asked.push((at, index));
                    let at = at + Duration::from_millis(20);
                    watch.on_answer(at, answer());
                    self.waiting.push(Reverse((at, index)));
                }
                WatchStep::Over(outcome) => {
                    outcome.unwrap();
                    self.watches[index] = None;
                }
            }
        }
        self.now = end;
    }

    /// The most that were asked within any one second.
    fn most_in_a_second(&self) -> usize {
        let mut begin = 0;
        let mut most = 0;
        for (end, (at, _)) in self.asked.iter().enumerate() {
            while self.asked[begin].0 + SECOND <= *at {
                begin += 1;
            }
            most = most.max(end - begin + 1);
        }
        most
    }
}

#[test]
fn ten_thousand_waiting_jobs_stay_below_the_limit_and_each_has_its_turn() {
    let mut simulation = Simulation::new(&Pacer::new(5), 10_000);
    simulation.run(1500 * SECOND, || said(QUEUED));
    assert!(simulation.most_in_a_second() <= 18, "{}", simulation.most_in_a_second());
    let rate = simulation.asked.len() as f64 / 1500.0;
    assert!((13.5..18.0).contains(&rate), "{rate} a second: the pace is used");
    let mut times = vec![0_u32; 10_000];
    simulation.asked.iter().for_each(|(_, index)| times[*index] += 1);
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*least >= 1 && *most <= 3, "between {least} and {most} each");
    let a_second = simulation.steps as f64 / 1500.0;
    assert!(a_second < 1200.0, "{a_second} wake-ups a second");
    // They all end, at the same pace.
    simulation.run(2500 * SECOND, || said(DONE));
    assert!(simulation.watches.iter().all(Option::is_none));
    assert!(simulation.most_in_a_second() <= 18);
}

#[test]
fn a_few_jobs_do_not_wait_for_each_other() {
    let mut simulation = Simulation::new(&Pacer::new(5), 10);
    simulation.run(600 * SECOND, || said(QUEUED));
    let of_one = simulation.asked.iter().filter(|(_, index)| *index == 3).count();
    assert!((22..40).contains(&of_one), "{of_one}: every 30 s at last");
}

#[test]
fn places_of_those_who_leave_are_taken() {
    let mut simulation = Simulation::new(&Pacer::new(5), 10_000);
    simulation.run(5 * SECOND, || said(QUEUED));
    // The last two to be asked stay; everybody before them leaves.
    let asked: Vec<usize> = simulation.asked.iter().map(|(_, index)| *index).collect();
    let stay: Vec<usize> =
        (0..10_000).rev().filter(|index| !asked.contains(index)).take(2).collect();
    for index in (0..10_000).filter(|index| !stay.contains(index)) {
        simulation.watches[index] = None;
    }
    simulation.run(16 * SECOND, || said(DONE));
    assert!(simulation.watches.iter().all(Option::is_none), "looked for a place within 10 s");
}

#[test]
fn somebody_who_asks_is_not_behind_those_who_watch() {
    let pacer = Pacer::new(5);
    let mut simulation = Simulation::new(&pacer, 10_000);
    simulation.run(5 * SECOND, || said(QUEUED));
    let mut turn = pacer.turn();
    let mut now = 5 * SECOND;
    while let Some(pause) = turn.pause(now) {
        now += pause;
    }
    assert!(now < 6 * SECOND, "{now:?}");
}

#[test]
fn a_machine_that_slept_does_not_wake_into_a_burst() {
    let pacer = Pacer::new(5);
    let mut simulation = Simulation::new(&pacer, 2000);
    simulation.run(5 * SECOND, || said(QUEUED));
    // Everybody is late by an hour.
    let waiting = std::mem::take(&mut simulation.waiting);
    simulation.waiting = waiting
        .into_iter()
        .map(|Reverse((at, index))| Reverse((at.max(3600 * SECOND), index)))
        .collect();
    let before = simulation.steps;
    simulation.run(3800 * SECOND, || said(QUEUED));
    assert!(simulation.most_in_a_second() <= 18);
    assert!(simulation.steps - before < 200 * 300, "{} wake-ups", simulation.steps - before);
}
