//! One thing that is asked of a peer: what is expected, and what was found.
//!
//! What was found is put into words and compared with the words expected, so that a line of the
//! report shows both. Every case has an edge and a client of its own and starts from nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use baseten::{CallOptions, Error, Response, Timeouts};

use super::edge::Edge;
use super::facade::{Facade, Wait};

/// A ceiling for what should take milliseconds, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// One row of a table of cases.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many requests the server gets.
    pub(crate) requests: usize,
    pub(crate) expect: &'static str,
    pub(crate) run: fn(&Facade, &Edge) -> Result<Found, Error>,
}

/// What was found.
pub(crate) struct Found {
    words: String,
    /// What of the time matters, where it is not the whole.
    took: Option<Duration>,
}

impl Case {
    /// Runs it against a server. Returns the line of the report, and whether all was as expected.
    pub(crate) fn run(&self, wait: Wait, server: SocketAddr) -> (String, bool) {
        let start = Instant::now();
        let found = self.found(wait, server);
        let took = found.took.unwrap_or_else(|| start.elapsed());
        let expect = format!("{}; requests: {}", self.expect, self.requests);
        let passed = found.words == expect;
        let (verdict, ending) = match passed {
            true => ("ok    ", format!("{expect} ({} ms)", took.as_millis())),
            false => ("FAILED", format!("expected {expect}; found {}", found.words)),
        };
        (format!("{verdict} {:<8} {}: {ending}", wait.name(), self.name), passed)
    }

    fn found(&self, wait: Wait, server: SocketAddr) -> Found {
        let edge = match Edge::start(server) {
            Ok(edge) => edge,
            Err(error) => return format!("no edge: {error}").into(),
        };
        let facade = Facade::new(wait, &edge.base_url());
        let found = facade.and_then(|facade| (self.run)(&facade.options(patient()), &edge));
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
