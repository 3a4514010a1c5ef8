//! SSE framing: however a body is cut, its events are the same, and those of a plain reading of the
//! standard and of the field `error`.

#![no_main]

use baseten_core::sse::{Decoder, Event, TooLong};
use bytes::Bytes;
use fuzz::arrivals;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for limit in [40, usize::MAX] {
        let [whole, bytes, pieces] = arrivals(body).map(|pieces| read(pieces, limit));
        assert_eq!(whole, bytes, "byte by byte, limit {limit}");
        assert_eq!(whole, pieces, "in pieces, limit {limit}");
        if limit == usize::MAX {
            let found: Vec<_> = whole.0.into_iter().map(|event| (event.name, event.data)).collect();
            assert_eq!(found, plain(body), "a plain reading");
        }
    }
});

fn read(pieces: Vec<Bytes>, limit: usize) -> (Vec<Event>, Option<TooLong>) {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    events.extend(decoder.finish());
    (events, None)
}

/// The events of a body that is all there, and of what was begun at its end.
fn plain(body: &[u8]) -> Vec<(Bytes, Bytes)> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let (mut events, mut name, mut data) = (Vec::new(), Vec::new(), None::<Vec<u8>>);
    let mut take = |line: &[u8]| {
        if line.is_empty() {
            let name = std::mem::take(&mut name);
            events.extend(data.take().map(|data| (name.into(), data.into())));
            return;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if line[..colon] == *b"error" {
            name = b"error".to_vec(); // the one field that is not the standard's
        }
        match (&line[..colon], &mut data) {
            (b"event", _) => name = value.to_vec(),
            (b"data" | b"error", Some(data)) => data.extend([b"\n", value].concat()),
            (b"data" | b"error", None) => data = Some(value.to_vec()),
            _ => {}
        }
    };
    let mut rest = body;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        take(&rest[..end]);
        let ends = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + ends..];
    }
    if !rest.is_empty() {
        take(rest);
    }
    take(b"");
    events
}
