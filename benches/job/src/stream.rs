//! The job of every client that reads a stream: one chat, answered in so many events.

use std::{env, fs};

use serde::{Deserialize, Serialize};

use crate::Error;

/// `BASE_URL EVENTS MODEL [STREAMS]`, as `cargo xtask bench` calls a client.
#[derive(Debug)]
pub struct StreamJob {
    /// Scheme, host and port of the server.
    pub base_url: String,
    /// How many events with text the server is asked for: it takes this from `max_tokens`.
    pub events: u32,
    /// How they come, which the server takes from `model`: `paced`, `slow` or `coalesced`.
    pub model: String,
    /// How many streams to have open at once. Only hyper and our own can.
    pub streams: usize,
}

/// Where a deployment has its chat, below the base URL.
pub const CHAT_PATH: &str = "/environments/production/sync/v1/chat/completions";

/// What is asked, in a chat with one message.
pub const QUESTION: &str = "Say in one sentence what a transport is.";

impl StreamJob {
    /// The job that the command line describes.
    ///
    /// # Errors
    /// A missing or unreadable argument.
    pub fn from_args() -> Result<Self, Error> {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let (base_url, events, model, streams) = match &arguments[..] {
            [base_url, events, model] => (base_url, events, model, 1),
            [base_url, events, model, streams] => (base_url, events, model, streams.parse()?),
            _ => return Err("usage: CLIENT BASE_URL EVENTS MODEL [STREAMS]".into()),
        };
        let (base_url, model) = (base_url.clone(), model.clone());
        Ok(Self { base_url, events: events.parse()?, model, streams })
    }

    /// The event at which those who read together wait for each other, so that all are open then. Paced
    /// ones are, without: each wait would heap up what comes meanwhile.
    #[must_use]
    pub fn halfway(&self) -> Option<u32> {
        (self.model == "coalesced").then_some(self.events / 2)
    }

    /// Says that all is done, and how much memory that took at its most: `resident 1234 kB`.
    ///
    /// # Errors
    /// A system that does not tell.
    #[expect(clippy::print_stdout, reason = "its caller reads it")]
    pub fn done(&self) -> Result<(), Error> {
        let status = fs::read_to_string("/proc/self/status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        println!("resident {}", line.ok_or("the system does not tell what is resident")?.trim());
        Ok(())
    }

    /// Fails unless the text is as long as the server's: a client that skips events must not win.
    ///
    /// # Errors
    /// Any other length.
    pub fn check(&self, text: usize) -> Result<(), Error> {
        let whole = text == 4 * self.events as usize;
        if whole { Ok(()) } else { Err(format!("{text} bytes of text").into()) }
    }

    /// The request, for clients that have no type for it.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        let messages = [Message { role: "user", content: QUESTION }];
        let stream_options = StreamOptions { include_usage: true };
        let Self { model, events, .. } = self;
        Question { model, messages, max_tokens: *events, stream: true, stream_options }
    }
}

/// A request for a stream.
#[derive(Debug, Serialize)]
pub struct Question<'a> {
    model: &'a str,
    messages: [Message; 1],
    max_tokens: u32,
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    content: &'static str,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// An event as a service would declare it by hand: owned text, no unknown members.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "all is read, as a client would, and only the text used")]
pub struct Chunk {
    id: String,
    object: String,
    created: u64,
    model: String,
    system_fingerprint: Option<String>,
    choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "as above")]
struct Choice {
    index: u32,
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "as above")]
struct Delta {
    role: Option<String>,
    content: Option<String>,
}

impl Chunk {
    /// The bytes of text in it.
    #[must_use]
    pub fn text(&self) -> usize {
        let text = self.choices.first().and_then(|choice| choice.delta.content.as_deref());
        text.map_or(0, str::len)
    }
}
