//! A TLS connection cut, reset and stalled at every byte that its server sends: of the handshake, of
//! session tickets and of an answer, as they are on the wire. Both facades.
//!
//! Where in these bytes a handshake ends is known to TLS alone. So it is found by cutting, and every
//! other outcome has to agree with that, with what arrived at the server, and with itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use baseten::{CallOptions, Clock, Delivery, Error, ErrorKind, Timeouts};
use baseten_emulator::{Answer, Emulator, Fault, When};
use facades::{Facade, SOON, once, trust};
use serde_json::json;

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Stage {
    Handshake,
    /// No head has come.
    Waiting,
    Body,
    Whole,
}

/// What the whole answer is.
const ANSWER: &str = "token";

/// A call that met its fault at this byte: how far it came, and how often it may have arrived.
struct Point {
    n: usize,
    stage: Stage,
    may_arrive: RangeInclusive<usize>,
}

impl Point {
    /// The kind of an error says the stage, and its delivery and what came of the body have to be those
    /// of the same one.
    fn of(n: usize, body: &[u8], error: Option<&Error>, told: &str) -> Self {
        let Some(error) = error else {
            assert_eq!(body, ANSWER.as_bytes(), "{told}");
            return Self { n, stage: Stage::Whole, may_arrive: 1..=1 };
        };
        let told = format!("{told}: {error:?}");
        let clock = error.clock().map(|(clock, _)| clock);
        let (stage, expect) = match (error.kind(), clock) {
            (ErrorKind::Connect, None) | (ErrorKind::Timeout, Some(Clock::Connect)) => {
                (Stage::Handshake, Delivery::NotSent)
            }
            // The end may come before the request, of which no byte is taken then.
            (ErrorKind::Disconnected, None) if error.delivery() == Delivery::NotSent => {
                (Stage::Waiting, Delivery::NotSent)
            }
            (ErrorKind::Disconnected, None) | (ErrorKind::Timeout, Some(Clock::FirstByte)) => {
                (Stage::Waiting, Delivery::MaybeRan)
            }
            (ErrorKind::Truncated, None) | (ErrorKind::Timeout, Some(Clock::Idle)) => {
                (Stage::Body, Delivery::Answered)
            }
            _ => panic!("{told}"),
        };
        assert_eq!(error.delivery(), expect, "{told}");
        assert!(ANSWER.as_bytes().starts_with(body), "{told}");
        assert!(stage == Stage::Body || body.is_empty(), "{told}");
        let may_arrive = match expect {
            Delivery::NotSent => 0..=0,
            Delivery::MaybeRan => 0..=1,
            _ => 1..=1,
        };
        Self { n, stage, may_arrive }
    }
}

/// Runs a call for each byte up to the first that comes in whole, or up to `most`, in both facades.
fn sweep(
    fault: fn() -> Fault,
    most: usize,
    options: impl Fn(usize) -> CallOptions + Sync,
) -> Vec<Point> {
    /// Much of it is waiting, for a clock or for the other end.
    const WORKERS: usize = 8;
    let work = |worker: usize, blocking: bool| {
        let emulator = Emulator::builder().tls(true).start().unwrap();
        emulator.model("abc").answer(Answer::stream(["to", "ken"]));
        let mut points = Vec::new();
        for n in (worker..most).step_by(WORKERS) {
            let point = call(&emulator, fault().at_byte(n as u64), options(n), (n, blocking));
            let is_last = point.stage == Stage::Whole;
            points.push(point);
            if is_last {
                break;
            }
        }
        // One connection for each call.
        let seen = emulator.wait_until(SOON, |seen| seen.opened() == points.len()).unwrap();
        for Point { n, stage, may_arrive } in &points {
            let body = json!(n).to_string();
            let arrived = seen.arrivals().iter().filter(|arrival| arrival.body == body).count();
            let told = format!("{:?} at {n}: {stage:?}, {arrived} arrivals", fault().action);
            assert!(may_arrive.contains(&arrived), "{told}");
        }
        points
    };
    let work = &work;
    thread::scope(|scope| {
        let both = [false, true].into_iter();
        let workers = both.flat_map(|blocking| (0..WORKERS).map(move |n| (n, blocking)));
        let workers: Vec<_> = workers.map(|(n, b)| scope.spawn(move || work(n, b))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// One call of a new client, so that no session is resumed, which has a shorter handshake.
fn call(
    emulator: &Emulator,
    fault: Fault,
    options: CallOptions,
    (n, blocking): (usize, bool),
) -> Point {
    let told = format!("{:?} at {n}, blocking {blocking}", fault.action);
    // Not only the next one: a connection that was given up may be accepted late.
    emulator.clear_faults();
    emulator.inject(When::EveryConnection, fault.on_tcp());
    let facade = Facade::secure(blocking, &emulator.base_url("abc"), &trust(emulator), options);
    let (body, error) = match facade.stream(&json!(n)) {
        Ok(mut stream) => stream.rest(),
        Err(error) => (Vec::new(), Some(error)),
    };
    Point::of(n, &body, error.as_ref(), &told)
}

/// At which byte a stage is over.
struct Ends {
    handshake: usize,
    waiting: usize,
    body: usize,
}

/// Each server has its own certificate, and each handshake its own signature: of these many lengths.
const SLACK: usize = 16;

impl Ends {
    fn of(points: &[Point]) -> Self {
        let end = |last: Stage| {
            let beyond = points.iter().filter(|point| point.stage > last).map(|point| point.n);
            beyond.min().unwrap()
        };
        Self {
            handshake: end(Stage::Handshake),
            waiting: end(Stage::Waiting),
            body: end(Stage::Body),
        }
    }

    /// The stage that a call ends in when `n` bytes come.
    fn stage(&self, n: usize) -> Stage {
        match n {
            _ if n < self.handshake => Stage::Handshake,
            _ if n < self.waiting => Stage::Waiting,
            _ if n < self.body => Stage::Body,
            _ => Stage::Whole,
        }
    }

    /// The stages near this byte, one but at the end of another.
    fn around(&self, n: usize) -> [Stage; 2] {
        [self.stage(n.saturating_sub(SLACK)), self.stage(n + SLACK)]
    }

    /// With a brief clock for the stage that is expected. No other one runs out, on a busy machine
    /// either.
    fn clocks(&self, n: usize) -> CallOptions {
        let [mut connect, mut first_byte, mut idle] = [Some(SOON); 3];
        let brief = Some(Duration::from_millis(10));
        match self.around(n) {
            [Stage::Handshake, Stage::Handshake] => connect = brief,
            [Stage::Waiting, Stage::Waiting] => first_byte = brief,
            [Stage::Body, Stage::Body] => idle = brief,
            _ => [connect, first_byte, idle] = [Some(Duration::from_millis(300)); 3],
        }
        let timeouts = Timeouts { connect, first_byte, idle, ..Timeouts::default() };
        CallOptions { timeouts, ..once() }
    }
}

#[test]
fn at_every_byte_of_tls_the_error_says_how_far_it_came() {
    let cut = sweep(Fault::cut, 10_000, |_| once());
    let ends = Ends::of(&cut);
    let Ends { handshake, waiting, body } = ends;
    // A certificate and a signature; tickets and a head; two chunks and their end.
    assert!(handshake > 500 && waiting > handshake + 100 && body > waiting + 50, "{ends}");
    for Point { n, stage, .. } in &cut {
        let [least, most] = ends.around(*n);
        assert!((least..=most).contains(stage), "cut at {n}: {stage:?}, {ends}");
    }
    let stalled = sweep(Fault::stall, body, |n| ends.clocks(n));
    for Point { n, stage, .. } in &stalled {
        let [least, most] = ends.around(*n);
        assert!((least..=most).contains(stage), "stalled at {n}: {stage:?}, {ends}");
    }
    let reset = sweep(Fault::reset, body, |_| once());
    for Point { n, stage, .. } in &reset {
        // An RST may overtake what was sent before it.
        assert!(*stage <= ends.around(*n)[1], "reset at {n}: {stage:?}, {ends}");
    }
    let points = [&cut, &stalled, &reset].map(Vec::len);
    println!("{points:?} bytes cut, stalled and reset in both facades; {ends}");
    for points in points {
        assert!(points >= 2 * (body - SLACK), "each byte in both facades");
    }
}

impl std::fmt::Display for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { handshake, waiting, body } = self;
        write!(f, "handshake up to {handshake}, head up to {waiting}, answer up to {body}")
    }
}
