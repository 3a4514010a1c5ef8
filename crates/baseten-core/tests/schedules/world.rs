//! What there is to call, and what comes of an attempt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use baseten_core::{
    Access, Answer, AsyncRequestId, CallOptions, Cause, Clock, Credential, Failure, Hosts, ModelId,
    Operation, Request, Start, Target, Timeouts,
};
use http::header::{HeaderName, HeaderValue};
use http::response::Parts;

/// A kind of call: what is asked, and with which options.
pub(crate) struct Kind {
    pub(crate) request: Request,
    pub(crate) options: CallOptions,
}

/// Every kind that retries see differently.
pub(crate) fn kinds(options: &CallOptions) -> Vec<Kind> {
    let access = |key| Access::new(Hosts::baseten(), key);
    let template = |operation: &Operation, key| {
        let target = Target::model(ModelId::new("abc").unwrap());
        access(key).template(&target, operation, Answer::Json).unwrap()
    };
    let predict = template(&Operation::Predict, Credential::none());
    let status = Operation::AsyncStatus(AsyncRequestId::new("r1").unwrap());
    // Whoever is asked for the key does not always have one.
    let asked = AtomicU64::new(0);
    let rotating = Credential::rotating(move || match asked.fetch_add(1, Ordering::Relaxed) % 50 {
        0 => Err("no key now"),
        _ => Ok(Credential::none()),
    });
    let timeouts = Timeouts { total: Some(Duration::from_secs(2)), ..Timeouts::default() };
    let short = CallOptions { timeouts, ..options.clone() };
    [
        (predict.empty(), options),
        (predict.empty(), &short),
        (predict.streamed("audio/wav", Some(10)).unwrap(), options),
        (template(&Operation::Predict, rotating).empty(), options),
        (template(&status, Credential::none()).empty(), options),
        (template(&Operation::Wake, Credential::none()).empty(), &short),
    ]
    .map(|(request, options)| Kind { request, options: options.clone() })
    .into()
}

/// A small random source (xorshift), so that a seed replays a run.
pub(crate) struct Dice {
    state: u64,
    /// How many of a hundred attempts succeed.
    pub(crate) health: u64,
}

/// What happened to an attempt, whether the job ran, and what the client got to know.
pub(crate) enum Event {
    Accepted {
        breaks: bool,
    },
    Failed {
        ran: bool,
        failure: Failure,
    },
    Rejected {
        ran: bool,
        head: Parts,
        body: &'static str,
    },
    /// The caller dropped it.
    Dropped {
        ran: bool,
    },
    /// The driver did, and goes on.
    Forgotten {
        ran: bool,
    },
}

/// What becomes of a pause.
pub(crate) enum Pause {
    Over,
    Canceled,
    Dropped,
}

pub(crate) fn start(dice: &mut Dice) -> Start {
    Start { wall: SystemTime::UNIX_EPOCH, seed: dice.roll(u64::MAX) }
}

pub(crate) fn canceled() -> Failure {
    Failure::before_sending(Cause::Canceled, None)
}

pub(crate) fn truncated() -> Failure {
    Failure { sent: 100, received: 100, ..Failure::before_sending(Cause::Truncated, None) }
}

impl Event {
    pub(crate) fn ran(&self) -> bool {
        match *self {
            Self::Accepted { .. } => true,
            Self::Failed { ran, .. }
            | Self::Rejected { ran, .. }
            | Self::Dropped { ran }
            | Self::Forgotten { ran } => ran,
        }
    }

    /// Whether a byte of the request did.
    pub(crate) fn left(&self) -> bool {
        !matches!(self, Self::Failed { failure, .. } if failure.sent == 0)
    }
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, health: 100 }
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % sides
    }

    fn chance(&mut self) -> bool {
        self.roll(2) == 0
    }

    pub(crate) fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.roll(below))
    }

    pub(crate) fn pause(&mut self) -> Pause {
        match self.roll(30) {
            0 => Pause::Canceled,
            1 => Pause::Dropped,
            _ => Pause::Over,
        }
    }

    pub(crate) fn happens(&mut self, kind: &Kind) -> Event {
        if self.roll(100) < self.health {
            return Event::Accepted { breaks: self.roll(20) == 0 };
        }
        match self.roll(40) {
            0 => Event::Dropped { ran: self.chance() },
            1 => Event::Forgotten { ran: self.chance() },
            2..16 => self.fails(kind),
            _ => self.rejects(),
        }
    }

    fn fails(&mut self, kind: &Kind) -> Event {
        let limit = Duration::from_secs(1);
        let cause = match self.roll(14) {
            0 => Cause::Connect,
            1 => Cause::Resolve,
            2 => Cause::Tls,
            3 => Cause::ProxyLogin,
            4 => Cause::Timeout { clock: Clock::Queue, limit },
            5 => Cause::Timeout { clock: Clock::Connect, limit },
            6 => Cause::Timeout { clock: Clock::FirstByte, limit },
            7 => Cause::Timeout { clock: Clock::Total, limit },
            8 => Cause::Canceled,
            9 => Cause::Malformed,
            10 => Cause::TooManyHeaders { limit: 100 },
            11 if kind.request.is_streamed() => Cause::Reader { taken: 7 },
            _ => Cause::Disconnected,
        };
        // Where the bytes stood.
        let sent = match cause {
            Cause::Connect | Cause::Resolve | Cause::Tls | Cause::ProxyLogin => 0,
            Cause::Timeout { clock: Clock::Queue | Clock::Connect, .. } => 0,
            Cause::Timeout { clock: Clock::FirstByte, .. }
            | Cause::Malformed
            | Cause::TooManyHeaders { .. } => 200,
            // Nothing, as of a pooled connection that was dead, or some.
            _ => self.roll(2) * (1 + self.roll(1000)),
        };
        let failure = Failure { sent, ..Failure::before_sending(cause, None) };
        let failure = Failure { reused: self.chance(), ..failure };
        Event::Failed { ran: sent > 0 && self.chance(), failure }
    }

    fn rejects(&mut self) -> Event {
        const LOADING: &str = r#"{"error":"Model with name m is not ready."}"#;
        const OWN: &str = r#"{"error":"vector index is not ready"}"#;
        const QUOTA: &str = r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#;
        const DAILY: &str = r#"{"error":"daily limit reached"}"#;
        let gateway = [502, 500, 504, 408, 425][self.roll(5) as usize];
        let limit = [429, 503, 529][self.roll(3) as usize];
        //  status, who says so and by which code, what is said, whether it ran
        let (status, marks, body, ran): (u16, _, _, _) = match self.roll(12) {
            0..4 => (limit, None, "", false),
            4 => (429, None, DAILY, false),
            5 => (429, None, QUOTA, false),
            6 => (503, Some("600"), LOADING, false),
            // The model's own code answers: it ran.
            7 => (503, Some("600"), OWN, true),
            8 => (503, Some("700"), LOADING, true),
            9 => (429, Some("700"), "", true),
            10 => ([400, 401, 404, 307][self.roll(4) as usize], None, "", false),
            // Nobody can tell.
            _ => (gateway, None, "", self.chance()),
        };
        let mut head = http::Response::new(()).into_parts().0;
        head.status = status.try_into().unwrap();
        let mut says = |name, value| head.headers.insert(HeaderName::from_static(name), value);
        let word = HeaderValue::from_static;
        if let Some(code) = marks {
            says("x-baseten-error-source", word("04"));
            says("x-baseten-error-code", word(code));
        }
        match self.roll(8) {
            0 => says("retry-after", self.roll(5).into()),
            1 => says("retry-after-ms", word("1")),
            2 if self.chance() => says("retry-after", word("61")),
            _ => None,
        };
        Event::Rejected { ran, head, body }
    }
}
