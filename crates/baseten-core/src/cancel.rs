//! Giving a call up from elsewhere: another thread, another task, a signal.
//!
//! A token is a flag and the wakers of those who wait. It waits for nothing itself: what a wake does to
//! a wait is the transport's business.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;

/// Cancels every call that was given a clone of it, in [`crate::CallOptions::cancel`]. It cannot be
/// taken back; a call that begins later fails at once.
///
/// A canceled call ends wherever it waits: in a line for a connection, while connecting, for the first
/// byte, within a body, in the pause before another attempt. Its connection is closed, its error is
/// [`crate::ErrorKind::Canceled`], and [`Error::delivery`] says what the server may have done. A stream
/// that is read later gives that error instead of what was to come.
///
/// ```
/// use baseten_core::{CallOptions, CancelToken};
/// let token = CancelToken::new();
/// let options = CallOptions { cancel: Some(token.clone()), ..CallOptions::default() };
/// std::thread::spawn(move || token.cancel()).join().unwrap();
/// assert!(options.cancel.unwrap().is_canceled());
/// ```
#[derive(Clone, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Default)]
struct Shared {
    canceled: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl CancelToken {
    /// A token of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels, from any thread. Does not wait for the calls to end.
    pub fn cancel(&self) {
        // The flag comes first: who leaves the line after this has to see it.
        self.0.canceled.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut self.0.lock().wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    /// Whether it was canceled.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        self.0.canceled.load(Ordering::SeqCst)
    }

    /// Ready when it is canceled.
    pub fn canceled(&self) -> Canceled<'_> {
        Canceled { token: self, place: None }
    }

    /// That it was canceled, as an error of a call of which nothing was sent.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Canceled`].
    pub fn check(&self) -> Result<(), Error> {
        if self.is_canceled() { Err(Error::canceled()) } else { Ok(()) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that panics is done under the lock. Nor is a waker woken, cloned or dropped: that may
        // run code of others, which may ask this very token.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two are the same if canceling one cancels the other.
impl PartialEq for CancelToken {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CancelToken {}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("canceled", &self.is_canceled()).finish()
    }
}

/// Waits until a [`CancelToken`] is canceled. Dropping it leaves the line.
#[must_use = "a future does nothing until it is polled"]
pub struct Canceled<'a> {
    token: &'a CancelToken,
    /// Where its waker is, and what that was.
    place: Option<(u64, Waker)>,
}

impl Future for Canceled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let known = self.place.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker()));
        if !known {
            let (waker, listed) = (cx.waker().clone(), cx.waker().clone());
            let mut waiting = self.token.0.lock();
            let place = self.place.as_ref().map(|(place, _)| *place).unwrap_or_else(|| {
                waiting.next += 1;
                waiting.next
            });
            let before = waiting.wakers.insert(place, listed);
            drop(waiting);
            drop(before);
            self.place = Some((place, waker));
        }
        // Looked at with the waker in place: whoever cancels now finds it.
        if self.token.is_canceled() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Canceled<'_> {
    fn drop(&mut self) {
        if let Some((place, _)) = self.place {
            let gone = self.token.0.lock().wakers.remove(&place);
            drop(gone);
        }
    }
}

impl fmt::Debug for Canceled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceled").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_waits_is_woken_once_and_who_left_is_not() {
        let (token, woken, gone) = (CancelToken::new(), Arc::<Woken>::default(), Arc::default());
        let waker = Waker::from(woken.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut waits = pin!(token.canceled());
        assert!(waits.as_mut().poll(cx).is_pending());
        assert!(waits.as_mut().poll(cx).is_pending());
        {
            let waker = Waker::from(Arc::<Woken>::clone(&gone));
            let mut leaves = pin!(token.canceled());
            assert!(leaves.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        token.clone().cancel();
        token.cancel();
        assert!(waits.as_mut().poll(cx).is_ready());
        let count = |woken: &Woken| woken.0.load(Ordering::SeqCst);
        assert_eq!((count(&woken), count(&gone)), (1, 0));
        assert!(pin!(token.canceled()).poll(cx).is_ready(), "it stays canceled");
        assert_eq!(token.check().unwrap_err().kind(), crate::ErrorKind::Canceled);
    }

    #[test]
    fn a_task_that_moves_is_woken_where_it_is() {
        let (token, first, second) = (CancelToken::new(), Arc::default(), Arc::default());
        let mut waits = pin!(token.canceled());
        for woken in [&first, &second] {
            let waker = Waker::from(Arc::<Woken>::clone(woken));
            assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        token.cancel();
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
    }
}
