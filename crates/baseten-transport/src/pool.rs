//! Connections kept for the next call, the one used last first.
//!
//! Nothing watches them: a connection that the server closed meanwhile is found when a call wants
//! one.

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
    /// By comparing, not hashing: a client calls few origins. Boxed, since a connection is large and
    /// moves from hand to hand.
    idle: Mutex<BTreeMap<Origin, Vec<Box<Connection<N>>>>>,
    options: options::Pool,
    /// Where the number of connections is limited.
    slots: Option<Arc<Slots>>,
}

/// A server that promises to keep a connection for so long may count from earlier than we do.
const SPARE: Duration = Duration::from_secs(1);

impl<N: Net> Pool<N> {
    pub(crate) fn new(options: options::Pool) -> Self {
        let slots = options.max_connections_per_origin.map(Slots::new);
        Self { idle: Mutex::default(), options, slots }
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

    /// A connection that is still alive, if there is one.
    pub(crate) fn checkout(&self, origin: &Origin) -> Option<Box<Connection<N>>> {
        loop {
            let mut connection = self.lock().get_mut(origin)?.pop()?;
            if self.is_fresh(&connection, Instant::now()) && connection.is_alive() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose exchange is over, but for an end that may come until it is wanted.
    pub(crate) fn checkin(&self, origin: &Origin, mut connection: Box<Connection<N>>) {
        if connection.rest.is_none() && !connection.is_done() {
            return;
        }
        // Passed on when the connection is there to be taken.
        let _slot = connection.slot.take();
        let now = Instant::now();
        connection.reused = true;
        connection.limits = Limits::default();
        connection.idle_since = now;
        let mut idle = self.lock();
        let kept = match idle.get_mut(origin) {
            Some(kept) => kept,
            None => idle.entry(origin.clone()).or_default(),
        };
        // The oldest lie in front.
        let stale = kept.iter().take_while(|old| !self.is_fresh(old, now)).count();
        kept.drain(..stale);
        if kept.len() < self.options.max_idle {
            kept.push(connection);
        } else {
            // Closed before its slot is passed on.
            drop(connection);
        }
    }

    fn is_fresh(&self, connection: &Connection<N>, now: Instant) -> bool {
        let promised = connection.keep_alive.map(|promised| promised.saturating_sub(SPARE));
        let idle = promised.map_or(self.options.idle, |promised| promised.min(self.options.idle));
        now.duration_since(connection.idle_since) < idle
            && now.duration_since(connection.opened) < self.options.max_age
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Origin, Vec<Box<Connection<N>>>>> {
        // Nothing that panics is done under the lock, and a list of connections cannot be half done.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
