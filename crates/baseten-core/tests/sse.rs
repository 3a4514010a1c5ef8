//! Framing does not depend on how the bytes were cut, and agrees with a naive reading of the standard.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use baseten_core::sse::{Decoder, Event, TooLong};
use bytes::Bytes;
use proptest::prelude::*;
use std::{fs, path::Path, time::Duration};

/// What a stream decodes to: the events, and what was begun when it ended.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    events: Vec<Event>,
    left: Option<Event>,
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Decoded, TooLong> {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(event) = decoder.next()? {
            events.push(event);
        }
    }
    Ok(Decoded { events, left: decoder.finish() })
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sse");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sse"))
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 10, "the corpus is missing");
    files
}

#[test]
fn every_cut_of_the_corpus_gives_the_same_events() {
    for (name, body) in corpus() {
        let whole = decode([&body[..]]).unwrap();
        assert!(!whole.events.is_empty(), "{name}");
        for at in 0..=body.len() {
            assert_eq!(decode([&body[..at], &body[at..]]).unwrap(), whole, "{name} cut at {at}");
        }
        assert_eq!(decode(body.chunks(1)).unwrap(), whole, "{name} byte by byte");
        assert_eq!(decode(body.chunks(7)).unwrap(), whole, "{name} by sevens");
    }
}

#[test]
fn every_prefix_of_the_corpus_gives_the_first_events_and_what_was_begun() {
    for (name, body) in corpus() {
        let whole = decode([&body[..]]).unwrap();
        let mut before = 0;
        for end in 0..=body.len() {
            let prefix = &body[..end];
            let got = decode([prefix]).unwrap();
            assert_eq!(got, naive(prefix), "{name} up to {end}");
            assert_eq!(got.events, whole.events[..got.events.len()], "{name} up to {end}");
            assert!(got.events.len() >= before, "{name}: an event was taken back at {end}");
            before = got.events.len();
        }
        assert_eq!(before, whole.events.len(), "{name}");
    }
}

#[test]
fn the_corners_of_the_standard() {
    let (_, body) = corpus().into_iter().find(|(name, _)| name.ends_with("corners.sse")).unwrap();
    let decoded = decode([&body[..]]).unwrap();
    let slow = Some(Duration::from_millis(2500));
    #[rustfmt::skip]
    //   name     data                      id    retry
    let expected = [
        ("", "crlf", "", None), // after a byte order mark and a comment
        ("", "no space", "", None),
        ("", " two spaces\ncr", "", None), // one space is taken off; lines end in CR
        ("named", "multi\n\nline \u{20ac}", "7", None), // a field without a colon is an empty one
        ("", "", "7", None),               // `event` without data was no event; `data:` is
        ("", "x", "7", slow),              // an id with NUL is ignored
        ("", "y", "", slow),               // a bare `id` clears; a bad `retry` is ignored
    ];
    let got: Vec<_> = decoded
        .events
        .iter()
        .map(|event| (text(&event.name), text(&event.data), text(&event.id), event.retry))
        .collect();
    assert_eq!(got, expected);
    assert_eq!(decoded.left.unwrap().data, "cut off"); // the field name `da` is not a field
}

#[test]
fn the_field_error_is_an_event_of_that_name() {
    #[rustfmt::skip]
    let table = [
        // body                                 name     data
        ("error: {\"code\":400}\n\n",            "error", "{\"code\":400}"), // llama.cpp through 2025
        ("error:boom\n\n",                     "error", "boom"),
        ("error\n\n",                          "error", ""), // as every field without a colon
        ("event: message\nerror: boom\n\n",   "error", "boom"),
        ("data: one\nerror: two\n\n",         "error", "one\ntwo"),
        ("errors: boom\ndata: fine\n\n",      "",      "fine"),
        ("Error: boom\ndata: fine\n\n",       "",      "fine"),
    ];
    for (body, name, data) in table {
        let decoded = decode([body.as_bytes()]).unwrap();
        let found: Vec<_> =
            decoded.events.iter().map(|event| (text(&event.name), text(&event.data))).collect();
        assert_eq!(found, [(name, data)], "{body:?}");
        let begun = decode([body.trim_end().as_bytes()]).unwrap().left.unwrap();
        assert_eq!((text(&begun.name), text(&begun.data)), (name, data), "{body:?}, at the end");
    }
}

#[test]
fn an_event_over_the_limit_is_an_error_wherever_it_is_cut() {
    #[rustfmt::skip]
    let bodies = [
        "data: 45678901\n\n",  // one line
        "data: 1\ndata:2\n\n", // several lines together
        ": comment 01\n\n",    // a comment
        "event: long-name\ndata:\n\n",
        "data: 456789012345", // the line is not even over
    ];
    for body in bodies {
        let body = format!("data: ok\n\n{body}");
        for at in 0..=body.len() {
            let mut decoder = Decoder::new(10);
            let mut seen = 0;
            let outcome = [&body[..at], &body[at..]].into_iter().try_for_each(|piece| {
                decoder.push(Bytes::copy_from_slice(piece.as_bytes()));
                while decoder.next()?.is_some() {
                    seen += 1;
                }
                Ok(())
            });
            assert_eq!(outcome, Err(TooLong { limit: 10 }), "{body:?} cut at {at}");
            assert_eq!(seen, 1, "{body:?} cut at {at}: the event before is not lost");
            assert_eq!(decoder.next(), Err(TooLong { limit: 10 }), "{body:?}: the error stays");
        }
    }
    let mut decoder = Decoder::new(10);
    decoder.push("data: 6789\n\ndata: 6789\n\n".into());
    assert_eq!(decoder.next().unwrap().unwrap().data, "6789", "exactly the limit is fine");
    assert_eq!(decoder.next().unwrap().unwrap().data, "6789", "each event has it for itself");
}

#[test]
fn data_is_a_slice_of_what_was_pushed() {
    let pushed = Bytes::from(b"data: zero copy\n\n".to_vec());
    let mut decoder = Decoder::default();
    decoder.push(pushed.clone());
    let event = decoder.next().unwrap().unwrap();
    assert_eq!(event.data.as_ptr(), pushed[6..].as_ptr());
}

#[test]
fn a_drained_decoder_lets_go_of_the_buffer() {
    let pushed = Bytes::from(b": comment\nid: 1\nevent: x\ndata: y\n\ndata: be".to_vec());
    let mut decoder = Decoder::default();
    decoder.push(pushed.clone());
    drop(decoder.next().unwrap().unwrap());
    assert_eq!(decoder.next(), Ok(None));
    assert!(pushed.is_unique(), "the decoder still holds the caller's buffer");
}

proptest! {
    #[test]
    fn agrees_with_a_naive_reading_of_the_standard(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "data", "event", "id", "retry", "error", ":", ": ", " ", "\n", "\n\n", "\r", "\r\n", "x", "12",
                "\0", "\u{feff}", "\u{20ac}", "[DONE]", "data: ", "data:{\"a\":1}\n\n",
            ]),
            0..40,
        ),
        size in 1..9_usize,
    ) {
        let body = words.concat();
        let expected = naive(body.as_bytes());
        prop_assert_eq!(&decode([body.as_bytes()]).unwrap(), &expected);
        prop_assert_eq!(&decode(body.as_bytes().chunks(size)).unwrap(), &expected);
    }
}

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The standard's algorithm, line by line over the whole body.
fn naive(body: &[u8]) -> Decoded {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let mut decoded = Decoded::default();
    let mut lines = vec![Vec::new()];
    let mut bytes = body.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if byte == b'\r' {
            bytes.next_if_eq(&&b'\n');
        }
        match byte {
            b'\r' | b'\n' => lines.push(Vec::new()),
            _ => lines.last_mut().unwrap().push(byte),
        }
    }
    let last = lines.pop().unwrap();
    let mut id = Vec::new();
    let mut retry = None;
    let mut name = Vec::new();
    let mut data: Option<Vec<u8>> = None;
    let mut take = |line: Vec<u8>, events: &mut Vec<Event>| {
        if line.is_empty() {
            let name = std::mem::take(&mut name);
            if let Some(data) = data.take() {
                let mut event = Event::default();
                (event.name, event.data, event.retry) = (name.into(), data.into(), retry);
                event.id = id.clone().into();
                events.push(event);
            }
            return;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        if line[..colon] == *b"error" {
            name = b"error".to_vec(); // ours: see the module
        }
        match &line[..colon] {
            b"data" | b"error" => match &mut data {
                Some(data) => data.extend([b"\n", &value[..]].concat()),
                None => data = Some(value),
            },
            b"event" => name = value,
            b"id" if !value.contains(&0) => id = value,
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let number = String::from_utf8(value).unwrap().parse().ok();
                retry = number.map(Duration::from_millis).or(retry);
            }
            _ => {}
        }
    };
    for line in lines {
        take(line, &mut decoded.events);
    }
    let mut left = Vec::new();
    if !last.is_empty() {
        take(last, &mut left);
    }
    take(Vec::new(), &mut left);
    decoded.left = left.pop();
    decoded
}
