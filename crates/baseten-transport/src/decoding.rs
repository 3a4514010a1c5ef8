//! Compressed answers: asked for where they are taken in whole, decoded while they come.
//!
//! It knows content encodings (RFC 9110, 8.4) and how far one may grow, and nothing of sockets or calls:
//! both ways to wait share it. Streams are neither asked for compressed nor decoded, since a coder holds
//! back what an event is made of.

mod zstd;

use std::io::{self, Write};

use baseten_core::{Cause, Failure, Framing, Meta, Request, Source};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;

use crate::body::Body;
use crate::net::Net;
use zstd::Zstd;

/// What is decoded, in what servers tell apart by. Both or none: neither is preferred.
const DECODED: HeaderValue = HeaderValue::from_static("gzip, zstd");

/// How many times its size an answer may grow. Text and JSON of models come to 3 to 10, a long list of
/// equal numbers to several hundred.
const GROWTH_MAX: u64 = 100;

/// Up to here an answer may grow as it likes, in bytes: so much is no attack, and a mask or an embedding
/// of zeros does compress by a thousand.
const GROWTH_FREE: u64 = 16 << 20;

/// Asks for a compressed answer, unless the caller has said what to ask for.
pub(crate) fn ask(request: &Request, headers: &mut HeaderMap) {
    if is_asked(request) {
        headers.insert(header::ACCEPT_ENCODING, DECODED);
    }
}

fn is_asked(request: &Request) -> bool {
    request.is_whole() && request.header(&header::ACCEPT_ENCODING).is_none()
}

/// A body on its way from its encoding to what it says.
pub(crate) struct Decoding {
    coder: Coder,
    /// How many bytes have come.
    encoded: u64,
    /// No byte may have come: the answer has none.
    may_be_empty: bool,
}

enum Coder {
    Gzip(Box<MultiGzDecoder<Decoded>>),
    Zstd(Box<Zstd>, Decoded),
}

/// What came of it, as far as it may go.
struct Decoded {
    bytes: Vec<u8>,
    /// With what was taken away before.
    total: u64,
    /// How far `total` may go for what has come so far.
    growth: u64,
    limit: usize,
    over: Option<Cause>,
}

/// How much more than what it says an answer may take: members and frames with nothing in them would
/// otherwise come for ever.
const OVERHEAD: u64 = 64 << 10;

/// What can be wrong with an encoding.
type Fault = (Cause, Option<Source>);

impl Decoding {
    /// For an accepted answer, if it came as was asked for.
    pub(crate) fn of_answer(request: &Request, meta: &Meta) -> Option<Self> {
        let decoding = if is_asked(request) { Self::of(meta.headers()) } else { None };
        let may_be_empty = || meta.framing() == Framing::Length(0);
        decoding.map(|decoding| Self { may_be_empty: may_be_empty(), ..decoding })
    }

    /// For an answer with an error status, whatever was asked for: somebody has to read it.
    pub(crate) fn of_error(head: &Parts) -> Option<Self> {
        Self::of(&head.headers)
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut names = headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        let (name, None) = (names.next()?, names.next()) else { return None };
        let coder = match name.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Coder::Gzip(Box::new(MultiGzDecoder::new(Decoded::new()))),
            b"zstd" => Coder::Zstd(Box::new(Zstd::new()), Decoded::new()),
            _ => return None,
        };
        Some(Self { coder, encoded: 0, may_be_empty: false })
    }

    /// How many bytes have come, as they came.
    pub(crate) fn encoded(&self) -> u64 {
        self.encoded
    }

    /// The next decoded piece, `None` at the end.
    pub(crate) async fn chunk<N: Net>(
        &mut self,
        body: &mut Body<N>,
    ) -> Result<Option<Bytes>, Failure> {
        while let Some(chunk) = body.chunk().await? {
            self.push(&chunk).map_err(|(cause, source)| body.fail(cause, source))?;
            let bytes = self.take();
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        self.finish().map_err(|(cause, source)| body.fail(cause, source))?;
        let rest = self.take();
        Ok(if rest.is_empty() { None } else { Some(rest) })
    }

    /// All of it, up to `limit` bytes decoded. On a failure, what came until then goes with it.
    pub(crate) async fn whole<N: Net>(
        &mut self,
        body: &mut Body<N>,
        limit: usize,
    ) -> Result<Bytes, (Failure, Bytes)> {
        self.decoded().limit = limit;
        let outcome = loop {
            let fault = match body.chunk().await {
                Ok(Some(chunk)) => match self.push(&chunk) {
                    Ok(()) => continue,
                    Err(fault) => fault,
                },
                Ok(None) => match self.finish() {
                    Ok(()) => break Ok(()),
                    Err(fault) => fault,
                },
                Err(failure) => break Err(failure),
            };
            break Err(body.fail(fault.0, fault.1));
        };
        let bytes = self.take();
        match outcome {
            Ok(()) => Ok(bytes),
            Err(failure) => Err((failure, bytes)),
        }
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        self.encoded += chunk.len() as u64;
        let limit = self.decoded().limit;
        let most = (limit as u64).saturating_add(limit as u64 / 8).saturating_add(OVERHEAD);
        if self.encoded > most {
            return Err((Cause::BodyTooLarge { limit }, None));
        }
        self.decoded().growth = GROWTH_FREE.max(self.encoded.saturating_mul(GROWTH_MAX));
        let pushed = match &mut self.coder {
            Coder::Gzip(coder) => coder.write_all(chunk),
            Coder::Zstd(coder, decoded) => coder.push(chunk, decoded),
        };
        pushed.map_err(|error| self.fault(error))
    }

    /// The end of the body: has the encoding come to its own?
    fn finish(&mut self) -> Result<(), Fault> {
        if self.encoded == 0 && self.may_be_empty {
            return Ok(());
        }
        let finished = match &mut self.coder {
            Coder::Gzip(coder) => coder.try_finish(),
            Coder::Zstd(coder, _) => coder.finish(),
        };
        finished.map_err(|error| self.fault(error))
    }

    fn fault(&mut self, error: io::Error) -> Fault {
        match self.decoded().over.take() {
            Some(cause) => (cause, None),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                (Cause::Truncated, Some(error.into()))
            }
            None => (Cause::Encoding, Some(error.into())),
        }
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.decoded().bytes).into()
    }

    fn decoded(&mut self) -> &mut Decoded {
        match &mut self.coder {
            Coder::Gzip(coder) => coder.get_mut(),
            Coder::Zstd(_, decoded) => decoded,
        }
    }
}

impl Decoded {
    fn new() -> Self {
        Self { bytes: Vec::new(), total: 0, growth: GROWTH_FREE, limit: usize::MAX, over: None }
    }
}

impl Write for Decoded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.growth.min(self.limit as u64);
        let room = usize::try_from(most.saturating_sub(self.total)).unwrap_or(usize::MAX);
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        self.total += taken as u64;
        if taken == bytes.len() {
            return Ok(taken);
        }
        self.over = Some(if most == self.limit as u64 {
            Cause::BodyTooLarge { limit: self.limit }
        } else {
            Cause::Expansion { limit: GROWTH_MAX }
        });
        Err(io::Error::other("it is larger than it may be"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = include_bytes!("../tests/encodings/answer.json");
    const GZIP: &[u8] = include_bytes!("../tests/encodings/answer.json.gz");
    const MEMBERS: &[u8] = include_bytes!("../tests/encodings/members.json.gz");
    const ZSTD: &[u8] = include_bytes!("../tests/encodings/answer.json.zst");
    const FRAMES: &[u8] = include_bytes!("../tests/encodings/frames.json.zst");

    fn of(encoding: &str) -> Option<Decoding> {
        let value = encoding.parse().unwrap();
        Decoding::of(&HeaderMap::from_iter([(header::CONTENT_ENCODING, value)]))
    }

    /// What these pieces come to.
    fn decode<'p>(
        encoding: &str,
        pieces: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<Bytes, Cause> {
        let mut decoding = of(encoding).unwrap();
        for piece in pieces {
            decoding.push(piece).map_err(|(cause, _)| cause)?;
        }
        decoding.finish().map_err(|(cause, _)| cause)?;
        Ok(decoding.take())
    }

    #[test]
    fn what_other_programs_compressed_is_read_in_any_split() {
        for (encoding, bytes) in
            [("gzip", GZIP), ("gzip", MEMBERS), ("zstd", ZSTD), ("zstd", FRAMES)]
        {
            for at in 0..=bytes.len() {
                let (one, two) = bytes.split_at(at);
                assert_eq!(decode(encoding, [one, two]).unwrap(), ANSWER, "{encoding} at {at}");
            }
            assert_eq!(decode(encoding, bytes.chunks(1)).unwrap(), ANSWER, "{encoding} bytewise");
        }
        let lines: String = (0..40_000).map(|line| format!("line {}\n", line % 100)).collect();
        let gzip = include_bytes!("../tests/encodings/lines.txt.gz");
        let zstd = include_bytes!("../tests/encodings/lines.txt.zst");
        assert_eq!(decode("gzip", [&gzip[..]]).unwrap(), lines);
        assert_eq!(decode("zstd", zstd.chunks(1)).unwrap(), lines);
    }

    #[test]
    fn a_cut_anywhere_is_an_error() {
        let first_frame = 500; // Where the plain text of the first member and frame ends.
        for (encoding, bytes, whole_parts) in
            [("gzip", GZIP, 0), ("zstd", ZSTD, 0), ("gzip", MEMBERS, 1), ("zstd", FRAMES, 2)]
        {
            let mut whole = 0;
            for at in 0..bytes.len() {
                match decode(encoding, [&bytes[..at]]) {
                    // Between two members nobody can tell, but for the length of the message.
                    Ok(part) => {
                        assert_eq!(part, ANSWER[..first_frame], "{encoding} cut at {at}");
                        whole += 1;
                    }
                    Err(Cause::Truncated) => {}
                    // gzip's checksum and size, of which a part is as good as a wrong one.
                    Err(Cause::Encoding) if encoding == "gzip" => {}
                    Err(cause) => panic!("{encoding} cut at {at}: {cause:?}"),
                }
            }
            assert_eq!(whole, whole_parts, "{encoding}");
        }
    }

    #[test]
    fn a_garbled_byte_is_an_error_wherever_there_is_a_checksum() {
        for (encoding, bytes, free) in [
            // Time, flags and system: of the head nothing but its form is checked.
            ("gzip", GZIP, 4..10),
            // None: a frame has nothing to spare.
            ("zstd", ZSTD, 0..0),
        ] {
            for at in 0..bytes.len() {
                let mut garbled = bytes.to_vec();
                garbled[at] ^= 0x55;
                let decoded = decode(encoding, [&garbled[..]]);
                let harmless = free.contains(&at) && decoded.as_deref() == Ok(ANSWER);
                assert!(harmless || decoded.is_err(), "{encoding} garbled at {at}");
            }
        }
    }

    #[test]
    fn nothing_grows_beyond_its_bounds() {
        // A member of 1 MiB of zeros, which takes 1 KiB, and the same as one repeating block after another.
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        coder.write_all(&vec![0; 1 << 20]).unwrap();
        let member = coder.finish().unwrap();
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38]; // no checksum, a window of 128 KiB
        for block in 0..8 {
            let head = u32::from(block == 7) | 1 << 1 | (128 << 10) << 3;
            frame.extend_from_slice(&head.to_le_bytes()[..3]);
            frame.push(0);
        }
        for (encoding, mebibyte) in [("gzip", &member), ("x-gzip", &member), ("zstd", &frame)] {
            let pieces = |count| std::iter::repeat_n(mebibyte.as_slice(), count);
            let grown = decode(encoding, pieces(16)).unwrap();
            assert!(grown.len() == 16 << 20 && grown.iter().all(|&byte| byte == 0), "{encoding}");
            // In one piece as well: nothing is decoded that may not be kept.
            let bomb = mebibyte.repeat(17);
            for bomb in [decode(encoding, pieces(17)), decode(encoding, [&bomb[..]])] {
                assert_eq!(bomb, Err(Cause::Expansion { limit: 100 }), "{encoding}");
            }

            let mut decoding = of(encoding).unwrap();
            decoding.decoded().limit = 1000;
            let (cause, _) = decoding.push(mebibyte).unwrap_err();
            assert_eq!(cause, Cause::BodyTooLarge { limit: 1000 }, "{encoding}");
            assert_eq!(decoding.take(), [0; 1000][..], "{encoding}");
        }
    }

    #[test]
    fn what_says_nothing_does_not_come_for_ever() {
        let mut empty = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        empty.try_finish().unwrap();
        let member = empty.finish().unwrap();
        let skipped = [&[0x50, 0x2A, 0x4D, 0x18, 0xFF, 0xFF, 0xFF, 0xFF][..], &[0; 1000]].concat();
        for (encoding, piece) in [("gzip", member), ("zstd", skipped)] {
            let mut decoding = of(encoding).unwrap();
            decoding.decoded().limit = 1000;
            let outcome = (0..100_000).find_map(|_| decoding.push(&piece).err());
            let (cause, _) = outcome.expect("it is bounded");
            assert_eq!(cause, Cause::BodyTooLarge { limit: 1000 }, "{encoding}");
        }
    }

    #[test]
    fn a_window_beyond_what_http_allows_is_refused() {
        let head = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x70]; // 16 MiB
        assert_eq!(decode("zstd", [&head[..]]), Err(Cause::Encoding));
    }

    #[test]
    fn an_encoding_is_known_by_name() {
        for (encoding, known) in [
            ("gzip", true),
            ("GZip", true),
            ("x-gzip", true), // RFC 9110: the same
            ("zstd", true),
            ("identity, gzip", true),
            ("identity", false),
            ("", false),
            ("br", false),
            ("deflate", false),    // sent in two forms that cannot be told apart
            ("gzip, zstd", false), // one in the other: nobody does that
        ] {
            assert_eq!(of(encoding).is_some(), known, "{encoding}");
        }
    }
}
