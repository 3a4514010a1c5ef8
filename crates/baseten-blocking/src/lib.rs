//! Blocking client for models deployed on [Baseten](https://www.baseten.co).
//!
//! ```no_run
//! # fn main() -> Result<(), baseten_blocking::Error> {
//! let client = baseten_blocking::Client::from_env()?; // BASETEN_API_KEY
//! let model = client.model("abcd1234")?;
//! let answer = model.predict::<_, String>("What is a transport?")?;
//! println!("{} ({:?})", answer.value, answer.meta.request_id());
//! # Ok(()) }
//! ```
//!
//! It runs on the caller's thread: no runtime, no helper thread. So it works in `main`, inside an
//! async task (which it blocks), in `spawn_blocking` and in `Drop`. Errors say what the server may
//! have done; what may have run is not sent twice unless you allow it
//! ([`RetryPolicy::may_run_twice`]). The same names, as `async fn`, are in the crate `baseten`.
//!
//! Types of requests and errors come from [`baseten_core`], which has no I/O; bytes move in
//! `baseten-transport`. This crate only gives them names.

mod builder;
mod chain;
mod client;
mod deployment;
mod engine;
mod event_stream;
mod job;
mod model;
mod openai_client;
mod request;
mod submissions;

pub use builder::ClientBuilder;
pub use chain::Chain;
pub use client::Client;
pub use event_stream::{ChatStream, CompletionStream, EventStream};
pub use job::Job;
pub use model::Model;
pub use openai_client::OpenAi;
pub use request::{Multipart, RequestBuilder};
pub use submissions::Submissions;

pub use baseten_core::header;
pub use baseten_core::{
    ApiError, AsyncRequest, CallOptions, CancelToken, Cancellation, Cause, Clock, Credential,
    Delivery, Error, ErrorKind, Framing, Grpc, Hosts, InferenceRetry, JobError, JobErrorCode,
    JobOutcome, JobStatus, Limits, Meta, OnWaiting, Outcome, QueueStatus, READINESS, RateLimit,
    RateLimits, Response, RetryPolicy, RunStatus, Scheme, StackFrame, Stop, Timeouts, Timings,
    Tried, Waiting, WebhookStatus,
};
/// Requests and answers of OpenAI's protocol.
pub use baseten_openai as openai;
pub use baseten_transport::Pool;
#[cfg(feature = "proxy")]
pub use baseten_transport::Proxies;
#[cfg(feature = "tls")]
pub use baseten_transport::Tls;
pub use baseten_transport::blocking::Body as ByteStream;
pub use baseten_transport::blocking::Upload;
pub use bytes::Bytes;
pub use http::Method;
