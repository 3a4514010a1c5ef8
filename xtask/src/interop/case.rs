//! One thing that is asked of a peer: what is expected, and what was found.
//!
//! What was found is put into words and compared with the words expected, so that a line of the
//! report shows both. Every case has an edge and a client of its own and starts from nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use baseten::{CallOptions, Error, Response, Timeouts};

use super::edge::Edge;
use super::facade::Wait;

/// A ceiling for what should take milliseconds, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// One row of a table of cases, asked by a client `C`.
pub(crate) struct Case<C> {
    pub(crate) name: &'static str,
    /// How many requests the server gets.
    pub(crate) requests: usize,
    pub(crate) expect: &'static str,
    pub(crate) run: fn(&C, &Edge) -> Result<Found, Error>,
}

/// What was found.
pub(crate) struct Found {
    words: String,
    /// What of the time matters, where it is not the whole.
    took: Option<Duration>,
}

impl<C> Case<C> {
    /// Runs it against a server. Returns the line of the report, and whether all was as expected.
    pub(crate) fn run(
        &self,
        way: &str,
        wait: Wait,
        server: SocketAddr,
        client: impl Fn(Wait, &Edge) -> Result<C, Error>,
    ) -> (String, bool) {
        let start = Instant::now();
        let found = match Edge::start(server) {
            Ok(edge) => self.found(&edge, client(wait, &edge)),
            Err(error) => format!("no edge: {error}").into(),
        };
        let took = found.took.unwrap_or_else(|| start.elapsed());
        let expect = format!("{}; requests: {}", self.expect, self.requests);
        let passed = found.words == expect;
        let (verdict, ending) = match passed {
            true => ("ok    ", format!("{expect} ({} ms)", took.as_millis())),
            false => ("FAILED", format!("expected {expect}; found {}", found.words)),
        };
        (format!("{verdict} {:<8} {way}{}: {ending}", wait.name(), self.name), passed)
    }

    fn found(&self, edge: &Edge, client: Result<C, Error>) -> Found {
        let found = client.and_then(|client| (self.run)(&client, edge));
        let found = found.unwrap_or_else(|error| told(&error).into());
        let requests = edge.seen().requests;
        Found { words: format!("{}; requests: {requests}", found.words), ..found }
    }
}

impl Found {
    pub(crate) fn after(self, took: Duration) -> Self {
        Self { took: Some(took), ..self }
    }
}

impl From<String> for Found {
    fn from(words: String) -> Self {
        Self { words, took: None }
    }
}

impl From<&str> for Found {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

/// The default options, except that nothing is waited for much longer than it can take.
pub(crate) fn patient() -> CallOptions {
    let timeouts = Timeouts { first_byte: Some(SOON), idle: Some(SOON), ..Timeouts::default() };
    CallOptions { timeouts, ..CallOptions::default() }
}

/// What an error says, for a program.
pub(crate) fn told(error: &Error) -> String {
    let status = error.status().map_or_else(|| "no status".to_owned(), |s| s.as_u16().to_string());
    let said = error.api().map_or_else(|| error.to_string(), |api| api.message().to_owned());
    format!("{:?}, {status}, {:?}: {said}", error.kind(), error.delivery())
}

/// What an error says of a call that should have failed.
pub(crate) fn refused<T>(result: Result<Response<T>, Error>) -> Found {
    match result {
        Ok(answer) => format!("answered with {}", answer.meta.status()).into(),
        Err(error) => told(&error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_or_another_count_of_requests_is_a_failure() {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let run = |expect, requests| {
            let case = Case { name: "a case", requests, expect, run: |(), _| Ok("well".into()) };
            case.run("by day: ", Wait::Async, nobody, |_, _| Ok(()))
        };
        let (line, passed) = run("well", 0);
        assert!(passed && line.starts_with("ok     async    by day: a case: well; requests: 0 ("));
        for (line, passed) in [run("ill", 0), run("well", 1)] {
            assert!(!passed && line.starts_with("FAILED async    by day: a case: expected "));
        }
    }
}
