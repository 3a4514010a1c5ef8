//! The core of the Baseten client stack: URLs, auth, errors, retry rules and SSE framing, as values
//! and pure functions.
//!
//! It opens no socket, reads no clock and no environment, starts no thread, and knows no async: time,
//! randomness and bytes are arguments. Bring your own HTTP client, write a proxy or a test double, or
//! take the crates that stand on this one: `baseten` and `baseten-blocking`.
//!
//! The way of a call: [`Target`] + [`Operation`] + [`Hosts`] → [`Endpoint`]; with a [`Credential`] →
//! [`Template`]; with a body → [`Request`]; a [`Call`] says when to send it and what came of it.

mod access;
mod api_error;
mod async_request;
mod budget;
mod call;
mod cancel;
mod chain_error;
mod credential;
mod delivery;
mod endpoint;
mod environment;
mod error;
mod failure;
mod grpc;
pub mod header;
mod hosts;
mod id;
mod job;
mod job_error;
mod lenient;
mod multipart;
mod options;
mod pace;
mod pacer;
mod pressure;
mod profile;
mod rate_limit;
mod ready;
mod redact;
mod request;
mod request_builder;
mod response;
mod route;
pub mod sse;
mod target;
mod time;
#[cfg(feature = "tracing")]
mod trace;
#[cfg(not(feature = "tracing"))]
#[path = "no_trace.rs"]
mod trace;
mod waiting;
mod watch;

pub use access::Access;
pub use api_error::ApiError;
pub use async_request::{AsyncRequest, InferenceRetry, InvalidAsyncRequest};
pub use budget::Budget;
pub use call::{Accepted, Attempt, Call, Deadline, Outcome, Start, Step, Tried};
pub use cancel::{CancelToken, Canceled};
pub use chain_error::StackFrame;
pub use credential::{Credential, InvalidCredential, Scheme};
pub use delivery::Delivery;
pub use endpoint::{Endpoint, InvalidOperation, Operation};
pub use environment::Environment;
pub use error::{Error, ErrorKind, Stop};
pub use failure::{Cause, Clock, Failure, Source};
pub use grpc::Grpc;
pub use hosts::{Hosts, InvalidUrl, Origin};
pub use id::{AsyncRequestId, ChainId, DeploymentId, EnvironmentName, InvalidId, ModelId};
pub use job::{Cancellation, JobStatus, QueueStatus, RunStatus, Submitted, WebhookStatus};
pub use job_error::{JobError, JobErrorCode};
pub use multipart::{Encoded, Multipart, Piece};
pub use options::{CallOptions, Clocks, Limits, RetryPolicy, Timeouts};
pub use pacer::{Pacer, Turn};
pub use pressure::Pressure;
pub use rate_limit::{RateLimit, RateLimits};
pub use ready::{READINESS, StartStep, StartWait, Starts};
pub use request::{Answer, Request, Template};
pub use request_builder::RequestBuilder;
pub use response::{Framing, Meta, Response, Timings};
pub use route::{InvalidRoute, Route};
pub use target::{Stage, Subject, Target};
pub use trace::CallSpan;
pub use waiting::{OnWaiting, Waiting};
pub use watch::{JobOutcome, Watch, WatchStep};
