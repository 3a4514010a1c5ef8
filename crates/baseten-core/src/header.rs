//! Names of headers that a caller may want to add.
//!
//! Any other header passes as well, but for those that the client sets itself. How many of them reach
//! the code of a model is up to the platform, whose pages disagree on it.

/// Related requests carry the same value, and go to the same replica where that is possible, so that
/// its prompt cache serves them: one value for a conversation, or for a task of an agent. Documented for
/// the Model APIs; use an opaque id.
pub const SESSION_AFFINITY: &str = "x-session-affinity";

/// An id of the caller's own for a request. Baseten's performance client 0.1 sends it; it is in no
/// documentation.
pub const CUSTOMER_REQUEST_ID: &str = "x-baseten-customer-request-id";

/// The span that a request belongs to, as W3C Trace Context writes it. A Truss server (0.18) makes its
/// own spans children of it, and chains pass it on.
pub const TRACEPARENT: &str = "traceparent";
