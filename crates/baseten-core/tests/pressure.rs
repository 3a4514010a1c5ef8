//! Which submissions are offered again, and how long they are.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::time::{Duration, SystemTime};

use baseten_core::{
    Access, Answer, Budget, Call, CallOptions, Cause, Credential, Delivery, Error, Failure, Hosts,
    ModelId, Operation, Pacer, Pressure, RetryPolicy, Start, Step, Target,
};
use bytes::Bytes;

const SECOND: Duration = Duration::from_secs(1);

fn error(end: impl FnOnce(&mut Call)) -> Error {
    error_with(RetryPolicy::never(), end)
}

fn error_with(retry: RetryPolicy, end: impl FnOnce(&mut Call)) -> Error {
    let access = Access::new(Hosts::baseten(), Credential::none());
    let target = Target::model(ModelId::new("abc").unwrap());
    let template = access.template(&target, &Operation::AsyncPredict, Answer::Json).unwrap();
    let options = CallOptions { retry, ..CallOptions::default() };
    let start = Start { wall: SystemTime::UNIX_EPOCH, seed: 1 };
    let mut call = Call::new(&template.json(&1).unwrap(), &options, &Budget::new(), start);
    assert!(matches!(call.step(Duration::ZERO), Step::Send(_)));
    end(&mut call);
    let Step::Fail(error) = call.step(Duration::ZERO) else { panic!("no end") };
    error
}

fn status(status: u16, headers: &[(&str, &str)]) -> Error {
    error(|call| call.on_rejected(Duration::ZERO, head(status, headers), Bytes::new()))
}

fn head(status: u16, headers: &[(&str, &str)]) -> http::response::Parts {
    let mut answer = http::Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(()).unwrap().into_parts().0
}

/// Canceled in the pause after a refusal.
fn canceled() -> Error {
    let error = error_with(RetryPolicy::default(), |call| {
        call.on_rejected(Duration::ZERO, head(429, &[]), Bytes::new());
        call.on_failure(Duration::ZERO, Failure::before_sending(Cause::Canceled, None));
    });
    assert_eq!(error.delivery(), Delivery::Refused);
    error
}

fn lost(sent: u64) -> Error {
    let failure = Failure { sent, ..Failure::before_sending(Cause::Disconnected, None) };
    error(|call| call.on_failure(Duration::ZERO, failure))
}

#[test]
fn only_what_was_refused_is_offered_again() {
    //   error                                              again  reason
    for (error, again, reason) in [
        (status(429, &[]), true, "over a limit"),
        (status(503, &[]), true, "draining"),
        (status(529, &[]), true, "no capacity"),
        (status(502, &[]), false, "may have been queued"),
        (status(504, &[]), false, "may have been queued"),
        (status(400, &[]), false, "wrong for ever"),
        (status(401, &[]), false, "wrong for ever"),
        (status(413, &[]), false, "too large for ever"),
        (status(429, &[("x-baseten-error-source", "04")]), false, "the model's own word"),
        (lost(100), false, "may have been queued"),
        (lost(0), false, "not a matter of pressure"),
        (canceled(), false, "nobody wants it any more"),
    ] {
        let mut pressure = Pressure::new(&Pacer::new(1), 60 * SECOND);
        assert_eq!(pressure.on_error(Duration::ZERO, &error).is_some(), again, "{reason}: {error}");
    }
}

#[test]
fn pauses_grow_and_begin_anew() {
    let mut pressure = Pressure::new(&Pacer::new(1), 3600 * SECOND);
    let refused = status(429, &[]);
    let mut pause = || pressure.on_error(Duration::ZERO, &refused).unwrap().as_secs_f64();
    for expect in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
        let pause = pause();
        assert!((expect * 0.75..=expect * 1.25).contains(&pause), "{pause} for {expect}");
    }
    pressure.on_taken();
    let again = pressure.on_error(Duration::ZERO, &refused).unwrap();
    assert!(again <= SECOND * 5 / 4, "{again:?}");
    let asked = status(429, &[("retry-after", "45")]);
    assert_eq!(pressure.on_error(Duration::ZERO, &asked), Some(45 * SECOND), "the server's pace");
}

#[test]
fn patience_is_for_each_submission() {
    let mut pressure = Pressure::new(&Pacer::new(1), 60 * SECOND);
    let refused = status(429, &[]);
    for _ in 0..2 {
        let mut now = Duration::ZERO;
        while let Some(pause) = pressure.on_error(now, &refused) {
            now += pause;
        }
        assert!((15 * SECOND..=60 * SECOND).contains(&now), "{now:?}");
    }
    let mut none = Pressure::new(&Pacer::new(1), Duration::ZERO);
    assert_eq!(none.on_error(SECOND, &refused), None);
}
