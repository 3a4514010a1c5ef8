//! The body of a request: whole, or taken from readers while it is sent.
//!
//! hyper pulls a streamed body piece by piece, so that no more of it is in memory than hyper buffers
//! and one piece. It is written here once; how a reader waits is its own affair ([`Source`]). Whether a
//! call whose body was begun may be sent again is not decided here.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use baseten_core::Cause;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::clock::{Limits, Stop};

/// What hyper sends. Small: it is moved from hand to hand, and hyper has room for 32 of them in each
/// connection's queue.
pub(crate) enum Outgoing {
    /// Empty when it is given.
    Whole(Bytes),
    Streamed(Box<Streamed>),
}

/// A reader, in one of the two ways to wait.
pub(crate) trait Source: Send {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>>;
}

/// What a streamed body is made of.
#[derive(Default)]
pub(crate) struct Upload {
    pieces: VecDeque<Piece>,
}

enum Piece {
    Bytes(Bytes),
    Reader(Reader),
}

struct Reader {
    source: Pin<Box<dyn Source>>,
    /// What was announced.
    length: Option<u64>,
    given: u64,
}

impl Upload {
    pub(crate) fn of_source(source: impl Source + 'static) -> Self {
        let reader = Reader { source: Box::pin(source), length: None, given: 0 };
        Self { pieces: VecDeque::from([Piece::Reader(reader)]) }
    }

    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        Self { pieces: VecDeque::from([Piece::Bytes(bytes)]) }
    }

    /// Announces the length of the last reader.
    pub(crate) fn set_length(&mut self, announced: u64) {
        if let Some(Piece::Reader(Reader { length, .. })) = self.pieces.back_mut() {
            *length = Some(announced);
        }
    }

    pub(crate) fn append(&mut self, mut next: Self) {
        self.pieces.append(&mut next.pieces);
    }

    /// In bytes; `None` if a part of it does not say.
    pub(crate) fn length(&self) -> Option<u64> {
        self.pieces.iter().try_fold(0_u64, |sum, piece| {
            sum.checked_add(match piece {
                Piece::Bytes(bytes) => bytes.len() as u64,
                Piece::Reader(reader) => reader.length?,
            })
        })
    }
}

/// A body on its way. Its call and hyper share it: what one attempt has left, the next one can take.
pub(crate) struct Uploading(Mutex<State>);

struct State {
    upload: Upload,
    /// Where readers read into.
    scratch: Vec<u8>,
    /// The end of a reader's bytes, until it has been seen that they are all.
    last: Option<Bytes>,
    taken: bool,
    fault: Option<(Cause, Option<io::Error>)>,
    /// Whether hyper was sent away since it got the last piece.
    rested: bool,
    /// Nobody wants the rest.
    unwanted: bool,
    stop: Stop,
}

/// How much is read at once, and kept in memory beside what hyper buffers.
const PIECE: usize = 64 * 1024;

impl Uploading {
    pub(crate) fn new(upload: Upload) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            upload,
            scratch: Vec::new(),
            last: None,
            taken: false,
            fault: None,
            rested: false,
            unwanted: false,
            stop: Stop::default(),
        })))
    }

    /// The body for one attempt.
    pub(crate) fn begin(self: &Arc<Self>, limits: &Limits, length: Option<u64>) -> Outgoing {
        let mut state = self.lock();
        (state.rested, state.unwanted, state.stop) = (false, false, limits.stop());
        state.fault = None;
        Outgoing::Streamed(Box::new(Streamed { uploading: self.clone(), length }))
    }

    /// Whether anything of it is gone.
    pub(crate) fn is_taken(&self) -> bool {
        self.lock().taken
    }

    /// Whether nothing of it is left to be given.
    pub(crate) fn is_given(&self) -> bool {
        let state = self.lock();
        state.upload.pieces.is_empty() && state.last.is_none()
    }

    /// What is wrong with the reader, or that a clock ran out while it was read.
    pub(crate) fn take_fault(&self) -> Option<(Cause, Option<io::Error>)> {
        self.lock().fault.take()
    }

    /// The answer is there and says no: a reader is not asked for what nobody takes.
    pub(crate) fn leave(&self) {
        self.lock().unwanted = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A reader that panicked has poisoned it; what it gave before is still what it gave.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body on its way, as hyper sees it.
pub(crate) struct Streamed {
    uploading: Arc<Uploading>,
    length: Option<u64>,
}

impl State {
    /// Hyper goes on as long as there is something to write. Between two pieces it is sent away, so that
    /// the one is written before the next is waited for, and that an early answer is heard.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.unwanted {
            return Poll::Pending;
        }
        if !mem::replace(&mut self.rested, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = if let Some(cause) = self.stop.cause() {
            Some(Err((cause, None)))
        } else {
            ready!(self.poll_next(cx))
        };
        self.rested = false;
        Poll::Ready(piece.map(|piece| {
            piece.map_err(|(cause, source)| {
                self.fault = Some((cause, source));
                io::Error::other("the body cannot be sent")
            })
        }))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            let reader = match self.upload.pieces.front_mut() {
                None => return Poll::Ready(None),
                Some(Piece::Bytes(bytes)) => {
                    let bytes = mem::take(bytes);
                    self.upload.pieces.pop_front();
                    self.taken = true;
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Piece::Reader(reader)) => reader,
            };
            self.scratch.resize(PIECE, 0);
            let read = match ready!(reader.poll_read(cx, &mut self.scratch)) {
                Ok(read) => read,
                Err(fault) => return Poll::Ready(Some(Err(fault))),
            };
            self.taken |= read > 0;
            if read == 0 {
                self.upload.pieces.pop_front();
                match self.last.take() {
                    Some(last) => return Poll::Ready(Some(Ok(last))),
                    None => continue,
                }
            }
            let bytes = Bytes::copy_from_slice(&self.scratch[..read]);
            if reader.is_at_end() {
                self.last = Some(bytes);
                continue;
            }
            return Poll::Ready(Some(Ok(bytes)));
        }
    }
}

type Fault = (Cause, Option<io::Error>);

impl Reader {
    /// The next bytes, 0 at the end. One that gives more than it should is found out before its last
    /// bytes are sent: the server never sees a whole request then.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Fault>> {
        let left = self.length.map(|length| length - self.given);
        let room = match left {
            Some(0) => 1,
            Some(left) => buf.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
            None => buf.len(),
        };
        let read = ready!(self.source.as_mut().poll_read(cx, &mut buf[..room]));
        let taken = self.given;
        let wrong = |length, taken| Err((Cause::ReaderLength { length, taken }, None));
        Poll::Ready(match (read, self.length) {
            (Err(error), _) => Err((Cause::Reader { taken }, Some(error))),
            (Ok(0), Some(length)) if taken < length => wrong(length, Some(taken)),
            (Ok(1..), Some(length)) if taken == length => wrong(length, None),
            (Ok(read), _) => {
                self.given += read as u64;
                Ok(read)
            }
        })
    }

    fn is_at_end(&self) -> bool {
        self.length == Some(self.given)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(body) if body.is_empty() => Poll::Ready(None),
            Self::Whole(body) => Poll::Ready(Some(Ok(Frame::data(mem::take(body))))),
            Self::Streamed(body) => {
                body.uploading.lock().poll_piece(cx).map(|piece| Some(piece?.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_empty(),
            // Told by the piece after the last: an end that is known before would go unread.
            Self::Streamed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Self::Streamed(body) => match body.length {
                // hyper asks for nothing where nothing is announced, and it may not be nothing.
                None | Some(0) => SizeHint::default(),
                Some(length) => SizeHint::with_exact(length),
            },
        }
    }
}
