//! How often a client may ask: below 20 times a second, whoever asks.
//!
//! The platform counts requests for status, cancel and queue status together and allows 20 a second
//! (API description; a newer page says 100). Nothing here waits: time is a `Duration` since any one
//! beginning, and jitter comes from a seed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Spaces what all calls of a client ask for: at most 18 in any second, 14 on average. Clones share
/// one pace.
///
/// ```
/// use std::time::Duration;
/// use baseten_core::Pacer;
/// let pacer = Pacer::new(7);
/// let (mut first, mut second) = (pacer.turn(), pacer.turn());
/// assert_eq!(first.pause(Duration::ZERO), None); // its turn has come
/// let pause = second.pause(Duration::ZERO).expect("not so fast");
/// assert_eq!(second.pause(pause), None);
/// ```
#[derive(Clone, Debug)]
pub struct Pacer(Arc<Mutex<Schedule>>);

/// One caller's turn to ask once. Dropping it gives the place in line to another.
#[derive(Debug)]
pub struct Turn {
    pacer: Pacer,
    lane: Lane,
    slot: Option<Duration>,
}

/// What the attempts of a call take their turns from.
#[derive(Clone, Debug)]
pub(crate) struct Paced {
    pacer: Pacer,
    /// When the call began, in the time of the pacer.
    began: Duration,
}

/// Two lines, so that somebody who asks does not wait behind ten thousand jobs that are watched.
#[derive(Clone, Copy, Debug)]
enum Lane {
    Direct,
    Watching,
}

#[derive(Debug)]
struct Schedule {
    lines: [Line; 2],
    /// When somebody asked last.
    last: Option<Duration>,
    /// Nobody asks before.
    held: Duration,
    seed: u64,
}

#[derive(Debug, Default)]
struct Line {
    /// Where the next slot may begin.
    end: Duration,
    /// Slots that were given back.
    free: BTreeSet<Duration>,
}

/// The shortest time between two requests: at most 18 fit into a second.
const GAP: Duration = Duration::from_millis(56);
/// Slots are up to this much further apart.
const JITTER: Duration = Duration::from_millis(28);
/// Whoever is later than this has lost its slot: a sleeping machine must not wake into a burst.
const LATE: Duration = Duration::from_secs(1);
/// Nobody is held for longer at a time, whatever a server asks for.
const LONGEST_HOLD: Duration = Duration::from_secs(60 * 60);
/// How long nobody asks at least after a 429.
const TOO_MANY: Duration = Duration::from_secs(1);
/// Nobody waits longer without looking for a slot that was given back.
const LOOK: Duration = Duration::from_secs(10);

impl Pacer {
    /// A pace of its own. The seed, any number, decides the jitter.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let lines = [Line::default(), Line::default()];
        let schedule = Schedule { lines, last: None, held: Duration::ZERO, seed };
        Self(Arc::new(Mutex::new(schedule)))
    }

    /// A turn for somebody who asks now.
    #[must_use]
    pub fn turn(&self) -> Turn {
        Turn { pacer: self.clone(), lane: Lane::Direct, slot: None }
    }

    /// A turn for one of many that watch a job.
    pub(crate) fn watching_turn(&self) -> Turn {
        Turn { pacer: self.clone(), lane: Lane::Watching, slot: None }
    }

    /// Nobody asks for this long, an hour at most: the server said that it is too much.
    pub fn hold(&self, now: Duration, pause: Duration) {
        let mut schedule = self.lock();
        schedule.held = schedule.held.max(now.saturating_add(pause.min(LONGEST_HOLD)));
    }

    /// A server answered 429 and asked for this pause, if any: nobody asks until it is over, for a second
    /// at least, and for no longer than callers are ready to wait.
    pub(crate) fn too_many(&self, now: Duration, asked: Option<Duration>, longest: Duration) {
        self.hold(now, asked.unwrap_or_default().max(TOO_MANY).min(longest));
    }

    /// A length of time from nothing to `most`.
    pub(crate) fn draw(&self, most: Duration) -> Duration {
        self.lock().draw(most)
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        // Every change is complete before the lock goes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Paced {
    pub(crate) fn new(pacer: &Pacer, began: Duration) -> Self {
        Self { pacer: pacer.clone(), began }
    }

    pub(crate) fn turn(&self) -> Turn {
        self.pacer.turn()
    }

    /// What the pacer calls `now` of the call.
    pub(crate) fn time(&self, now: Duration) -> Duration {
        self.began.saturating_add(now)
    }

    /// See [`Pacer::too_many`].
    pub(crate) fn too_many(&self, now: Duration, asked: Option<Duration>, longest: Duration) {
        self.pacer.too_many(self.time(now), asked, longest);
    }
}

impl Turn {
    /// How long to wait before asking this again; `None` is the turn itself, which is then taken.
    pub fn pause(&mut self, now: Duration) -> Option<Duration> {
        let mut schedule = self.pacer.lock();
        let slot = schedule.place(self.lane, self.slot, now);
        let after = schedule.last.map_or(slot, |last| last.saturating_add(GAP));
        let due = slot.max(schedule.held).max(after);
        if now < due {
            self.slot = Some(slot);
            return Some((due - now).min(LOOK));
        }
        schedule.last = Some(now);
        self.slot = None;
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.pacer.lock().lines[self.lane as usize].free.insert(slot);
        }
    }
}

impl Schedule {
    /// The slot of somebody who has this one, or none: an earlier one if one was given back, a new one
    /// if it is long past.
    fn place(&mut self, lane: Lane, slot: Option<Duration>, now: Duration) -> Duration {
        let begin = now.max(self.held);
        let line = &mut self.lines[lane as usize];
        while line.free.first().is_some_and(|free| *free < begin) {
            line.free.pop_first();
        }
        let slot = slot.filter(|slot| slot.saturating_add(LATE) >= now);
        match (line.free.first().copied(), slot) {
            (Some(free), Some(slot)) if free < slot => {
                line.free.remove(&free);
                line.free.insert(slot);
                free
            }
            (_, Some(slot)) => slot,
            (Some(free), None) => {
                line.free.remove(&free);
                free
            }
            (None, None) => {
                let slot = line.end.max(begin);
                let gap = GAP + self.draw(JITTER);
                self.lines[lane as usize].end = slot.saturating_add(gap);
                slot
            }
        }
    }

    fn draw(&mut self, most: Duration) -> Duration {
        // splitmix64
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.seed;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros((x ^ (x >> 31)) % (most + 1))
    }
}
