//! What holds for any secret, body, header and order of deliveries.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use baseten_webhook::{
    Delivery, Error, JobError, JobErrorCode, ReplayCache, Secret, Verifier, Webhook, sign,
};
use proptest::collection::vec;
use proptest::prelude::{any, prop};
use proptest::strategy::Strategy;
use proptest::{prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

fn secret() -> impl Strategy<Value = Secret> {
    "whsec_[A-Za-z0-9+/=]{1,80}".prop_map(|text| Secret::new(&text).expect("it is visible ASCII"))
}

fn after_1970(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

/// A JSON value of a few levels. Whole numbers, since the reader need not be exact with floats.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = proptest::prop_oneof![
        proptest::strategy::Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        proptest::prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(".{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_signed_verifies(secret in secret(), body in vec(any::<u8>(), 0..300)) {
        let header = sign([&secret], &body);
        prop_assert_eq!(header.len(), "v1=".len() + 64);
        prop_assert_eq!(Verifier::new(secret).verify_signature([header], &body), Ok(()));
    }

    #[test]
    fn a_flipped_bit_of_the_body_does_not(
        secret in secret(),
        mut body in vec(any::<u8>(), 1..300),
        at in any::<prop::sample::Index>(),
    ) {
        let header = sign([&secret], &body);
        let bit = at.index(body.len() * 8);
        body[bit / 8] ^= 1 << (bit % 8);
        let result = Verifier::new(secret).verify_signature([header], &body);
        prop_assert_eq!(result, Err(Error::WrongSignature));
    }

    #[test]
    fn nor_does_a_body_cut_or_grown(
        secret in secret(),
        body in vec(any::<u8>(), 1..300),
        at in any::<prop::sample::Index>(),
        more in vec(any::<u8>(), 1..9),
    ) {
        let header = sign([&secret], &body);
        let verifier = Verifier::new(secret);
        let cut = &body[..at.index(body.len())];
        prop_assert!(verifier.verify_signature([&header], cut).is_err());
        let grown = [&body[..], &more].concat();
        prop_assert!(verifier.verify_signature([&header], &grown).is_err());
    }

    /// Any secret of the receiver and any of the sender: they agree if they have one in common.
    #[test]
    fn rotation_needs_one_secret_in_common(
        pool in vec(secret(), 6),
        ours in vec(0..6usize, 1..4),
        theirs in vec(0..6usize, 1..4),
        body in vec(any::<u8>(), 0..40),
    ) {
        // Two draws of the pool may be equal; then so are their signatures.
        let same = |a: &Secret, b: &Secret| sign([a], b"") == sign([b], b"");
        let header = sign(theirs.iter().map(|index| &pool[*index]), &body);
        let mut mine = ours.iter().map(|index| pool[*index].clone());
        let first = Verifier::new(mine.next().unwrap());
        let result = mine.fold(first, Verifier::with_secret).verify_signature([header], &body);
        let common = ours.iter().any(|a| theirs.iter().any(|b| same(&pool[*a], &pool[*b])));
        prop_assert_eq!(result, if common { Ok(()) } else { Err(Error::WrongSignature) });
    }

    #[test]
    fn no_header_makes_it_panic_or_accept(
        secret in secret(),
        values in vec(vec(any::<u8>(), 0..100), 0..3),
        likely in "(v[0-9]?=?[0-9a-f]{0,66}[ ,;]?){0,4}",
    ) {
        let verifier = Verifier::new(secret);
        let body = b"an unsigned body";
        prop_assert!(verifier.verify_signature(values, body).is_err());
        prop_assert!(verifier.verify_signature([likely], body).is_err());
    }

    #[test]
    fn a_webhook_is_written_as_it_was_read(
        request_id in ".{0,40}",
        micros in 0..253_402_300_800_000_000u64,
        data in json_value(),
        other in json_value(),
        messages in vec(".{0,20}", 0..3),
    ) {
        let mut webhook = Webhook::new(request_id, after_1970(micros));
        webhook.model_id = Some("abc".to_owned());
        webhook.data = Some(serde_json::value::to_raw_value(&data).unwrap());
        webhook.other.insert("new".to_owned(), other);
        let code = JobErrorCode::Other("NEW".into());
        webhook.errors =
            messages.into_iter().map(|text| JobError::new(code.clone(), text)).collect();

        let written = serde_json::to_vec(&webhook).unwrap();
        let read = Webhook::parse(&written).unwrap();
        prop_assert_eq!(read.time, webhook.time);
        prop_assert_eq!(&read.errors, &webhook.errors);
        prop_assert_eq!(&read.other, &webhook.other);
        let output = read.data.as_ref().map_or(Value::Null, |data| {
            serde_json::from_str(data.get()).unwrap()
        });
        prop_assert_eq!(output, data);
        prop_assert_eq!(serde_json::to_vec(&read).unwrap(), written);
    }

    #[test]
    fn no_body_makes_it_panic(body in vec(any::<u8>(), 0..100), time in ".{0,40}") {
        prop_assert!(Webhook::parse(&body).is_err());
        let body = json!({"request_id": "r", "type": "t", "time": time}).to_string();
        prop_assert!(Webhook::parse(body.as_bytes()).is_err());
    }

    /// Against a model that never forgets: a delivery is a duplicate while an earlier one of the same
    /// id would still be accepted.
    #[test]
    fn the_cache_knows_what_could_be_replayed(
        deliveries in vec((0..20u64, 0..12u8, 0..=10u64, any::<bool>()), 1..200),
    ) {
        let tolerance = Duration::from_secs(10);
        let verifier = Verifier::new(Secret::new("whsec_1").unwrap()).with_tolerance(tolerance);
        let mut cache = ReplayCache::new(&verifier);
        let mut accepted_until: HashMap<u8, SystemTime> = HashMap::new();
        let mut now = after_1970(1_700_000_000_000_000);
        for (pause, id, skew, late) in deliveries {
            now += Duration::from_secs(pause);
            let skew = Duration::from_secs(skew);
            let time = if late { now - skew } else { now + skew };
            let delivery = cache.check(&Webhook::new(id.to_string(), time), now);

            let known = accepted_until.get(&id).copied().filter(|until| *until >= now);
            let expect = if known.is_some() { Delivery::Duplicate } else { Delivery::New };
            prop_assert_eq!(delivery, expect);
            let until = known.map_or(time + tolerance, |until| until.max(time + tolerance));
            accepted_until.insert(id, until);
            let live = accepted_until.values().filter(|until| **until >= now).count();
            prop_assert_eq!(cache.len(), live);
        }
    }
}

/// Not by chance: every bit of one delivery.
#[test]
fn every_flipped_bit_of_a_delivery_is_refused() {
    let secret = Secret::new("whsec_0123456789").unwrap();
    let verifier = Verifier::new(secret.clone());
    let webhook = Webhook::new("35f4", after_1970(1_700_000_000_000_000));
    let body = serde_json::to_vec(&webhook).unwrap();
    let header = sign([&secret], &body).into_bytes();
    assert_eq!(verifier.verify_signature([&header], &body), Ok(()));
    for (bytes, is_header) in [(&body, false), (&header, true)] {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let result = match is_header {
                true => verifier.verify_signature([&flipped], &body),
                false => verifier.verify_signature([&header], &flipped),
            };
            assert!(result.is_err(), "bit {bit} of {}", String::from_utf8_lossy(&flipped));
        }
    }
}
