//! A webhook's signature header in the first line, its body behind it: only what was signed is
//! believed, and what was signed always is.

#![no_main]

use std::time::{Duration, SystemTime};

use baseten_webhook::{Secret, Verifier, Webhook, sign};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|delivery: &[u8]| {
    let mut halves = delivery.splitn(2, |byte| *byte == b'\n');
    let header = halves.next().unwrap_or_default();
    let body = halves.next().unwrap_or_default();
    let secret = Secret::new("whsec_nEw0123456789abc").expect("a secret");
    let right = sign([&secret], body);
    let verifier = Verifier::new(secret).with_tolerance(Duration::MAX);

    let is_listed = header.split(|byte| *byte == b',').any(|e| e.trim_ascii() == right.as_bytes());
    match verifier.verify_signature([header], body) {
        Ok(()) => assert!(is_listed, "believed what nobody signed"),
        Err(error) => assert!(error.is_about_signature(), "{error} {error:?}"),
    }
    verifier.verify_signature([&right], body).expect("what was signed");
    // Wherever it is changed by a bit, it is another.
    let mut wrong = right.clone().into_bytes();
    let at = header.len() % wrong.len();
    wrong[at] ^= 1 << (body.len() % 8);
    verifier.verify_signature([&wrong], body).expect_err("a changed signature");

    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_748_779_202);
    match (verifier.verify([&right], body, now), Webhook::parse(body)) {
        (Ok(verified), Ok(parsed)) => assert_eq!(format!("{verified:?}"), format!("{parsed:?}")),
        (Err(_), Err(error)) => assert!(!error.is_about_signature(), "{error}"),
        (verified, parsed) => panic!("{verified:?}, {parsed:?}"),
    }
});
