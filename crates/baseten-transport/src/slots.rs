//! How many connections there may be to one origin, and the line of those who wait for one.
//!
//! A slot is held from before a connection is taken out of the pool, or opened, until it is back there
//! or closed. Idle connections hold none: before one is opened, as many are closed as there is no room
//! for beside it, so that those in use and those that lie idle are never more than there are slots.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use baseten_core::Origin;

use crate::clock::Due;
use crate::net::{Elapsed, Net};

/// The slots of all origins.
pub(crate) struct Slots {
    /// How many each origin has.
    most: usize,
    lines: Mutex<BTreeMap<Origin, Line>>,
}

/// Those who have a slot of an origin, and those who want one, first come first.
#[derive(Default)]
struct Line {
    taken: usize,
    next: u64,
    waiting: VecDeque<Ticket>,
}

/// A number, and whom to wake until that was done.
type Ticket = (u64, Option<Waker>);

impl Slots {
    /// `most` for each origin, one at least.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), lines: Mutex::default() })
    }

    /// Takes a slot, as soon as all who came before have one.
    pub(crate) async fn take<N: Net>(
        self: &Arc<Self>,
        origin: &Origin,
        due: Due<'_>,
    ) -> Result<Slot, Elapsed> {
        let mut place = Place { slots: self, origin, ticket: None };
        N::wait(due, |cx| place.poll(cx)).await
    }

    /// How many slots of an origin nobody has.
    pub(crate) fn untaken(&self, origin: &Origin) -> usize {
        let taken = self.lock().get(origin).map_or(0, |line| line.taken);
        self.most.saturating_sub(taken)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Origin, Line>> {
        // Nothing that panics is done under the lock. Nor is a waker woken, cloned or dropped: that may
        // run code of others, which may want a slot or give one up.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the line of an origin, tells whoever is its head then, and forgets one that is empty.
    fn with<T>(&self, origin: &Origin, change: impl FnOnce(&mut Line) -> T) -> T {
        let mut lines = self.lock();
        let line = match lines.get_mut(origin) {
            Some(line) => line,
            None => lines.entry(origin.clone()).or_default(),
        };
        let changed = change(line);
        let head = line.waiting.front_mut().filter(|_| line.taken < self.most);
        let head = head.and_then(|(_, waker)| waker.take());
        if line.taken == 0 && line.waiting.is_empty() {
            lines.remove(origin);
        }
        drop(lines);
        if let Some(head) = head {
            head.wake();
        }
        changed
    }
}

/// Leave to have a connection. Dropping it passes it on.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    origin: Origin,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.with(&self.origin, |line| line.taken -= 1);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot of {}", self.origin)
    }
}

/// A place in a line. Dropping it leaves the line.
struct Place<'a> {
    slots: &'a Arc<Slots>,
    origin: &'a Origin,
    /// `None` before the first poll, and once there is a slot.
    ticket: Option<u64>,
}

impl Place<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Slot> {
        let Self { slots, origin, .. } = *self;
        let ticket = &mut self.ticket;
        let most = slots.most;
        // Moved in and out, and dropped here.
        let mut waker = Some(cx.waker().clone());
        slots.with(origin, |line| {
            let head = line.waiting.front().map(|(ticket, _)| *ticket);
            if line.taken < most && (head.is_none() || head == *ticket) {
                if ticket.take().is_some() {
                    // It was woken, so that there is no waker in it.
                    line.waiting.pop_front();
                }
                line.taken += 1;
                return Poll::Ready(Slot { slots: slots.clone(), origin: origin.clone() });
            }
            match ticket {
                None => {
                    line.next += 1;
                    *ticket = Some(line.next);
                    line.waiting.push_back((line.next, waker.take()));
                }
                Some(ticket) => {
                    let own = line.waiting.iter_mut().find(|(other, _)| other == ticket);
                    if let Some((_, known)) = own {
                        mem::swap(known, &mut waker);
                    }
                }
            }
            Poll::Pending
        })
    }

    fn leave(&self, ticket: u64) -> Option<Ticket> {
        self.slots.with(self.origin, |line| {
            let at = line.waiting.iter().position(|(other, _)| *other == ticket)?;
            line.waiting.remove(at)
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        drop(self.ticket.and_then(|ticket| self.leave(ticket)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::Wake;
    use std::thread;
    use std::time::Duration;

    use baseten_core::Hosts;

    use super::*;
    use crate::blocking::wait::{Blocking, ready};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn origin(url: &str) -> Origin {
        let target = baseten_core::Target::model(baseten_core::ModelId::new("abc").unwrap());
        let hosts = Hosts::base_url(url).unwrap();
        let endpoint =
            baseten_core::Endpoint::new(&hosts, &target, &baseten_core::Operation::Predict);
        endpoint.unwrap().origin().clone()
    }

    /// Somebody in line, and how often they were woken.
    struct Caller<'a>(Place<'a>, Arc<Woken>);

    impl<'a> Caller<'a> {
        fn new(slots: &'a Arc<Slots>, origin: &'a Origin) -> Self {
            Self(Place { slots, origin, ticket: None }, Arc::default())
        }

        fn poll(&mut self) -> Option<Slot> {
            let waker = Waker::from(self.1.clone());
            match self.0.poll(&Context::from_waker(&waker)) {
                Poll::Ready(slot) => Some(slot),
                Poll::Pending => None,
            }
        }

        fn woken(&self) -> usize {
            self.1.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn who_came_first_is_first() {
        let (slots, origin) = (Slots::new(1), origin("http://localhost:1"));
        let mut callers: Vec<_> = (0..3).map(|_| Caller::new(&slots, &origin)).collect();
        let mut held = callers[0].poll();
        assert!(held.is_some() && callers[1].poll().is_none() && callers[2].poll().is_none());
        for next in 1..3 {
            drop(held.take());
            assert_eq!(callers[next].woken(), 1, "the head of the line is told");
            assert!(callers.last_mut().unwrap().poll().is_none() || next == 2, "nobody overtakes");
            if next == 1 {
                assert!(Caller::new(&slots, &origin).poll().is_none(), "nor who comes later");
                held = callers[1].poll();
                assert!(held.is_some());
            }
        }
    }

    #[test]
    fn threads_are_served_in_the_order_in_which_they_came() {
        const THREADS: usize = 16;
        const SOON: Duration = Duration::from_secs(20);
        let (slots, origin) = (Slots::new(1), origin("http://localhost:1"));
        let (slots, origin, served) = (&slots, &origin, &Mutex::new(Vec::new()));
        let held = Caller::new(slots, origin).poll();
        let due = Due::after(SOON, None);
        let waiting = || slots.lock().get(origin).map_or(0, |line| line.waiting.len());
        thread::scope(|scope| {
            for n in 0..THREADS {
                scope.spawn(move || {
                    let slot = ready(slots.take::<Blocking>(origin, due)).unwrap();
                    served.lock().unwrap().push(n);
                    drop(slot);
                });
                // In line before the next one comes.
                while waiting() == n && !due.has_come() {
                    thread::yield_now();
                }
            }
            assert!(served.lock().unwrap().is_empty());
            drop(held);
        });
        assert_eq!(*served.lock().unwrap(), Vec::from_iter(0..THREADS));
    }

    #[test]
    fn who_leaves_the_line_takes_no_slot_along() {
        let (slots, origin) = (Slots::new(1), origin("http://localhost:1"));
        let (mut one, mut two, mut three) = (
            Caller::new(&slots, &origin),
            Caller::new(&slots, &origin),
            Caller::new(&slots, &origin),
        );
        let held = one.poll();
        assert!(two.poll().is_none() && three.poll().is_none());
        drop(held);
        // Told, and gone before it asked again: the next one is told.
        assert_eq!((two.woken(), three.woken()), (1, 0));
        drop(two);
        assert_eq!(three.woken(), 1);
        let held = three.poll();
        assert!(held.is_some());
        drop((held, one, three));
        assert!(slots.lock().is_empty(), "nothing is kept of an origin without calls");
    }

    /// A task whose end asks for the slots.
    struct Asking(Arc<Slots>, Origin, mpsc::Sender<usize>);

    impl Wake for Asking {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Asking {
        fn drop(&mut self) {
            self.2.send(self.0.untaken(&self.1)).unwrap();
        }
    }

    #[test]
    fn a_task_that_ends_in_line_may_ask_for_the_slots() {
        fn poll(place: &mut Place<'_>, waker: &Waker) -> Poll<Slot> {
            place.poll(&Context::from_waker(waker))
        }
        type Ending = fn(Place<'_>, Slot);
        let moves: Ending = |mut place, _held| drop(poll(&mut place, Waker::noop()));
        let leaves: Ending = |place, _held| drop(place);
        let is_told: Ending = |_place, held| drop(held);
        //   what ends it                         slots that are free then
        for (case, ending, free) in [
            ("another task waits in its place", moves, 0),
            ("it leaves the line", leaves, 0),
            ("its turn has come", is_told, 1),
        ] {
            let (told, heard) = mpsc::channel();
            // On a thread of its own: what waits for itself waits for ever.
            thread::spawn(move || {
                let (slots, origin) = (Slots::new(1), origin("http://localhost:1"));
                let mut place = Place { slots: &slots, origin: &origin, ticket: None };
                let Poll::Ready(held) = poll(&mut place, Waker::noop()) else { return };
                let task = Asking(slots.clone(), origin.clone(), told);
                let _ = poll(&mut place, &Waker::from(Arc::new(task)));
                ending(place, held);
            });
            assert_eq!(heard.recv_timeout(Duration::from_secs(20)), Ok(free), "{case}");
        }
    }

    #[test]
    fn each_origin_has_its_own_and_as_many_as_said() {
        let (one, other) = (origin("http://localhost:1"), origin("http://localhost:2"));
        for (most, expect) in [(0, 1), (1, 1), (3, 3)] {
            let slots = Slots::new(most);
            for origin in [&one, &other] {
                let taken = std::iter::from_fn(|| Caller::new(&slots, origin).poll());
                let taken: Vec<_> = taken.take(10).collect();
                assert_eq!(taken.len(), expect, "of {most}");
                assert!(Caller::new(&slots, origin).poll().is_none());
            }
        }
    }
}
