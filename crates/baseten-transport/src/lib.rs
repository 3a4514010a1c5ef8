//! A small HTTP/1.1 transport on hyper, blocking on the caller's thread or async on tokio.
