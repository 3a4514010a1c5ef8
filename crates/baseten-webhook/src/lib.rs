//! Baseten's webhooks: parsed, verified and signed.
//!
//! An asynchronous request ends with one POST to the webhook endpoint it was submitted with: that
//! POST is the only place where its output ever appears. This crate takes the POST's raw body and its
//! signature header and says whether to believe them. It has no I/O, no clock and no async: bytes and
//! the time are arguments, so it fits under any HTTP server.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use baseten_webhook::{Delivery, ReplayCache, Secret, Verifier, sign};
//!
//! // Once, when the receiver starts.
//! let secret = Secret::new("whsec_0123456789abcdef")?;
//! let verifier = Verifier::new(secret.clone());
//! let mut seen = ReplayCache::new(&verifier);
//!
//! // For each POST: the raw body as it came, the `X-BASETEN-SIGNATURE` header if there is one, and
//! // the time. (A receiver takes `SystemTime::now()`; here Baseten's part is played, too.)
//! let body = br#"{"request_id": "35f4", "type": "async_request_completed",
//!     "time": "2025-06-01T12:00:00.000000Z", "data": [0.5, 0.25], "errors": []}"#;
//! let header = Some(sign([&secret], body));
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_748_779_202);
//!
//! let webhook = verifier.verify(header, body, now)?;
//! if seen.check(&webhook, now) == Delivery::New {
//!     let output: Vec<f32> = webhook.output()?;
//!     assert_eq!(output, [0.5, 0.25]);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to answer
//! Baseten waits 10 s for a 2xx. After 500, 502, 503 or 504 it tries once or twice more, seconds apart
//! (its documentation pages disagree); after anything else, or the last attempt, the output is lost.
//! So: 401 to an [`Error`] about the signature, 400 to any other, 200 to a duplicate, and 503 only if
//! you could not store what you verified. A 400 is the last word: for [`Error::NotAWebhook`] and
//! [`Error::InvalidTime`] the body is signed, and nobody will send it again, so keep it for a person to
//! look at.

mod error;
mod lenient;
mod replay;
mod secret;
mod signature;
mod time;
mod verifier;
mod webhook;

pub use error::{Error, MalformedSignature, NotAWebhook};
pub use replay::{Delivery, ReplayCache};
pub use secret::{InvalidSecret, Secret};
pub use signature::sign;
pub use time::InvalidTime;
pub use verifier::Verifier;
pub use webhook::{Event, OutputError, Webhook};

pub use baseten_core::{JobError, JobErrorCode};

/// The header with the signatures; there only if the workspace has a webhook secret.
pub const SIGNATURE_HEADER: &str = "x-baseten-signature";

/// The header with the request's id. It is not signed: trust the body's [`Webhook::request_id`].
pub const REQUEST_ID_HEADER: &str = "x-baseten-request-id";

/// The code in the README, as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
