//! Handing over more work than is taken at once: when to offer it again.

use std::time::Duration;

use crate::delivery::Delivery;
use crate::error::{Error, ErrorKind};
use crate::pacer::Pacer;

/// How one line of submissions answers refusals: it stops, for longer from one to the next, and offers
/// the same again. Reads no clock; time is that of the [`Pacer`], whose seed jitters the pauses.
///
/// Pauses grow from 1 s to 30 s and begin anew with the first that is taken.
#[derive(Debug)]
pub struct Pressure {
    pacer: Pacer,
    patience: Duration,
    pause: Duration,
    /// Since when the present one is refused.
    since: Option<Duration>,
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

impl Pressure {
    /// Offers each submission for at most `patience` from its first refusal on.
    #[must_use]
    pub fn new(pacer: &Pacer, patience: Duration) -> Self {
        Self { pacer: pacer.clone(), patience, pause: FIRST_PAUSE, since: None }
    }

    /// One was taken.
    pub fn on_taken(&mut self) {
        self.since = None;
        self.pause = FIRST_PAUSE;
    }

    /// One was not: how long to wait before it is offered again. `None` gives it up, because it was not
    /// refused (it failed, or may have been taken), or for too long.
    pub fn on_error(&mut self, now: Duration, error: &Error) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let asked = error.retry_after().unwrap_or_default();
        let pause = (self.pause * 3 / 4 + self.pacer.draw(self.pause / 2)).max(asked);
        let late = now.saturating_add(pause) > since.saturating_add(self.patience);
        let refused = error.kind() == ErrorKind::Status && error.delivery() == Delivery::Refused;
        if !refused || late {
            self.since = None;
            return None;
        }
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        Some(pause)
    }
}
