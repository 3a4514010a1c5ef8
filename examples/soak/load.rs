//! Calls without end, through both clients, and what came of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use baseten_core::{Delivery, Error, ErrorKind, Meta};
use baseten_openai::{ChatRequest, Message};
use serde_json::{Value, json};

use crate::server::{Dice, Log};

/// What all callers count together.
#[derive(Default)]
pub(crate) struct Counts {
    /// Answered as they should be.
    pub(crate) calls: AtomicU64,
    pub(crate) retries: AtomicU64,
    /// Errors of jobs whose answer was cut on purpose.
    pub(crate) cut: AtomicU64,
    /// Requests that crossed the server's close on the wire: it never saw them, which the client cannot
    /// know, and says.
    pub(crate) crossed: AtomicU64,
    pub(crate) other: AtomicU64,
    pub(crate) wrong: AtomicU64,
    pub(crate) duplicates: AtomicU64,
}

/// The counts, and who is calling.
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// The first error that nothing explains.
    pub(crate) unexplained: OnceLock<Error>,
    pub(crate) stop: AtomicBool,
    /// For each caller when its call began, in ms since `began` and 1 more; 0 between two calls.
    since: Vec<AtomicU64>,
    began: Instant,
    pub(crate) log: Arc<Log>,
}

impl Tally {
    pub(crate) fn new(callers: usize, log: Arc<Log>) -> Arc<Self> {
        Arc::new(Self {
            counts: Counts::default(),
            unexplained: OnceLock::new(),
            stop: AtomicBool::new(false),
            since: (0..callers).map(|_| AtomicU64::new(0)).collect(),
            began: Instant::now(),
            log,
        })
    }

    /// How many callers have waited for their call longer than that.
    pub(crate) fn hung(&self, limit: Duration) -> usize {
        let now = self.now();
        let since = self.since.iter().map(|since| since.load(Ordering::Relaxed));
        let limit = limit.as_millis() as u64;
        since.filter(|since| *since > 0 && now.saturating_sub(*since) > limit).count()
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64 + 1
    }

    /// What came of a job: the number that its answer tells, or an error.
    fn count(&self, job: u64, outcome: Result<(u64, Meta), Error>) {
        let Counts { calls, retries, cut, crossed, other, wrong, duplicates } = &self.counts;
        let attempts = match &outcome {
            Ok((_, meta)) => meta.attempts(),
            Err(error) => error.attempts().len() as u32,
        };
        retries.fetch_add(u64::from(attempts.saturating_sub(1)), Ordering::Relaxed);
        let arrivals = self.log.arrivals(job);
        duplicates.fetch_add(u64::from(arrivals > 1), Ordering::Relaxed);
        let counter = match outcome {
            Ok((told, _)) if told == job && arrivals == 1 => calls,
            Ok(_) => wrong,
            Err(_) if self.log.was_cut(job) => cut,
            Err(error) if arrivals == 0 && is_crossed(&error) => crossed,
            Err(error) => {
                // The first is enough.
                let _ = self.unexplained.set(error);
                other
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_crossed(error: &Error) -> bool {
    error.kind() == ErrorKind::Disconnected && error.delivery() == Delivery::MaybeRan
}

/// What is asked next, and of which model.
struct Call {
    model: usize,
    ask: Ask,
}

enum Ask {
    Whole(Value),
    Chat(Box<ChatRequest>),
}

/// One caller: its number, and what it draws.
pub(crate) struct Caller {
    pub(crate) number: usize,
    dice: Dice,
    job: u64,
}

impl Caller {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, dice: Dice(number as u64 + 1_000_000), job: 0 }
    }

    /// The next call; `None` when all is over.
    fn next(&mut self, tally: &Tally, models: usize) -> Option<Call> {
        if tally.stop.load(Ordering::Relaxed) {
            return None;
        }
        self.job = tally.log.issue();
        tally.since[self.number].store(tally.now(), Ordering::Relaxed);
        let ask = match self.dice.roll(100) {
            0..30 => {
                let ask = ChatRequest::new("org/model", [Message::user("hi")]);
                Ask::Chat(Box::new(ask.extra("job", json!(self.job))))
            }
            large => Ask::Whole(json!({"job": self.job, "large": large < 32})),
        };
        Some(Call { model: self.dice.roll(models as u64) as usize, ask })
    }

    /// Counts the call, and says how long to rest.
    fn done(&mut self, tally: &Tally, outcome: Result<(u64, Meta), Error>) -> Duration {
        tally.count(self.job, outcome);
        tally.since[self.number].store(0, Ordering::Relaxed);
        Duration::from_millis(self.dice.roll(2) * self.dice.roll(150))
    }
}

fn told(answer: &Value) -> u64 {
    answer["job"].as_u64().unwrap_or(u64::MAX)
}

fn said(text: &str) -> u64 {
    text.strip_prefix("job ").and_then(|job| job.parse().ok()).unwrap_or(u64::MAX)
}

/// Calls through the async clients until told to stop.
pub(crate) async fn nonblocking(
    models: Vec<baseten::Model>,
    tally: Arc<Tally>,
    mut caller: Caller,
) {
    while let Some(Call { model, ask }) = caller.next(&tally, models.len()) {
        let model = &models[model];
        let outcome = match ask {
            Ask::Whole(input) => model.predict(&input).await.map(|a| (told(&a.value), a.meta)),
            Ask::Chat(request) => {
                async {
                    let mut stream = model.openai()?.chat_stream(&request).await?;
                    while stream.chunk().await?.is_some() {}
                    Ok((said(&stream.partial().text()), stream.meta().clone()))
                }
                .await
            }
        };
        tokio::time::sleep(caller.done(&tally, outcome)).await;
    }
}

/// The same through the blocking ones.
pub(crate) fn blocking(models: &[baseten_blocking::Model], tally: &Tally, mut caller: Caller) {
    while let Some(Call { model, ask }) = caller.next(tally, models.len()) {
        let model = &models[model];
        let outcome = match ask {
            Ask::Whole(input) => model.predict(&input).map(|a| (told(&a.value), a.meta)),
            Ask::Chat(request) => (|| {
                let mut stream = model.openai()?.chat_stream(&request)?;
                while stream.chunk()?.is_some() {}
                Ok((said(&stream.partial().text()), stream.meta().clone()))
            })(),
        };
        std::thread::sleep(caller.done(tally, outcome));
    }
}
