//! A million random schedules of calls that live at once and share a budget: no job runs twice unless
//! that is allowed, extra attempts keep their bounds, every call ends and tells the truth.
//!
//! What happened is decided here, by dice; the calls are told of it what a transport would tell.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
#![expect(clippy::print_stdout, reason = "how much was tried is worth knowing")]

#[path = "schedules/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use baseten_core::{Budget, Call, CallOptions, Delivery, Error, RetryPolicy, Step, Stop};
use bytes::Bytes;

use world::{Dice, Event, Kind, Pause, kinds, start};

/// Schedules of one client, whose calls share a budget; then comes another.
const OF_A_CLIENT: u64 = 2000;

/// A call, and what is true of it.
struct Live<'a> {
    call: Call,
    kind: &'a Kind,
    began: Duration,
    /// When there is something to be done for it.
    due: Duration,
    in_flight: bool,
    attempts: u32,
    /// How often the job ran, and whether a byte of it left.
    runs: u32,
    left: bool,
    /// A part of a body that comes but once was taken.
    taken: bool,
    steps: u32,
}

/// What a budget has to hold, counted in another way: a retry counts when it is sent.
struct Account {
    tenths: u64,
    extra: u64,
    successes: u64,
    /// Extra attempts since the last success.
    in_a_row: u64,
}

#[derive(Default)]
struct Tally {
    schedules: u64,
    calls: u64,
    attempts: u64,
    successes: u64,
    /// What ran more than once: jobs, which must not by default, and questions, which may.
    ran_twice: [u64; 2],
    most_in_a_row: u64,
    stops: BTreeMap<String, u64>,
}

/// One client's calls, and time.
struct Client<'a> {
    kinds: &'a [Kind],
    budget: Budget,
    account: Account,
    dice: Dice,
    now: Duration,
    live: Vec<Live<'a>>,
    tally: Tally,
}

impl<'a> Client<'a> {
    /// Two calls, now and then a dozen, begun one soon after the other, in some order up to the end of the
    /// last.
    fn schedule(&mut self) {
        self.tally.schedules += 1;
        let calls = if self.dice.roll(20) == 0 { 12 } else { 2 };
        for _ in 0..calls {
            let kind = &self.kinds[self.dice.roll(self.kinds.len() as u64) as usize];
            let began = self.now + self.dice.millis(300);
            let call = Call::new(&kind.request, &kind.options, &self.budget, start(&mut self.dice));
            let live = Live {
                call,
                kind,
                began,
                due: began,
                in_flight: false,
                attempts: 0,
                runs: 0,
                left: false,
                taken: false,
                steps: 0,
            };
            self.live.push(live);
        }
        self.tally.calls += self.live.len() as u64;
        while !self.live.is_empty() {
            let live = self.next();
            self.turn(live);
        }
        assert_eq!(u64::from(self.budget.left()), self.account.tenths / 10, "all is given back");
    }

    /// Any of those for which there is something to do, once time has come to the first of them.
    fn next(&mut self) -> Live<'a> {
        let first = self.live.iter().map(|live| live.due).min().unwrap();
        self.now = self.now.max(first);
        match self.dice.roll(5000) {
            0 => self.now += Duration::from_secs(3600), // the machine slept
            1..1500 => self.now += self.dice.millis(200), // or was busy, and several are due
            _ => {}
        }
        let due = |live: &Live<'a>| live.due <= self.now;
        let any = self.dice.roll(self.live.iter().filter(|live| due(live)).count() as u64) as usize;
        let index = (0..self.live.len()).filter(|index| due(&self.live[*index])).nth(any).unwrap();
        self.live.swap_remove(index)
    }

    fn turn(&mut self, mut live: Live<'a>) {
        live.steps += 1;
        assert!(live.steps < 20, "a call without end");
        if live.in_flight { self.happen(live) } else { self.step(live) }
    }

    fn step(&mut self, mut live: Live<'a>) {
        let now = self.now - live.began;
        match live.call.step(now) {
            Step::Fail(error) => self.failed(&live, &error),
            Step::Send(attempt) => {
                live.attempts += 1;
                assert_eq!(attempt.number, live.attempts);
                assert!(live.attempts <= live.kind.options.retry.max_attempts);
                assert!(live.call.clocks().total.is_none_or(|total| now < total), "too late");
                assert!(!live.taken, "the body is gone");
                self.tally.attempts += 1;
                if live.attempts > 1 {
                    self.account.spend();
                    self.tally.most_in_a_row = self.tally.most_in_a_row.max(self.account.in_a_row);
                }
                live.in_flight = true;
                live.due = self.now + self.dice.millis(500);
                self.live.push(live);
            }
            Step::Wait(pause) => {
                assert!(pause <= Duration::from_millis(60_250), "{pause:?}");
                live.due = self.now + pause;
                match self.dice.pause() {
                    Pause::Over => self.live.push(live),
                    Pause::Canceled => {
                        live.call.on_failure(now, world::canceled());
                        self.live.push(live);
                    }
                    Pause::Dropped => self.over(&live),
                }
            }
        }
    }

    /// What comes of the attempt that is under way.
    fn happen(&mut self, mut live: Live<'a>) {
        let now = self.now - live.began;
        live.in_flight = false;
        live.due = self.now;
        let event = self.dice.happens(live.kind);
        live.runs += u32::from(event.ran());
        live.left |= event.left();
        if live.kind.request.is_streamed() && (event.left() || self.dice.roll(4) == 0) {
            live.taken = true;
            live.call.body_taken();
        }
        match event {
            Event::Accepted { breaks } => return self.accepted(live, breaks),
            Event::Failed { failure, .. } => live.call.on_failure(now, failure),
            Event::Rejected { head, body, .. } => {
                live.call.on_rejected(now, head, Bytes::from_static(body.as_bytes()));
            }
            Event::Dropped { .. } => return self.over(&live),
            // Its driver comes back without a word: whatever was under way is lost.
            Event::Forgotten { .. } => {}
        }
        self.live.push(live);
    }

    fn accepted(&mut self, live: Live<'a>, breaks: bool) {
        self.over(&live);
        self.tally.successes += 1;
        self.account.earn();
        let now = self.now - live.began;
        let accepted = live.call.accept(now, http::Response::new(()).into_parts().0);
        assert_eq!(accepted.meta().attempts(), live.attempts);
        if breaks {
            let error = accepted.fail(now, world::truncated());
            assert_eq!(error.stop(), Stop::Final);
            assert!(matches!(error.delivery(), Delivery::MaybeRan | Delivery::Answered), "{error}");
        }
    }

    fn failed(&mut self, live: &Live<'a>, error: &Error) {
        self.over(live);
        let (delivery, told) = (error.delivery(), error.attempts().len());
        assert_eq!(told as u32, live.attempts, "every attempt, and no other: {error}");
        if live.runs > 0 {
            assert!(matches!(delivery, Delivery::MaybeRan | Delivery::Answered), "it ran: {error}");
        }
        assert!(!live.left || delivery != Delivery::NotSent, "it was sent: {error}");
        *self.tally.stops.entry(format!("{:?}", error.stop())).or_default() += 1;
    }

    fn over(&mut self, live: &Live<'a>) {
        let may = live.kind.request.endpoint().is_repeatable();
        self.tally.ran_twice[usize::from(may)] += u64::from(live.runs > 1);
    }
}

impl Account {
    fn spend(&mut self) {
        assert!(self.tenths >= 10, "an extra attempt that nothing had earned");
        self.tenths -= 10;
        self.extra += 1;
        self.in_a_row += 1;
        assert!(self.extra * 10 <= 100 + self.successes, "{} of {}", self.extra, self.successes);
        assert!(self.in_a_row <= 100, "without a success");
    }

    fn earn(&mut self) {
        self.successes += 1;
        self.in_a_row = 0;
        self.tenths = (self.tenths + 1).min(1000);
    }
}

impl Tally {
    fn add(mut self, other: Self) -> Self {
        self.schedules += other.schedules;
        self.calls += other.calls;
        self.attempts += other.attempts;
        self.successes += other.successes;
        self.ran_twice = [0, 1].map(|which| self.ran_twice[which] + other.ran_twice[which]);
        self.most_in_a_row = self.most_in_a_row.max(other.most_in_a_row);
        for (stop, times) in other.stops {
            *self.stops.entry(stop).or_default() += times;
        }
        self
    }
}

/// Clients through good and bad times.
fn live(kinds: &[Kind], schedules: u64, seed: u64) -> Tally {
    let (mut dice, mut tally) = (Dice::new(seed), Tally::default());
    while tally.schedules < schedules {
        let account = Account { tenths: 100, extra: 0, successes: 0, in_a_row: 0 };
        let (budget, now, live) = (Budget::new(), Duration::ZERO, Vec::new());
        let mut client = Client { kinds, budget, account, dice, now, live, tally };
        for n in 0..OF_A_CLIENT {
            if n % 200 == 0 {
                client.dice.health = [100, 100, 99, 90, 50, 10, 0][client.dice.roll(7) as usize];
            }
            client.schedule();
        }
        Client { dice, tally, .. } = client;
    }
    tally
}

/// So many schedules, on some threads.
fn run(schedules: u64, retry: RetryPolicy) -> Tally {
    let options = CallOptions { retry, ..CallOptions::default() };
    let tally = std::thread::scope(|scope| {
        let options = &options;
        let part = |n| scope.spawn(move || live(&kinds(options), schedules / 4, 0x5eed + n));
        let parts = [1_u64, 2, 3, 4].map(part);
        parts.into_iter().map(|part| part.join().unwrap()).reduce(Tally::add).unwrap()
    });
    println!(
        "{} schedules, {} calls, {} attempts, {} successes, {} extra in a row at most; ran twice: {} \
         jobs, {} questions; stopped by {:?}",
        tally.schedules,
        tally.calls,
        tally.attempts,
        tally.successes,
        tally.most_in_a_row,
        tally.ran_twice[0],
        tally.ran_twice[1],
        tally.stops
    );
    tally
}

#[test]
fn by_default_no_job_runs_twice() {
    let tally = run(1_000_000, RetryPolicy::default());
    let [jobs, questions] = tally.ran_twice;
    assert_eq!(jobs, 0);
    assert!(questions > 0, "what is harmless to repeat is repeated");
    let stops = ["Attempts", "BodyTaken", "Budget", "Deadline", "Final", "MayRunTwice", "TooLong"];
    assert_eq!(tally.stops.keys().collect::<Vec<_>>(), stops, "the dice roll");
    assert!(tally.most_in_a_row > 90, "a full budget was spent in bad times");
    let [calls, successes] = [tally.calls, tally.successes];
    assert!(calls > 2_000_000 && tally.attempts > calls / 2 && successes > calls / 10);
}

#[test]
fn with_leave_it_may_and_the_bounds_hold_all_the_same() {
    let tally = run(40_000, RetryPolicy::default().may_run_twice());
    assert!(tally.ran_twice[0] > 0, "else the test above could not fail");
}
