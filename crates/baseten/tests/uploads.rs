//! Bodies from readers and answers into writers: what arrives, what is held, what is told when a side
//! fails. Both facades.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use baseten::{CallOptions, Cause, Clock, Delivery, ErrorKind, Method, Stop, Timeouts};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Fault, When};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const MIB: u64 = 1 << 20;

/// Gives `left` bytes, and tells how many it gave. Both kinds of reader; the polled one is not ready
/// every other time.
struct Source {
    left: u64,
    given: Arc<AtomicU64>,
    /// Whether it fails where it would end.
    fails: bool,
    ready: bool,
    /// Called at each read.
    look: Option<Box<dyn FnMut(u64) + Send>>,
}

impl Source {
    fn of(bytes: u64) -> (Self, Arc<AtomicU64>) {
        let given = Arc::<AtomicU64>::default();
        (Self { left: bytes, given: given.clone(), fails: false, ready: false, look: None }, given)
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let given = self.given.load(SeqCst);
        if let Some(look) = &mut self.look {
            look(given);
        }
        if self.left == 0 && self.fails {
            return Err(io::Error::other("the disk is gone"));
        }
        let read = buf.len().min(self.left as usize);
        for (at, byte) in (given..).zip(&mut buf[..read]) {
            *byte = at as u8;
        }
        self.left -= read as u64;
        self.given.fetch_add(read as u64, SeqCst);
        Ok(read)
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.ready = !self.ready;
        if self.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = self.read(buf.initialize_unfilled())?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

/// Gives a byte at a time until it is told to fail. Both kinds of reader.
struct Failing(Arc<AtomicBool>);

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0.load(SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        buf[0] = b'x';
        Ok(1)
    }
}

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let read = self.read(&mut byte)?;
        buf.put_slice(&byte[..read]);
        Poll::Ready(Ok(()))
    }
}

/// Answers before it has all of the request, and reads on.
fn early() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        assert!(peer.read(&mut buffer).unwrap() > 0);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
        peer.write_all(head.as_bytes()).unwrap();
        while peer.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    address
}

/// Takes bytes, a few at a time, until it is full.
#[derive(Default)]
struct Sink {
    taken: Vec<u8>,
    flushed: bool,
    room: Option<usize>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room.map_or(usize::MAX, |room| room - self.taken.len());
        if room == 0 {
            return Err(io::Error::other("no space left"));
        }
        let taken = bytes.len().min(1000).min(room);
        self.taken.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed = true;
        Ok(())
    }
}

impl AsyncWrite for Sink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| at as u8).collect()
}

both! {
    fn a_reader_arrives_whole_whether_its_length_is_known_or_not() {
        let emulator = Emulator::builder().keep_body(4 << 20).start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        emulator.model("abc").answer(Answer::bytes("application/json", "7"));
        for bytes in [0, 1, 65_535, 65_536, 65_537, 131_072, 3 * MIB] {
            for known in [true, false] {
                let mut upload = facade::Upload::new(Source::of(bytes).0);
                if known {
                    upload = upload.with_length(bytes);
                }
                let answer = wait(model.request().upload("audio/wav", upload).send()).unwrap();
                assert_eq!(answer.json::<u32>().unwrap().value, 7);
                let seen = emulator.seen();
                let arrival = seen.last().unwrap();
                assert!(arrival.body == pattern(bytes as usize), "{bytes} bytes");
                assert!(arrival.body_complete);
                assert_eq!(arrival.header("content-type"), Some("audio/wav"));
                let length = bytes.to_string();
                let announced = (known && bytes > 0).then_some(length.as_str());
                assert_eq!(arrival.header("content-length"), announced);
                let coding = announced.is_none().then_some("chunked");
                assert_eq!(arrival.header("transfer-encoding"), coding);
            }
        }
        assert_eq!(emulator.seen().opened(), 1, "each upload leaves the connection ready");
    }

    fn bytes_can_go_before_and_behind_a_reader() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        let middle = facade::Upload::new(&b"b"[..]).with_length(1);
        let upload = facade::Upload::from(facade::Bytes::from("a")).then(middle);
        let upload = upload.then(facade::Bytes::from("c").into());
        assert_eq!(upload.length(), Some(3));
        wait(model.sync(Method::PUT, "x").upload("text/plain", upload).send()).unwrap();
        assert_eq!(emulator.seen().last().unwrap().text(), Some("abc"));
    }

    fn a_reader_that_fails_or_lies_is_told_and_the_server_has_no_whole_request() {
        //   gives  announced  fails  cause                                              says
        for (gives, announced, fails, cause, says) in [
            (10, Some(11), false, Cause::ReaderLength { length: 11, taken: Some(10) }, "ended after 10 bytes of the 11 announced"),
            (0, Some(1), false, Cause::ReaderLength { length: 1, taken: Some(0) }, "ended after 0 bytes of the 1 announced"),
            (11, Some(10), false, Cause::ReaderLength { length: 10, taken: None }, "is longer than the 10 bytes announced"),
            (1, Some(0), false, Cause::ReaderLength { length: 0, taken: None }, "is longer than the 0 bytes announced"),
            (3 * MIB, Some(3 * MIB - 1), false, Cause::ReaderLength { length: 3 * MIB - 1, taken: None }, "is longer than"),
            (100_000, None, true, Cause::Reader { taken: 100_000 }, "the reader of the request's body failed after 100000 bytes"),
            (100_000, Some(MIB), true, Cause::Reader { taken: 100_000 }, "failed after 100000 bytes; the server may have got that much of it"),
        ] {
            let emulator = Emulator::start().unwrap();
            let model = client!(emulator).model("abc").unwrap();
            let (mut source, _) = Source::of(gives);
            source.fails = fails;
            let mut upload = facade::Upload::new(source);
            if let Some(length) = announced {
                upload = upload.with_length(length);
            }
            let error = wait(model.request().upload("audio/wav", upload).send()).unwrap_err();
            assert_eq!((error.kind(), error.cause()), (ErrorKind::Local, Some(cause)), "{error}");
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.attempts().len(), 1, "{error}");
            assert_eq!(fails, format!("{error:?}").ends_with("the disk is gone"), "{error:?}");
            let closed = |seen: &baseten_emulator::Seen| seen.closed() == 1;
            let seen = emulator.wait_until(Duration::from_secs(10), closed).unwrap();
            for arrival in seen.arrivals() {
                assert!(!arrival.body_complete, "{error}");
            }
        }
    }

    fn a_reader_that_fails_behind_an_early_answer_is_told_as_that() {
        let url = format!("http://{}", early());
        let client = facade::Client::builder().api_key(DUMMY_KEY).base_url(url);
        let model = client.build().unwrap().model("abc").unwrap();
        let fails = Arc::<AtomicBool>::default();
        let upload = facade::Upload::new(Failing(fails.clone()));
        let mut body = wait(model.request().upload("audio/wav", upload).stream()).unwrap();
        assert_eq!(wait(body.chunk()).unwrap().unwrap(), "hello");
        fails.store(true, SeqCst);
        let error = wait(body.chunk()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Local, "{error}");
        assert!(matches!(error.cause(), Some(Cause::Reader { taken: 1.. })), "{error:?}");
        assert!(format!("{error:?}").ends_with("the disk is gone"), "{error:?}");
    }

    fn a_body_that_was_begun_is_not_sent_again() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        emulator.model("abc").answer(Answer::platform_error(429).header("retry-after-ms", "1"));
        let upload = facade::Upload::new(Source::of(10).0);
        let error = wait(model.request().upload("audio/wav", upload).send()).unwrap_err();
        assert_eq!((error.stop(), error.delivery()), (Stop::BodyTaken, Delivery::Refused));
        assert!(error.to_string().contains("its reader gives the body but once"), "{error}");
        assert_eq!(emulator.seen().arrivals().len(), 1);
        // The same as bytes is.
        wait(model.request().bytes("audio/wav", "0123456789").send()).unwrap_err();
        assert_eq!(emulator.seen().arrivals().len(), 4);
    }

    fn a_body_that_was_not_begun_is_tried_again() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = facade::Client::builder().api_key(DUMMY_KEY).base_url(format!("http://{nobody}"));
        let model = client.build().unwrap().model("abc").unwrap();
        let (source, given) = Source::of(10);
        let upload = facade::Upload::new(source);
        let error = wait(model.request().upload("audio/wav", upload).send()).unwrap_err();
        assert_eq!((error.stop(), error.attempts().len()), (Stop::Attempts, 3), "{error}");
        assert_eq!((error.delivery(), given.load(SeqCst)), (Delivery::NotSent, 0));
    }

    fn an_early_answer_ends_the_upload() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        for known in [true, false] {
            emulator.model("abc").answer(Answer::platform_error(413).early(1000));
            let (source, given) = Source::of(64 * MIB);
            let mut upload = facade::Upload::new(source);
            if known {
                upload = upload.with_length(64 * MIB);
            }
            let error = wait(model.request().upload("audio/wav", upload).send()).unwrap_err();
            assert_eq!(error.status().map(|status| status.as_u16()), Some(413), "{error}");
            assert!(given.load(SeqCst) < 64 * MIB, "all of it was read");
        }
    }

    fn no_more_is_read_than_the_server_takes() {
        let emulator = Arc::new(Emulator::builder().keep_body(0).start().unwrap());
        let model = client!(emulator).model("abc").unwrap();
        emulator.model("abc").answer(Answer::bytes("application/json", "7"));
        let stall = Fault::delay(Duration::from_millis(300)).at_upload(MIB);
        emulator.inject(When::EveryRequest, stall);
        let (mut source, given) = Source::of(64 * MIB);
        let (most, seen) = (Arc::<AtomicU64>::default(), emulator.clone());
        let ahead = most.clone();
        source.look = Some(Box::new(move |given| {
            let arrived = seen.seen().last().map_or(0, |arrival| arrival.body_len);
            ahead.fetch_max(given.saturating_sub(arrived), SeqCst);
        }));
        let upload = facade::Upload::new(source).with_length(64 * MIB);
        wait(model.request().upload("audio/wav", upload).send()).unwrap();
        assert_eq!(given.load(SeqCst), 64 * MIB);
        assert_eq!(emulator.seen().last().unwrap().body_len, 64 * MIB);
        // What the kernel buffers for both ends, and a little of ours.
        assert!(most.load(SeqCst) < 16 * MIB, "{} bytes ahead", most.load(SeqCst));
    }

    fn an_upload_that_moves_is_not_silent() {
        let emulator = Emulator::builder().keep_body(0).start().unwrap();
        emulator.model("abc").answer(Answer::bytes("application/json", "7"));
        let first_byte = Some(Duration::from_millis(400));
        let timeouts = Timeouts { first_byte, ..Timeouts::default() };
        let options = CallOptions { timeouts, ..CallOptions::default() };
        let model = client!(emulator, options).model("abc").unwrap();
        // 1.2 s, in steps of 60 ms.
        let (mut source, _) = Source::of(20 * 65_536);
        source.look = Some(Box::new(|_| std::thread::sleep(Duration::from_millis(60))));
        let upload = facade::Upload::new(source);
        wait(model.request().upload("audio/wav", upload).send()).unwrap();
        // One that stands still is.
        emulator.inject(When::EveryRequest, Fault::stall().at_upload(MIB));
        let upload = facade::Upload::new(Source::of(64 * MIB).0);
        let error = wait(model.request().upload("audio/wav", upload).send()).unwrap_err();
        assert_eq!(error.clock().map(|(clock, _)| clock), Some(Clock::FirstByte), "{error}");
    }

    fn the_total_clock_ends_a_slow_reader() {
        let emulator = Emulator::start().unwrap();
        let total = Some(Duration::from_millis(300));
        let options = CallOptions {
            timeouts: Timeouts { total, ..Timeouts::default() },
            ..CallOptions::default()
        };
        let model = client!(emulator, options).model("abc").unwrap();
        let (mut source, _) = Source::of(u64::MAX);
        source.look = Some(Box::new(|_| std::thread::sleep(Duration::from_millis(20))));
        let began = Instant::now();
        let upload = facade::Upload::new(source);
        let error = wait(model.request().upload("audio/wav", upload).send()).unwrap_err();
        assert_eq!(error.clock().map(|(clock, _)| clock), Some(Clock::Total), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    fn an_answer_is_written_as_it_comes() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        let bytes = pattern(300_000);
        emulator.model("abc").answer(Answer::bytes("audio/wav", bytes.clone()));
        let mut sink = Sink::default();
        let body = wait(model.request().json(&1).stream()).unwrap();
        let written = wait(body.write_to(&mut sink)).unwrap();
        assert_eq!((written.value, written.meta.status().as_u16()), (300_000, 200));
        assert!(sink.taken == bytes && sink.flushed);
        wait(model.request().json(&1).send()).unwrap();
        assert_eq!(emulator.seen().opened(), 1, "the connection is kept");
    }

    fn an_answer_that_breaks_says_how_much_was_written() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        emulator.model("abc").answer(Answer::bytes("audio/wav", pattern(300_000)));
        emulator.inject(When::Request(0), Fault::cut().at_body(100_000));
        let mut sink = Sink::default();
        let error = wait(wait(model.predict_stream(&1)).unwrap().write_to(&mut sink)).unwrap_err();
        assert_eq!((error.kind(), error.received()), (ErrorKind::Truncated, 100_000), "{error}");
        assert_eq!(sink.taken.len(), 100_000);
        assert!(error.to_string().contains("100000 bytes"), "{error}");

        let mut sink = Sink { room: Some(5000), ..Sink::default() };
        let error = wait(wait(model.predict_stream(&1)).unwrap().write_to(&mut sink)).unwrap_err();
        assert_eq!(error.cause(), Some(Cause::Writer { written: 5000 }));
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Local, Delivery::Answered));
        assert!(error.to_string().contains("the writer of the answer failed after 5000 bytes"), "{error}");
    }
}
