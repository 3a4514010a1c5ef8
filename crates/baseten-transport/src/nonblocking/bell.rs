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
        self.rung.store(true, Ordering::Release);
        if let Some(task) = self.replace(None) {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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
}
