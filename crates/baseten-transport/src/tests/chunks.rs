//! Chunked answers in pieces: in single bytes, in every two, in any, and cut at every byte; whatever
//! chunk framing allows to be written, and a part of what it does not.

use baseten_core::{Answer, CallOptions, Delivery, Error, ErrorKind, Request, RetryPolicy};
use bytes::Bytes;
use proptest::collection::{btree_set, vec};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::strategy::Just;
use proptest::{prop_assert_eq, proptest};

use super::memory::{self, Memory};
use super::template;
use crate::blocking::wait::ready;
use crate::options::{Options, Pool};
use crate::send::Sender;

/// Recorded, and by hand: with all that may be written beside a size, with trailers, without a body.
const ANSWERS: [&[u8]; 5] = [
    include_bytes!("../../tests/recorded/truss-stream.http"),
    include_bytes!("../../tests/recorded/truss-chat-stream.http"),
    include_bytes!("../../tests/recorded/llamacpp2-chat-stream.http"),
    b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n003;a=b;c=\"d\"\r\n\
      one\r\nD\r\n two\r\n\r\nthree\r\n0;last\r\nx-sum: 1\r\nx-more: 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
];

const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

thread_local! {
    /// It keeps no connection: each call has one of its own.
    static SENDER: Sender<Memory> = {
        let pool = Pool { max_idle: 0, ..Pool::default() };
        Sender::new(&Options { pool, ..Options::default() })
    };
    static REQUEST: Request =
        template("http://127.0.0.1:1", "x", Answer::Bytes).bytes("text/plain", "hi").unwrap();
}

/// What came of the body of a call that is answered in these pieces, taken in whole or piece by piece,
/// and how it ended.
fn call(pieces: &[&[u8]], whole: bool) -> (Vec<u8>, Result<(), Error>) {
    memory::say(pieces.iter().map(|piece| Bytes::copy_from_slice(piece)));
    let options = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
    SENDER.with(|sender| REQUEST.with(|request| send(sender, request, &options, whole)))
}

fn send(
    sender: &Sender<Memory>,
    request: &Request,
    options: &CallOptions,
    whole: bool,
) -> (Vec<u8>, Result<(), Error>) {
    if whole {
        return match ready(sender.fetch(request, options)) {
            Ok(answer) => (answer.value.into(), Ok(())),
            Err(error) => (error.body().to_vec(), Err(error)),
        };
    }
    let mut all = Vec::new();
    let streamed = ready(async {
        let mut answer = sender.send(request, options).await?;
        while let Some(chunk) = answer.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(())
    });
    (all, streamed)
}

/// An answer, read without the client.
struct Read {
    /// Where its body begins.
    head: usize,
    /// Which bytes of it are its body's.
    content: Vec<usize>,
}

impl Read {
    fn new(raw: &[u8]) -> Self {
        let line = |from: usize| raw[from..].windows(2).position(|two| two == b"\r\n").unwrap();
        let mut head = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        if raw.starts_with(b"HTTP/1.1 1") {
            head += raw[head..].windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        }
        let (mut at, mut content) = (head, Vec::new());
        loop {
            let size = std::str::from_utf8(&raw[at..at + line(at)]).unwrap();
            let size = size.split(';').next().unwrap().trim();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                return Self { head, content };
            }
            at += line(at) + 2;
            content.extend(at..at + size);
            at += size + 2;
        }
    }

    /// What of the body is within the first `upto` bytes.
    fn body(&self, raw: &[u8], upto: usize) -> Vec<u8> {
        self.content.iter().filter(|at| **at < upto).map(|at| raw[*at]).collect()
    }
}

fn whole_in(raw: &[u8], pieces: &[&[u8]], told: &str) {
    for whole in [false, true] {
        let (body, ended) = call(pieces, whole);
        assert!(ended.is_ok(), "{told}, whole {whole}: {ended:?}");
        assert_eq!(body, Read::new(raw).body(raw, raw.len()), "{told}, whole {whole}");
    }
}

#[test]
fn every_split_gives_the_same() {
    let mut splits = 0;
    for (answer, raw) in ANSWERS.into_iter().enumerate() {
        whole_in(raw, &raw.chunks(1).collect::<Vec<_>>(), &format!("answer {answer} bytewise"));
        for at in 0..raw.len() {
            let (one, two) = raw.split_at(at);
            whole_in(raw, &[one, two], &format!("answer {answer} split at {at}"));
        }
        splits += raw.len() + 1;
    }
    println!("{splits} splits of {} answers, streamed and whole", ANSWERS.len());
}

#[test]
fn every_split_in_three_of_a_short_one_gives_the_same() {
    let raw = ANSWERS[3];
    for second in 0..raw.len() {
        for first in 0..second {
            let pieces = [&raw[..first], &raw[first..second], &raw[second..]];
            whole_in(raw, &pieces, &format!("split at {first} and {second}"));
        }
    }
}

fn broken_in(raw: &[u8], pieces: &[&[u8]], told: &str) {
    let (upto, read) = (pieces.iter().map(|piece| piece.len()).sum(), Read::new(raw));
    let expect = if upto < read.head {
        (ErrorKind::Disconnected, Delivery::MaybeRan)
    } else {
        (ErrorKind::Truncated, Delivery::Answered)
    };
    for whole in [false, true] {
        let (body, ended) = call(pieces, whole);
        let error = ended.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), expect, "{told}, whole {whole}: {error:?}");
        assert_eq!(body, read.body(raw, upto), "{told}, whole {whole}");
    }
}

#[test]
fn no_beginning_passes_for_the_whole() {
    for (answer, raw) in ANSWERS.into_iter().enumerate() {
        for upto in 0..raw.len() {
            let told = format!("answer {answer} up to {upto}");
            broken_in(raw, &[&raw[..upto]], &told);
            broken_in(raw, &[&raw[..upto / 2], &raw[upto / 2..upto]], &format!("{told} in two"));
        }
    }
}

/// One chunk as it may be written: its size, beside what stands for it.
#[derive(Clone, Debug)]
struct Chunk {
    data: Vec<u8>,
    upper: bool,
    zeros: usize,
    extension: &'static str,
}

impl Chunk {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.size().as_bytes());
        to.extend_from_slice(self.extension.as_bytes());
        to.extend_from_slice(b"\r\n");
        to.extend_from_slice(&self.data);
        if !self.data.is_empty() {
            to.extend_from_slice(b"\r\n");
        }
    }

    fn size(&self) -> String {
        let (size, zeros) = (self.data.len(), "0".repeat(self.zeros));
        if self.upper { format!("{zeros}{size:X}") } else { format!("{zeros}{size:x}") }
    }
}

fn chunk(data: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Chunk> {
    let extension =
        select(vec!["", "", ";", ";a", ";a=b", " ;a", "\t", ";a=\"b c\";d=1", ";a = b"]);
    (data, any::<bool>(), 0..4_usize, extension).prop_map(|(data, upper, zeros, extension)| Chunk {
        data,
        upper,
        zeros,
        extension,
    })
}

/// A body in chunks, and its wire.
#[derive(Clone, Debug)]
struct Written {
    chunks: Vec<Chunk>,
    raw: Vec<u8>,
}

fn written() -> impl Strategy<Value = Written> {
    // Every fourth byte is one of framing.
    let byte = any::<u8>().prop_map(|byte| match byte {
        0..64 => b"\r\n0a;"[usize::from(byte) % 5],
        byte => byte,
    });
    let large = (select(vec![255_usize, 4096, 10_000]), any::<u8>());
    let large = large.prop_map(|(size, byte)| vec![byte; size]);
    let data = prop_oneof![9 => vec(byte, 1..40), 1 => large];
    let trailer = select(vec!["x: y\r\n", "x:\r\n", "X-Sum: 0\r\n", "content-length: 5\r\n"]);
    (vec(chunk(data), 0..8), chunk(Just(Vec::new())), vec(trailer, 0..4)).prop_map(
        |(chunks, last, trailers)| {
            let mut raw = HEAD.as_bytes().to_vec();
            chunks.iter().chain([&last]).for_each(|chunk| chunk.write(&mut raw));
            raw.extend_from_slice(trailers.concat().as_bytes());
            raw.extend_from_slice(b"\r\n");
            Written { chunks, raw }
        },
    )
}

/// Cuts at these places, in pieces.
fn split<'a>(raw: &'a [u8], at: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> =
        at.iter().map(|at| at.index(raw.len())).chain([0, raw.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|two| &raw[two[0]..two[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_are_read_however_they_are_written_and_come(
        written in written(),
        at in vec(any::<Index>(), 0..20),
        whole: bool,
    ) {
        let (body, ended) = call(&split(&written.raw, &at), whole);
        prop_assert_eq!(ended.map_err(|error| error.to_string()), Ok(()));
        let data: Vec<u8> = written.chunks.into_iter().flat_map(|chunk| chunk.data).collect();
        prop_assert_eq!(body, data);
    }

    #[test]
    fn chunks_that_are_cut_are_never_whole(
        written in written(),
        upto: Index,
        at in vec(any::<Index>(), 0..5),
    ) {
        let upto = HEAD.len() + upto.index(written.raw.len() - HEAD.len());
        let part = &written.raw[..upto];
        broken_in(&written.raw, &split(part, &at), &format!("up to {upto}"));
    }

    #[test]
    fn a_size_that_is_no_number_ends_the_body(
        written in written(),
        which: Index,
        bad in select(vec!["", "g", "-1", "0x1", "1_", " 1", "+1", "1ffffffffffffffff"]),
        at in btree_set(any::<u16>(), 0..5),
        whole: bool,
    ) {
        let good = which.index(written.chunks.len() + 1);
        let mut raw = HEAD.as_bytes().to_vec();
        written.chunks[..good].iter().for_each(|chunk| chunk.write(&mut raw));
        raw.extend_from_slice(bad.as_bytes());
        raw.extend_from_slice(b"\r\nx\r\n0\r\n\r\n");
        let mut pieces = Vec::new();
        let mut rest = &raw[..];
        for at in at {
            let (piece, left) = rest.split_at(rest.len().min(usize::from(at) % 50));
            pieces.push(piece);
            rest = left;
        }
        pieces.push(rest);
        let (body, ended) = call(&pieces, whole);
        let error = ended.unwrap_err();
        // Not HTTP, after an answer that had begun.
        prop_assert_eq!(
            (error.kind(), error.delivery()),
            (ErrorKind::Disconnected, Delivery::Answered)
        );
        let data: Vec<u8> =
            written.chunks[..good].iter().flat_map(|chunk| chunk.data.clone()).collect();
        prop_assert_eq!(body, data);
    }
}
