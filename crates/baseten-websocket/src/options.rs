//! How much a WebSocket takes in and gives out.

/// The largest message, both ways. Clocks come with the
/// [`Upgrade`](baseten_transport::nonblocking::Upgrade).
///
/// What a server does not take is queued up to the limit of a message and 256 KiB, the answers to its
/// pings included; pings beyond that have no answer.
///
/// ```
/// use baseten_websocket::Options;
/// let small = Options { message_limit: 1 << 20, ..Options::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The largest message in bytes, however many frames it comes in. A larger one that comes ends the
    /// connection; a larger one to be sent is refused, and the connection goes on. Default 100 MiB,
    /// which is also what the platform takes.
    pub message_limit: usize,
    /// The largest frame that may come, in bytes; one that is too long for a message is too long, too. Its
    /// head is enough to refuse it. Default 100 MiB.
    pub frame_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { message_limit: 100 << 20, frame_limit: 100 << 20 }
    }
}
