//! The retry budget that all calls of a client share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A token bucket for extra attempts, so that retries cannot make an outage worse.
///
/// It starts with 10 extra attempts; each success earns a tenth of one, up to 100; each retry or
/// hedge costs one. Extra attempts are thus at most 10 + 0.1 × successes, and never more than 100 in
/// a row without a success. A call takes a retry before it pauses, so that it need not pause for
/// nothing, and gives it back if it ends in the pause; until then its place in the bucket stays taken.
/// Clones share one bucket.
///
/// ```
/// use baseten_core::Budget;
/// let budget = Budget::new();
/// let granted = (0..50).filter(|_| budget.take()).count();
/// assert_eq!(granted, 10);
/// ```
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicU32>);

/// Counted in tenths of an attempt, so that it is exact. The lower half of the word is what is left, the
/// upper one what is reserved; both together are never more than the cap.
const START: u32 = 100;
const CAP: u32 = 1000;
const COST: u32 = 10;
const RESERVED: u32 = COST << 16;

fn left(word: u32) -> u32 {
    word & 0xffff
}

fn reserved(word: u32) -> u32 {
    word >> 16
}

impl Budget {
    /// A bucket of its own, with the first 10 extra attempts in it.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicU32::new(START)))
    }

    /// Takes one extra attempt out; `false` if there is none left.
    #[must_use]
    pub fn take(&self) -> bool {
        self.change(|word| (left(word) >= COST).then(|| word - COST))
    }

    /// One extra attempt, if there is one left, that goes back unless it is spent.
    pub(crate) fn reserve(&self) -> Option<Reserved> {
        self.change(|word| (left(word) >= COST).then(|| word - COST + RESERVED))
            .then(|| Reserved { budget: self.clone(), back: COST })
    }

    /// Notes a success.
    pub fn earn(&self) {
        // Whether the bucket is full is all the same.
        self.change(|word| (left(word) + reserved(word) < CAP).then(|| word + 1));
    }

    /// How many extra attempts are left.
    #[must_use]
    pub fn left(&self) -> u32 {
        left(self.0.load(Ordering::Relaxed)) / COST
    }

    /// Whether there was something to change.
    fn change(&self, change: impl Fn(u32) -> Option<u32>) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// One extra attempt, out of the bucket while it is not clear whether it is made.
#[derive(Debug)]
pub(crate) struct Reserved {
    budget: Budget,
    /// What goes back.
    back: u32,
}

impl Reserved {
    /// It is made.
    pub(crate) fn spend(mut self) {
        self.back = 0;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.change(|word| Some(word - RESERVED + self.back));
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
    fn what_is_not_spent_goes_back() {
        let budget = Budget::new();
        budget.reserve().unwrap().spend();
        drop(budget.reserve().unwrap());
        assert_eq!(budget.left(), 9);
        let all: Vec<_> = std::iter::from_fn(|| budget.reserve()).collect();
        assert_eq!((all.len(), budget.left()), (9, 0));
        (0..100_000).for_each(|_| budget.earn());
        assert_eq!(budget.left(), 100 - 9, "what may come back has its place");
        drop(all);
        assert_eq!(budget.left(), 100);
    }

    #[test]
    fn contention_loses_nothing() {
        let budget = Budget::new();
        let spent: u32 = std::thread::scope(|scope| {
            let worker = || {
                let mut spent = 0;
                for _ in 0..2500 {
                    (0..4).for_each(|_| budget.earn());
                    // Of two that are taken one goes back.
                    let reserved = [budget.reserve(), budget.reserve()];
                    if let [Some(first), _] = reserved {
                        first.spend();
                        spent += 1;
                    }
                }
                spent
            };
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        // 40,000 successes earn 4000. Each thread asks for more than it earns, so that the cap is far.
        let tenths = budget.0.load(Ordering::Relaxed);
        assert_eq!(spent * COST + tenths, START + 40_000);
        assert!(spent > 1000, "{spent}");
    }
}
