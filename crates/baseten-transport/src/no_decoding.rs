//! What stands in for compressed answers in a build without them: none is asked for, and one that comes
//! is handed out as it is.

#![expect(
    clippy::needless_pass_by_ref_mut,
    reason = "the signatures are those of the real decoding"
)]

use baseten_core::{Failure, Meta, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::response::Parts;

use crate::body::Body;
use crate::net::Net;

pub(crate) fn ask(_: &Request, _: &mut HeaderMap) {}

/// Nothing is decoded.
pub(crate) enum Decoding {}

impl Decoding {
    pub(crate) fn of_answer(_: &Request, _: &Meta) -> Option<Self> {
        None
    }

    pub(crate) fn of_error(_: &Parts) -> Option<Self> {
        None
    }

    pub(crate) fn encoded(&self) -> u64 {
        match *self {}
    }

    pub(crate) async fn chunk<N: Net>(
        &mut self,
        _: &mut Body<N>,
    ) -> Result<Option<Bytes>, Failure> {
        match *self {}
    }

    pub(crate) async fn whole<N: Net>(
        &mut self,
        _: &mut Body<N>,
        _: usize,
    ) -> Result<Bytes, (Failure, Bytes)> {
        match *self {}
    }
}
