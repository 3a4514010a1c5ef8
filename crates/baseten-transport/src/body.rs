//! The body of an answer, frame by frame, on the connection it comes over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use baseten_core::{CancelToken, Cause, Failure, Framing, Origin, Source};
use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming};

use crate::clock::{Limits, Silence};
use crate::connection::Connection;
use crate::failure;
use crate::net::{Elapsed, Net};
use crate::pool::Pool;
use crate::upload::Uploading;

/// A body that is still on its connection. Dropping it closes the connection; reading it to its end
/// gives the connection back.
pub(crate) struct Body<N: Net> {
    /// `None` when the body has ended or broken.
    live: Option<(Box<Connection<N>>, Incoming)>,
    pool: Arc<Pool<N>>,
    origin: Origin,
    received: u64,
    /// Only the end of the framing is still to come.
    over: bool,
    /// The body of the request, where a part of it may still be on its way.
    uploading: Option<Arc<Uploading>>,
}

impl<N: Net> Body<N> {
    pub(crate) fn new(
        (connection, incoming): (Box<Connection<N>>, Incoming),
        pool: Arc<Pool<N>>,
        origin: Origin,
        uploading: Option<Arc<Uploading>>,
    ) -> Self {
        let ended = incoming.is_end_stream();
        let live = Some((connection, incoming));
        let mut body = Self { live, pool, origin, received: 0, over: false, uploading };
        if ended {
            body.finish();
        }
        body
    }

    /// The next piece, `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some((connection, incoming)) = &mut self.live else { return Ok(None) };
            let Connection { link, wire, timer, limits, patience, .. } = &mut **connection;
            // A server that always has more is never waited for. The head was in time.
            if self.received > 0
                && let Some(cause) = limits.over()
            {
                return Err(self.fail(cause, None));
            }
            if let Poll::Ready(frame) = peek(incoming, limits) {
                match self.take(frame) {
                    Some(chunk) => return chunk,
                    None => continue,
                }
            }
            let mut silence = Silence::of_body(wire, limits, patience);
            let poll = |cx: &mut Context<'_>| link.poll_frame(incoming, cx);
            let frame = N::drive(wire, timer, limits.cancel(), || silence.due().at, poll)
                .await
                .map_err(|Elapsed| limits.elapsed(silence.due()));
            drop(silence);
            let chunk = match frame {
                Ok(frame) => self.take(frame),
                Err(cause) => Some(Err(self.fail(cause, None))),
            };
            if let Some(chunk) = chunk {
                return chunk;
            }
        }
    }

    /// What a frame brings; `None` if there is nothing in it that a caller asked for, as in trailers.
    fn take(&mut self, frame: Option<HyperFrame>) -> Option<Result<Option<Bytes>, Failure>> {
        match frame {
            Some(Ok(frame)) => {
                let data = frame.into_data().ok()?;
                self.received += data.len() as u64;
                let last = self.live.as_ref().is_some_and(|(_, incoming)| incoming.is_end_stream());
                if last {
                    self.finish();
                }
                Some(Ok(Some(data)))
            }
            None => {
                self.finish();
                Some(Ok(None))
            }
            Some(Err(error)) => {
                // What hyper says of a reader that failed is only that it had no body.
                let fault = self.uploading.as_ref().and_then(|uploading| uploading.take_fault());
                let (cause, source) = match fault {
                    Some((cause, source)) => (cause, source.map(Into::into)),
                    None => (failure::of_body(&error), Some(error.into())),
                };
                Some(Err(self.fail(cause, source)))
            }
        }
    }

    /// All of it, up to `limit` bytes. On a failure, what came until then goes with it.
    pub(crate) async fn collect(
        &mut self,
        limit: usize,
        framing: impl FnOnce() -> Framing,
    ) -> Result<Bytes, (Failure, Bytes)> {
        let mut next = self.chunk().await.map_err(|failure| (failure, Bytes::new()))?;
        if self.live.is_none() && next.as_ref().is_none_or(|only| only.len() <= limit) {
            return Ok(next.unwrap_or_default());
        }
        let announced = match framing() {
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            _ => 0,
        };
        // A server's word is no reason to reserve half a gigabyte.
        let mut whole = Vec::with_capacity(announced.min(limit).min(RESERVE_MAX));
        while let Some(chunk) = next {
            let room = limit - whole.len();
            whole.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                let failure = self.fail(Cause::BodyTooLarge { limit }, None);
                return Err((failure, whole.into()));
            }
            // hyper reuses its buffer only if nobody holds a part of it.
            drop(chunk);
            next = match self.chunk().await {
                Ok(next) => next,
                Err(failure) => return Err((failure, whole.into())),
            };
        }
        Ok(whole.into())
    }

    /// Whoever takes it failed.
    pub(crate) fn unwritten(&mut self, written: u64, error: io::Error) -> Failure {
        self.fail(Cause::Writer { written }, Some(error.into()))
    }

    /// Nobody will ask for more, but its framing may still be on the way.
    pub(crate) fn content_is_over(&mut self) {
        self.over = true;
    }

    /// Closes the connection: nobody will ask for more, and the server can stop.
    pub(crate) fn close(&mut self) {
        self.live = None;
    }

    /// What is left has the idle clock in all.
    pub(crate) fn hurry(&mut self) {
        if let Some((connection, _)) = &mut self.live {
            connection.limits.hurry();
        }
    }

    /// Whether the last byte has been handed out.
    pub(crate) fn is_finished(&self) -> bool {
        self.live.is_none()
    }

    fn finish(&mut self) {
        if let Some((connection, incoming)) = self.live.take() {
            drop(incoming);
            self.pool.checkin(&self.origin, connection);
        }
    }

    /// Nobody can use the rest.
    pub(crate) fn fail(&mut self, cause: Cause, source: Option<Source>) -> Failure {
        // A broken connection serves nobody else.
        self.close();
        Failure { cause, sent: 0, received: self.received, reused: false, source }
    }
}

impl<N: Net> Drop for Body<N> {
    fn drop(&mut self) {
        let Some((mut connection, incoming)) = self.live.take().filter(|_| self.over) else {
            return;
        };
        // Most servers write the end of the framing on its own, a moment after the content.
        connection.rest = Some(incoming);
        if !matches!(connection.poll_rest(), Poll::Ready(false)) {
            self.pool.checkin(&self.origin, connection);
        }
    }
}

/// Takes what is there without looking at the connection. hyper reads on only once it has been asked, so
/// whoever waits asks first.
fn peek(incoming: &mut Incoming, limits: &Limits) -> Poll<Option<HyperFrame>> {
    if limits.cancel().is_some_and(CancelToken::is_canceled) {
        return Poll::Pending;
    }
    Pin::new(incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
}

type HyperFrame = Result<Frame<Bytes>, hyper::Error>;

/// What is reserved at once for a body whose length was announced.
const RESERVE_MAX: usize = 4 << 20;
