//! Whole lives of a `Call`, with a clock of numbers and no sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::time::{Duration, SystemTime};

use baseten_core::{
    Answer, Attempt, Budget, Call, CallOptions, Cause, Clock, Credential, Delivery, Endpoint,
    Error, ErrorKind, Failure, Hosts, ModelId, Operation, Outcome, Response, RetryPolicy, Start,
    Step, Stop, Target, Template, Timeouts,
};
use bytes::Bytes;
use http::HeaderMap;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A call, its clock, and what the test says happens.
struct Scenario {
    call: Call,
    now: Duration,
}

impl Scenario {
    fn new(operation: &Operation, options: CallOptions, budget: &Budget) -> Self {
        let target = Target::model(ModelId::new("abc").unwrap());
        let endpoint = Endpoint::new(&Hosts::baseten(), &target, operation).unwrap();
        let template = Template::new(endpoint, &Credential::none(), Answer::Json).unwrap();
        let start = Start { wall: SystemTime::UNIX_EPOCH, seed: 1 };
        let call = Call::new(&template.empty(), &options, budget, start);
        Self { call, now: Duration::ZERO }
    }

    fn predict(retry: RetryPolicy) -> Self {
        let options = CallOptions { retry, ..CallOptions::default() };
        Self::new(&Operation::Predict, options, &Budget::new())
    }

    /// The next step must be the sending of this attempt.
    fn sends(&mut self, number: u32) -> &mut Self {
        match self.call.step(self.now) {
            Step::Send(attempt) => assert_eq!(attempt.number, number),
            other => panic!("attempt {number} expected, found {other:?}"),
        }
        self.now += ms(5);
        self
    }

    /// The next step must be a wait within these bounds; it is waited for.
    fn waits(&mut self, least: Duration, most: Duration) -> &mut Self {
        match self.call.step(self.now) {
            Step::Wait(pause) => {
                assert!(least <= pause && pause <= most, "{pause:?}");
                self.now += pause;
            }
            other => panic!("a wait expected, found {other:?}"),
        }
        self
    }

    fn breaks(&mut self, cause: Cause, sent: u64) -> &mut Self {
        let failure = Failure { sent, ..Failure::before_sending(cause, None) };
        self.call.on_failure(self.now, failure);
        self
    }

    fn answers(&mut self, status: u16, headers: &[(&str, &str)], body: &str) -> &mut Self {
        self.call.on_rejected(self.now, head(status, headers), Bytes::from(body.to_owned()));
        self
    }

    fn fails(&mut self) -> Error {
        match self.call.step(self.now) {
            Step::Fail(error) => error,
            other => panic!("an error expected, found {other:?}"),
        }
    }

    fn succeeds(self) -> Response<()> {
        self.call.accept(self.now, head(200, &[])).finish(self.now, ())
    }
}

fn head(status: u16, headers: &[(&str, &str)]) -> http::response::Parts {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(750));

#[test]
fn what_was_not_sent_is_sent_again() {
    let mut s = Scenario::predict(RetryPolicy::default());
    s.sends(1).breaks(Cause::Connect, 0).waits(BACK_OFF.0, BACK_OFF.1).sends(2);
    let response = s.succeeds();
    assert_eq!(response.meta.attempts(), 2);
    let failed = &response.meta.failed_attempts()[0];
    assert_eq!((failed.number, failed.delivery), (1, Delivery::NotSent));
    assert_eq!(failed.outcome, Outcome::Failed(Cause::Connect));
    assert!(response.meta.timings().waited >= BACK_OFF.0);
}

#[test]
fn what_may_have_run_is_not_sent_again() {
    let mut s = Scenario::predict(RetryPolicy::default());
    let error = s.sends(1).breaks(Cause::Disconnected, 1).fails();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert_eq!((error.delivery(), error.stop()), (Delivery::MaybeRan, Stop::MayRunTwice));
    assert_eq!(
        error.to_string(),
        "POST /environments/production/predict: the connection broke after 0 bytes of the answer; \
         it may have run, so it was not sent again (RetryPolicy::may_run_twice would allow that)"
    );
}

#[test]
fn what_may_have_run_is_sent_again_where_that_is_allowed_or_harmless() {
    let mut allowed = Scenario::predict(RetryPolicy::default().may_run_twice());
    allowed.sends(1).breaks(Cause::Disconnected, 9).waits(BACK_OFF.0, BACK_OFF.1).sends(2);
    let options = CallOptions::default();
    let mut wake = Scenario::new(&Operation::Wake, options, &Budget::new());
    wake.sends(1).answers(502, &[], "").waits(BACK_OFF.0, BACK_OFF.1).sends(2);
}

/// How an attempt fails.
type Fate = fn(&mut Scenario) -> &mut Scenario;

const REFUSED: Fate = |s| s.answers(503, &[("retry-after", "0")], r#"{"error": "draining"}"#);
const UNREACHED: Fate = |s| s.breaks(Cause::Connect, 0);
const LOST: Fate = |s| s.breaks(Cause::Disconnected, 9);
const ANSWERED: Fate = |s| s.answers(400, &[], "");

#[test]
fn an_error_speaks_for_all_attempts() {
    use Delivery::{Answered, MaybeRan, NotSent, Refused};
    //   attempts                            delivery   the end of what is said
    for (fates, delivery, says) in [
        ([UNREACHED; 3], NotSent, "; nothing of it was sent; gave up after 3 attempts"),
        (
            [REFUSED, UNREACHED, UNREACHED],
            Refused,
            "no connection to https://model-abc.api.baseten.co (attempt 3); an earlier attempt was \
             refused before it ran; gave up after 3 attempts",
        ),
        ([UNREACHED, UNREACHED, REFUSED], Refused, "; it was refused before it ran; gave up"),
        ([UNREACHED, REFUSED, ANSWERED], Answered, ": 400 Bad Request (attempt 3)"),
        (
            [LOST, UNREACHED, UNREACHED],
            MaybeRan,
            "; an earlier attempt may have run; gave up after 3 attempts",
        ),
        ([LOST, REFUSED, REFUSED], MaybeRan, "; an earlier attempt may have run; gave up"),
        ([REFUSED, UNREACHED, LOST], MaybeRan, " (attempt 3); it may have run; gave up"),
    ] {
        let mut s = Scenario::predict(RetryPolicy::default().may_run_twice());
        for (number, fate) in (1..).zip(fates) {
            s.now += Duration::from_secs(60);
            fate(s.sends(number));
        }
        let error = s.fails();
        assert_eq!((error.delivery(), error.attempts().len()), (delivery, 3), "{error}");
        assert_eq!(error.elapsed(), Some(s.now));
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_call_that_ends_in_the_pause_had_no_further_attempt() {
    let timeouts = Timeouts { total: Some(ms(1000)), ..Timeouts::default() };
    let options = CallOptions { timeouts, ..CallOptions::default() };
    let cancels: Fate = |s| s.breaks(Cause::Canceled, 0);
    let comes_late: Fate = |s| {
        s.now = ms(1200);
        s
    };
    let busy: Fate = |s| s.answers(503, &[("retry-after-ms", "500")], r#"{"error": "draining"}"#);
    //   before            in the pause   delivery           said
    for (before, ends, delivery, says) in [
        (
            busy,
            cancels,
            Delivery::Refused,
            "canceled by the caller, after 503 Service Unavailable: draining; it was refused before it ran",
        ),
        (
            busy,
            comes_late,
            Delivery::Refused,
            "not finished within 1s, after 503 Service Unavailable: draining; it was refused before it ran",
        ),
        (UNREACHED, cancels, Delivery::NotSent, "canceled by the caller; nothing of it was sent"),
        (
            UNREACHED,
            comes_late,
            Delivery::NotSent,
            "not finished within 1s, after 0 bytes of the answer; nothing of it was sent",
        ),
    ] {
        let mut s = Scenario::new(&Operation::Predict, options.clone(), &Budget::new());
        before(s.sends(1));
        assert!(matches!(s.call.step(s.now), Step::Wait(_)));
        let error = ends(&mut s).fails();
        assert_eq!(error.to_string(), format!("POST /environments/production/predict: {says}"));
        assert_eq!((error.delivery(), error.stop()), (delivery, Stop::Final), "{error}");
        assert_eq!((error.attempts().len(), error.elapsed()), (1, Some(s.now)), "{error}");
        // What the attempt was answered is there.
        let refused = delivery == Delivery::Refused;
        assert_eq!(error.status().map(|status| status.as_u16()), refused.then_some(503));
        assert_eq!(error.api().map(|api| api.message()), refused.then_some("draining"));
        assert_eq!(error.retry_after(), refused.then_some(ms(500)));
        let back = SystemTime::UNIX_EPOCH + ms(5) + ms(500);
        assert_eq!(error.retry_at(), refused.then_some(back));
        assert_eq!(error.headers().len(), usize::from(refused));
        assert_eq!(error.body().is_empty(), !refused);
        assert_eq!(error.received(), error.body().len() as u64);
    }
}

#[test]
fn a_call_that_never_began_has_no_attempt() {
    let mut canceled = Scenario::predict(RetryPolicy::default());
    let error = canceled.breaks(Cause::Canceled, 0).fails();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Canceled, Delivery::NotSent));
    assert_eq!(error.attempts().len(), 0, "{error}");
}

#[test]
fn a_refusal_is_retried_at_the_servers_pace() {
    let mut s = Scenario::predict(RetryPolicy::default());
    s.sends(1).answers(429, &[("retry-after", "2")], "").waits(ms(2000), ms(2250)).sends(2);
    s.answers(503, &[], r#"{"error": "draining"}"#).waits(BACK_OFF.0, ms(20_000)).sends(3);
    let error = s.answers(529, &[("retry-after-ms", "1500")], "").fails();
    assert_eq!((error.kind(), error.stop()), (ErrorKind::Status, Stop::Attempts));
    assert_eq!(error.retry_after(), Some(ms(1500)));
    assert_eq!(error.attempts().len(), 3);
}

#[test]
fn a_pause_too_long_is_an_error_now_with_the_time_to_come_back() {
    let mut s = Scenario::predict(RetryPolicy::default());
    let error = s.sends(1).answers(429, &[("retry-after", "61")], "").fails();
    assert_eq!((error.stop(), error.delivery()), (Stop::TooLong, Delivery::Refused));
    let back = SystemTime::UNIX_EPOCH + ms(5) + Duration::from_secs(61);
    assert_eq!(error.retry_at(), Some(back));
    let text = error.to_string();
    assert!(text.contains("429 Too Many Requests; it was refused before it ran"), "{text}");
    assert!(text.ends_with("longer pause than allowed; come back in 61s"), "{text}");
}

#[test]
fn a_pause_too_long_costs_the_budget_nothing() {
    let budget = Budget::new();
    let mut s = Scenario::new(&Operation::Predict, CallOptions::default(), &budget);
    s.sends(1).answers(429, &[("retry-after", "61")], "").fails();
    assert_eq!(budget.left(), 10);
}

#[test]
fn a_retry_that_is_not_made_costs_the_budget_nothing() {
    let timeouts = Timeouts { total: Some(ms(1000)), ..Timeouts::default() };
    let options = CallOptions { timeouts, ..CallOptions::default() };
    //   how the pause ends, or what comes after it                         left of ten
    for (ends, left) in [
        (
            (|mut s| {
                s.breaks(Cause::Canceled, 0).fails();
            }) as fn(Scenario),
            10,
        ),
        (
            |mut s| {
                s.now = ms(1200);
                s.fails();
            },
            10,
        ),
        (drop, 10),
        (
            |mut s| {
                s.waits(ms(500), ms(750)).sends(2);
            },
            9,
        ),
        (|mut s| drop(s.waits(ms(500), ms(750)).sends(2).fails()), 9),
    ] {
        let budget = Budget::new();
        let mut s = Scenario::new(&Operation::Predict, options.clone(), &budget);
        s.sends(1).answers(503, &[("retry-after-ms", "500")], "");
        assert!(matches!(s.call.step(s.now), Step::Wait(_)));
        assert_eq!(budget.left(), 9, "whoever fails now need not pause for nothing");
        ends(s);
        assert_eq!(budget.left(), left);
    }
}

#[test]
fn absurd_clocks_and_pauses_do_not_overflow() {
    let forever = Duration::from_secs(u64::MAX);
    let timeouts = Timeouts { total: Some(forever), ..Timeouts::default() };
    let retry = RetryPolicy { longest_wait: Duration::MAX, ..RetryPolicy::default() };
    let options = CallOptions { timeouts, retry, ..CallOptions::default() };
    let mut s = Scenario::new(&Operation::Predict, options, &Budget::new());
    let error = s.sends(1).answers(429, &[("retry-after", "1e300")], "").fails();
    assert_eq!(error.stop(), Stop::Deadline, "{error}");
}

fn own_headers(attempt: &Attempt) -> HeaderMap {
    let mut headers = HeaderMap::new();
    attempt.set_headers(&mut headers);
    headers
}

#[test]
fn the_server_can_be_told_the_deadline() {
    let timeouts = Timeouts { total: Some(ms(10_000)), ..Timeouts::default() };
    let options = CallOptions { timeouts, send_deadline: true, ..CallOptions::default() };
    let mut s = Scenario::new(&Operation::Predict, options, &Budget::new());
    s.now = Duration::from_micros(1500);
    let Step::Send(attempt) = s.call.step(s.now) else { panic!("to be sent") };
    let told: Vec<String> =
        own_headers(&attempt).iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    // 9998.5 ms are left; the call began at the epoch.
    assert_eq!(told, ["request-timeout-ms: \"9999\"", "request-deadline-ms: \"10000\""]);

    let silent = Scenario::new(&Operation::Predict, CallOptions::default(), &Budget::new());
    let mut call = silent.call;
    let Step::Send(attempt) = call.step(ms(0)) else { panic!("to be sent") };
    assert_eq!(own_headers(&attempt).len(), 0);
}

#[test]
fn what_fails_the_same_again_is_not_tried_again() {
    for cause in [Cause::Tls, Cause::ProxyLogin] {
        let mut s = Scenario::predict(RetryPolicy::default());
        let error = s.sends(1).breaks(cause, 0).fails();
        assert_eq!((error.stop(), error.delivery()), (Stop::Final, Delivery::NotSent));
    }
}

#[test]
fn a_daily_limit_is_an_error_with_the_time_to_come_back() {
    let daily = r#"{"error": "You have hit your daily limit"}"#;
    let mut s = Scenario::predict(RetryPolicy::default());
    let error = s.sends(1).answers(429, &[], daily).fails();
    assert_eq!((error.stop(), error.delivery()), (Stop::TooLong, Delivery::Refused));
    // The call began at the epoch, which is midnight.
    assert_eq!(error.retry_at(), Some(SystemTime::UNIX_EPOCH + ms(86_400_000)), "{error}");

    // What the server says of the time goes before what is known of the day.
    let mut s = Scenario::predict(RetryPolicy::default());
    s.sends(1).answers(429, &[("retry-after", "2")], daily).waits(ms(2000), ms(2250)).sends(2);
}

#[test]
fn a_pause_beyond_the_total_clock_is_an_error_now() {
    let timeouts = Timeouts { total: Some(ms(1000)), ..Timeouts::default() };
    let options = CallOptions { timeouts, ..CallOptions::default() };
    let mut s = Scenario::new(&Operation::Predict, options, &Budget::new());
    let error = s.sends(1).answers(429, &[("retry-after", "2")], "").fails();
    assert_eq!(error.stop(), Stop::Deadline);
}

#[test]
fn the_total_clock_stops_a_call_between_attempts() {
    let timeouts = Timeouts { total: Some(ms(1000)), ..Timeouts::default() };
    let options = CallOptions { timeouts, ..CallOptions::default() };
    let mut s = Scenario::new(&Operation::Predict, options, &Budget::new());
    s.sends(1).breaks(Cause::Connect, 0);
    s.now = ms(1200); // the driver woke late
    let error = s.fails();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.clock(), Some((Clock::Total, ms(1000))));
    assert_eq!(error.delivery(), Delivery::NotSent);
}

#[test]
fn the_models_own_word_is_final() {
    let mut s = Scenario::predict(RetryPolicy::default().may_run_twice());
    let own = [("x-baseten-error-source", "04"), ("x-baseten-request-id", "r1")];
    let error = s.sends(1).answers(429, &own, r#"{"error": "slow down"}"#).fails();
    assert_eq!((error.delivery(), error.stop()), (Delivery::Answered, Stop::Final));
    assert_eq!(error.request_id(), Some("r1"));
    assert_eq!(
        error.to_string(),
        "POST /environments/production/predict: 429 Too Many Requests: slow down (request r1)"
    );
}

#[test]
fn a_dead_pooled_connection_costs_no_pause() {
    let mut s = Scenario::predict(RetryPolicy::default());
    s.sends(1);
    let stale = Failure::before_sending(Cause::Disconnected, None);
    s.call.on_failure(s.now, Failure { reused: true, ..stale });
    s.sends(2);
}

#[test]
fn the_budget_bounds_retries_of_all_calls() {
    let budget = Budget::new();
    let options = CallOptions::default();
    let mut sent = 0;
    for _ in 0..100 {
        let mut s = Scenario::new(&Operation::Predict, options.clone(), &budget);
        loop {
            match s.call.step(s.now) {
                Step::Send(_) => {
                    sent += 1;
                    s.breaks(Cause::Connect, 0);
                }
                Step::Wait(pause) => s.now += pause,
                Step::Fail(error) => {
                    assert!(matches!(error.stop(), Stop::Attempts | Stop::Budget));
                    break;
                }
            }
        }
    }
    assert_eq!(sent, 100 + 10);
}

#[test]
fn a_driver_that_drops_an_attempt_ends_the_call() {
    let mut s = Scenario::predict(RetryPolicy::default().may_run_twice());
    let error = s.sends(1).fails();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Canceled, Delivery::MaybeRan));
    assert_eq!(s.fails().kind(), ErrorKind::Request, "and stays over");
}

#[test]
fn a_redirect_is_an_error_that_names_the_place_without_its_secrets() {
    let mut s = Scenario::predict(RetryPolicy::default());
    let location = [("location", "https://elsewhere.example.com/x?sig=s3cret")];
    let error = s.sends(1).answers(307, &location, "").fails();
    let text = error.to_string();
    assert!(text.contains("307 Temporary Redirect to https://elsewhere.example.com/x;"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn an_answer_that_is_not_json_is_kept_whole_and_told_by_its_byte() {
    //   body                 message
    for (body, expect) in [
        ("", "the answer is empty, not JSON"),
        ("<html>", "not the JSON expected, at byte 0 of 6 (text/html)"),
        ("{\"y\": NaN}", "at byte 6 of 10"),
        ("{\n \"y\": NaN}", "at byte 8 of 12"),
        ("{\"y\": \"\u{0}\"}", "at byte 7 of 10"),
    ] {
        let mut s = Scenario::predict(RetryPolicy::default());
        s.sends(1);
        let accepted = s.call.accept(s.now, head(200, &[("content-type", "text/html")]));
        let response = accepted.finish(s.now, Bytes::from(body.to_owned()));
        let error = response.json::<serde_json::Value>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert_eq!((error.body(), error.status().unwrap().as_u16()), (&Bytes::from(body), 200));
        assert!(error.to_string().contains(expect), "{error}");
    }
}

/// A call whose body comes from a reader.
fn streamed(operation: &Operation, retry: RetryPolicy) -> Scenario {
    let target = Target::model(ModelId::new("abc").unwrap());
    let endpoint = Endpoint::new(&Hosts::baseten(), &target, operation).unwrap();
    let template = Template::new(endpoint, &Credential::none(), Answer::Json).unwrap();
    let request = template.streamed("audio/wav", Some(10)).unwrap();
    assert!(request.is_streamed() && request.length() == Some(10) && request.body().is_empty());
    let options = CallOptions { retry, ..CallOptions::default() };
    let start = Start { wall: SystemTime::UNIX_EPOCH, seed: 1 };
    Scenario { call: Call::new(&request, &options, &Budget::new(), start), now: Duration::ZERO }
}

#[test]
fn a_body_that_was_begun_is_not_sent_again_whatever_the_policy_allows() {
    let twice = RetryPolicy::default().may_run_twice();
    for retry in [RetryPolicy::default(), twice] {
        // Nothing of it was taken: like any other.
        let mut call = streamed(&Operation::Predict, retry);
        call.sends(1).breaks(Cause::Connect, 0).waits(ms(250), ms(750)).sends(2);
        call.answers(429, &[], "").waits(ms(250), ms(20_000)).sends(3);
        // Then it was.
        for step in [0, 1, 2] {
            let mut call = streamed(&Operation::Predict, retry);
            call.sends(1).call.body_taken();
            match step {
                0 => call.answers(429, &[], ""),
                1 => call.breaks(Cause::Disconnected, 0),
                _ => call.breaks(Cause::Disconnected, 9),
            };
            let error = call.fails();
            assert_eq!(error.stop(), Stop::BodyTaken, "{error}");
            assert!(error.to_string().ends_with("its reader gives the body but once"), "{error}");
        }
    }
}

#[test]
fn a_reader_at_fault_is_not_asked_twice_and_what_the_server_got_is_said() {
    for (cause, sent, expect) in [
        (Cause::Reader { taken: 0 }, 0, "failed after 0 bytes; nothing of it was sent"),
        (
            Cause::Reader { taken: 7 },
            99,
            "failed after 7 bytes; the server may have got that much of it",
        ),
        (
            Cause::ReaderLength { length: 9, taken: Some(7) },
            99,
            "ended after 7 bytes of the 9 announced; the server may",
        ),
        (
            Cause::ReaderLength { length: 9, taken: None },
            99,
            "is longer than the 9 bytes announced; the server may",
        ),
    ] {
        let mut call = streamed(&Operation::Predict, RetryPolicy::default().may_run_twice());
        let error = call.sends(1).breaks(cause, sent).fails();
        assert_eq!((error.kind(), error.stop()), (ErrorKind::Local, Stop::Final));
        assert!(error.to_string().contains(expect), "{error}");
    }
}
