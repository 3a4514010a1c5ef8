//! How a call is carried out: ask it what to do, do it, tell it what came of it.

use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use baseten_core::{
    Accepted, Attempt, Budget, Call, CallOptions, Cause, Error, Failure, Framing, Meta, Request,
    Response, Start, Step,
};
use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use hyper::body::Incoming;

use crate::body::Body;
use crate::clock::{Limits, Notice, Silence};
use crate::connection::Connection;
use crate::decoding::{self, Decoding};
use crate::dial;
use crate::failure;
use crate::net::{self, Elapsed, Net};
use crate::options::Options;
use crate::pool::Pool;
use crate::sink::{self, Sink};
#[cfg(feature = "tokio")]
use crate::stream::Stream;
use crate::upload::{Outgoing, Upload, Uploading};
use crate::wire::Reads;
#[cfg(feature = "tokio")]
use crate::wire::Wire;

/// What all calls of a client share.
pub(crate) struct Sender<N: Net> {
    pool: Arc<Pool<N>>,
    connector: dial::Connector,
    budget: Budget,
    /// Where jitter comes from: another number for each call.
    seed: AtomicU64,
}

impl<N: Net> Sender<N> {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            pool: Arc::new(Pool::new(options.pool)),
            connector: dial::Connector::new(options),
            budget: options.budget.clone(),
            seed: AtomicU64::new(RandomState::new().hash_one(0)),
        }
    }

    /// Sends until the call has an accepted answer or an error.
    pub(crate) async fn send(
        &self,
        request: &Request,
        options: &CallOptions,
    ) -> Result<Answer<N>, Error> {
        self.answer(Sending::new(request, None, options)?).await
    }

    /// The same for a request whose body is streamed.
    pub(crate) async fn upload(
        &self,
        request: &Request,
        upload: Upload,
        options: &CallOptions,
    ) -> Result<Answer<N>, Error> {
        self.answer(Sending::new(request, Some(upload), options)?).await
    }

    async fn answer(&self, sending: Sending<'_>) -> Result<Answer<N>, Error> {
        let (accepted, arrived) = self.run(&sending).await?;
        let decoding = Decoding::of_answer(sending.request, accepted.meta());
        let body = self.body(arrived, &sending);
        Ok(Answer { accepted, body, decoding, began: sending.began })
    }

    /// Sends, and reads the whole answer.
    pub(crate) async fn fetch(
        &self,
        request: &Request,
        options: &CallOptions,
    ) -> Result<Response<Bytes>, Error> {
        let sending = Sending::new(request, None, options)?;
        let (mut accepted, arrived) = self.run(&sending).await?;
        let mut body = self.body(arrived, &sending);
        let limit = options.limits.body;
        let whole = match Decoding::of_answer(request, accepted.meta()) {
            None => body.collect(limit, || accepted.meta().framing()).await,
            Some(mut decoding) => {
                let whole = Box::pin(decoding.whole(&mut body, limit)).await;
                accepted.decoded(decoding.encoded());
                whole
            }
        };
        match whole {
            Ok(whole) => Ok(accepted.finish(sending.began.elapsed(), whole)),
            Err((failure, part)) => {
                Err(accepted.fail(sending.began.elapsed(), failure).with_body(part))
            }
        }
    }

    /// Sends a request to switch protocols: what is left is the connection itself. It serves no other
    /// call after this.
    #[cfg(feature = "tokio")]
    pub(crate) async fn upgrade(
        &self,
        request: &Request,
        options: &CallOptions,
    ) -> Result<Switched<N>, Error> {
        if !request.upgrades() {
            return Err(Error::request("the request does not ask to switch protocols"));
        }
        let sending = Sending { request, uploading: None, options, began: Instant::now() };
        let (accepted, arrived) = self.run(&sending).await?;
        let Connection { link, wire, slot, .. } = *arrived.connection;
        let (stream, early) = link.into_stream();
        let meta = accepted.finish(sending.began.elapsed(), ()).meta;
        Ok(Switched { stream, early, wire, meta, slot })
    }

    /// Runs the call up to the head of the answer that it accepts.
    async fn run(&self, sending: &Sending<'_>) -> Result<(Accepted, Arrived<N>), Error> {
        let Sending { request, options, began, .. } = *sending;
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        let start = Start { wall: SystemTime::now(), seed };
        let mut call = Call::new(request, options, &self.budget, start);
        let cancel = options.cancel.as_ref();
        let mut now = Duration::ZERO;
        loop {
            match call.step(now) {
                Step::Wait(pause) => {
                    if Box::pin(net::pause::<N>(pause, cancel)).await.is_err() {
                        let canceled = Failure::before_sending(Cause::Canceled, None);
                        call.on_failure(began.elapsed(), canceled);
                    }
                }
                Step::Fail(error) => return Err(error),
                Step::Send(ref attempt) => {
                    let limits = Limits::new(*call.clocks(), began, cancel);
                    let outcome = self.attempt(sending, attempt, limits).await;
                    if sending.is_taken() {
                        call.body_taken();
                    }
                    match outcome {
                        Err(failure) => call.on_failure(began.elapsed(), failure),
                        Ok((mut head, arrived)) if request.accepts(head.status) => {
                            if !request.is_whole() {
                                keep(&mut head.headers);
                            }
                            return Ok((call.accept(began.elapsed(), head), arrived));
                        }
                        Ok((head, arrived)) => {
                            sending.leave();
                            let mut body = self.body(arrived, sending);
                            body.hurry();
                            let limit = options.limits.error_body;
                            let kept = match Decoding::of_error(&head) {
                                None => body.collect(limit, || Framing::Chunked).await,
                                Some(mut decoding) => {
                                    Box::pin(decoding.whole(&mut body, limit)).await
                                }
                            };
                            // A part of what it says is better than nothing.
                            let kept = kept.unwrap_or_else(|(_, part)| part);
                            call.on_rejected(began.elapsed(), head, kept);
                        }
                    }
                }
            }
            now = began.elapsed();
        }
    }

    /// One attempt, up to the head of an answer.
    async fn attempt(
        &self,
        sending: &Sending<'_>,
        attempt: &Attempt,
        limits: Limits,
    ) -> Result<(Parts, Arrived<N>), Failure> {
        let origin = sending.request.endpoint().origin();
        let slot = self.pool.slot(origin, &limits).await?;
        let mut connection = match self.pool.checkout(origin) {
            Some(connection) => connection,
            None => Box::new(dial::dial(&self.connector, origin, &limits).await?),
        };
        (connection.limits, connection.slot) = (limits, slot);
        let (head, incoming) = exchange(&mut connection, sending, attempt).await?.into_parts();
        if let Some(promised) = promised(&head.headers) {
            connection.keep_alive = Some(promised);
        }
        Ok((head, Arrived { connection, incoming }))
    }

    fn body(&self, arrived: Arrived<N>, sending: &Sending<'_>) -> Body<N> {
        let Arrived { connection, incoming } = arrived;
        let origin = sending.request.endpoint().origin().clone();
        let uploading = sending.uploading.clone();
        Body::new((connection, incoming), self.pool.clone(), origin, uploading)
    }
}

/// An answer of which only the head has been read.
struct Arrived<N: Net> {
    connection: Box<Connection<N>>,
    incoming: Incoming,
}

/// What a call sends, at each of its attempts.
struct Sending<'a> {
    request: &'a Request,
    uploading: Option<Arc<Uploading>>,
    options: &'a CallOptions,
    began: Instant,
}

impl<'a> Sending<'a> {
    /// The call begins. Fails if the streamed body is not what the request announces, or if what comes
    /// back would be no answer.
    fn new(
        request: &'a Request,
        upload: Option<Upload>,
        options: &'a CallOptions,
    ) -> Result<Self, Error> {
        if request.upgrades() {
            let why =
                "the request asks to switch protocols: `nonblocking::Transport::upgrade` sends it";
            return Err(Error::request(why));
        }
        let announced = request.is_streamed().then(|| request.length());
        match (announced, upload.as_ref().map(Upload::length)) {
            (announced, given) if announced == given => {}
            (_, None) => {
                let why = "the request has a streamed body, which was not given";
                return Err(Error::request(why));
            }
            _ => {
                let why = "the request does not announce the streamed body that was given";
                return Err(Error::request(why));
            }
        }
        let uploading = upload.map(Uploading::new);
        Ok(Self { request, uploading, options, began: Instant::now() })
    }

    /// The request of one attempt, as hyper takes it.
    fn to_hyper(&self, attempt: &Attempt, limits: &Limits) -> http::Request<Outgoing> {
        let request = self.request;
        let mut http = http::Request::new(match &self.uploading {
            Some(uploading) => uploading.begin(limits, request.length()),
            None => Outgoing::Whole(request.body().clone()),
        });
        *http.method_mut() = request.endpoint().method().clone();
        *http.uri_mut() = request.endpoint().uri().clone();
        *http.headers_mut() = request.to_headers();
        decoding::ask(request, http.headers_mut());
        attempt.set_headers(http.headers_mut());
        http
    }

    /// Whether anything of a streamed body is gone.
    fn is_taken(&self) -> bool {
        self.uploading.as_ref().is_some_and(|uploading| uploading.is_taken())
    }

    /// The answer is there and says no.
    fn leave(&self) {
        if let Some(uploading) = &self.uploading {
            uploading.leave();
        }
    }
}

/// Sends the request and waits for the head of its answer.
async fn exchange<N: Net>(
    connection: &mut Connection<N>,
    sending: &Sending<'_>,
    attempt: &Attempt,
) -> Result<http::Response<Incoming>, Failure> {
    let Connection { link, wire, timer, limits, reused, head_limit, .. } = connection;
    let (sent, received) = (wire.sent(), wire.heard());
    let uploading = sending.uploading.as_ref();
    let mut pending = pin!(link.start(sending.to_hyper(attempt, limits)));
    let mut silence = Silence::of_head(wire, limits);
    if let Some(hook) = &sending.options.on_waiting {
        silence.tell(Notice::new(hook, attempt.number, sending.began).uploading(uploading));
    }
    let head = loop {
        let poll = |cx: &mut Context<'_>| {
            if uploading.is_some() {
                // While there is something to write nobody waits for an answer; it may be there already.
                let look = || link.poll_head(pending.as_mut(), cx);
                let looked = wire.with_reads(Reads::Now, look);
                if looked.is_ready() {
                    return looked.map(Some);
                }
            }
            match link.poll_head(pending.as_mut(), cx) {
                // hyper takes any number of heads that only announce another one.
                Poll::Pending if wire.heard() - received > *head_limit as u64 => Poll::Ready(None),
                polled => polled.map(Some),
            }
        };
        match N::drive(wire, timer, limits.cancel(), || silence.next(), poll).await {
            Err(Elapsed) if silence.goes_on() => {}
            head => break head,
        }
    };
    let (sent, received) = (wire.sent() - sent, wire.heard() - received);
    let fault = uploading.and_then(|uploading| uploading.take_fault());
    let (cause, source) = match (head, fault) {
        (Ok(Some(Ok(head))), _) => return Ok(head),
        // What hyper says is only that it had no body.
        (_, Some((cause, source))) => (cause, source.map(Into::into)),
        (Ok(None), _) => (Cause::HeadTooLarge { limit: *head_limit }, None),
        (Ok(Some(Err(error))), _) => {
            (failure::of_head(&error, received, *head_limit), Some(error.into()))
        }
        (Err(Elapsed), _) => (limits.elapsed(silence.due()), None),
    };
    Err(Failure { cause, sent, received, reused: *reused, source })
}

/// Makes headers that are kept for as long as a stream is open. As they come, their values are parts of
/// what was read, 8 KiB at least, which hyper could then not use again.
fn keep(headers: &mut HeaderMap) {
    let mut bytes = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values_mut() {
        bytes.extend_from_slice(value.as_bytes());
        let kept = HeaderValue::from_maybe_shared(bytes.split().freeze());
        *value = kept.expect("the bytes of a value can stand in one");
    }
}

/// The seconds of `Keep-Alive: timeout=5, max=100`.
fn promised(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(&KEEP_ALIVE)?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| {
        let (name, seconds) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then_some(seconds)
    })?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// A connection on which another protocol is spoken from now on.
#[cfg(feature = "tokio")]
pub(crate) struct Switched<N: Net> {
    pub(crate) stream: Stream<N::Socket>,
    /// What came of the new protocol together with the answer.
    pub(crate) early: Bytes,
    pub(crate) wire: Arc<Wire<N::Socket>>,
    pub(crate) slot: Option<crate::slots::Slot>,
    pub(crate) meta: Meta,
}

/// An accepted answer, its body still on the wire.
pub(crate) struct Answer<N: Net> {
    accepted: Accepted,
    body: Body<N>,
    /// Until it has come to its end, where the body is compressed.
    decoding: Option<Decoding>,
    began: Instant,
}

impl<N: Net> Answer<N> {
    pub(crate) fn meta(&self) -> &Meta {
        self.accepted.meta()
    }

    pub(crate) fn content_is_over(&mut self) {
        self.body.content_is_over();
        self.accepted.end(self.began.elapsed());
    }

    pub(crate) fn close(&mut self) {
        self.body.close();
        self.decoding = None;
        self.accepted.end(self.began.elapsed());
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.body.is_finished() && self.decoding.is_none()
    }

    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = match &mut self.decoding {
            None => self.body.chunk().await,
            Some(decoding) => {
                let chunk = Box::pin(decoding.chunk(&mut self.body)).await;
                if !matches!(chunk, Ok(Some(_))) {
                    self.accepted.decoded(decoding.encoded());
                    self.decoding = None;
                }
                chunk
            }
        };
        let chunk = chunk.map_err(|failure| self.accepted.fail(self.began.elapsed(), failure));
        if self.is_finished() {
            self.accepted.end(self.began.elapsed());
        }
        chunk
    }

    /// Hands the rest of the body on as it comes; how many bytes that were.
    pub(crate) async fn write_to(mut self, sink: &mut impl Sink) -> Result<Response<u64>, Error> {
        let mut written = 0;
        let outcome = loop {
            match self.chunk().await? {
                Some(chunk) => {
                    if let Err(error) = sink::write_all(sink, &chunk, &mut written).await {
                        break Err(error);
                    }
                }
                None => break poll_fn(|cx| sink.poll_flush(cx)).await,
            }
        };
        outcome.map_err(|error| {
            let failure = self.body.unwritten(written, error);
            self.accepted.fail(self.began.elapsed(), failure)
        })?;
        Ok(self.accepted.finish(self.began.elapsed(), written))
    }

    pub(crate) async fn whole(mut self, limit: usize) -> Result<Response<Bytes>, Error> {
        let Self { accepted, body, decoding, .. } = &mut self;
        let whole = match decoding {
            None => body.collect(limit, || accepted.meta().framing()).await,
            Some(decoding) => {
                let whole = Box::pin(decoding.whole(body, limit)).await;
                accepted.decoded(decoding.encoded());
                whole
            }
        };
        match whole {
            Ok(whole) => Ok(self.accepted.finish(self.began.elapsed(), whole)),
            Err((failure, part)) => {
                Err(self.accepted.fail(self.began.elapsed(), failure).with_body(part))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_are_kept_hold_nothing_of_what_was_read() {
        let read = Bytes::from(b"one \xfftwo\xff".repeat(1000));
        let (one, two) = (read.slice(..3), read.slice(4..9));
        let value = |bytes: &Bytes| HeaderValue::from_maybe_shared(bytes.clone()).unwrap();
        let name = HeaderName::from_static;
        let mut headers = HeaderMap::new();
        headers.insert(name("a"), value(&one));
        headers.append(name("b"), value(&two));
        headers.append(name("b"), value(&Bytes::new()));
        let before = headers.clone();
        keep(&mut headers);
        assert_eq!(headers, before);
        drop((before, one, two));
        assert!(read.is_unique());
    }

    #[test]
    fn a_keep_alive_promise_is_read() {
        for (value, expect) in [
            ("timeout=5", Some(5)),
            ("timeout=60, max=100", Some(60)),
            ("max=100, timeout=7", Some(7)),
            ("Timeout=8, Max=100", Some(8)), // names have no case
            ("max=1,TIMEOUT = 9", Some(9)),
            ("timeout=soon", None),
            ("max=100", None),
        ] {
            let headers = HeaderMap::from_iter([(KEEP_ALIVE, value.parse().unwrap())]);
            assert_eq!(promised(&headers), expect.map(Duration::from_secs), "{value}");
        }
    }
}
