//! What a call tells the program's `tracing` subscriber: a span for the call, an event for each attempt.
//!
//! Names are those of OpenTelemetry's conventions for HTTP clients. It installs nothing, and tells no
//! key, no query and no body.

use std::time::Duration;

use http::response::Parts;
use tracing::field::Empty;
use tracing::{Level, Span, event, span};

use crate::call::{Outcome, Tried};
use crate::delivery::Delivery;
use crate::error::Error;
use crate::request::Label;
use crate::response;

/// The span of a call. It ends when the call has failed or its answer has been read to the end or
/// dropped, whatever else still holds it.
#[derive(Clone, Debug, Default)]
pub struct CallSpan(Option<Span>);

impl CallSpan {
    /// A call is to be told in this span, which may have fields of its own. Filled in are those of
    /// `server.address`, `server.port`, `http.request.method`, `http.response.status_code`,
    /// `http.request.resend_count`, `error.type` and `otel.status_code` that it has.
    #[must_use]
    pub fn new(span: Span) -> Self {
        Self(Some(span))
    }

    /// The span, if there is one.
    #[must_use]
    pub fn span(&self) -> Option<&Span> {
        self.0.as_ref()
    }

    /// This span, or else one of its own, for a call that begins.
    pub(crate) fn begin(&self, label: &Label) -> Self {
        let endpoint = label.endpoint();
        let span = self.0.clone().unwrap_or_else(|| {
            let name = format_args!("{} {}", endpoint.method(), endpoint.path());
            span!(
                target: "baseten",
                Level::INFO,
                "call",
                "otel.name" = %name,
                "otel.kind" = "client",
                "otel.status_code" = Empty,
                "server.address" = Empty,
                "server.port" = Empty,
                "http.request.method" = Empty,
                "http.response.status_code" = Empty,
                "http.request.resend_count" = Empty,
                "error.type" = Empty,
            )
        });
        span.record("server.address", endpoint.origin().host());
        span.record("server.port", endpoint.origin().port());
        span.record("http.request.method", endpoint.method().as_str());
        Self(Some(span))
    }

    /// An attempt has failed.
    pub(crate) fn attempt(&self, tried: &Tried) {
        let status = match tried.outcome {
            Outcome::Status(status) => Some(status),
            Outcome::Failed(_) => None,
        };
        let cause = match tried.outcome {
            Outcome::Failed(cause) => Some(cause),
            Outcome::Status(_) => None,
        };
        let Some(span) = self.told() else { return };
        event!(
            target: "baseten",
            parent: span,
            Level::INFO,
            "http.request.resend_count" = tried.number - 1,
            "http.response.status_code" = status.map(|status| status.as_u16()),
            "error.type" = cause.map(tracing::field::debug),
            "baseten.request_id" = tried.request_id.as_deref(),
            "baseten.delivery" = ?tried.delivery,
            "baseten.waited" = tried.waited.as_secs_f64(),
            "baseten.duration" = (tried.ended - tried.began).as_secs_f64(),
            "attempt failed"
        );
        resent(span, tried.number);
    }

    /// The attempt of this number was answered with success, after this long.
    pub(crate) fn accepted(&self, number: u32, label: &Label, head: &Parts, took: Duration) {
        let Some(span) = self.told() else { return };
        let request_id = response::request_id(&head.headers).map(|id| label.hide(id));
        event!(
            target: "baseten",
            parent: span,
            Level::INFO,
            "http.request.resend_count" = number - 1,
            "http.response.status_code" = head.status.as_u16(),
            "baseten.request_id" = request_id.as_deref(),
            "baseten.delivery" = ?Delivery::Answered,
            "baseten.duration" = took.as_secs_f64(),
            "attempt answered"
        );
        span.record("http.response.status_code", head.status.as_u16());
        resent(span, number);
    }

    /// The call has failed.
    pub(crate) fn failed(&self, error: &Error) {
        let Some(span) = self.told() else { return };
        if let Some(status) = error.status() {
            span.record("http.response.status_code", status.as_u16());
        }
        span.record("error.type", error.error_type());
        span.record("otel.status_code", "ERROR");
    }

    fn told(&self) -> Option<&Span> {
        self.0.as_ref().filter(|span| !span.is_disabled())
    }
}

fn resent(span: &Span, number: u32) {
    if number > 1 {
        span.record("http.request.resend_count", number - 1);
    }
}
