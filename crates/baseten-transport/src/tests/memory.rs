//! A net in memory: the server is a list of pieces, and each read takes what is left of one.
//!
//! No two pieces are ever joined, and between two of them everybody who waits is polled, as if time had
//! passed. Nothing passes in fact.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use baseten_core::CancelToken;
use bytes::{Buf, Bytes};

use crate::clock::Due;
use crate::net::{Elapsed, Net};
use crate::wire::{Socket, Wire};

thread_local! {
    static NEXT: RefCell<VecDeque<Bytes>> = RefCell::default();
}

/// What the next connection of this thread says when something was written to it, and then ends.
pub(super) fn say(pieces: impl IntoIterator<Item = Bytes>) {
    NEXT.set(pieces.into_iter().filter(|piece| !piece.is_empty()).collect());
}

pub(super) struct Memory;

/// One connection.
pub(super) struct Script(Mutex<State>);

struct State {
    pieces: VecDeque<Bytes>,
    asked: bool,
    /// Nothing is there until it is asked for again.
    paused: bool,
}

impl Socket for Script {
    fn poll_read(&self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.read_now(buf)
    }

    fn read_now(&self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let state = &mut *self.0.lock().unwrap();
        if !state.asked || std::mem::take(&mut state.paused) {
            return Poll::Pending;
        }
        let Some(piece) = state.pieces.front_mut() else { return Poll::Ready(Ok(0)) };
        let bytes = piece.len().min(buf.len());
        piece.copy_to_slice(&mut buf[..bytes]);
        if piece.is_empty() {
            state.pieces.pop_front();
            state.paused = true;
        }
        Poll::Ready(Ok(bytes))
    }

    fn poll_write(&self, _: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().asked = true;
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn is_silent(&self) -> bool {
        true
    }

    fn close_write(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Who is polled so often without an end waits for ever.
const POLLS: usize = 1_000_000;

impl Net for Memory {
    type Socket = Script;
    type Opening = ();
    type Timer = ();
    type Home = ();

    fn home() {}

    async fn lookup(_: &str, _: u16, _: Due<'_>) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn open(_: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    async fn first(
        open: &mut Vec<(SocketAddr, ())>,
        _: Due<'_>,
    ) -> Option<(SocketAddr, io::Result<Script>)> {
        let (address, ()) = open.pop()?;
        let state = State { pieces: NEXT.take(), asked: false, paused: false };
        Some((address, Ok(Script(Mutex::new(state)))))
    }

    async fn wait<T: Send>(
        _: Due<'_>,
        _: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> Result<T, Elapsed> {
        Err(Elapsed)
    }

    async fn drive<T: Send>(
        _: &Arc<Wire<Script>>,
        (): &mut (),
        _: Option<&CancelToken>,
        _: impl FnMut() -> Option<Instant> + Send,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
    ) -> Result<T, Elapsed> {
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..POLLS {
            if let Poll::Ready(output) = poll(cx) {
                return Ok(output);
            }
        }
        panic!("it hangs");
    }
}
