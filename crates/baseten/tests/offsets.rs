//! Answers cut, reset and stalled at every byte: those of real servers plain, over TLS and through a
//! proxy, our own plain; taken piece by piece, and in whole. The outcome is the one that `recorded`
//! works out from the bytes alone, with neither hang nor wrong success. Both facades.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "how much was tried is worth knowing; a test that cannot go on should stop there"
)]

mod facades;
mod recorded;
mod relay;

use std::thread;
use std::time::{Duration, Instant};

use baseten::{CallOptions, Timeouts};
use baseten_emulator::{Answer, Emulator, Fault, When};
use facades::{Facade, SOON, each_with, once};
use recorded::{Recorded, Taken, call, check, own, recorded};
use relay::Relay;

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    Plain,
    Tls,
    Proxy,
}

/// What is tried at every byte.
struct Sweep {
    over: Over,
    taken: Taken,
    fault: fn() -> Fault,
    /// Of calls whose answer has no byte, and of all others.
    options: [CallOptions; 2],
}

impl Sweep {
    fn new(over: Over, taken: Taken, fault: fn() -> Fault) -> Self {
        Self { over, taken, fault, options: [once(), once()] }
    }

    fn answers(&self) -> Vec<Recorded> {
        let mut answers = recorded();
        if self.over == Over::Plain {
            answers.extend(own());
        }
        if (self.over, self.taken) != (Over::Plain, Taken::Streamed) {
            // As long as many others, and a chat in chunks as one of those is: a third of the time.
            answers.retain(|answer| answer.name != "llamacpp2-chat-stream");
        }
        answers
    }

    /// Up to its head's end it makes no difference how an answer is taken.
    fn offsets(&self, answer: &Recorded) -> std::ops::Range<usize> {
        let from = if self.taken == Taken::Whole { answer.head } else { 0 };
        from..answer.raw.len()
    }

    /// Runs a test for each byte of each answer, in both facades, and counts: `test` is given the
    /// answer, the byte at which the fault happens and what to say of it.
    fn each_byte(&self, test: impl Fn(&Facade, &Recorded, usize, &str) + Sync) {
        /// Much of it is waiting, for a clock or for the other end.
        const WORKERS: usize = 8;
        let answers = self.answers();
        let answers = &answers;
        let work = |worker: usize, blocking: bool| {
            let (emulator, facades) = self.open(blocking);
            let mut offsets = 0;
            for answer in answers {
                emulator.model("abc").answer(Answer::raw(answer.raw.clone()));
                for n in self.offsets(answer).skip(worker).step_by(WORKERS) {
                    emulator.forget();
                    emulator.inject(When::Request(0), (self.fault)().at_byte(n as u64));
                    let facade = &facades[n.min(1)];
                    let told = format!("{} {} at {n}, {self}", facade.name(), answer.name);
                    test(facade, answer, n, &told);
                    sent_once(&emulator, &told);
                    offsets += 1;
                }
            }
            offsets
        };
        let work = &work;
        let offsets: usize = thread::scope(|scope| {
            let both = [false, true].into_iter();
            let workers = both.flat_map(|blocking| (0..WORKERS).map(move |n| (n, blocking)));
            let workers: Vec<_> = workers.map(|(n, b)| scope.spawn(move || work(n, b))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        let bytes: usize = answers.iter().map(|answer| self.offsets(answer).len()).sum();
        assert_eq!(offsets, 2 * bytes, "each byte in both facades");
        println!("{self}: {} answers, {bytes} offsets in each facade", answers.len());
    }

    fn open(&self, blocking: bool) -> (Emulator, [Facade; 2]) {
        let emulator = Emulator::builder().tls(self.over == Over::Tls).start().unwrap();
        let relay = (self.over == Over::Proxy).then(|| Relay::start(emulator.addr(), true));
        let (url, trust) = (emulator.base_url("abc"), facades::trust(&emulator));
        let facades = self.options.clone().map(|options| match &relay {
            Some(relay) => relay.facade(blocking, &emulator, options),
            None => Facade::secure(blocking, &url, &trust, options),
        });
        (emulator, facades)
    }
}

impl std::fmt::Display for Sweep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { over, taken, fault, .. } = self;
        write!(f, "{:?}, {over:?}, {taken:?}", fault().action)
    }
}

/// Waits for the exchange to be over at the other end, too, so that the next one starts clean.
fn sent_once(emulator: &Emulator, told: &str) {
    let seen = emulator.wait_until(SOON, |s| s.ended() > 0 && s.closed() == s.opened()).unwrap();
    assert_eq!(seen.arrivals().len(), 1, "{told}");
}

fn cut(over: Over, taken: Taken) {
    Sweep::new(over, taken, Fault::cut).each_byte(|facade, answer, n, told| {
        let outcome = if over == Over::Tls { answer.cut_in_tls(n) } else { answer.cut(n) };
        check(answer, (n, taken), &[outcome], call(facade, taken), told);
    });
}

#[test]
fn cut_at_every_byte() {
    cut(Over::Plain, Taken::Streamed);
}

#[test]
fn cut_at_every_byte_of_a_body_taken_in_whole() {
    cut(Over::Plain, Taken::Whole);
}

#[test]
fn cut_at_every_byte_over_tls() {
    cut(Over::Tls, Taken::Streamed);
}

#[test]
fn cut_at_every_byte_of_a_body_taken_in_whole_over_tls() {
    cut(Over::Tls, Taken::Whole);
}

#[test]
fn cut_at_every_byte_through_a_proxy() {
    cut(Over::Proxy, Taken::Streamed);
}

fn reset(over: Over, taken: Taken) {
    Sweep::new(over, taken, Fault::reset).each_byte(|facade, answer, n, told| {
        check(answer, (n, taken), &answer.reset(n), call(facade, taken), told);
    });
}

#[test]
fn reset_at_every_byte() {
    reset(Over::Plain, Taken::Streamed);
}

#[test]
fn reset_at_every_byte_of_a_body_taken_in_whole() {
    reset(Over::Plain, Taken::Whole);
}

#[test]
fn reset_at_every_byte_over_tls() {
    reset(Over::Tls, Taken::Streamed);
}

#[test]
fn reset_at_every_byte_through_a_proxy() {
    reset(Over::Proxy, Taken::Streamed);
}

fn stall(over: Over, taken: Taken) {
    let (brief, clock) = (Duration::from_millis(10), Some(Duration::from_millis(10)));
    // The clock that is not meant never runs out, on a busy machine either: what is sent comes at once.
    let first_byte = Timeouts { first_byte: clock, idle: Some(SOON), ..Timeouts::default() };
    let idle = Timeouts { first_byte: Some(SOON), idle: clock, ..Timeouts::default() };
    let options = [first_byte, idle].map(|timeouts| CallOptions { timeouts, ..once() });
    let sweep = Sweep { options, ..Sweep::new(over, taken, Fault::stall) };
    sweep.each_byte(|facade, answer, n, told| {
        let began = Instant::now();
        let came = call(facade, taken);
        assert!((brief..SOON).contains(&began.elapsed()), "{told}: {:?}", came.1);
        check(answer, (n, taken), &[answer.stalled(n)], came, told);
    });
}

#[test]
fn stalled_at_every_byte() {
    stall(Over::Plain, Taken::Streamed);
}

#[test]
fn stalled_at_every_byte_of_a_body_taken_in_whole() {
    stall(Over::Plain, Taken::Whole);
}

#[test]
fn stalled_at_every_byte_over_tls() {
    stall(Over::Tls, Taken::Streamed);
}

#[test]
fn a_whole_answer_is_whole_however_it_comes() {
    let answers: Vec<_> = recorded().into_iter().chain(own()).collect();
    each_with(once(), |facade, emulator| {
        for recorded in &answers {
            let all = recorded.raw.len();
            for (taken, split) in [
                (Taken::Streamed, false),
                (Taken::Streamed, true),
                (Taken::Whole, false),
                (Taken::Whole, true),
            ] {
                emulator.forget();
                let answer = Answer::raw(recorded.raw.clone());
                let answer = if split { answer.fault(Fault::split(1)) } else { answer };
                emulator.model("abc").answer(answer);
                let (facade, name) = (facade, recorded.name);
                let told = format!("{} {name} {taken:?}, in single bytes: {split}", facade.name());
                let came = call(facade, taken);
                check(recorded, (all, taken), &[recorded.cut(all)], came, &told);
                sent_once(emulator, &told);
            }
        }
    });
}
