//! Two calls over one connection, of which each piece is lost in turn: on its way up or down, with a
//! reset, an end or silence, plain and over TLS, directly and through a proxy. Both facades.
//!
//! The outcome is worked out from what the server saw: whatever was lost, no job ran twice, no answer
//! is made up, and only what may have run is an error.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;
mod relay;

use std::thread;
use std::time::{Duration, Instant};

use baseten::{CallOptions, Delivery, Error, ErrorKind, Timeouts};
use baseten_emulator::{Answer, Emulator, Seen};
use facades::{Facade, SOON, within};
use relay::{Break, End, Relay, Way};
use serde_json::json;

/// What the model says, to both jobs.
const ANSWER: &str = "\"done\"";

/// A server and the way to it.
struct Site {
    tls: bool,
    proxy: bool,
    blocking: bool,
    emulator: Emulator,
    relay: Relay,
}

#[test]
fn whatever_is_lost_no_job_runs_twice_and_no_answer_is_made_up() {
    let points: usize = thread::scope(|scope| {
        let bits = |n: usize| [n & 1, n & 2, n & 4].map(|bit| bit > 0);
        let sites = (0..8).map(|n| scope.spawn(move || lose_each_piece(&Site::new(bits(n)))));
        let sites: Vec<_> = sites.collect();
        sites.into_iter().map(|site| site.join().unwrap()).sum()
    });
    println!("{points} points");
}

/// How many points there were.
fn lose_each_piece(site: &Site) -> usize {
    assert_eq!(site.run(None), 0, "{}: nothing is lost", site.told());
    let passed = [Way::Up, Way::Down].map(|way| (way, site.relay.passed(way)));
    let mut points = 0;
    for (way, pieces) in passed {
        for piece in 0..pieces {
            for end in [End::Reset, End::Cut, End::Stall] {
                let lost = site.run(Some(Break { way, piece, end }));
                // Without TLS it is known what the pieces are: a request or an answer each, behind
                // what opened the tunnel.
                if !site.tls {
                    let is_tunnel = site.proxy && piece == 0;
                    assert_eq!(lost, usize::from(!is_tunnel), "{}: {way:?} {piece}", site.told());
                }
                // Pieces of TLS sometimes go together, so that there are fewer of them.
                assert!(site.relay.fired() || site.tls, "{}: {way:?} {piece}", site.told());
                points += usize::from(site.relay.fired());
            }
        }
    }
    // Two jobs are four pieces, behind two that open the tunnel; TLS adds some, or joins them.
    let pieces = if site.proxy { 6 } else { 4 };
    assert!(points == 3 * pieces || site.tls && points >= 3 * 4, "{}: {points}", site.told());
    points
}

impl Site {
    fn new([tls, proxy, blocking]: [bool; 3]) -> Self {
        let emulator = Emulator::builder().tls(tls).start().unwrap();
        emulator.model("abc").answer(Answer::bytes("application/json", ANSWER));
        let relay = Relay::start(emulator.addr(), proxy);
        Self { tls, proxy, blocking, emulator, relay }
    }

    fn told(&self) -> String {
        let Self { tls, proxy, blocking, .. } = self;
        format!("tls {tls}, proxy {proxy}, blocking {blocking}")
    }

    /// Runs both jobs on a new client; how many of them failed.
    fn run(&self, plan: Option<Break>) -> usize {
        self.emulator.forget();
        self.relay.plan(plan);
        let began = Instant::now();
        let facade = self.relay.facade(self.blocking, &self.emulator, options());
        let outcomes = [whole(&facade, 1), streamed(&facade, 2)];
        drop(facade);
        let told = format!("{}, {plan:?}", self.told());
        assert!(began.elapsed() < SOON, "{told}");
        let gone = |seen: &Seen| seen.closed() == seen.opened();
        let seen = self.emulator.wait_until(SOON, gone).unwrap();
        let plan = plan.filter(|_| self.relay.fired());
        for (job, outcome) in (1..).zip(&outcomes) {
            check(job, outcome, &seen, plan, &told);
        }
        outcomes.iter().filter(|outcome| outcome.is_err()).count()
    }
}

/// Clocks that only silence outlasts, on a busy machine, too.
fn options() -> CallOptions {
    let clock = Some(Duration::from_secs(1));
    within(Timeouts { connect: clock, first_byte: clock, idle: clock, ..Timeouts::default() })
}

fn whole(facade: &Facade, job: u32) -> Result<String, Error> {
    facade.predict(&json!({"job": job})).map(|response| response.value.to_string())
}

fn streamed(facade: &Facade, job: u32) -> Result<String, Error> {
    let mut stream = facade.stream(&json!({"job": job}))?;
    match stream.rest() {
        (body, None) => Ok(String::from_utf8(body).unwrap()),
        (_, Some(error)) => Err(error),
    }
}

fn check(job: u32, outcome: &Result<String, Error>, seen: &Seen, plan: Option<Break>, told: &str) {
    let body = json!({"job": job}).to_string();
    let ran = seen.arrivals().iter().filter(|arrival| arrival.body == body).count();
    match (outcome, plan) {
        (Ok(answer), _) => assert_eq!((answer.as_str(), ran), (ANSWER, 1), "{told}, job {job}"),
        (Err(error), Some(plan)) => {
            let told = format!("{told}, job {job}: {error}");
            assert!(ran <= 1, "{told}");
            // What was not sent is sent again, over another connection, which is whole.
            assert_ne!(error.delivery(), Delivery::NotSent, "{told}");
            let kinds: &[_] = match plan.end {
                End::Stall => &[ErrorKind::Timeout],
                End::Reset | End::Cut => &[ErrorKind::Disconnected, ErrorKind::Truncated],
            };
            assert!(kinds.contains(&error.kind()), "{told}");
        }
        (Err(error), None) => panic!("{told}, job {job}: {error}"),
    }
}
