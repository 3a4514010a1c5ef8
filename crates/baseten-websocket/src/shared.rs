//! One connection for two tasks, each for its direction: who waits, and who is woken.
//!
//! A lock is held for the time of a poll, never over a wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use baseten_core::{CancelToken, Clocks, Meta};
use baseten_transport::nonblocking::{Upgrade, Upgraded};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::close::{Close, CloseCode};
use crate::error::{Error, ErrorKind, Session};
use crate::message::Message;
use crate::options::Options;
use crate::state::{End, State, Way};

pub(crate) struct Shared {
    state: Mutex<State>,
    wakers: Arc<Wakers>,
    pub(crate) meta: Meta,
    cancel: Option<CancelToken>,
}

impl Shared {
    pub(crate) async fn new(stream: Upgraded, upgrade: &Upgrade, options: Options) -> Self {
        let endpoint = upgrade.template.endpoint();
        let meta = stream.meta().clone();
        let session = Session::new(endpoint.path(), &meta);
        let idle = Clocks::new(&upgrade.options.timeouts, endpoint, false).idle;
        let state = Mutex::new(State::new(stream, session, options, idle).await);
        let cancel = upgrade.options.cancel.clone();
        Self { state, wakers: Arc::default(), meta, cancel }
    }

    /// How the peer closed, once it has.
    pub(crate) fn closed(&self) -> Option<Close> {
        match &self.lock().end {
            Some(End::Finished(close) | End::Failed(_, _, close)) => close.clone(),
            None => None,
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, what: impl Into<String>) -> Error {
        self.lock().error(kind, what)
    }

    pub(crate) async fn receive(&self) -> Result<Option<Message>, Error> {
        self.drive(Way::In, State::receive).await
    }

    pub(crate) async fn send(&self, message: Message) -> Result<(), Error> {
        let (length, limit) = (message.as_bytes().len(), self.lock().options.message_limit);
        if length > limit {
            let what = format!("a message of {length} bytes is over the limit of {limit}");
            return Err(self.error(ErrorKind::TooLarge, what).unsent());
        }
        self.put(match message {
            Message::Text(text) => Frame::text(text),
            Message::Binary(bytes) => Frame::Binary(bytes),
        })
        .await
    }

    pub(crate) async fn ping(&self, payload: Bytes) -> Result<(), Error> {
        if payload.len() > CONTROL_MAX {
            let what =
                format!("a ping of {} bytes is over the limit of {CONTROL_MAX}", payload.len());
            return Err(self.error(ErrorKind::Request, what).unsent());
        }
        self.put(Frame::Ping(payload)).await
    }

    pub(crate) async fn close(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let too_long = reason.len() > CONTROL_MAX - 2;
        if too_long || !code.may_be_sent() {
            let what = if too_long {
                format!("a close reason of {} bytes is over the limit of 123", reason.len())
            } else {
                format!("the close code {code} is never sent")
            };
            return Err(self.error(ErrorKind::Request, what).unsent());
        }
        if self.lock().end.is_some() {
            // There is nobody left to tell.
            return Ok(());
        }
        let code = u16::from(code).into();
        let said = self.put(Frame::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
        match &self.lock().end {
            // The server was first.
            Some(End::Finished(_)) => Ok(()),
            _ => said,
        }
    }

    /// Hands a frame to the socket and waits until it has taken it.
    async fn put(&self, frame: Frame) -> Result<(), Error> {
        let mut frame = Some(frame);
        self.drive(Way::Out, |state, cx| state.send(&mut frame, cx)).await
    }

    /// Polls until there is a result, or the caller has given the connection up.
    async fn drive<T>(
        &self,
        way: Way,
        mut poll: impl FnMut(&mut State, &mut Context<'_>) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut canceled = self.cancel.as_ref().map(CancelToken::canceled);
        let _wait = Wait(self, way);
        std::future::poll_fn(|cx| {
            let given_up =
                canceled.as_mut().is_some_and(|canceled| Pin::new(canceled).poll(cx).is_ready());
            self.poll(way, cx, |state, cx| {
                if given_up && state.end.is_none() {
                    state.give_up(ErrorKind::Canceled, "given up by the caller");
                }
                poll(state, cx)
            })
        })
        .await
    }

    /// Polls with a waker that wakes both directions: tungstenite reads while it writes and writes while
    /// it reads, so whichever is polled last must not take the other's place.
    fn poll<T>(
        &self,
        way: Way,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut State, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.wakers.register(way, cx.waker());
        let both = Waker::from(self.wakers.clone());
        let mut state = self.lock();
        let was_over = state.end.is_some();
        let polled = poll(&mut state, &mut Context::from_waker(&both));
        let is_over = state.end.is_some();
        drop(state);
        if is_over && !was_over {
            // The other direction may wait for a socket that is gone.
            both.wake();
        }
        polled
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside tungstenite leaves nothing that could be misread: the next poll fails or waits.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for a direction, until this is dropped.
struct Wait<'a>(&'a Shared, Way);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.lock().idle[self.1 as usize].rest();
    }
}

/// The largest payload of a ping or close, in bytes.
const CONTROL_MAX: usize = 125;

/// The tasks that wait, one for each direction.
#[derive(Default)]
struct Wakers(Mutex<[Option<Waker>; 2]>);

impl Wakers {
    fn register(&self, way: Way, waker: &Waker) {
        let slot = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[way as usize];
        match slot {
            Some(known) => known.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        let waiting =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).each_mut().map(Option::take);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}
