//! What stands in for [`CallSpan`] in a build without `tracing`: nothing is told to anybody.

use std::time::Duration;

use http::response::Parts;

use crate::call::Tried;
use crate::error::Error;
use crate::request::Label;

/// No span: the feature `tracing` is off.
#[derive(Clone, Debug, Default)]
pub struct CallSpan(());

const _: () = assert!(size_of::<CallSpan>() == 0, "what is off costs no call a byte");

impl CallSpan {
    pub(crate) fn begin(&self, _: &Label) -> Self {
        Self(())
    }

    pub(crate) fn attempt(&self, _: &Tried) {}

    pub(crate) fn accepted(&self, _: u32, _: &Label, _: &Parts, _: Duration) {}

    pub(crate) fn failed(&self, _: &Error) {}
}
