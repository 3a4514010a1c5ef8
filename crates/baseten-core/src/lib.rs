//! URLs, auth, errors, retry rules and SSE framing for models deployed on Baseten, without any I/O.
