//! The replay cache: what is a duplicate, for how long, and in how much memory.

use std::time::{Duration, SystemTime};

use baseten_webhook::{Delivery, ReplayCache, Secret, Verifier, Webhook};

fn cache() -> ReplayCache {
    ReplayCache::new(&Verifier::new(Secret::new("whsec_1").expect("it is one")))
}

/// Seconds into the test.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn sent(id: impl Into<String>, seconds: u64) -> Webhook {
    Webhook::new(id, at(seconds))
}

#[test]
fn an_id_is_new_once_while_a_copy_would_be_accepted() {
    let mut cache = cache();
    //   id   sent  now   expected
    for (id, time, now, expect) in [
        ("a", 0, 1, Delivery::New),
        ("a", 0, 1, Delivery::Duplicate),
        ("b", 0, 1, Delivery::New),
        ("a", 0, 300, Delivery::Duplicate), // the last moment at which a copy is accepted
        ("a", 3, 300, Delivery::Duplicate), // Baseten's second attempt, and its own later time …
        ("a", 3, 303, Delivery::Duplicate), // … for which copies of it are known
        ("b", 0, 303, Delivery::New),       // forgotten: the verifier refuses this copy by its age
        ("a", 3, 304, Delivery::New),
        ("c", 600, 310, Delivery::New), // from a clock that is ahead:
        ("c", 600, 900, Delivery::Duplicate), // known for longer
    ] {
        assert_eq!(cache.check(&sent(id, time), at(now)), expect, "{id} at {now}");
    }
    assert_eq!(cache.len(), 1, "only c is left at 900: {cache:?}");
}

#[test]
fn a_delivery_that_was_not_stored_can_come_again() {
    let mut cache = cache();
    let webhook = sent("a", 0);
    assert_eq!(cache.check(&webhook, at(0)), Delivery::New);
    cache.forget(&webhook);
    assert!(cache.is_empty());
    assert_eq!(cache.check(&sent("a", 2), at(2)), Delivery::New);
    cache.forget(&sent("never seen", 2));
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_full_cache_forgets_what_would_expire_first() {
    let mut cache = cache().with_capacity(3);
    for (id, time) in [("late", 50), ("first", 10), ("then", 20)] {
        assert_eq!(cache.check(&sent(id, time), at(50)), Delivery::New);
    }
    assert_eq!(cache.check(&sent("one more", 40), at(50)), Delivery::New);
    assert_eq!(cache.len(), 3);
    for (id, time, expect) in [
        ("late", 50, Delivery::Duplicate),
        ("then", 20, Delivery::Duplicate),
        ("one more", 40, Delivery::Duplicate),
        ("first", 10, Delivery::New),
    ] {
        assert_eq!(cache.check(&sent(id, time), at(50)), expect, "{id}");
    }
    // None at all would take every copy for new.
    let mut least = self::cache().with_capacity(0);
    assert_eq!(least.check(&sent("a", 0), at(0)), Delivery::New);
    assert_eq!(least.check(&sent("a", 0), at(0)), Delivery::Duplicate);
}

#[test]
fn a_tolerance_without_end_is_no_overflow() {
    let verifier = Verifier::new(Secret::new("whsec_1").unwrap()).with_tolerance(Duration::MAX);
    let mut cache = ReplayCache::new(&verifier);
    assert_eq!(cache.check(&sent("a", 0), at(0)), Delivery::New);
    assert_eq!(cache.check(&sent("a", 0), at(1_000_000_000)), Delivery::Duplicate);
}

#[test]
fn a_clock_that_was_never_set_forgets_nothing() {
    let mut cache = cache();
    let never_set = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
    assert_eq!(cache.check(&sent("a", 0), at(0)), Delivery::New);
    assert_eq!(cache.check(&sent("a", 0), never_set), Delivery::Duplicate);
    // Nor does a webhook that says so: no verifier takes it, and it is kept as one of 1970.
    assert_eq!(cache.check(&Webhook::new("b", never_set), never_set), Delivery::New);
    assert_eq!(cache.check(&Webhook::new("b", never_set), never_set), Delivery::Duplicate);
}
