//! A call that was answered, until its body has ended.

use std::time::Duration;

use crate::delivery::Delivery;
use crate::error::{Error, Stop};
use crate::failure::Failure;
use crate::response::{Meta, Response};
use crate::trace::CallSpan;

/// An accepted answer whose body is still to be read.
#[derive(Debug)]
pub struct Accepted {
    pub(super) meta: Meta,
    pub(super) span: CallSpan,
}

impl Accepted {
    /// What is known so far.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The whole body is there.
    #[must_use]
    pub fn finish<T>(mut self, now: Duration, value: T) -> Response<T> {
        self.end(now);
        Response { value, meta: self.meta }
    }

    /// The body was compressed and has been decoded; `encoded` is how many bytes came.
    pub fn decoded(&mut self, encoded: u64) {
        self.meta.encoded = Some(encoded);
    }

    /// Nothing more is to come of a body that was handed out in pieces: it is over, or it broke. What
    /// tells of the call ends here, even if this is kept. The time that is said first counts.
    pub fn end(&mut self, now: Duration) {
        if self.meta.timings.total.is_zero() {
            self.meta.timings.total = now;
        }
        self.span = CallSpan::default();
    }

    /// The body broke. It is never asked for again: the request did run.
    #[must_use]
    pub fn fail(&self, now: Duration, failure: Failure) -> Error {
        let error = Error::failed(&self.meta.label, failure, Delivery::Answered)
            .answered(&self.meta)
            .stopped(Stop::Final, self.meta.failed.clone())
            .with_elapsed(now);
        self.span.failed(&error);
        error
    }
}
