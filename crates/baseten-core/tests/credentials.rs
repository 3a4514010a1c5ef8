//! Credentials that change while a client lives: asked before each attempt, and never quoted.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use baseten_core::{
    Access, Answer, Budget, Call, CallOptions, Cause, Credential, Delivery, Error, ErrorKind,
    Failure, Hosts, InvalidCredential, ModelId, Operation, Request, Start, Step, Stop, Target,
};

/// 1714507268 since 1970.
const WALL: Duration = Duration::from_secs(1_714_507_268);

fn request(credential: Credential) -> Request {
    let target = Target::model(ModelId::new("abc").unwrap());
    let access = Access::new(Hosts::baseten(), credential);
    access.template(&target, &Operation::Predict, Answer::Json).unwrap().empty()
}

fn call(request: &Request) -> Call {
    let start = Start { wall: UNIX_EPOCH + WALL, seed: 1 };
    Call::new(request, &CallOptions::default(), &Budget::new(), start)
}

/// What the next attempt shows, if there is one.
fn shown(call: &mut Call, now: Duration) -> Result<Vec<String>, Error> {
    match call.step(now) {
        Step::Send(attempt) => {
            let mut headers = http::HeaderMap::new();
            attempt.set_headers(&mut headers);
            let shown = headers.get_all("authorization").iter();
            Ok(shown.map(|value| value.to_str().unwrap().to_owned()).collect())
        }
        Step::Fail(error) => Err(error),
        Step::Wait(_) => panic!("nothing to wait for"),
    }
}

fn refused(call: &mut Call, now: Duration, text: &'static str) {
    let response = http::Response::builder().status(503).header("retry-after-ms", "0").body(());
    call.on_rejected(now, response.unwrap().into_parts().0, text.into());
}

#[test]
fn a_fixed_key_stands_in_the_request() {
    let request = request(Credential::api_key("abcd.s3cret").unwrap());
    assert_eq!(request.to_headers()["authorization"], "Api-Key abcd.s3cret");
    assert!(shown(&mut call(&request), Duration::ZERO).unwrap().is_empty());
}

#[test]
fn each_attempt_asks_for_its_key_and_hides_that_one() {
    let asked = AtomicU32::new(0);
    let credential = Credential::rotating(move || {
        let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
        Credential::api_key(&format!("abcd.s3cret-{number}"))
    });
    let request = request(credential);
    assert!(request.header(&http::header::AUTHORIZATION).is_none());
    let mut call = call(&request);
    assert_eq!(shown(&mut call, Duration::ZERO).unwrap(), ["Api-Key abcd.s3cret-1"]);
    refused(&mut call, Duration::ZERO, "busy");
    let later = Duration::from_secs(1);
    assert_eq!(shown(&mut call, later).unwrap(), ["Api-Key abcd.s3cret-2"]);
    call.on_failure(later, Failure::before_sending(Cause::Connect, None));
    let later = Duration::from_secs(60);
    assert_eq!(shown(&mut call, later).unwrap(), ["Api-Key abcd.s3cret-3"]);
    refused(&mut call, later, "no such key: abcd.s3cret-3");
    let error = shown(&mut call, later).unwrap_err();
    assert_eq!(error.body(), "no such key: [redacted]");
    assert!(!format!("{error} {error:#?} {request:#?} {call:#?}").contains("s3cret"), "{error:#?}");
}

#[test]
fn a_closure_that_fails_ends_the_call_before_anything_is_sent() {
    let nested = || Ok::<_, InvalidCredential>(Credential::rotating(|| Credential::api_key("k.1")));
    for (credential, says) in [
        (Credential::rotating(|| Err("the vault is sealed")), "the vault is sealed"),
        (Credential::rotating(|| Credential::api_key(" ")), "API key is empty"),
        (Credential::rotating(nested), "it gave a closure instead of a key or token"),
    ] {
        let error = shown(&mut call(&request(credential)), Duration::ZERO).unwrap_err();
        assert_eq!((error.kind(), error.cause()), (ErrorKind::Local, Some(Cause::Credential)));
        assert_eq!((error.delivery(), error.stop()), (Delivery::NotSent, Stop::Final));
        assert_eq!(
            error.to_string(),
            "POST /environments/production/predict: the closure of the credential failed; nothing \
             of it was sent"
        );
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), says);
    }
}

#[test]
fn a_closure_that_fails_later_does_not_hide_what_was_sent() {
    let keys = Mutex::new(vec![Credential::api_key("abcd.s3cret")]);
    let credential = Credential::rotating(move || match keys.lock().unwrap().pop() {
        Some(key) => key.map_err(|error| error.to_string()),
        None => Err("no key is left".to_owned()),
    });
    let mut call = call(&request(credential));
    shown(&mut call, Duration::ZERO).unwrap();
    refused(&mut call, Duration::ZERO, "busy");
    let error = shown(&mut call, Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.attempts().len(), 1, "the second never was one");
    assert_eq!((error.delivery(), error.cause()), (Delivery::Refused, Some(Cause::Credential)));
    let says =
        "credential failed, after 503 Service Unavailable: busy; it was refused before it ran";
    assert!(error.to_string().ends_with(says), "{error}");
}

#[test]
fn a_token_is_sent_until_it_is_over() {
    let until = |seconds: u64| {
        let at = UNIX_EPOCH + WALL + Duration::from_secs(seconds);
        Credential::token_until("t.s3cret", at).unwrap()
    };
    let mut sent = call(&request(until(1)));
    assert_eq!(shown(&mut sent, Duration::ZERO).unwrap(), ["Bearer t.s3cret"]);
    refused(&mut sent, Duration::from_millis(10), "busy");
    // It ran out between the attempts.
    let late = shown(&mut sent, Duration::from_secs(1)).unwrap_err();
    // From the beginning, and out of a closure.
    let first = shown(&mut call(&request(until(0))), Duration::ZERO).unwrap_err();
    let read = Credential::rotating(move || Ok::<_, InvalidCredential>(until(0)));
    let read = shown(&mut call(&request(read)), Duration::ZERO).unwrap_err();
    for error in [&late, &first, &read] {
        assert!(matches!(error.cause(), Some(Cause::TokenExpired { .. })), "{error}");
        assert_eq!(error.stop(), Stop::Final);
    }
    assert_eq!(
        first.to_string(),
        "POST /environments/production/predict: the access token expired at Tue, 30 Apr 2024 \
         20:01:08 GMT: log in again (`baseten login`, `truss login`), or let Credential::rotating \
         read the newest one; nothing of it was sent"
    );
    assert!(!format!("{first:#?} {read:#?}").contains("s3cret"));
}

#[test]
fn no_closures_key_goes_over_plain_http_to_another_machine() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let credential = Credential::rotating(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Credential::api_key("abcd.s3cret")
    });
    let target = Target::model(ModelId::new("abc").unwrap());
    let access = Access::new(Hosts::base_url("http://example.com").unwrap(), credential);
    let error = access.template(&target, &Operation::Predict, Answer::Json).unwrap_err();
    assert!(error.to_string().contains("plain HTTP"), "{error}");
    let gone = SystemTime::UNIX_EPOCH;
    let token = Credential::token_until("t.s3cret", gone).unwrap();
    let access = Access::new(Hosts::base_url("http://example.com").unwrap(), token);
    access.template(&target, &Operation::Predict, Answer::Json).unwrap_err();
    assert_eq!(asked.load(Ordering::Relaxed), 0, "it is not even asked");
}
