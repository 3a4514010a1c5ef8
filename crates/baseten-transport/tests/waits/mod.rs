//! Both transports behind one face, so that every test runs against each of them, and what tests
//! need of a server.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its own part, and stops where it cannot go on"
)]

pub(crate) mod secure;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use baseten_core::{
    Answer, CallOptions, Credential, Endpoint, Error, Hosts, ModelId, Operation, Request, Response,
    RetryPolicy, Target, Template, Timeouts,
};
use baseten_transport::{Options, blocking, nonblocking};
use bytes::Bytes;
use tokio::runtime::Runtime;

/// A transport of either kind.
pub(crate) enum Transport {
    Blocking(blocking::Transport),
    Async(Runtime, nonblocking::Transport),
}

/// Runs a test over both, each with a pool of its own.
pub(crate) fn each(options: &Options, test: impl Fn(&Transport)) {
    test(&Transport::Blocking(blocking::Transport::new(options.clone())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    test(&Transport::Async(runtime, nonblocking::Transport::new(options.clone())));
}

impl Transport {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Blocking(_) => "blocking",
            Self::Async(..) => "async",
        }
    }

    /// Posts to a URL once, with the clocks of `timeouts`.
    pub(crate) fn post_within(
        &self,
        url: &str,
        timeouts: Timeouts,
    ) -> Result<Response<Bytes>, Error> {
        let options =
            CallOptions { retry: RetryPolicy::never(), timeouts, ..CallOptions::default() };
        self.fetch(&request(url), &options)
    }

    /// Posts to a URL once.
    pub(crate) fn post(&self, url: &str) -> Result<Response<Bytes>, Error> {
        self.post_within(url, Timeouts::default())
    }

    pub(crate) fn fetch(
        &self,
        request: &Request,
        options: &CallOptions,
    ) -> Result<Response<Bytes>, Error> {
        match self {
            Self::Blocking(transport) => transport.fetch(request, options),
            Self::Async(runtime, transport) => runtime.block_on(transport.fetch(request, options)),
        }
    }
}

/// A predict of three bytes.
pub(crate) fn request(url: &str) -> Request {
    let hosts = Hosts::base_url(url).unwrap().allow_plain_http();
    let target = Target::model(ModelId::new("abc").unwrap());
    let endpoint = Endpoint::new(&hosts, &target, &Operation::Predict).unwrap();
    let template = Template::new(endpoint, &Credential::none(), Answer::Json).unwrap();
    template.bytes("text/plain", "abc").unwrap()
}

/// What an error and all below it say.
pub(crate) fn told(error: &Error) -> String {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        told.push_str(&format!(" <- {error}"));
        source = error.source();
    }
    told
}

/// A server of threads that lives as long as its process, and how many connections it took.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl Server {
    /// Hands each connection to `serve`, on a thread of its own.
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
    }

    pub(crate) fn on(
        listener: TcpListener,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let (serve, counter) = (Arc::new(serve), taken.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                thread::spawn(move || serve(stream.unwrap()));
            }
        });
        Self { address, taken }
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

/// An answer with a length.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers each request of [`request`] with these bytes until the peer leaves.
pub(crate) fn answer(stream: &mut (impl Read + Write), bytes: &[u8]) {
    while read_request(stream).is_some() {
        if stream.write_all(bytes).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

/// The head of a request whose body is three bytes, which are read, too; `None` at the end.
pub(crate) fn read_request(stream: &mut impl Read) -> Option<String> {
    let head = read_head(stream)?;
    let mut body = [0; 3];
    stream.read_exact(&mut body).ok()?;
    assert_eq!(&body, b"abc");
    Some(head)
}

/// A head, up to its empty line; `None` at the end.
pub(crate) fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Answers each request without a body with these bytes until the peer leaves.
pub(crate) fn answer_bodiless(stream: &mut (impl Read + Write), bytes: &str) {
    while read_head(stream).is_some() {
        if stream.write_all(bytes.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}
