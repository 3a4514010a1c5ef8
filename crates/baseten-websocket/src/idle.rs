//! How long nothing has moved.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

/// The idle clock of one wait: it begins with the wait, and every byte begins it anew.
#[derive(Debug)]
pub(crate) struct Idle {
    /// `None`: it never runs out.
    limit: Option<Duration>,
    seen: u64,
    since: Option<Instant>,
    /// Half of the time has passed and was told of.
    warned: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What has come of waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Half of the time has passed.
    Half,
    /// All of it.
    Over(Duration),
}

impl Idle {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self { limit, seen: 0, since: None, warned: false, sleep: None }
    }

    /// Asked whenever nothing can be done; `moved` is how many bytes have passed so far.
    pub(crate) fn poll(&mut self, moved: u64, cx: &mut Context<'_>) -> Poll<Tick> {
        let Some(limit) = self.limit else { return Poll::Pending };
        let since = match self.since {
            Some(since) if moved == self.seen => since,
            _ => {
                (self.seen, self.warned) = (moved, false);
                *self.since.insert(Instant::now())
            }
        };
        let wait = if self.warned { limit } else { limit / 2 };
        let Some(due) = since.checked_add(wait) else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
        if sleep.deadline().into_std() != due {
            sleep.as_mut().reset(due.into());
        }
        std::task::ready!(sleep.as_mut().poll(cx));
        if self.warned {
            return Poll::Ready(Tick::Over(limit));
        }
        self.warned = true;
        Poll::Ready(Tick::Half)
    }
}
