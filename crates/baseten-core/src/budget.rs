//! The retry budget that all calls of a client share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A token bucket for extra attempts, so that retries cannot make an outage worse.
///
/// It starts with 10 extra attempts; each success earns a tenth of one, up to 100; each retry or
/// hedge costs one. Extra attempts are thus at most 10 + 0.1 × successes, and never more than 100 in
/// a row without a success. Clones share one bucket.
///
/// ```
/// use baseten_core::Budget;
/// let budget = Budget::new();
/// let granted = (0..50).filter(|_| budget.take()).count();
/// assert_eq!(granted, 10);
/// ```
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicU32>);

/// Counted in tenths of an attempt, so that it is exact.
const START: u32 = 100;
const CAP: u32 = 1000;
const COST: u32 = 10;

impl Budget {
    /// A bucket of its own, with the first 10 extra attempts in it.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicU32::new(START)))
    }

    /// Takes one extra attempt out; `false` if there is none left.
    #[must_use]
    pub fn take(&self) -> bool {
        let spend = |tenths: u32| tenths.checked_sub(COST);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }

    /// Notes a success.
    pub fn earn(&self) {
        let earn = |tenths: u32| (tenths < CAP).then_some(tenths + 1);
        // `Err` says that the bucket is full: nothing to do.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// How many extra attempts are left.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.0.load(Ordering::Relaxed) / COST
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_attempts_are_a_tenth_of_the_successes_and_ten() {
        let budget = Budget::new();
        let mut taken = 0;
        for successes in 0..5000 {
            while budget.take() {
                taken += 1;
            }
            assert!(taken <= 10 + successes / 10, "{taken} after {successes}");
            budget.earn();
        }
        assert_eq!(taken, 10 + 4999 / 10);
    }

    #[test]
    fn it_is_capped_and_never_wraps() {
        let budget = Budget::new();
        (0..100_000).for_each(|_| budget.earn());
        assert_eq!((0..1000).filter(|_| budget.take()).count(), 100);
        assert!(!budget.take());
        assert_eq!(budget.left(), 0);
    }

    #[test]
    fn contention_loses_nothing() {
        let budget = Budget::new();
        let taken: usize = std::thread::scope(|scope| {
            let worker = || {
                (0..10_000)
                    .filter(|i| {
                        budget.earn();
                        i % 2 == 0 && budget.take()
                    })
                    .count()
            };
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        // 40,000 successes earn at most 4,000; what was not taken is still there or was over the cap.
        assert!(taken <= 4010 && budget.left() <= 100, "{taken}");
    }
}
