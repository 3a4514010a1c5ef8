//! Error answers: what is retried, what is not, and what the error then says. Both facades; the
//! emulator counts what arrived.

mod facades;

use baseten::{CallOptions, Delivery, ErrorKind, Method, Outcome, RetryPolicy, Stop};
use baseten_emulator::Answer;
use facades::{each, each_with, once};
use serde_json::json;

/// A pause so short that tests do not wait for the client's own.
fn soon(answer: Answer) -> Answer {
    answer.header("retry-after-ms", "1")
}

#[test]
fn what_was_refused_is_sent_again() {
    each(|facade, emulator| {
        // Through a base URL a 429 is taken for a refusal by assumption.
        for answer in [
            Answer::platform_error(429),
            Answer::platform_error(503),
            Answer::platform_error(529),
            Answer::not_ready(),
            Answer::nginx_error(503),
        ] {
            emulator.forget();
            emulator.model("abc").then(soon(answer.clone())).then(soon(answer));
            let answer = facade.predict(&json!(1)).unwrap();
            assert_eq!((answer.meta.attempts(), emulator.seen().arrivals().len()), (3, 3));
            let first = &answer.meta.failed_attempts()[0];
            assert_eq!((first.number, first.delivery), (1, Delivery::Refused), "{}", facade.name());
            assert!(matches!(first.outcome, Outcome::Status(_)) && first.request_id.is_some());
            assert!(answer.meta.timings().waited > std::time::Duration::ZERO);
        }
    });
}

#[test]
fn what_may_have_run_or_was_answered_is_sent_once() {
    use Delivery::{Answered, MaybeRan};
    each(|facade, emulator| {
        for (answer, delivery, status) in [
            (Answer::platform_error(400), Answered, 400),
            (Answer::platform_error(402), Answered, 402),
            (Answer::platform_error(404), Answered, 404),
            (Answer::platform_error(413), Answered, 413),
            (Answer::platform_error(500), MaybeRan, 500),
            (Answer::platform_error(502), MaybeRan, 502),
            (Answer::platform_error(504), MaybeRan, 504),
            (Answer::nginx_error(502), MaybeRan, 502),
            (Answer::model_raised(), Answered, 500),
            (Answer::model_error(429, 600, "slow down"), Answered, 429), // the model's own
            (Answer::model_error(503, 700, "closed"), Answered, 503),
            // Its own words that something is not ready, and a response of its own in the server's words.
            (Answer::model_error(503, 600, "vector index is not ready"), Answered, 503),
            (Answer::model_error(503, 700, "Model with name m is not ready."), Answered, 503),
        ] {
            emulator.forget();
            emulator.model("abc").answer(soon(answer));
            let error = facade.predict(&json!(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Status, "{error}");
            assert_eq!(error.status().unwrap().as_u16(), status);
            assert_eq!(error.delivery(), delivery, "{}: {error}", facade.name());
            assert_eq!(emulator.seen().arrivals().len(), 1, "{}: {error}", facade.name());
            assert!(error.request_id().is_some());
        }
    });
}

#[test]
fn a_policy_can_allow_running_twice_and_distrust_refusals() {
    let retry = RetryPolicy::default().may_run_twice();
    each_with(CallOptions { retry, ..CallOptions::default() }, |facade, emulator| {
        emulator.model("abc").then(soon(Answer::platform_error(502)));
        assert_eq!(facade.predict(&json!(1)).unwrap().meta.attempts(), 2);
    });
    let retry = RetryPolicy { trust_refusals: false, ..RetryPolicy::default() };
    each_with(CallOptions { retry, ..CallOptions::default() }, |facade, emulator| {
        emulator.model("abc").then(soon(Answer::nginx_error(503)));
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!((error.stop(), error.delivery()), (Stop::Final, Delivery::Answered));
    });
}

#[test]
fn a_get_may_be_repeated() {
    each(|facade, emulator| {
        emulator.model("abc").every_route().then(soon(Answer::platform_error(502)));
        let answer = facade.sync(Method::GET, "health", &[], None);
        assert_eq!(answer.unwrap().meta.attempts(), 2, "{}", facade.name());
    });
}

#[test]
fn attempts_and_budget_end() {
    each(|facade, emulator| {
        emulator.model("abc").answer(soon(Answer::platform_error(429)));
        let mut stops = Vec::new();
        for _ in 0..8 {
            let error = facade.predict(&json!(1)).unwrap_err();
            stops.push(error.stop());
        }
        assert_eq!(stops[..5], [Stop::Attempts; 5], "{}", facade.name());
        assert_eq!(stops[5..], [Stop::Budget; 3], "10 extra attempts are spent");
        assert_eq!(emulator.seen().arrivals().len(), 8 + 10);
    });
}

#[test]
fn a_long_pause_is_an_error_now() {
    each(|facade, emulator| {
        emulator.model("abc").answer(Answer::platform_error(429).header("retry-after", "3600"));
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!(error.stop(), Stop::TooLong);
        assert_eq!(error.retry_after().unwrap().as_secs(), 3600);
        assert!(error.retry_at().unwrap() > std::time::SystemTime::now());
        assert_eq!(emulator.seen().arrivals().len(), 1);
    });
}

#[test]
fn a_wrong_key_gets_the_platforms_word() {
    each_with(once(), |_, emulator| {
        let client = baseten_blocking::Client::builder().api_key("wr0ng");
        let model =
            client.base_url(emulator.base_url("abc")).build().unwrap().model("abc").unwrap();
        let error = model.predict::<_, String>("hi").unwrap_err();
        assert!(matches!(error.status().unwrap().as_u16(), 401 | 403), "{error}");
        assert_eq!(error.api().unwrap().message(), "please check the api-key you provided");
        assert!(!format!("{error} {error:?}").contains("wr0ng"));
    });
}

#[test]
fn error_bodies_are_bounded_and_told_in_one_line() {
    let limits = baseten::Limits { error_body: 100, ..baseten::Limits::default() };
    each_with(CallOptions { limits, ..once() }, |facade, emulator| {
        let html = format!("<html><title>502\nBad Gateway</title>{}", "x".repeat(1_000_000));
        emulator.model("abc").answer(Answer::bytes("text/html", html).with_status(502));
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!(error.body().len(), 100, "{}", facade.name());
        assert!(error.to_string().contains("502\\nBad Gateway"), "{error}");
        assert!(!error.to_string().contains('\n'));
    });
}

#[test]
fn both_schemes_and_hosts_reach_the_same_model() {
    each(|_, emulator| {
        // By Host header, below a root of its own: `*.localhost` needs no DNS.
        let hosts = baseten::Hosts::root(&format!("http://{}", emulator.root())).unwrap();
        let client = baseten_blocking::Client::builder().api_key(baseten_emulator::DUMMY_KEY);
        let model = client.hosts(hosts).build().unwrap().model("abc").unwrap();
        model.predict::<_, serde_json::Value>("hi").unwrap();
        let seen = emulator.seen();
        let arrival = seen.last().unwrap();
        assert_eq!(arrival.header("authorization"), Some("Api-Key dummy-key-0000"));
        assert_eq!(arrival.header("host").unwrap(), format!("model-abc.{}", emulator.root()));
        let staging = model.environment("staging").unwrap();
        staging.predict::<_, serde_json::Value>("hi").unwrap();
        assert_eq!(emulator.seen().last().unwrap().path, "/environments/staging/predict");
        let one = staging.deployment("d1").unwrap();
        one.predict::<_, serde_json::Value>("hi").unwrap();
        assert_eq!(emulator.seen().last().unwrap().path, "/deployment/d1/predict");
        one.development().unwrap().predict::<_, serde_json::Value>("hi").unwrap();
        assert_eq!(emulator.seen().last().unwrap().path, "/development/predict");
    });
}
