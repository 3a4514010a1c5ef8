//! Which of a call's clocks runs, and when it runs out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use baseten_core::{CancelToken, Cause, Clock, Clocks, OnWaiting, Waiting};

use crate::upload::Uploading;
use crate::wire::{Socket, Wire};

/// What ends the waits of one attempt: its clocks, and the caller.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    clocks: Clocks,
    /// When the whole call has to be over.
    total: Option<Instant>,
    cancel: Option<CancelToken>,
}

impl Limits {
    pub(crate) fn new(clocks: Clocks, began: Instant, cancel: Option<&CancelToken>) -> Self {
        let total = clocks.total.and_then(|total| began.checked_add(total));
        Self { clocks, total, cancel: cancel.cloned() }
    }

    /// What ends it however much still moves.
    pub(crate) fn stop(&self) -> Stop {
        Stop { at: self.total, limit: self.clocks.total, cancel: self.cancel.clone() }
    }

    pub(crate) fn cancel(&self) -> Option<&CancelToken> {
        self.cancel.as_ref()
    }

    /// A clock that starts now, or the end of the whole call if that is nearer.
    pub(crate) fn start(&self, clock: Clock) -> Due<'_> {
        let cancel = self.cancel();
        let own = match clock {
            Clock::Queue => self.clocks.queue,
            Clock::Connect => self.clocks.connect,
            Clock::FirstByte => self.clocks.first_byte,
            _ => self.clocks.idle,
        };
        match (own.and_then(|limit| Instant::now().checked_add(limit)), self.total) {
            (Some(own), Some(total)) if total < own => {
                Due { at: Some(total), clock: Clock::Total, cancel }
            }
            (None, Some(total)) => Due { at: Some(total), clock: Clock::Total, cancel },
            (own, _) => Due { at: own, clock, cancel },
        }
    }

    /// That a clock ran out, or the caller gave up.
    pub(crate) fn elapsed(&self, due: Due<'_>) -> Cause {
        if due.is_canceled() {
            return Cause::Canceled;
        }
        let limit = match due.clock {
            Clock::Queue => self.clocks.queue,
            Clock::Connect => self.clocks.connect,
            Clock::FirstByte => self.clocks.first_byte,
            Clock::Idle => self.clocks.idle,
            _ => self.clocks.total,
        };
        Cause::Timeout { clock: due.clock, limit: limit.unwrap_or_default() }
    }
}

/// When the whole call ends, for whoever works without waiting.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    at: Option<Instant>,
    limit: Option<Duration>,
    cancel: Option<CancelToken>,
}

impl Stop {
    /// Why to stop now.
    pub(crate) fn cause(&self) -> Option<Cause> {
        if self.cancel.as_ref().is_some_and(CancelToken::is_canceled) {
            return Some(Cause::Canceled);
        }
        let limit = self.limit.filter(|_| self.at.is_some_and(|at| Instant::now() >= at))?;
        Some(Cause::Timeout { clock: Clock::Total, limit })
    }
}

/// When a wait ends: when the nearest clock runs out, which one that is, or when the caller gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due<'a> {
    pub(crate) at: Option<Instant>,
    clock: Clock,
    pub(crate) cancel: Option<&'a CancelToken>,
}

impl<'a> Due<'a> {
    /// The end of a pause that begins now.
    pub(crate) fn after(pause: Duration, cancel: Option<&'a CancelToken>) -> Self {
        Self { at: Instant::now().checked_add(pause), clock: Clock::Total, cancel }
    }

    /// This one, or `at` if that is nearer.
    pub(crate) fn or_at(self, at: Option<Instant>) -> Self {
        Self { at: self.at.into_iter().chain(at).min(), ..self }
    }

    pub(crate) fn has_come(&self) -> bool {
        self.is_canceled() || self.at.is_some_and(|at| Instant::now() >= at)
    }

    pub(crate) fn is_canceled(&self) -> bool {
        self.cancel.is_some_and(CancelToken::is_canceled)
    }

    /// How long it is until then; `None` is for ever.
    pub(crate) fn left(&self) -> Option<Duration> {
        if self.is_canceled() {
            return Some(Duration::ZERO);
        }
        self.at.map(|at| at.saturating_duration_since(Instant::now()))
    }
}

/// How long nothing has moved: from when the caller asked, or from the last byte since, either way.
pub(crate) struct Silence<'a, S> {
    wire: &'a Wire<S>,
    limits: &'a Limits,
    /// What had come and gone when this was looked at last, and what had been heard when it began.
    received: u64,
    sent: u64,
    heard: u64,
    clock: Clock,
    due: Option<Due<'a>>,
    /// Boxed, since few ask for it.
    notice: Option<Box<Notice<'a>>>,
}

/// A caller who wants to know that the first byte does not come.
pub(crate) struct Notice<'a> {
    hook: &'a OnWaiting,
    attempt: u32,
    /// When the call began, and when the wait did.
    began: (Instant, Instant),
    /// What the socket had taken before the request.
    sent: u64,
    /// Where the rest of its body comes from.
    uploading: Option<&'a Uploading>,
    next: Option<Instant>,
}

impl<'a> Notice<'a> {
    /// For a wait that begins now, of a call that began at `began`.
    pub(crate) fn new(hook: &'a OnWaiting, attempt: u32, began: Instant) -> Self {
        let now = Instant::now();
        let next = now.checked_add(hook.period());
        Self { hook, attempt, began: (began, now), sent: 0, uploading: None, next }
    }

    /// While this is sent.
    pub(crate) fn uploading(self, uploading: Option<&'a Arc<Uploading>>) -> Self {
        Self { uploading: uploading.map(|uploading| &**uploading), ..self }
    }

    fn tell<S: Socket>(&mut self, wire: &Wire<S>) {
        let now = Instant::now();
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = now.checked_add(self.hook.period());
        let (call, wait) = (now - self.began.0, now - self.began.1);
        let given = self.uploading.is_none_or(Uploading::is_given);
        let sent = given && wire.sent() > self.sent && wire.is_flushed();
        self.hook.tell(Waiting::new(self.attempt, sent, wait, call));
    }
}

impl<'a, S: Socket> Silence<'a, S> {
    /// With `clock` until the first byte, and the idle clock from then on.
    pub(crate) fn new(wire: &'a Wire<S>, limits: &'a Limits, clock: Clock) -> Self {
        let (received, sent, heard) = (wire.received(), wire.sent(), wire.heard());
        Self { wire, limits, received, sent, heard, clock, due: None, notice: None }
    }

    /// Tells a caller meanwhile.
    pub(crate) fn tell(&mut self, notice: Notice<'a>) {
        self.notice = Some(Box::new(Notice { sent: self.sent, ..notice }));
    }

    /// When this is to be looked at again: when a clock runs out, or when the caller is to be told.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        let due = self.due();
        match &self.notice {
            Some(notice) if self.clock == Clock::FirstByte => due.or_at(notice.next).at,
            _ => due.at,
        }
    }

    /// Tells the caller what there is to tell, if the wait goes on.
    pub(crate) fn goes_on(&mut self) -> bool {
        let due = self.due();
        let Some(notice) = self.notice.as_mut().filter(|_| !due.has_come()) else { return false };
        if self.clock == Clock::FirstByte {
            notice.tell(self.wire);
        }
        true
    }

    /// Asked whenever nothing moves: the clock is read only then.
    pub(crate) fn due(&mut self) -> Due<'a> {
        let (received, sent) = (self.wire.received(), self.wire.sent());
        // What TLS says for itself, a session ticket for one, is no byte of an answer.
        if received != self.received && self.wire.heard() != self.heard {
            self.clock = Clock::Idle;
        }
        if (received, sent) != (self.received, self.sent) {
            (self.received, self.sent) = (received, sent);
            self.due = None;
        }
        *self.due.get_or_insert_with(|| self.limits.start(self.clock))
    }
}
