//! The bound on the replay cache's memory, as the operating system sees it. Alone in its process,
//! since it measures all of it.
#![cfg(target_os = "linux")]

use std::time::{Duration, SystemTime};

use baseten_webhook::{Delivery, ReplayCache, Secret, Verifier, Webhook};

/// The most memory this process had at once, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?.strip_suffix(" kB")?.trim().parse::<usize>().ok()
    });
    kilobytes.expect("it holds the peak") * 1024
}

#[test]
fn memory_is_192_bytes_an_id_however_many_and_long() {
    const CAPACITY: usize = 20_000;
    const ROUNDS: usize = 6;
    let verifier = Verifier::new(Secret::new("whsec_1").unwrap());
    let mut cache = ReplayCache::new(&verifier).with_capacity(CAPACITY);
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let long = "x".repeat(400);

    let before = peak();
    for index in 0..CAPACITY * ROUNDS {
        // Not in the order of time, and all of them live: only the capacity keeps it small.
        let time = start + Duration::from_millis((index * 7919 % 100_000) as u64);
        let webhook = Webhook::new(format!("{index}{long}"), time);
        assert_eq!(cache.check(&webhook, start), Delivery::New);
        assert!(cache.len() <= CAPACITY);
    }
    assert_eq!(cache.len(), CAPACITY);

    let grown = peak() - before;
    // The ids alone would be 48 MB; the stacks and buffers of a test are in the half megabyte.
    let bound = CAPACITY * 192 + 512 * 1024;
    assert!(grown <= bound, "{grown} bytes for {CAPACITY} ids, {} each", grown / CAPACITY);
}
