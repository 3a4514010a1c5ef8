//! The outgoing body: hands an answer's chunks to hyper, one flush at a time and in their pace.
//!
//! It knows nothing of HTTP framing, and of faults only how a stream ends.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

use crate::answer::{Ending, Stream};
use crate::link::Link;
use crate::valve::Kill;

/// What hyper takes for a response body.
#[derive(Debug)]
pub(crate) struct Outgoing {
    link: Arc<Link>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    Stream { stream: Stream, next: usize, pause: Option<Pin<Box<Sleep>>> },
}

impl Outgoing {
    pub(crate) fn whole(link: Arc<Link>, body: Bytes) -> Self {
        Self { link, content: Content::Whole(body) }
    }

    pub(crate) fn stream(link: Arc<Link>, stream: Stream) -> Self {
        let mut body = Self { link, content: Content::Stream { stream, next: 0, pause: None } };
        body.begin_pause();
        body
    }

    /// Starts the clock of the chunk that comes next.
    fn begin_pause(&mut self) {
        if let Content::Stream { stream, next, pause } = &mut self.content {
            let chunk = stream.chunks.get(*next);
            *pause = chunk
                .filter(|chunk| !chunk.after.is_zero())
                .map(|chunk| Box::pin(tokio::time::sleep(chunk.after)));
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let (stream, next, pause) = match &mut this.content {
            Content::Whole(body) if body.is_empty() => return Poll::Ready(None),
            Content::Whole(body) => {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(body)))));
            }
            Content::Stream { stream, next, pause } => (stream, next, pause),
        };
        if !this.link.may_yield(cx) {
            return Poll::Pending;
        }
        if pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_pending()) {
            return Poll::Pending;
        }
        if *next == stream.chunks.len() {
            let kill = match stream.ending {
                Ending::Repeat if *next > 0 => {
                    *next = 0;
                    this.begin_pause();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ending::Finish | Ending::Repeat => return Poll::Ready(None),
                Ending::Stall => return Poll::Pending,
                Ending::Close => Kill::Close,
                Ending::Cut => Kill::Cut,
                Ending::Reset => Kill::Reset,
            };
            this.link.kill(kill);
            return Poll::Pending;
        }
        let data = stream.chunks[*next].data.clone();
        *next += 1;
        this.link.yielded();
        this.begin_pause();
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(body) if body.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Content::Stream { .. } => SizeHint::default(),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.link.taken();
    }
}
