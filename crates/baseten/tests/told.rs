//! What every answer and every error tells of its call: its attempts one by one, ids, the platform's own
//! headers, and limits. Both facades.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use std::time::{Duration, Instant};

use baseten::openai::{ChatRequest, Message};
use baseten::{
    CallOptions, Cause, Delivery, Error, ErrorKind, Meta, Outcome, RateLimits, RetryPolicy, Tried,
};
use baseten_emulator::{Answer, Emulator, Fault, When};
use serde_json::{Value, json};

/// How long a server takes that is not to answer at once.
const SLOW: Duration = Duration::from_millis(30);
/// The pause that it asks for, and how much the client adds at most.
const ASKED: Duration = Duration::from_millis(20);
const MORE: Duration = Duration::from_millis(250);
/// The second pause, which nobody asks for.
const DRAWN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(750));

/// An attempt that is refused, and one that breaks; whatever is installed comes third.
fn two_fail(emulator: &Emulator) {
    emulator.forget();
    let busy = Answer::platform_error(503).header("retry-after-ms", "20").delayed(SLOW);
    emulator.model("abc").every_route().then(busy).then(Answer::json(json!(1)).delayed(SLOW));
    emulator.inject(When::Request(1), Fault::reset());
}

/// That the two are told as they were. What they ended at, with the pause that came after.
fn check(tried: &[Tried], emulator: &Emulator) -> Duration {
    let [first, second] = tried else { panic!("{tried:?}") };
    assert_eq!((first.number, second.number), (1, 2));
    let refused = Outcome::Status(503.try_into().unwrap());
    assert_eq!((first.outcome, first.delivery), (refused, Delivery::Refused));
    let broken = Outcome::Failed(Cause::Disconnected);
    assert_eq!((second.outcome, second.delivery), (broken, Delivery::MaybeRan));
    let id = emulator.seen().arrivals()[0].request_id.clone();
    assert_eq!((first.request_id.as_deref(), second.request_id.as_deref()), (Some(&*id), None));
    // Nothing went before the first; the second came when its pause was over.
    assert_eq!((first.waited, first.began), (Duration::ZERO, Duration::ZERO));
    assert!(first.ended >= first.began + SLOW, "{tried:?}");
    assert!(second.waited >= ASKED && second.waited <= ASKED + MORE, "{tried:?}");
    assert!(second.began >= first.ended + second.waited, "{tried:?}");
    assert!(second.ended > second.began, "{tried:?}");
    second.ended + DRAWN.0
}

/// The same of an answer.
fn answered(meta: &Meta, emulator: &Emulator) {
    assert_eq!((meta.attempts(), emulator.seen().arrivals().len()), (3, 3));
    let (timings, tried) = (meta.timings(), meta.failed_attempts());
    assert!(timings.head >= check(tried, emulator), "{meta:?}");
    let last = timings.waited - tried[1].waited;
    assert!(last >= DRAWN.0 && last <= DRAWN.1, "{meta:?}");
    assert!(timings.head >= tried[1].ended + last, "{meta:?}");
}

/// The same of an error that came after an answer.
fn broken(error: &Error, kind: ErrorKind, began: Instant, emulator: &Emulator) {
    assert_eq!(error.kind(), kind, "{error}");
    let (over, elapsed) = (check(error.attempts(), emulator), error.elapsed().unwrap());
    assert!(elapsed >= over && elapsed <= began.elapsed(), "{error:#?}");
}

fn twice() -> CallOptions {
    CallOptions { retry: RetryPolicy::default().may_run_twice(), ..CallOptions::default() }
}

both! {
    fn the_attempts_before_an_answer_are_told_in_order_with_their_times() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator, twice()).model("abc").unwrap();
        let route = emulator.model("abc").every_route();
        let chat = ChatRequest::new("m", [Message::user("hi")]);

        two_fail(&emulator);
        answered(&wait(model.predict::<_, Value>(&1)).unwrap().meta, &emulator);

        two_fail(&emulator);
        let mut stream = wait(model.predict_stream(&1)).unwrap();
        answered(stream.meta(), &emulator);
        while wait(stream.chunk()).unwrap().is_some() {}
        answered(stream.meta(), &emulator);

        let event = json!({"choices": [{"index": 0, "delta": {"content": "hi"}}]}).to_string();
        route.answer(Answer::sse([event, "[DONE]".into()]));
        two_fail(&emulator);
        let mut stream = wait(model.openai().unwrap().chat_stream(&chat)).unwrap();
        while wait(stream.chunk()).unwrap().is_some() {}
        answered(stream.meta(), &emulator);
    }

    fn the_attempts_before_an_error_are_told_in_order_with_their_times() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator, twice()).model("abc").unwrap();
        let route = emulator.model("abc").every_route();
        let chat = ChatRequest::new("m", [Message::user("hi")]);

        // A status, whose attempt is the last.
        route.answer(Answer::platform_error(400));
        two_fail(&emulator);
        let error = wait(model.predict::<_, Value>(&1)).unwrap_err();
        let [before @ .., last] = error.attempts() else { panic!("{error}") };
        assert!(last.began >= check(before, &emulator), "{error:#?}");
        assert!(last.waited >= DRAWN.0 && last.waited <= DRAWN.1, "{error:#?}");
        assert!(last.began >= before[1].ended + last.waited, "{error:#?}");
        let outcome = Outcome::Status(400.try_into().unwrap());
        assert_eq!((last.number, last.outcome, last.delivery), (3, outcome, Delivery::Answered));
        assert_eq!(last.request_id.as_deref(), error.request_id());
        assert_eq!(error.elapsed(), Some(last.ended));

        // A body that is not what was asked for, breaks off, or is an error.
        let failed = json!({"error": {"message": "no", "code": 500}});
        route.answer(Answer::json(json!("text")));
        two_fail(&emulator);
        let began = Instant::now();
        let error = wait(model.predict::<_, u64>(&1)).unwrap_err();
        broken(&error, ErrorKind::Decode, began, &emulator);

        route.answer(Answer::stream(["one "]).ending(baseten_emulator::Ending::Close));
        two_fail(&emulator);
        let began = Instant::now();
        let mut stream = wait(model.predict_stream(&1)).unwrap();
        assert_eq!(wait(stream.chunk()).unwrap().unwrap(), "one ");
        broken(&wait(stream.chunk()).unwrap_err(), ErrorKind::Truncated, began, &emulator);

        route.answer(Answer::json(failed.clone()));
        two_fail(&emulator);
        let began = Instant::now();
        let error = wait(model.openai().unwrap().chat(&chat)).unwrap_err();
        broken(&error, ErrorKind::Stream, began, &emulator);

        route.answer(Answer::sse([failed.to_string()]));
        two_fail(&emulator);
        let began = Instant::now();
        let mut stream = wait(model.openai().unwrap().chat_stream(&chat)).unwrap();
        broken(&wait(stream.chunk()).unwrap_err(), ErrorKind::Stream, began, &emulator);
    }

    fn ids_and_the_platforms_headers() {
        let emulator = Emulator::start().unwrap();
        let busy = || Answer::platform_error(503).header("retry-after-ms", "1");
        let plain = || Answer::json(json!(1));
        let full = |answer: Answer| {
            let answer = answer.header("x-baseten-model-prediction-attempts", "2");
            answer.header("x-baseten-error-source", "04").header("x-baseten-error-code", "601")
        };
        let all = (Some("04"), Some("601"), Some(2));
        let none = (None, None, None);
        //   the last answer                           what is told of it
        for (answer, platform) in [
            (full(plain()), all),
            (plain(), none),
            (Answer::model_error(400, 601, "bad").header("x-baseten-model-prediction-attempts", "2"), all),
            (Answer::platform_error(400), none),
            (plain().header("x-baseten-model-prediction-attempts", "two"), none), // no number
        ] {
            // Each with a budget of its own.
            let model = client!(emulator).model("abc").unwrap();
            let named = model.clone().request_id("job-7").unwrap();
            for (model, id) in [(&named, Some("job-7-2")), (&model, None)] {
                let route = emulator.model("abc");
                let told = |told: &Result<Meta, Error>| {
                    let (found, sent) = match told {
                        Ok(meta) => (
                            (meta.error_source(), meta.error_code(), meta.replica_attempts()),
                            meta.customer_request_id(),
                        ),
                        Err(error) => (
                            (error.error_source(), error.error_code(), error.replica_attempts()),
                            error.customer_request_id(),
                        ),
                    };
                    assert_eq!((found, sent), (platform, id), "{told:?}");
                    let seen = emulator.seen();
                    assert_eq!(seen.last().unwrap().header("x-baseten-customer-request-id"), id);
                };
                route.answer(answer.clone());
                // The id has the number of the attempt.
                let again = || id.map(|_| route.then(busy()));
                again();
                told(&wait(model.predict::<_, Value>(&1)).map(|answer| answer.meta));
                again();
                told(&wait(model.predict_stream(&1)).map(|stream| stream.meta().clone()));
                // An answer that cannot be read is an error with the same headers.
                again();
                told(&wait(model.predict::<_, String>(&1)).map(|answer| answer.meta));
            }
        }
        let model = client!(emulator).model("abc").unwrap();
        let never = wait(model.request().request_id("a b").send()).unwrap_err();
        assert_eq!(never.customer_request_id(), None, "nothing was sent");
        assert_eq!(never.elapsed(), None, "and no call began");
    }

    fn limits_of_an_answer_a_stream_and_a_429() {
        let emulator = Emulator::start().unwrap();
        let options = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
        let model = client!(emulator, options).model("abc").unwrap();
        let limited = |answer: Answer, remaining: &str| {
            let answer = answer.header("x-ratelimit-limit-requests", "100");
            let answer = answer.header("x-ratelimit-remaining-requests", remaining);
            let answer = answer.header("x-ratelimit-reset-requests", "1m2s");
            answer.header("x-ratelimit-limit-tokens", "5000")
        };
        let told = |limits: RateLimits, remaining: u64| {
            let RateLimits { requests, tokens, .. } = limits;
            let minute = Duration::from_secs(62);
            let found = (requests.limit, requests.remaining, requests.reset);
            assert_eq!(found, (Some(100), Some(remaining), Some(minute)));
            assert_eq!((tokens.limit, tokens.remaining, tokens.reset), (Some(5000), None, None));
        };
        let route = emulator.model("abc");

        route.answer(limited(Answer::json(json!(1)), "7"));
        let limits = wait(model.predict::<_, Value>(&1)).unwrap().meta.rate_limits();
        told(limits, 7);

        route.answer(limited(Answer::stream(["one"]), "6"));
        let limits = wait(model.predict_stream(&1)).unwrap().meta().rate_limits();
        told(limits, 6);

        route.answer(limited(Answer::platform_error(429), "0"));
        let limits = wait(model.predict::<_, Value>(&1)).unwrap_err().rate_limits();
        told(limits, 0);

        route.answer(Answer::json(json!(1)));
        let limits = wait(model.predict::<_, Value>(&1)).unwrap().meta.rate_limits();
        assert_eq!(limits, RateLimits::default(), "nothing is told");
    }
}
