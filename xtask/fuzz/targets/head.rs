//! Heads of answers, with the body of a refusal: a call is driven to its end with the same answer to
//! every attempt. It ends, waits no longer than it may, and never tells the key.

#![no_main]

use std::time::{Duration, SystemTime};

use baseten_core::{
    Answer, Budget, Call, CallOptions, Credential, Endpoint, Error, Hosts, Meta, ModelId,
    Operation, Start, Step, Target, Template,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, response::Parts};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "a-key-that-nobody-may-read";

fuzz_target!(|answer: &[u8]| {
    let (head, body) = read(answer);
    let target = Target::model(ModelId::new("abc").expect("an id"));
    let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict).expect("a model");
    let key = Credential::api_key(KEY).expect("a key");
    let template = Template::new(endpoint, &key, Answer::Json).expect("https");
    let request = template.empty();
    let mut options = CallOptions::default();
    options.retry = options.retry.may_run_twice();
    options.timeouts.total = Some(Duration::from_secs(600));
    let start =
        Start { wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000), seed: 1 };
    let mut call = Call::new(&request, &options, &Budget::new(), start);

    let mut now = Duration::ZERO;
    for _ in 0..1000 {
        match call.step(now) {
            Step::Send(_) if request.accepts(head.status) => {
                let mut accepted = call.accept(now, head.clone());
                tell(accepted.meta());
                accepted.decoded(body.len() as u64);
                tell(&accepted.finish(now, ()).meta);
                return;
            }
            Step::Send(_) => call.on_rejected(now, head.clone(), body.clone()),
            Step::Wait(pause) => {
                now += pause;
                assert!(now <= Duration::from_secs(600), "waits for {pause:?}, until {now:?}");
            }
            Step::Fail(error) => return refused(&error, answer),
        }
    }
    panic!("no end after a thousand steps");
});

/// The head and the body of an answer; lines that no client could read are left out.
fn read(answer: &[u8]) -> (Parts, Bytes) {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len());
    let body = Bytes::copy_from_slice(answer.get(end + 4..).unwrap_or_default());
    let mut lines = answer[..end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status = lines.next().and_then(|line| line.get(9..12));
    let mut response = Response::builder().status(status.unwrap_or(b"503"));
    if response.headers_ref().is_none() {
        response = Response::builder().status(503);
    }
    for line in lines {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(halves.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(halves.next().unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            response = response.header(name, value);
        }
    }
    (response.body(()).expect("parts that were checked").into_parts().0, body)
}

fn tell(meta: &Meta) {
    let ids = (meta.request_id(), meta.chain_request_id(), meta.replica_attempts());
    let rest = (meta.rate_limits(), meta.encoded_length(), meta.framing(), meta.timings());
    assert!(!format!("{meta:?} {ids:?} {rest:?}").is_empty());
}

fn refused(error: &Error, answer: &[u8]) {
    let asked = (error.retry_after(), error.retry_at(), error.rate_limits(), error.request_id());
    let told = format!("{error} {error:?} {asked:?} {:?}", error.api());
    let is_echo = answer.windows(KEY.len()).any(|bytes| bytes == KEY.as_bytes());
    assert!(is_echo || !told.contains(KEY), "{told}");
}
