//! The faults that are planned, and for which request or connection.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fault::{Fault, When};

/// What lies ahead. Numbers are absolute: those of the log.
#[derive(Debug, Default)]
pub(crate) struct Script {
    planned: Mutex<Planned>,
}

#[derive(Debug, Default)]
struct Planned {
    requests: Queue,
    connections: Queue,
}

#[derive(Debug, Default)]
struct Queue {
    once: Vec<(usize, Fault)>,
    every: Vec<Fault>,
}

impl Script {
    /// Plans a fault, given the numbers that the next connection and the next request will have.
    pub(crate) fn plan(&self, when: When, fault: Fault, next: (usize, usize)) {
        let mut planned = self.lock();
        match when {
            When::Request(k) => planned.requests.once.push((next.1 + k, fault)),
            When::EveryRequest => planned.requests.every.push(fault),
            When::Connection(k) => planned.connections.once.push((next.0 + k, fault)),
            When::EveryConnection => planned.connections.every.push(fault),
        }
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Planned::default();
    }

    pub(crate) fn for_request(&self, index: usize) -> Vec<Fault> {
        self.lock().requests.take(index)
    }

    pub(crate) fn for_connection(&self, index: usize) -> Vec<Fault> {
        self.lock().connections.take(index)
    }

    fn lock(&self) -> MutexGuard<'_, Planned> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self, index: usize) -> Vec<Fault> {
        let mine = self.once.extract_if(.., |(at, _)| *at == index).map(|(_, fault)| fault);
        mine.chain(self.every.iter().cloned()).collect()
    }
}
