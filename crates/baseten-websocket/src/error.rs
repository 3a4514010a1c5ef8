//! Why a WebSocket did not go on.

use std::fmt;

use baseten_core::{Delivery, Meta};

use crate::close::Close;

/// Why a WebSocket did not come about or did not go on.
///
/// `Display` is one line: which call, what happened, what the server may have got. It never shows a key
/// or a message.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    what: String,
    close: Option<Close>,
    delivery: Delivery,
    /// It is about a message that was kept back.
    unsent: bool,
    session: Option<Session>,
    source: Option<Source>,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Which connection it happened on, and what had passed over it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) path: Box<str>,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// The kinds of failure, for a `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No WebSocket came about; [`Error::call`] has the call's own error.
    Call,
    /// The server closed it and had not finished; [`Error::close`] tells why.
    Closed,
    /// It ended and nobody had closed it.
    Disconnected,
    /// The idle clock ran out: nothing came although the server was pinged, or it took nothing.
    Timeout,
    /// A message over a limit of this side's: one that came, or one to be sent, which was not.
    TooLarge,
    /// What came is no WebSocket.
    Protocol,
    /// A message is not the JSON that was expected. The connection goes on.
    Decode,
    /// The token of the call's options was canceled, and the socket closed.
    Canceled,
    /// A message, or a close, that cannot be sent, and nothing of it was: it is none, and the connection
    /// goes on; or the connection has ended in order.
    Request,
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How the server closed the connection, if it did.
    #[must_use]
    pub fn close(&self) -> Option<&Close> {
        self.0.close.as_ref()
    }

    /// The error of the call that should have opened the connection.
    #[must_use]
    pub fn call(&self) -> Option<&baseten_core::Error> {
        self.0.source.as_ref()?.downcast_ref()
    }

    /// What the server may have done: of the call for [`ErrorKind::Call`], of the message for one that
    /// could not be sent, and otherwise of all messages that were sent: none, or any of them, since a
    /// WebSocket confirms nothing.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// The id under which the platform logs the connection.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match (&self.0.session, self.call()) {
            (Some(session), _) => session.request_id.as_deref(),
            (None, call) => call?.request_id(),
        }
    }

    /// How many messages were sent and received on the connection before.
    #[must_use]
    pub fn messages(&self) -> (u64, u64) {
        self.0.session.as_ref().map_or((0, 0), |session| (session.sent, session.received))
    }

    /// What ended a connection, or came over it.
    pub(crate) fn on(session: Session, kind: ErrorKind, what: impl Into<String>) -> Self {
        let delivery = if session.sent == 0 { Delivery::NotSent } else { Delivery::MaybeRan };
        let (close, unsent, source) = (None, false, None);
        let (what, session) = (what.into(), Some(session));
        Self(Box::new(Inner { kind, what, close, delivery, unsent, session, source }))
    }

    /// The same for a message that was kept back.
    pub(crate) fn unsent(mut self) -> Self {
        (self.0.delivery, self.0.unsent) = (Delivery::NotSent, true);
        self
    }

    pub(crate) fn with_close(mut self, close: Close) -> Self {
        self.0.close = Some(close);
        self
    }

    pub(crate) fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }
}

impl Session {
    pub(crate) fn new(path: &str, meta: &Meta) -> Self {
        let request_id = meta.request_id().map(Into::into);
        Self { path: path.into(), request_id, sent: 0, received: 0 }
    }
}

impl From<baseten_core::Error> for Error {
    fn from(error: baseten_core::Error) -> Self {
        let (kind, delivery) = (ErrorKind::Call, error.delivery());
        let source: Option<Source> = Some(Box::new(error));
        let (what, close, unsent, session) = (String::new(), None, false, None);
        Self(Box::new(Inner { kind, what, close, delivery, unsent, session, source }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let Some(session) = &inner.session else {
            return match self.call() {
                Some(call) => call.fmt(f),
                None => f.write_str(&inner.what),
            };
        };
        write!(f, "WebSocket {}: {}", session.path, inner.what)?;
        if let Some(close) = &inner.close {
            write!(f, " {close}")?;
        }
        if let Some(id) = &session.request_id {
            write!(f, " (request {})", id.escape_debug())?;
        }
        let Session { sent, received, .. } = session;
        match (inner.kind, inner.delivery) {
            (ErrorKind::Decode, _) => Ok(()),
            _ if inner.unsent => f.write_str("; nothing of it was sent"),
            (_, Delivery::NotSent) => write!(f, "; messages: none sent, {received} received"),
            _ => write!(
                f,
                "; messages: {sent} sent, any of which may have been acted on, {received} received"
            ),
        }
    }
}

/// In one line, with what is below it, since this is what a failing `main` prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(call) = self.call() {
            return fmt::Debug::fmt(call, f);
        }
        fmt::Display::fmt(self, f)?;
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    /// What is below; of a call's error, what is below that one.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.call() {
            Some(call) => call.source(),
            None => self.0.source.as_deref().map(|source| source as _),
        }
    }
}
