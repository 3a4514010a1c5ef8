//! An in-process stand-in for Baseten's inference API, with faults on purpose.
//!
//! Real sockets on loopback, a thread of its own, any number of them in one process. It shares no
//! code with the clients it tests: routes, error texts and headers are its own literals, taken
//! from Baseten's documentation and from recordings of its open-source server.
//!
//! - [`Emulator`] starts, stops, and says where it listens.
//! - [`Route`] installs [`Answer`]s: whole, streamed, raw; standing, queued, or by closure.
//! - [`Fault`] lets something go wrong at a byte of an answer, an upload or a connection.
//! - [`Emulator::development_sleeps`] lets a development deployment scale to zero, until it is woken.
//! - The Model APIs list one model, which says back what it was told, whole or streamed.
//! - [`Frame`]s are what a WebSocket begins with; then the model echoes.
//! - [`Jobs`] are the async requests, which move on each time they are asked for; webhooks to this machine
//!   are posted and signed.
//! - [`Seen`] tells which requests arrived, what was sent, and when a peer left.
//!
//! Pipelined requests are answered, but positions of faults are not exact for them.

mod allowance;
mod answer;
mod body;
mod builder;
mod delivery;
mod desk;
mod door;
mod emulator;
mod fault;
mod frame;
mod job;
mod jobs;
mod link;
mod model_apis;
mod names;
mod platform;
mod route;
mod script;
mod seen;
mod serial;
mod server;
mod service;
mod sleep;
mod socket;
mod submission;
mod tls;
mod truss;
mod utc;
mod valve;
mod websocket;
mod wire;

pub use answer::{Answer, Body, Chunk, Ending, Stream};
pub use builder::Builder;
pub use desk::Route;
pub use emulator::{DUMMY_KEY, Emulator};
pub use fault::{Action, At, Fault, Layer, Step, When};
pub use frame::Frame;
pub use job::{Job, JobError, JobStatus};
pub use jobs::Jobs;
pub use route::{Kind, Operation, Stage, Target};
pub use seen::{Arrival, Closer, Connection, Outcome, Seen, TimedOut};

/// The README's example runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
