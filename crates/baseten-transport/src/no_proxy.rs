//! What stands in for proxies in a build without them: every connection goes direct.

use std::io;
use std::sync::Arc;

use baseten_core::Origin;

use crate::clock::Due;
use crate::net::Net;
use crate::options::Options;
use crate::wire::Wire;

/// No proxies.
pub(crate) struct Proxies;

impl Proxies {
    pub(crate) fn of(_: &Options) -> Self {
        Self
    }
}

pub(crate) async fn tunnel<N: Net>(
    _: &Proxies,
    _: &Origin,
    _: &mut N::Timer,
    _: Due<'_>,
) -> Option<io::Result<Arc<Wire<N::Socket>>>> {
    None
}
