//! How many questions about async requests are answered within a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A window of one second that moves with time. What was refused does not count.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// `None`: as many as come.
    pub(crate) per_second: Option<usize>,
    answered: VecDeque<Instant>,
}

impl Allowance {
    pub(crate) fn new(per_second: usize) -> Self {
        Self { per_second: Some(per_second), answered: VecDeque::new() }
    }

    /// Whether one more is answered now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let Some(most) = self.per_second else { return true };
        self.answered.retain(|at| now.duration_since(*at) < SECOND);
        let allowed = self.answered.len() < most;
        if allowed {
            self.answered.push_back(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Duration, Instant};

    #[test]
    fn a_window_moves_and_refusals_are_free() {
        let (mut allowance, start) = (Allowance::new(2), Instant::now());
        // (milliseconds, answered, reason)
        for (ms, answered, reason) in [
            (0, true, "the first"),
            (500, true, "the second"),
            (999, false, "the third within a second"),
            (1000, true, "a second after the first; the refusal did not count"),
            (1499, false, "the second still counts"),
            (1500, true, "and now not any more"),
        ] {
            let now = start + Duration::from_millis(ms);
            assert_eq!(allowance.take(now), answered, "{reason}");
        }
        allowance.per_second = Some(0);
        assert!(!allowance.take(start + Duration::from_secs(9)), "none at all");
        allowance.per_second = None;
        assert!((0..100).all(|_| allowance.take(start)), "no limit");
    }
}
