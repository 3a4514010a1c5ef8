//! Streams of chats: however one is cut, its chunks and its end are the same; each chunk is what plain
//! parsing of its event gives, and the answer is what plain chunks come to.

#![no_main]

use baseten_core::sse;
use baseten_openai::{ChatChunk, ChatCollector, ChatDecoder, Progress};
use bytes::Bytes;
use fuzz::arrivals;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let [whole, bytes, pieces] = arrivals(body).map(Story::of);
    assert_eq!(whole, bytes, "byte by byte");
    assert_eq!(whole, pieces, "in pieces");
    // Anything else is a document, which has no events.
    let before = |byte: &u8| byte.is_ascii_whitespace() || b"\xEF\xBB\xBF".contains(byte);
    let body = &body[body.iter().take_while(|byte| before(byte)).count()..];
    if !matches!(body.first(), None | Some(b'{' | b'[' | b'"' | b'<')) {
        compare(&whole, body);
    }
});

/// What a decoder told of.
#[derive(Debug, PartialEq)]
struct Story {
    /// Chunk by chunk; `None` is an event that is no chunk.
    chunks: Vec<Option<ChatChunk>>,
    end: String,
    answer: String,
}

impl Story {
    fn of(pieces: Vec<Bytes>) -> Self {
        let mut decoder = ChatDecoder::new();
        let mut pieces = pieces.into_iter();
        let mut chunks = Vec::new();
        loop {
            match decoder.advance() {
                Ok(Progress::Chunk) => chunks.push(Some(decoder.chunk().clone())),
                Ok(Progress::Other) => chunks.push(None),
                Ok(Progress::More) => match pieces.next() {
                    Some(piece) => decoder.push(piece),
                    None => decoder.finish(),
                },
                Ok(Progress::End) => {
                    let end = format!("{:?}", decoder.end());
                    return Self { chunks, end, answer: format!("{:?}", decoder.into_answer()) };
                }
                Err(error) => {
                    let (kind, answer) = error.into_parts();
                    let (end, answer) = (format!("{kind:?}"), format!("{answer:?}"));
                    return Self { chunks, end, answer };
                }
            }
        }
    }
}

fn compare(story: &Story, body: &[u8]) {
    let mut framing = sse::Decoder::default();
    framing.push(Bytes::copy_from_slice(body));
    let mut events = Vec::new();
    while let Ok(Some(event)) = framing.next() {
        events.push(event.data);
    }
    events.extend(framing.finish().map(|event| event.data));
    events.retain(|data| !data.trim_ascii().is_empty());
    assert!(story.chunks.len() <= events.len(), "more chunks than events");

    let mut collector = ChatCollector::default();
    for (chunk, event) in story.chunks.iter().zip(&events) {
        let Some(chunk) = chunk else { continue };
        let plain: ChatChunk = serde_json::from_slice(event)
            .unwrap_or_else(|error| panic!("a chunk of what is none: {error}: {event:?}"));
        assert_eq!(*chunk, plain, "{event:?}");
        collector.push(&plain);
    }
    assert_eq!(story.answer, format!("{:?}", collector.into_response()), "the answer");
}
