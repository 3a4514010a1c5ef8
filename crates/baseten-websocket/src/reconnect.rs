//! When a connection that was lost is opened again, and the little that carries it out.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use baseten_core::Stop;
use baseten_transport::nonblocking::Upgrade;

use crate::close::CloseCode;
use crate::error::{Error, ErrorKind};
use crate::options::Options;
use crate::websocket::WebSocket;

/// When to open a connection again, as a value.
///
/// What is lost to the network or to the platform is worth another try: an end without a close, the idle
/// clock, and the codes 1001, 1012 (restart), 1013 (overloaded) and 1014 (bad gateway). What the model
/// or the protocol decided is not: 1011 where the model raised (but not where the server missed the answer
/// to its ping), and every other code. A connection is
/// bound to a replica, so a new one begins with nothing: what the model must know is sent again by
/// whoever knows it.
///
/// ```
/// use std::time::Duration;
/// use baseten_websocket::Reconnect;
/// let patient = Reconnect { max_attempts: 20, ..Reconnect::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// How often in a row it is tried. A connection that has lived for longer than `longest` begins the
    /// count anew. Default 5.
    pub max_attempts: u32,
    /// The shortest pause before a try. Default 250 ms.
    pub shortest: Duration,
    /// The longest pause before a try; a server that asks for a longer one ends it. Default 20 s.
    pub longest: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        let (shortest, longest) = (Duration::from_millis(250), Duration::from_secs(20));
        Self { max_attempts: 5, shortest, longest }
    }
}

impl Reconnect {
    /// Never.
    #[must_use]
    pub fn never() -> Self {
        Self { max_attempts: 0, ..Self::default() }
    }

    /// The pause before the next try, after `tried` of them in a row; `None` to give up with the error.
    /// Between the shortest pause and one three times as long for each try, wherever `seed` says: the
    /// many that lose a replica together do not come back together. A pure function.
    #[must_use]
    pub fn pause(&self, error: &Error, tried: u32, seed: u64) -> Option<Duration> {
        if tried >= self.max_attempts || !is_worth_it(error) {
            return None;
        }
        let most = self.shortest.saturating_mul(3u32.saturating_pow(tried.saturating_add(1)));
        let spread = most.min(self.longest).saturating_sub(self.shortest);
        let pause = self.shortest + spread.mul_f64(draw(seed, tried));
        let asked = error.call().and_then(baseten_core::Error::retry_after).unwrap_or_default();
        let pause = pause.max(asked);
        (pause <= self.longest.max(self.shortest)).then_some(pause)
    }
}

/// What the WebSocket server under a Truss server (0.18) says of a peer that answers no pings.
const UNANSWERED: &str = "keepalive ping timeout";

fn is_worth_it(error: &Error) -> bool {
    use CloseCode::{BadGateway, GoingAway, Restart, TryAgain};
    match error.kind() {
        ErrorKind::Disconnected | ErrorKind::Timeout => true,
        ErrorKind::Closed => error.close().is_some_and(|close| match close.code {
            GoingAway | Restart | TryAgain | BadGateway => true,
            // Not the model: no answer to a ping had come through.
            CloseCode::Internal => close.reason == UNANSWERED,
            _ => false,
        }),
        // What the call itself would have tried again, had its own policy let it.
        ErrorKind::Call => error.call().is_some_and(|call| {
            use Stop::{Attempts, Budget, Deadline, MayRunTwice};
            matches!(call.stop(), Attempts | Budget | Deadline | MayRunTwice)
        }),
        _ => false,
    }
}

/// A number from 0 up to 1 (splitmix64 over the seed and the try).
fn draw(seed: u64, tried: u32) -> f64 {
    let mut x = seed.wrapping_add((u64::from(tried) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Opens WebSockets to one place, one after the other.
///
/// It sends nothing by itself: what was lost, and what the next replica has to hear first, only its user
/// knows.
///
/// ```no_run
/// # async fn example(upgrade: baseten_transport::nonblocking::Upgrade) -> Result<(), baseten_websocket::Error> {
/// use baseten_websocket::{Connector, Reconnect};
///
/// let mut connector = Connector::new(upgrade, Reconnect::default());
/// let mut socket = connector.connect().await?;
/// loop {
///     match socket.receive().await {
///         Ok(Some(message)) => println!("{message:?}"),
///         Ok(None) => return Ok(()),
///         Err(error) => {
///             socket = connector.reconnect(error).await?;
///             socket.send_text("where we were").await?;
///         }
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Connector {
    upgrade: Upgrade,
    options: Options,
    policy: Reconnect,
    /// Tries in a row.
    tried: u32,
    opened: Option<Instant>,
    seed: u64,
}

impl Connector {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(upgrade: Upgrade, policy: Reconnect) -> Self {
        let (options, seed) = (Options::default(), RandomState::new().hash_one(0));
        Self { upgrade, options, policy, tried: 0, opened: None, seed }
    }

    /// Limits of all connections.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Opens a connection, with the retries of its call and no more.
    ///
    /// # Errors
    /// As [`WebSocket::connect`].
    pub async fn connect(&mut self) -> Result<WebSocket, Error> {
        let socket = WebSocket::connect_with(&self.upgrade, &self.options).await?;
        self.opened = Some(Instant::now());
        Ok(socket)
    }

    /// Opens another connection after `error`, after a pause and as often as the policy has it.
    ///
    /// # Errors
    /// The error that is not worth another try: the one given, or that of the last try.
    pub async fn reconnect(&mut self, error: Error) -> Result<WebSocket, Error> {
        if self.opened.take().is_some_and(|opened| opened.elapsed() > self.policy.longest) {
            self.tried = 0;
        }
        let mut error = error;
        while let Some(pause) = self.policy.pause(&error, self.tried, self.seed) {
            self.tried += 1;
            self.upgrade.transport.pause(pause, &self.upgrade.options).await?;
            match self.connect().await {
                Ok(socket) => return Ok(socket),
                Err(again) => error = again,
            }
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::Close;
    use crate::error::Session;

    fn session() -> Session {
        Session { path: "/websocket".into(), request_id: None, sent: 1, received: 1 }
    }

    fn closed(code: u16) -> Error {
        closed_for(code, "")
    }

    fn closed_for(code: u16, reason: &str) -> Error {
        let close = Close { code: code.into(), reason: reason.into() };
        Error::on(session(), ErrorKind::Closed, "closed with").with_close(close)
    }

    #[test]
    fn what_the_network_or_the_platform_lost_is_opened_again() {
        let lost = |kind| Error::on(session(), kind, "lost");
        for (error, again) in [
            (lost(ErrorKind::Disconnected), true),
            (lost(ErrorKind::Timeout), true),
            (lost(ErrorKind::TooLarge), false), // the same message would come again
            (lost(ErrorKind::Protocol), false),
            (lost(ErrorKind::Decode), false),
            (closed(1001), true),
            (closed(1002), false),
            (closed(1003), false), // there is no WebSocket method
            (closed(1008), false),
            (closed(1009), false),
            (closed(1011), false),
            (closed_for(1011, "Internal Server Error (in model/chainlet)."), false), // it raised
            (closed_for(1011, "keepalive ping timeout"), true), // we were not heard
            (closed(1012), true),                               // a replica restarts
            (closed(1013), true),
            (closed(1014), true),
            (closed(4000), false), // the application's own word
            (baseten_core::Error::request("bad id").into(), false),
        ] {
            let pause = Reconnect::default().pause(&error, 0, 7);
            assert_eq!(pause.is_some(), again, "{error}");
            assert_eq!(Reconnect::never().pause(&error, 0, 7), None);
        }
    }

    #[test]
    fn pauses_grow_within_bounds_and_end() {
        let policy = Reconnect::default();
        for seed in 0..1000 {
            for tried in 0..5 {
                let pause = policy.pause(&closed(1012), tried, seed).unwrap();
                let most = (policy.shortest * 3u32.pow(tried + 1)).min(policy.longest);
                assert!((policy.shortest..=most).contains(&pause), "{seed} {tried} {pause:?}");
            }
            assert_eq!(policy.pause(&closed(1012), 5, seed), None);
        }
        // Nor is any policy too long for it.
        let ever = Duration::MAX;
        for (shortest, longest) in [(ever, ever), (ever, policy.longest), (policy.shortest, ever)] {
            let policy = Reconnect { max_attempts: u32::MAX, shortest, longest };
            for (tried, seed) in [(0, 0), (60, 1), (u32::MAX - 1, u64::MAX)] {
                let pause = policy.pause(&closed(1012), tried, seed).unwrap();
                assert!(pause >= shortest && pause <= longest.max(shortest), "{tried} {pause:?}");
            }
        }
        let pauses = (0..100).map(|seed| policy.pause(&closed(1012), 4, seed));
        let different: std::collections::BTreeSet<_> = pauses.collect();
        assert!(different.len() > 90, "they do not come back together");
    }
}
