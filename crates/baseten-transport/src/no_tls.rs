//! What stands in for TLS in a build without it: an error that says so.

#![expect(
    clippy::needless_pass_by_ref_mut,
    reason = "the signatures are those of the real session"
)]

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use baseten_core::Origin;
use hyper::rt::ReadBufCursor;

use crate::options::Options;
use crate::stream::Raw;

/// No session can be made.
pub(crate) enum Session {}

/// Makes no sessions.
#[derive(Clone, Debug)]
pub(crate) struct Sessions;

impl Sessions {
    pub(crate) fn of(_: &Options) -> Self {
        Self
    }

    pub(crate) fn session(&self, _: &Origin) -> Result<Session, io::Error> {
        Err(io::Error::other("this build has no TLS: turn on the feature `tls`"))
    }
}

impl Session {
    pub(crate) fn poll_handshake<S>(
        &mut self,
        _: &mut Raw<S>,
        _: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) fn poll_read<S>(
        &mut self,
        _: &mut Raw<S>,
        _: &mut Context<'_>,
        _: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) fn poll_write<S>(
        &mut self,
        _: &mut Raw<S>,
        _: &mut Context<'_>,
        _: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(crate) fn poll_flush<S>(
        &mut self,
        _: &mut Raw<S>,
        _: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) fn poll_close<S>(
        &mut self,
        _: &mut Raw<S>,
        _: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match *self {}
    }
}
