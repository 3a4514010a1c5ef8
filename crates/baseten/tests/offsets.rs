//! Answers of real servers, cut, reset and stalled at every byte, plain, over TLS and through a proxy: the
//! outcome is the one that `recorded` works out from the bytes alone, with neither hang nor wrong
//! success. Both facades.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;
mod recorded;
mod relay;

use std::thread;
use std::time::{Duration, Instant};

use baseten::{Bytes, CallOptions, Delivery, ErrorKind, Timeouts};
use baseten_emulator::{Answer, Emulator, Fault, When};
use facades::{Facade, SOON, each_with, once};
use recorded::{Outcome, RECORDED, Recorded, call, check};
use relay::Relay;

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    Plain,
    Tls,
    Proxy,
}

/// Runs a test for each byte of each answer, in both facades, and counts: `test` is given the answer, the
/// byte at which `fault` happens and what to say of it.
fn each_byte(
    over: Over,
    options: &CallOptions,
    fault: fn() -> Fault,
    test: impl Fn(&Facade, &Recorded, usize, &str) + Sync,
) {
    /// Much of it is waiting, for a clock or for the other end.
    const WORKERS: usize = 8;
    let work = |worker: usize, blocking: bool| {
        let emulator = Emulator::builder().tls(over == Over::Tls).start().unwrap();
        let relay = Relay::start(emulator.addr(), true);
        let facade = match over {
            Over::Proxy => relay.facade(blocking, &emulator, options.clone()),
            _ => Facade::secure(
                blocking,
                &emulator.base_url("abc"),
                &facades::trust(&emulator),
                options.clone(),
            ),
        };
        let mut offsets = 0;
        for (name, raw) in RECORDED {
            emulator.model("abc").answer(Answer::raw(Bytes::from_static(raw)));
            for n in (worker..raw.len()).step_by(WORKERS) {
                emulator.forget();
                emulator.inject(When::Request(0), fault().at_byte(n as u64));
                let told = format!("{} {name} at {n}, {over:?}", facade.name());
                test(&facade, &Recorded::new(raw), n, &told);
                sent_once(&emulator, &told);
                offsets += 1;
            }
        }
        offsets
    };
    let offsets: usize = thread::scope(|scope| {
        let both = [false, true].into_iter();
        let workers = both.flat_map(|blocking| (0..WORKERS).map(move |n| (n, blocking)));
        let work = &work;
        let workers: Vec<_> = workers.map(|(n, b)| scope.spawn(move || work(n, b))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let bytes: usize = RECORDED.iter().map(|(_, raw)| raw.len()).sum();
    assert_eq!(offsets, 2 * bytes, "each byte in both facades");
}

/// Waits for the exchange to be over at the other end, too, so that the next one starts clean.
fn sent_once(emulator: &Emulator, told: &str) {
    let seen = emulator.wait_until(SOON, |s| s.ended() > 0 && s.closed() == s.opened()).unwrap();
    assert_eq!(seen.arrivals().len(), 1, "{told}");
}

fn cut(over: Over) {
    each_byte(over, &once(), Fault::cut, |facade, recorded, n, told| {
        let outcome = match recorded.cut(n) {
            // There it is told: a whole body ends with a goodbye (close_notify).
            Outcome::Whole(_) if over == Over::Tls => {
                Outcome::Broken(ErrorKind::Truncated, Delivery::Answered)
            }
            outcome => outcome,
        };
        let (body, error) = call(facade);
        if error.as_ref().is_some_and(|error| error.kind() == ErrorKind::Truncated) {
            assert_eq!(body, recorded.body(n), "{told}: what came is handed out");
        }
        check(&outcome, n, (body, error), told);
    });
}

#[test]
fn cut_at_every_byte() {
    cut(Over::Plain);
}

#[test]
fn cut_at_every_byte_over_tls() {
    cut(Over::Tls);
}

#[test]
fn cut_at_every_byte_through_a_proxy() {
    cut(Over::Proxy);
}

fn reset(over: Over) {
    each_byte(over, &once(), Fault::reset, |facade, recorded, n, told| {
        let (body, error) = call(facade);
        let error = error.unwrap_or_else(|| panic!("{told}: taken for whole"));
        // A reset may overtake bytes that were sent before it: the head may be lost, too.
        let kinds: &[ErrorKind] = match recorded.cut(n) {
            Outcome::Broken(ErrorKind::Disconnected, _) => &[ErrorKind::Disconnected],
            Outcome::Status(_) => &[ErrorKind::Status, ErrorKind::Disconnected],
            _ => &[ErrorKind::Truncated, ErrorKind::Disconnected],
        };
        assert!(kinds.contains(&error.kind()), "{told}: {error}");
        assert_ne!(error.delivery(), Delivery::NotSent, "{told}");
        assert!(recorded.body(n).starts_with(&body), "{told}");
    });
}

#[test]
fn reset_at_every_byte() {
    reset(Over::Plain);
}

#[test]
fn reset_at_every_byte_over_tls() {
    reset(Over::Tls);
}

#[test]
fn reset_at_every_byte_through_a_proxy() {
    reset(Over::Proxy);
}

fn stall(over: Over) {
    let clock = Duration::from_millis(10);
    let timeouts = Timeouts { first_byte: Some(clock), idle: Some(clock), ..Timeouts::default() };
    let options = CallOptions { timeouts, ..once() };
    each_byte(over, &options, Fault::stall, |facade, recorded, n, told| {
        let began = Instant::now();
        let (body, error) = call(facade);
        let error = error.unwrap_or_else(|| panic!("{told}: taken for whole"));
        let by_clock = error.kind() == ErrorKind::Timeout
            || (error.kind() == ErrorKind::Status && n >= recorded.head);
        assert!(by_clock, "{told}: {error}");
        assert!(began.elapsed() >= clock && began.elapsed() < SOON, "{told}");
        assert!(recorded.body(n).starts_with(&body), "{told}");
    });
}

#[test]
fn stalled_at_every_byte() {
    stall(Over::Plain);
}

#[test]
fn stalled_at_every_byte_over_tls() {
    stall(Over::Tls);
}

#[test]
fn a_whole_answer_is_whole_however_it_comes() {
    each_with(once(), |facade, emulator| {
        for (name, raw) in RECORDED {
            let recorded = Recorded::new(raw);
            for split in [false, true] {
                emulator.forget();
                let answer = Answer::raw(Bytes::from_static(raw));
                let answer = if split { answer.fault(Fault::split(1)) } else { answer };
                emulator.model("abc").answer(answer);
                let told = format!("{} {name}, in single bytes: {split}", facade.name());
                check(&recorded.cut(raw.len()), raw.len(), call(facade), &told);
                sent_once(emulator, &told);
            }
        }
    });
}
