//! Who is woken when something moves on a connection.
//!
//! hyper wakes its own connection all the time: at a request that it is handed, at each frame that it
//! passes on. Whoever is polling it at that moment goes on anyway, and nobody polls it between two
//! calls. As wakes of the caller's task these would each cost a turn of the scheduler.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Passes a wake on only while somebody waits.
#[derive(Default)]
pub(super) struct Bell {
    /// It rang since the last poll began.
    rung: AtomicBool,
    /// Who waits. A task may hold the connection and so the bell: it is let go of with the wait.
    task: Mutex<Option<Waker>>,
}

impl Bell {
    /// Somebody who waits now and then, until this is dropped.
    pub(super) fn attend(&self) -> Attendance<'_> {
        Attendance { bell: self, waited: false }
    }

    /// Who waited before is dropped or woken without the lock: that may run code of others.
    fn replace(&self, task: Option<Waker>) -> Option<Waker> {
        mem::replace(&mut *self.task.lock().unwrap_or_else(PoisonError::into_inner), task)
    }
}

pub(super) struct Attendance<'a> {
    bell: &'a Bell,
    waited: bool,
}

impl Attendance<'_> {
    /// Polls for the task of `cx`; while this is pending, a ring wakes it.
    pub(super) fn poll<T>(&mut self, cx: &Context<'_>, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        // A swap, not a store: what rang until now was for something that this poll is to see.
        self.bell.rung.swap(false, Ordering::Acquire);
        let polled = poll();
        if polled.is_pending() {
            self.waited = true;
            self.bell.replace(Some(cx.waker().clone()));
            // Whoever rings says so before looking for somebody to wake: one of the two sees the other.
            if self.bell.rung.load(Ordering::Acquire) {
                cx.waker().wake_by_ref();
            }
        }
        polled
    }
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        if self.waited {
            self.bell.replace(None);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A swap again, so that whoever hears of several rings has heard of the first.
        self.rung.swap(true, Ordering::AcqRel);
        if let Some(task) = self.replace(None) {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hint;
    use std::sync::atomic::AtomicUsize;
    use std::thread::{self, Thread};
    use std::time::{Duration, Instant};

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_ring_is_passed_on_only_to_somebody_who_waits() {
        let (bell, task) = (Arc::new(Bell::default()), Arc::new(Task::default()));
        let (ring, waker) = (Waker::from(bell.clone()), Waker::from(task.clone()));
        let cx = Context::from_waker(&waker);
        let woken = || task.0.load(Ordering::SeqCst);

        ring.wake_by_ref();
        let mut attendance = bell.attend();
        let ready = |ring: &Waker| {
            ring.wake_by_ref();
            Poll::Ready(())
        };
        assert!(attendance.poll(&cx, || ready(&ring)).is_ready());
        assert_eq!(woken(), 0, "nobody waits: what rang before and within is heard by the poll");

        let pending = |ring: &Waker| -> Poll<()> {
            ring.wake_by_ref();
            Poll::Pending
        };
        assert!(attendance.poll(&cx, || pending(&ring)).is_pending());
        assert_eq!(woken(), 1, "it rang within a poll that then had to wait");
        ring.wake_by_ref();
        ring.wake_by_ref();
        assert_eq!(woken(), 2, "it rang while waiting: once is enough until the next poll");

        assert!(attendance.poll(&cx, || Poll::<()>::Pending).is_pending());
        drop(attendance);
        ring.wake_by_ref();
        assert_eq!(woken(), 2, "the wait was given up");
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 1, "and nothing is kept of who waited");
    }

    struct Parked(Thread);

    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    #[test]
    fn no_ring_of_another_thread_is_lost() {
        const ROUNDS: usize = 100_000;
        let bell = Arc::new(Bell::default());
        let (asked, come) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            let ring = Waker::from(bell.clone());
            let (asked, come) = (&asked, &come);
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    while asked.load(Ordering::Relaxed) < round {
                        hint::spin_loop();
                    }
                    come.store(round, Ordering::Relaxed);
                    ring.wake_by_ref();
                }
            });
            let waker = Waker::from(Arc::new(Parked(thread::current())));
            let cx = Context::from_waker(&waker);
            for round in 1..=ROUNDS {
                let mut attendance = bell.attend();
                asked.store(round, Ordering::Relaxed);
                let due = Instant::now() + Duration::from_secs(20);
                let has_come = || match come.load(Ordering::Relaxed) {
                    come if come == round => Poll::Ready(()),
                    _ => Poll::Pending,
                };
                while attendance.poll(&cx, has_come).is_pending() {
                    thread::park_timeout(due.saturating_duration_since(Instant::now()));
                    if Instant::now() >= due {
                        asked.store(ROUNDS, Ordering::Relaxed); // so that the other one ends
                        panic!("round {round} was not heard of");
                    }
                }
            }
        });
    }
}
