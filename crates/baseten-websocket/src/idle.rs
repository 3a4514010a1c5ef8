//! How long nothing has moved.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The idle clock of one direction. It runs while somebody waits, over as many futures as are made and
/// dropped meanwhile, and every byte begins it anew.
#[derive(Debug)]
pub(crate) struct Idle {
    /// `None`: it never runs out.
    limit: Option<Duration>,
    seen: u64,
    /// How long it ran for those who have stopped waiting.
    ran: Duration,
    /// Since when it runs for who waits now.
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
        Self { limit, seen: 0, ran: Duration::ZERO, since: None, warned: false, sleep: None }
    }

    /// Asked whenever nothing can be done; `moved` is how many bytes have passed so far.
    pub(crate) fn poll(&mut self, moved: u64, cx: &mut Context<'_>) -> Poll<Tick> {
        let Some(limit) = self.limit else { return Poll::Pending };
        if moved != self.seen {
            *self = Self { seen: moved, sleep: self.sleep.take(), ..Self::new(self.limit) };
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let wait = if self.warned { limit } else { limit / 2 };
        let left = wait.saturating_sub(self.ran);
        let Some(due) = since.checked_add(left) else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        ready!(sleep.as_mut().poll(cx));
        if self.warned {
            return Poll::Ready(Tick::Over(limit));
        }
        self.warned = true;
        Poll::Ready(Tick::Half)
    }

    /// Nobody waits any more: it stands still until somebody does.
    pub(crate) fn rest(&mut self) {
        if let Some(since) = self.since.take() {
            self.ran = self.ran.saturating_add(since.elapsed());
        }
        self.sleep = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{sleep, timeout};

    use super::*;

    /// On tokio's own clock, which stands still but for what is waited for.
    #[tokio::test(start_paused = true)]
    async fn it_runs_over_many_waits_and_stands_still_between_them() {
        let millis = Duration::from_millis;
        let mut idle = Idle::new(Some(millis(300)));
        //   not waited  moved  waited  what comes of it, and when
        for (row, (between, moved, wait, expect, after)) in [
            (0, 7, 100, None, 100),
            (0, 7, 49, None, 49),
            (5000, 7, 100, Some(Tick::Half), 1), // 150 ms of waiting: what lies between does not count
            (5000, 7, 100, None, 100),           // told once
            (0, 7, 100, Some(Tick::Over(millis(300))), 50),
            (0, 7, 100, Some(Tick::Over(millis(300))), 0), // and stays so until something moves
            (0, 8, 149, None, 149),
            (0, 9, 149, None, 149), // each byte begins it anew
            (0, 9, 100, Some(Tick::Half), 1),
            (0, 10, 400, Some(Tick::Half), 150), // also that half of it was told
        ]
        .into_iter()
        .enumerate()
        {
            sleep(millis(between)).await;
            let begun = Instant::now();
            let tick = timeout(millis(wait), poll_fn(|cx| idle.poll(moved, cx))).await.ok();
            assert_eq!((tick, begun.elapsed()), (expect, millis(after)), "row {row}");
            idle.rest();
        }
        let mut never = Idle::new(None);
        let waited = timeout(Duration::from_secs(1 << 30), poll_fn(|cx| never.poll(0, cx))).await;
        assert!(waited.is_err());
    }
}
