//! The rules, as data: which of our crates may import which, and what may never be under them.
//!
//! Change a row together with the picture in `ARCHITECTURE.md`.

use crate::graph::{Build, Features};

/// One of our crates and the crates of ours that its manifest may name.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    pub(crate) imports: Imports,
    /// Only for its tests, benches and examples; by path, so that publishing never waits.
    pub(crate) tests_with: Imports,
}

/// A set of our crates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Imports {
    These(&'static [&'static str]),
    /// For packages that nobody can import: examples and this program.
    Anything,
}

/// A build and the crates that must not be in it.
#[derive(Debug)]
pub(crate) struct Ban {
    pub(crate) builds: &'static [Build],
    pub(crate) packages: &'static [&'static str],
    /// `(package, feature)`: the package may be there, but not with this feature on.
    pub(crate) features: &'static [(&'static str, &'static str)],
    pub(crate) why: &'static str,
}

use Imports::{Anything, These};

const CORE: &str = "baseten-core";
const OPENAI: &str = "baseten-openai";
const TRANSPORT: &str = "baseten-transport";
const ASYNC: &str = "baseten";
const BLOCKING: &str = "baseten-blocking";
const WEBHOOK: &str = "baseten-webhook";
const WEBSOCKET: &str = "baseten-websocket";
const BATCH: &str = "baseten-batch";
const EMULATOR: &str = "baseten-emulator";
const CLI: &str = "baseten-cli";

/// The arrows. What is not here is a mistake; so is a crate without a row.
#[rustfmt::skip]
pub(crate) const LAYERS: &[Layer] = &[
    // No test of core, openai or webhook may use the emulator: it imports core and webhook, so such
    // a test would hold two copies of the crate under test.
    layer(CORE,      &[],                                                     &[]),
    layer(OPENAI,    &[CORE],                                                 &[]),
    layer(WEBHOOK,   &[CORE],                                                 &[]),
    layer(TRANSPORT, &[CORE],                                                 &[EMULATOR]),
    layer(WEBSOCKET, &[CORE, TRANSPORT],                                      &[EMULATOR]),
    // Its tests run one table against both facades.
    layer(ASYNC,     &[CORE, OPENAI, TRANSPORT],                              &[EMULATOR, BLOCKING]),
    layer(BLOCKING,  &[CORE, OPENAI, TRANSPORT],                              &[EMULATOR]),
    layer(BATCH,     &[CORE, OPENAI, ASYNC],                                  &[EMULATOR]),
    // The server side must not share the client's bugs: no transport, no openai.
    layer(EMULATOR,  &[CORE, WEBHOOK],                                        &[]),
    layer(CLI,       &[CORE, OPENAI, ASYNC, WEBHOOK, WEBSOCKET, BATCH, EMULATOR], &[EMULATOR]),
    Layer { name: "baseten-examples", imports: Anything, tests_with: Anything },
    Layer { name: "xtask",            imports: Anything, tests_with: Anything },
];

/// What may never be linked.
pub(crate) const BANS: &[Ban] = &[
    Ban {
        builds: &[
            build(CORE, Features::All),
            build(OPENAI, Features::All),
            build(WEBHOOK, Features::All),
        ],
        packages: IO,
        features: &[],
        why: "core, openai and webhook do no I/O and hold no clock",
    },
    Ban {
        // Webhook's hash asks the processor what it can do, on some platforms through libc.
        builds: &[build(CORE, Features::All), build(OPENAI, Features::All)],
        packages: &["libc"],
        features: &[],
        why: "core and openai ask nothing of the operating system",
    },
    Ban {
        builds: &[
            build(TRANSPORT, Features::Default),
            build(ASYNC, Features::Default),
            build(BLOCKING, Features::Default),
            build(WEBSOCKET, Features::Default),
        ],
        packages: &[],
        features: &[(CORE, "tracing"), (OPENAI, "tracing")],
        why: "no call is traced unless that is switched on",
    },
    Ban {
        // Elsewhere hyper-util brings it along where there are proxies; `sizes` counts the others.
        builds: &[
            build(CORE, Features::Default),
            build(OPENAI, Features::Default),
            build(WEBHOOK, Features::Default),
        ],
        packages: &["tracing", "tracing-core"],
        features: &[],
        why: "nobody builds for traces who has not switched them on",
    },
    Ban {
        builds: &[build(TRANSPORT, Features::Only(&[])), build(BLOCKING, Features::Only(&[]))],
        packages: &["mio", "rustls", "ring", "webpki-roots", "rustls-pki-types", "futures-util"],
        features: RUNTIME,
        why: "a blocking call needs no reactor, no runtime and, without `tls`, no TLS",
    },
    Ban {
        builds: &[build(BLOCKING, Features::All)],
        packages: &["mio"],
        features: RUNTIME,
        why: "the blocking facade never grows a runtime, whatever is switched on",
    },
    Ban {
        builds: &[
            build(TRANSPORT, Features::All),
            build(ASYNC, Features::All),
            build(WEBSOCKET, Features::All),
        ],
        packages: &[],
        features: &[
            ("tokio", "rt-multi-thread"),
            ("tokio", "process"),
            ("tokio", "signal"),
            ("tokio", "fs"),
            ("tokio", "full"),
            ("hyper", "server"),
            ("hyper-util", "client-legacy"),
        ],
        why: "the runtime is the caller's, and a library takes no more of it than it polls",
    },
    Ban {
        builds: &[
            build(TRANSPORT, Features::All),
            build(ASYNC, Features::All),
            build(BLOCKING, Features::All),
        ],
        packages: &[
            "openssl-sys",
            "native-tls",
            "aws-lc-sys",
            "aws-lc-rs",
            "tower",
            "url",
            "idna",
            "h2",
            "reqwest",
            "ureq",
            "rand",
            "regex",
        ],
        features: &[],
        why: "each was weighed and left out: ring is the one TLS provider we name, and none of the \
              others carries its weight in one HTTP/1.1 call",
    },
];

/// Whatever opens a socket, reads a clock, starts a thread or asks the operating system.
const IO: &[&str] = &[
    // runtimes and reactors
    "tokio",
    "async-std",
    "smol",
    "async-io",
    "polling",
    "mio",
    "io-uring",
    "futures-executor",
    // sockets and system calls
    "socket2",
    "rustix",
    "nix",
    "windows-sys",
    "wasi",
    "js-sys",
    "web-sys",
    // HTTP and TLS
    "hyper",
    "hyper-util",
    "h2",
    "reqwest",
    "ureq",
    "rustls",
    "ring",
    "aws-lc-rs",
    "native-tls",
    "openssl",
    "webpki-roots",
    "rustls-native-certs",
    // clocks, randomness, environment
    "chrono",
    "time",
    "jiff",
    "getrandom",
    "rand",
    "fastrand",
    "dotenvy",
    "home",
    "num_cpus",
    // what has a small answer in core already
    "url",
    "regex",
    "once_cell",
    "lazy_static",
    "parking_lot",
];

/// Features of tokio that are more than its wakers.
const RUNTIME: &[(&str, &str)] = &[
    ("tokio", "net"),
    ("tokio", "rt-multi-thread"),
    ("tokio", "time"),
    ("tokio", "fs"),
    ("tokio", "process"),
    ("tokio", "signal"),
    ("tokio", "full"),
    ("hyper", "server"),
];

const fn layer(
    name: &'static str,
    imports: &'static [&'static str],
    tests_with: &'static [&'static str],
) -> Layer {
    Layer { name, imports: These(imports), tests_with: These(tests_with) }
}

const fn build(package: &'static str, features: Features) -> Build {
    Build { package, features }
}

impl Imports {
    /// Whether the set holds the crate.
    pub(crate) fn allow(&self, name: &str) -> bool {
        match self {
            Self::These(names) => names.contains(&name),
            Self::Anything => true,
        }
    }
}
