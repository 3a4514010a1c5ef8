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

    /// Whether the whole call has to be over by now, however much still comes.
    pub(crate) fn over(&self) -> Option<Cause> {
        let limit = self.clocks.total.filter(|_| self.total.is_some_and(is_past))?;
        Some(Cause::Timeout { clock: Clock::Total, limit })
    }

    /// Gives what is left the idle clock in all: nobody waits long for the rest of a refusal.
    pub(crate) fn hurry(&mut self) {
        let end = self.clocks.idle.and_then(|idle| Instant::now().checked_add(idle));
        self.total = self.total.into_iter().chain(end).min();
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
        self.start_at(Instant::now(), clock)
    }

    fn start_at(&self, start: Instant, clock: Clock) -> Due<'_> {
        let cancel = self.cancel();
        let own = match clock {
            Clock::Queue => self.clocks.queue,
            Clock::Connect => self.clocks.connect,
            Clock::FirstByte => self.clocks.first_byte,
            _ => self.clocks.idle,
        };
        match (own.and_then(|limit| start.checked_add(limit)), self.total) {
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
        let limit = self.limit.filter(|_| self.at.is_some_and(is_past))?;
        Some(Cause::Timeout { clock: Clock::Total, limit })
    }
}

fn is_past(at: Instant) -> bool {
    Instant::now() >= at
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
        self.is_canceled() || self.at.is_some_and(is_past)
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
pub(crate) struct Silence<'a, S: Socket> {
    wire: &'a Wire<S>,
    limits: &'a Limits,
    /// What had come and gone when this was looked at last, and what had been heard when it began.
    received: u64,
    sent: u64,
    heard: u64,
    clock: Clock,
    /// When the clock that runs was started.
    start: Option<Instant>,
    due: Option<Due<'a>>,
    /// When the head has to be there, however much of it still comes.
    head: Option<Instant>,
    /// Where it is kept that nobody waits any more.
    patience: Option<&'a mut Patience>,
    /// Boxed, since few ask for it.
    notice: Option<Box<Notice<'a>>>,
}

/// How long a caller has waited for the next byte of an answer, in all the times that it asked and gave
/// up asking. A wait that is taken up again goes on where it stopped.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    waited: Duration,
    /// What had come by then.
    received: u64,
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
    /// The clock of the first byte until then, and the idle clock from then on.
    pub(crate) fn of_head(wire: &'a Wire<S>, limits: &'a Limits) -> Self {
        let (received, sent, heard) = (wire.received(), wire.sent(), wire.heard());
        let (clock, start) = (Clock::FirstByte, None);
        let (due, head, patience, notice) = (None, None, None, None);
        Self { wire, limits, received, sent, heard, clock, start, due, head, patience, notice }
    }

    /// The idle clock, less what was waited already.
    pub(crate) fn of_body(
        wire: &'a Wire<S>,
        limits: &'a Limits,
        patience: &'a mut Patience,
    ) -> Self {
        if patience.received != wire.received() {
            *patience = Patience { waited: Duration::ZERO, received: wire.received() };
        }
        let mut silence = Self::of_head(wire, limits);
        (silence.clock, silence.patience) = (Clock::Idle, Some(patience));
        silence
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
        let heard = received != self.received && self.wire.heard() != self.heard;
        if heard && self.clock == Clock::FirstByte {
            let idle = self.limits.clocks.idle;
            let first = self.started().at;
            self.head = first.zip(idle).and_then(|(first, idle)| first.checked_add(idle));
            self.clock = Clock::Idle;
        }
        if (received, sent) != (self.received, self.sent) {
            (self.received, self.sent) = (received, sent);
            self.due = None;
        }
        self.started()
    }

    /// The clock that runs, from now if it does not yet.
    fn started(&mut self) -> Due<'a> {
        if let Some(due) = self.due {
            return due;
        }
        let now = Instant::now();
        let waited = self.patience.as_ref().filter(|p| p.received == self.received);
        let start = waited.and_then(|patience| now.checked_sub(patience.waited)).unwrap_or(now);
        let due = self.limits.start_at(start, self.clock);
        let due = match self.head {
            Some(head) if due.at.is_some_and(|at| head < at) => {
                Due { at: self.head, clock: Clock::FirstByte, ..due }
            }
            _ => due,
        };
        (self.start, self.due) = (Some(start), Some(due));
        due
    }
}

impl<S: Socket> Drop for Silence<'_, S> {
    fn drop(&mut self) {
        let Some(patience) = self.patience.as_deref_mut() else { return };
        if let Some(start) = self.start.filter(|_| self.wire.received() == self.received) {
            *patience = Patience { waited: start.elapsed(), received: self.received };
        }
    }
}
