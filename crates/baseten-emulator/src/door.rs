//! Where connections come in: a listening socket that can be closed, and opened again on the same port.
//!
//! Closing takes effect before it returns, on whatever thread: who has seen a fault's effect finds the door
//! closed.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;

#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` while connections are refused.
    listener: Option<TcpListener>,
    /// Keeps the port from others meanwhile: bound, and not listening.
    holder: Option<TcpSocket>,
    /// Who waits for a connection.
    waits: Option<Waker>,
}

impl Door {
    /// Called inside the runtime.
    pub(crate) fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = Some(TcpListener::from_std(listener)?);
        let state = State { listener, holder: None, waits: None };
        Ok(Self { address, runtime: Handle::current(), state: Mutex::new(state) })
    }

    /// The next connection; while the door is closed there is none.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let mut state = self.lock();
        state.waits = Some(cx.waker().clone());
        let Some(listener) = &state.listener else { return Poll::Pending };
        listener.poll_accept(cx).map_ok(|(stream, _)| stream)
    }

    /// Connecting fails with `ECONNREFUSED` from now on. Connections that were not accepted yet are reset.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if state.listener.take().is_some() {
            // Without a holder somebody else may take the port, which `open` then tells.
            state.holder = bind(self.address).ok();
        }
    }

    /// Accepts connections again.
    pub(crate) fn open(&self) -> io::Result<()> {
        let mut state = self.lock();
        if state.listener.is_some() {
            return Ok(());
        }
        let holder = state.holder.take().map_or_else(|| bind(self.address), Ok)?;
        let _inside = self.runtime.enter();
        state.listener = Some(holder.listen(1024)?);
        if let Some(waits) = state.waits.take() {
            waits.wake();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that came in before have the same port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
