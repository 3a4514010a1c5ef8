//! Which of a call's clocks runs, and when it runs out.

use std::time::Instant;

use baseten_core::{Cause, Clock, Clocks};

use crate::wire::{Socket, Wire};

/// The clocks of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    clocks: Clocks,
    /// When the whole call has to be over.
    total: Option<Instant>,
}

impl Limits {
    pub(crate) fn new(clocks: Clocks, began: Instant) -> Self {
        Self { clocks, total: clocks.total.and_then(|total| began.checked_add(total)) }
    }

    /// A clock that starts now, or the end of the whole call if that is nearer.
    pub(crate) fn start(&self, clock: Clock) -> Due {
        let own = match clock {
            Clock::Connect => self.clocks.connect,
            Clock::FirstByte => self.clocks.first_byte,
            _ => self.clocks.idle,
        };
        match (own.and_then(|limit| Instant::now().checked_add(limit)), self.total) {
            (Some(own), Some(total)) if total < own => Due { at: Some(total), clock: Clock::Total },
            (None, Some(total)) => Due { at: Some(total), clock: Clock::Total },
            (own, _) => Due { at: own, clock },
        }
    }

    /// That a clock ran out.
    pub(crate) fn elapsed(&self, due: Due) -> Cause {
        let limit = match due.clock {
            Clock::Connect => self.clocks.connect,
            Clock::FirstByte => self.clocks.first_byte,
            Clock::Idle => self.clocks.idle,
            _ => self.clocks.total,
        };
        Cause::Timeout { clock: due.clock, limit: limit.unwrap_or_default() }
    }
}

/// When the nearest clock runs out, and which one it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) at: Option<Instant>,
    clock: Clock,
}

impl Due {
    pub(crate) fn has_come(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at)
    }
}

/// How long nothing has come: from when the caller asked, or from the last byte since.
pub(crate) struct Silence<'a, S> {
    wire: &'a Wire<S>,
    limits: &'a Limits,
    seen: u64,
    clock: Clock,
    due: Option<Due>,
}

impl<'a, S: Socket> Silence<'a, S> {
    /// With `clock` until the first byte, and the idle clock from then on.
    pub(crate) fn new(wire: &'a Wire<S>, limits: &'a Limits, clock: Clock) -> Self {
        Self { wire, limits, seen: wire.received(), clock, due: None }
    }

    /// Asked whenever nothing moves: the clock is read only then.
    pub(crate) fn due(&mut self) -> Due {
        let received = self.wire.received();
        if received != self.seen {
            self.seen = received;
            self.clock = Clock::Idle;
            self.due = None;
        }
        *self.due.get_or_insert_with(|| self.limits.start(self.clock))
    }
}
