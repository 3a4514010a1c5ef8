//! A word to the caller while an answer does not come: a cold start, a long line, a slow upload.
//!
//! It only tells. What ends a wait are the clocks and the caller.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Whom to tell that the first byte of an answer has not come, in [`crate::CallOptions::on_waiting`].
///
/// ```
/// use std::time::Duration;
/// use baseten_core::{CallOptions, OnWaiting};
/// let tell = OnWaiting::every(Duration::from_secs(10), |waiting| {
///     eprintln!("nothing for {:?}, attempt {}", waiting.waited, waiting.attempt);
/// });
/// let options = CallOptions { on_waiting: Some(tell), ..CallOptions::default() };
/// ```
#[derive(Clone)]
pub struct OnWaiting {
    period: Duration,
    tell: Arc<dyn Fn(Waiting) + Send + Sync>,
}

/// What a caller is told while the first byte of an answer does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The attempt that waits; 1 for the first.
    pub attempt: u32,
    /// How long it has waited since its connection was ready, as the first-byte clock counts.
    pub waited: Duration,
    /// How long the call has lasted, with all attempts and pauses.
    pub elapsed: Duration,
    /// Whether the request has left in full: it is the server that keeps us waiting, not the upload.
    pub sent: bool,
}

impl OnWaiting {
    /// Tells after every `period` (a millisecond at least) that has passed without a byte of the answer,
    /// beginning anew with each attempt. `tell` runs where the call waits, in its task or on its thread,
    /// and holds it up for as long as it takes.
    #[must_use]
    pub fn every(period: Duration, tell: impl Fn(Waiting) + Send + Sync + 'static) -> Self {
        Self { period: period.max(Duration::from_millis(1)), tell: Arc::new(tell) }
    }

    /// How often it tells.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// For a driver of calls: tells.
    pub fn tell(&self, waiting: Waiting) {
        (self.tell)(waiting);
    }
}

impl Waiting {
    /// For a driver of calls: `attempt` waits, its request sent in full or not.
    #[must_use]
    pub fn new(attempt: u32, sent: bool, waited: Duration, elapsed: Duration) -> Self {
        Self { attempt, waited, elapsed, sent }
    }
}

/// Two are the same if they tell the same function as often.
impl PartialEq for OnWaiting {
    fn eq(&self, other: &Self) -> bool {
        self.period == other.period && Arc::ptr_eq(&self.tell, &other.tell)
    }
}

impl Eq for OnWaiting {}

impl fmt::Debug for OnWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnWaiting").field("period", &self.period).finish_non_exhaustive()
    }
}
