//! One test body for both facades, where a test needs more of them than a model.
#![allow(
    dead_code,
    unused_macros,
    clippy::unwrap_used,
    reason = "each test file uses its own part"
)]

use std::future::Future;

use tokio::runtime::Runtime;

/// Makes two tests of a body. In it `facade` is one of the crates, and `wait` gives what a call of it
/// comes to.
macro_rules! both {
    ($($(#[$meta:meta])* fn $name:ident() $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all")]
            use super::*;

            $(#[$meta])*
            #[test]
            fn nonblocking() {
                #[allow(unused_imports, reason = "not every test names it")]
                use {::baseten as facade, crate::both::block_on as wait};
                $body
            }

            $(#[$meta])*
            #[test]
            fn blocking() {
                #[allow(unused_imports, reason = "not every test names it")]
                use {::baseten_blocking as facade, ::std::convert::identity as wait};
                $body
            }
        }
    )+};
}

/// A client of this emulator's hosts, by name: `*.localhost` needs no DNS.
macro_rules! client {
    ($emulator:expr) => {
        client!($emulator, ::baseten::CallOptions::default())
    };
    ($emulator:expr, $options:expr) => {
        facade::Client::builder()
            .api_key(::baseten_emulator::DUMMY_KEY)
            .hosts(::baseten::Hosts::root(&format!("http://{}", $emulator.root())).unwrap())
            .options($options)
            .build()
            .unwrap()
    };
}

thread_local! {
    static RUNTIME: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}
