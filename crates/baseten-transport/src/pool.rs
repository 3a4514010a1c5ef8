//! Connections kept for the next call, the one used last first.
//!
//! Nothing watches them: a connection that the server closed meanwhile is found when a call wants
//! one, and those that have lain for too long when any call comes by.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use baseten_core::{Clock, Failure, Origin};

use crate::clock::Limits;
use crate::connection::Connection;
use crate::net::{Elapsed, Net};
use crate::options;
use crate::slots::{Slot, Slots};

pub(crate) struct Pool<N: Net> {
    idle: Mutex<Idle<N>>,
    options: options::Pool,
    /// Where the number of connections is limited.
    slots: Option<Arc<Slots>>,
}

/// The idle connections of all origins.
struct Idle<N: Net> {
    /// The oldest of an origin in front. By comparing, not hashing: a client calls few origins. Boxed,
    /// since a connection is large and moves from hand to hand.
    kept: BTreeMap<Origin, Vec<Box<Connection<N>>>>,
    /// When those that nobody came back for are looked for again.
    sweep: Instant,
}

/// A server that promises to keep a connection for so long may count from earlier than we do.
const SPARE: Duration = Duration::from_secs(1);

impl<N: Net> Pool<N> {
    pub(crate) fn new(options: options::Pool) -> Self {
        let slots = options.max_connections_per_origin.map(Slots::new);
        let idle = Idle { kept: BTreeMap::new(), sweep: Instant::now() };
        Self { idle: Mutex::new(idle), options, slots }
    }

    /// Leave to have a connection, waited for in line; `None` where everybody has it.
    pub(crate) async fn slot(
        &self,
        origin: &Origin,
        limits: &Limits,
    ) -> Result<Option<Slot>, Failure> {
        let Some(slots) = &self.slots else { return Ok(None) };
        let due = limits.start(Clock::Queue);
        // A wait that few make has no place in the future of every call.
        match Box::pin(slots.take::<N>(origin, due)).await {
            Ok(slot) => Ok(Some(slot)),
            Err(Elapsed) => Err(Failure::before_sending(limits.elapsed(due), None)),
        }
    }

    /// A connection that is still alive and can be used here, if there is one. If there is none,
    /// another one may be opened.
    pub(crate) fn checkout(&self, origin: &Origin) -> Option<Box<Connection<N>>> {
        let (now, home) = (Instant::now(), N::home());
        loop {
            let mut idle = self.lock();
            let stale = idle.sweep(&self.options, now);
            let taken = idle.take(origin, &home);
            drop(idle);
            drop(stale);
            let Some(mut connection) = taken else { break };
            if connection.is_kept(now) && connection.is_alive() {
                return Some(connection);
            }
        }
        self.make_room(origin);
        None
    }

    /// Keeps a connection whose exchange is over, but for an end that may come until it is wanted.
    pub(crate) fn checkin(&self, origin: &Origin, mut connection: Box<Connection<N>>) {
        if connection.rest.is_none() && !connection.is_done() {
            return;
        }
        // Passed on when the connection is there to be taken, or closed.
        let _slot = connection.slot.take();
        let now = Instant::now();
        connection.reused = true;
        connection.limits = Limits::default();
        connection.until = self.options.until(&connection, now);
        if !connection.is_kept(now) {
            drop(connection);
            return;
        }
        let mut idle = self.lock();
        let stale = idle.sweep(&self.options, now);
        let surplus = idle.put(origin, connection, self.options.max_idle);
        drop(idle);
        drop((stale, surplus));
    }

    /// Where connections are limited, those that lie idle and cannot be used here count as well: closes
    /// as many as have to make way for the one that is opened now.
    fn make_room(&self, origin: &Origin) {
        let Some(slots) = &self.slots else { return };
        let room = slots.untaken(origin);
        let mut idle = self.lock();
        let Some(kept) = idle.kept.get_mut(origin) else { return };
        let surplus: Vec<_> = kept.drain(..kept.len().saturating_sub(room)).collect();
        drop(idle);
        drop(surplus);
    }

    fn lock(&self) -> MutexGuard<'_, Idle<N>> {
        // Nothing that panics is done under the lock, and a list of connections cannot be half done.
        // Nor is a connection closed under it: that takes system calls, and may run code of others.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<N: Net> Idle<N> {
    /// The one used last of those that belong where the caller is.
    fn take(&mut self, origin: &Origin, home: &N::Home) -> Option<Box<Connection<N>>> {
        let kept = self.kept.get_mut(origin)?;
        let last = kept.iter().rposition(|connection| connection.home == *home)?;
        Some(kept.remove(last))
    }

    /// Puts one in; gives the oldest of its origin if there are more than `most`.
    fn put(
        &mut self,
        origin: &Origin,
        connection: Box<Connection<N>>,
        most: usize,
    ) -> Option<Box<Connection<N>>> {
        let kept = match self.kept.get_mut(origin) {
            Some(kept) => kept,
            None => self.kept.entry(origin.clone()).or_default(),
        };
        kept.push(connection);
        (kept.len() > most).then(|| kept.remove(0))
    }

    /// Takes out what is not to be used any more, of all origins, if it is time to look.
    fn sweep(&mut self, options: &options::Pool, now: Instant) -> Vec<Box<Connection<N>>> {
        let mut stale = Vec::new();
        if now < self.sweep {
            return stale;
        }
        self.sweep = now + options.idle.min(SWEEP_MOST);
        self.kept.retain(|_, kept| {
            stale.extend(kept.extract_if(.., |connection| !connection.is_kept(now)));
            !kept.is_empty()
        });
        stale
    }
}

/// The most that lies between two looks at all idle connections.
const SWEEP_MOST: Duration = Duration::from_secs(30);

impl options::Pool {
    /// Until when a connection that is idle from now on may be used.
    fn until<N: Net>(&self, connection: &Connection<N>, now: Instant) -> Option<Instant> {
        let promised = connection.keep_alive.map(|promised| promised.saturating_sub(SPARE));
        let idle = promised.map_or(self.idle, |promised| promised.min(self.idle));
        let aged = connection.opened.checked_add(self.max_age);
        now.checked_add(idle).into_iter().chain(aged).min()
    }
}

impl<N: Net> Connection<N> {
    fn is_kept(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
