//! A run that is queued: what may be asked for, checked before anything is sent.
//!
//! Ranges and defaults are those of Baseten's description of asynchronous inference. What became of a
//! queued run is in [`crate::JobStatus`].

use std::fmt;
use std::time::Duration;

use http::Uri;
use serde::Serialize;

use crate::access::Access;
use crate::endpoint::Operation;
use crate::error::Error;
use crate::hosts;
use crate::request::{Answer, Request};
use crate::target::{Subject, Target};

/// A run to be queued. What is not set is the platform's default.
///
/// ```
/// use std::time::Duration;
/// use baseten_core::{Access, AsyncRequest, Credential, Hosts, ModelId, Target};
/// let job = AsyncRequest::new(serde_json::json!({"prompt": "hi"}))
///     .webhook("https://example.com/done")
///     .priority(2)
///     .max_time_in_queue(Duration::from_secs(3600));
/// let access = Access::new(Hosts::baseten(), Credential::api_key("k.s3cret")?);
/// let request = job.to_request(&access, &Target::model(ModelId::new("abcd1234")?))?;
/// assert!(request.endpoint().path().ends_with("/async_predict"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is queued until it is submitted"]
pub struct AsyncRequest<I> {
    input: I,
    bare: bool,
    webhook: Option<String>,
    priority: Option<u8>,
    max_time_in_queue: Option<Duration>,
    retry: Option<InferenceRetry>,
    max_body: usize,
}

/// How often the platform runs a request whose model fails with 500, 502, 503 or 504. `None` keeps the
/// platform's default. The delay doubles from one attempt to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InferenceRetry {
    /// Runs in total, the first included: 1 to 10, default 3.
    pub max_attempts: Option<u32>,
    /// Before the second run: whole milliseconds up to 10 s, default 1 s.
    pub initial_delay: Option<Duration>,
    /// The longest delay: whole milliseconds up to 60 s, default 5 s.
    pub max_delay: Option<Duration>,
}

/// What the platform takes by default; an organisation's own limit may be higher.
const MAX_BODY: usize = 256 << 10;

impl<I: Serialize> AsyncRequest<I> {
    /// Queues a run on any JSON input. It goes as `model_input`, beside the options; the platform's
    /// pages give this form for chains, too.
    pub fn new(input: I) -> Self {
        Self {
            input,
            bare: false,
            webhook: None,
            priority: None,
            max_time_in_queue: None,
            retry: None,
            max_body: MAX_BODY,
        }
    }

    /// The input as the whole body, without options: the form that the API description gives for
    /// chains (`async_run_remote`). Models do not take it.
    pub fn bare(input: I) -> Self {
        Self { bare: true, ..Self::new(input) }
    }

    /// Where the output is delivered: an `https` URL, or `http` to this machine. Without one the model
    /// has to store its output itself: the platform keeps none.
    pub fn webhook(self, url: impl Into<String>) -> Self {
        Self { webhook: Some(url.into()), ..self }
    }

    /// 0, 1 or 2: lower ones first. Default 0, according to the newer of two pages that disagree.
    pub fn priority(self, priority: u8) -> Self {
        Self { priority: Some(priority), ..self }
    }

    /// How long it may wait for a replica before it expires: whole seconds from 10 s to 72 h, default
    /// 10 minutes.
    pub fn max_time_in_queue(self, limit: Duration) -> Self {
        Self { max_time_in_queue: Some(limit), ..self }
    }

    /// How often a failing run is repeated by the platform.
    pub fn retry(self, retry: InferenceRetry) -> Self {
        Self { retry: Some(retry), ..self }
    }

    /// The largest body that is sent, in bytes. Default 262,144 (256 KiB), which is the platform's own
    /// limit unless it was raised for your organisation.
    pub fn max_body(self, bytes: usize) -> Self {
        Self { max_body: bytes, ..self }
    }

    /// The request that queues it: `async_predict` of a model, `async_run_remote` of a chain.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] naming the first field that is out of its range, an input that
    /// does not serialize, or a body that is too large. Nothing was sent.
    pub fn to_request(&self, access: &Access, target: &Target) -> Result<Request, Error> {
        let operation = match target.subject() {
            Subject::Model(_) if self.bare => {
                let why = "is bare, which only a chain takes; use AsyncRequest::new for a model";
                return Err(invalid("the body", why).into());
            }
            Subject::Model(_) => Operation::AsyncPredict,
            Subject::Chain(_) => Operation::AsyncRunRemote,
        };
        let options = self.options()?;
        let template = access.template(target, &operation, Answer::Json)?;
        let request = if self.bare {
            template.json(&self.input)?
        } else {
            template.json(&Envelope { model_input: &self.input, options })?
        };
        let (length, most) = (request.body().len(), self.max_body);
        if length > most {
            let why = format!(
                "is {length} bytes long, at most {most} are allowed; send a URL of the data, or raise \
                 AsyncRequest::max_body if the limit was raised for you"
            );
            return Err(invalid("the body", why).into());
        }
        Ok(request)
    }

    fn options(&self) -> Result<Options<'_>, InvalidAsyncRequest> {
        let options = Options {
            webhook_endpoint: self.webhook.as_deref(),
            priority: self.priority,
            max_time_in_queue_seconds: whole(QUEUE, self.max_time_in_queue)?,
            inference_retry_config: self.retry.map(RetryConfig::new).transpose()?,
        };
        if let Some(set) = options.first_set().filter(|_| self.bare) {
            let why = "is set, but a bare body has no place for it; use AsyncRequest::new";
            return Err(invalid(set, why));
        }
        if let Some(why) = options.webhook_endpoint.and_then(refuse_webhook) {
            return Err(invalid("webhook_endpoint", why));
        }
        match options.priority {
            Some(other @ 3..) => {
                Err(invalid("priority", format!("is {other}, allowed are 0, 1 and 2")))
            }
            _ => Ok(options),
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a, I> {
    model_input: &'a I,
    #[serde(flatten)]
    options: Options<'a>,
}

#[derive(Serialize)]
struct Options<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_time_in_queue_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_retry_config: Option<RetryConfig>,
}

impl Options<'_> {
    fn first_set(&self) -> Option<&'static str> {
        [
            ("webhook_endpoint", self.webhook_endpoint.is_some()),
            ("priority", self.priority.is_some()),
            ("max_time_in_queue_seconds", self.max_time_in_queue_seconds.is_some()),
            ("inference_retry_config", self.inference_retry_config.is_some()),
        ]
        .into_iter()
        .find_map(|(name, set)| set.then_some(name))
    }
}

#[derive(Serialize)]
struct RetryConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_delay_ms: Option<u64>,
}

impl RetryConfig {
    fn new(retry: InferenceRetry) -> Result<Self, InvalidAsyncRequest> {
        if let Some(other) = retry.max_attempts.filter(|count| !(1..=10).contains(count)) {
            let why = format!("is {other}, allowed are 1 to 10");
            return Err(invalid("inference_retry_config.max_attempts", why));
        }
        Ok(Self {
            max_attempts: retry.max_attempts,
            initial_delay_ms: whole(INITIAL_DELAY, retry.initial_delay)?,
            max_delay_ms: whole(MAX_DELAY, retry.max_delay)?,
        })
    }
}

/// A length of time as the API writes it: a whole number of units within a range.
#[derive(Clone, Copy)]
struct Span {
    field: &'static str,
    unit: Duration,
    units: &'static str,
    least: u64,
    most: u64,
}

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const QUEUE: Span = Span {
    field: "max_time_in_queue_seconds",
    unit: SECOND,
    units: "whole seconds",
    least: 10,
    most: 259_200,
};
const INITIAL_DELAY: Span = Span {
    field: "inference_retry_config.initial_delay_ms",
    unit: MILLISECOND,
    units: "whole milliseconds",
    least: 0,
    most: 10_000,
};
const MAX_DELAY: Span =
    Span { field: "inference_retry_config.max_delay_ms", most: 60_000, ..INITIAL_DELAY };

fn whole(span: Span, chosen: Option<Duration>) -> Result<Option<u64>, InvalidAsyncRequest> {
    let Some(chosen) = chosen else { return Ok(None) };
    let Span { field, unit, units, least, most } = span;
    let (count, rest) = (chosen.as_nanos() / unit.as_nanos(), chosen.as_nanos() % unit.as_nanos());
    match u64::try_from(count) {
        Ok(count) if rest == 0 && (least..=most).contains(&count) => Ok(Some(count)),
        _ => {
            let given = decimal(count, rest, unit.as_nanos());
            let why = format!("is {given}, allowed are {units} from {least} to {most}");
            Err(invalid(field, why))
        }
    }
}

/// A number of units to the last digit, with a fraction only if there is one. A unit is a power of ten.
fn decimal(count: u128, rest: u128, unit: u128) -> String {
    let digits = unit.ilog10() as usize;
    let number = format!("{count}.{rest:0digits$}");
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Why a URL cannot be a webhook. No more than its host is shown: a webhook's path and query may be
/// its secret.
fn refuse_webhook(url: &str) -> Option<String> {
    const ALLOWED: &str = "allowed are https URLs, and http ones to this machine";
    let parsed = url.parse::<Uri>().ok();
    let parts = parsed.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?)));
    match parts {
        Some(("https", _)) => None,
        Some(("http", host)) if hosts::is_loopback(host.trim_matches(['[', ']'])) => None,
        Some((scheme, host)) => Some(format!("is {scheme}://{}…, {ALLOWED}", host.escape_debug())),
        None => Some(format!("is no absolute URL, {ALLOWED}")),
    }
}

/// A field of an [`AsyncRequest`] that the platform would not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAsyncRequest {
    field: &'static str,
    why: Box<str>,
}

fn invalid(field: &'static str, why: impl Into<Box<str>>) -> InvalidAsyncRequest {
    InvalidAsyncRequest { field, why: why.into() }
}

impl fmt::Display for InvalidAsyncRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.why)
    }
}

impl std::error::Error for InvalidAsyncRequest {}

impl From<InvalidAsyncRequest> for Error {
    fn from(error: InvalidAsyncRequest) -> Self {
        Self::request(error.to_string())
    }
}
