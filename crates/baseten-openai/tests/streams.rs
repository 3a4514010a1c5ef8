//! Recorded streams decode to what their servers meant, however the bytes were cut.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{collections::BTreeSet, fs, path::Path};

use baseten_openai::{
    ChatChunk, ChatDecoder, ChatResponse, FinishReason, Progress, StreamEnd, StreamErrorKind,
};
use bytes::Bytes;

/// All that a decoder tells of a stream.
#[derive(Debug, PartialEq)]
struct Decoded {
    chunks: Vec<ChatChunk>,
    others: usize,
    end: Result<StreamEnd, String>,
    response: ChatResponse,
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = ChatDecoder::new();
    let mut pieces = pieces.into_iter();
    let mut decoded =
        Decoded { chunks: vec![], others: 0, end: Ok(StreamEnd::Done), response: <_>::default() };
    loop {
        match decoder.advance() {
            Ok(Progress::Chunk) => decoded.chunks.push(decoder.chunk().clone()),
            Ok(Progress::Other) => decoded.others += 1,
            Ok(Progress::More) => match pieces.next() {
                Some(piece) => decoder.push(Bytes::copy_from_slice(piece)),
                None => decoder.finish(),
            },
            Ok(Progress::End) => {
                decoded.end = Ok(decoder.end().unwrap());
                decoded.response = decoder.into_answer();
                return decoded;
            }
            Err(error) => {
                assert_eq!(decoder.advance().unwrap(), Progress::End, "an error is the end");
                assert_eq!(decoder.end(), None);
                let (kind, partial) = error.into_parts();
                decoded.end = Err(match kind {
                    StreamErrorKind::Failed(error) => {
                        format!("failed {}: {}", error.code().unwrap_or("-"), error.message())
                    }
                    StreamErrorKind::Truncated => "truncated".into(),
                    StreamErrorKind::Undecodable(error) => format!("undecodable: {error}"),
                    StreamErrorKind::TooLong(error) => error.to_string(),
                    kind => format!("{kind:?}"),
                });
                decoded.response = partial;
                return decoded;
            }
        }
    }
}

/// The chunks, read one by one with nothing remembered.
fn plain_chunks(body: &str) -> Vec<ChatChunk> {
    body.split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .take_while(|data| *data != "[DONE]" && !data.contains("\"error\""))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a recorded stream must come to.
struct Row {
    file: &'static str,
    text: &'static str,
    /// Name and arguments of each call.
    calls: &'static [(&'static str, &'static str)],
    reason: Option<FinishReason>,
    /// Tokens of the input and the output.
    usage: Option<(u64, u64)>,
    end: Result<StreamEnd, &'static str>,
}

const fn row(file: &'static str, text: &'static str, reason: FinishReason) -> Row {
    let end = Ok(StreamEnd::Done);
    Row { file, text, calls: &[], reason: Some(reason), usage: None, end }
}

#[rustfmt::skip]
fn recorded() -> Vec<Row> {
    use FinishReason::{Length, Stop, ToolCalls};
    let add = &[("add", r#"{"a":1, "b":true}"#)];
    let usage = Some((53, 6));
    let engine_died = "failed 500: litellm.APIConnectionError: APIConnectionError: OpenAIException - engine died";
    let reset = "failed 500: litellm.APIConnectionError: APIConnectionError: OpenAIException - Response payload is not \
        completed: <TransferEncodingError: 400, message='Not enough data to satisfy transfer length header.'>. \
        ConnectionResetError(104, 'Connection reset by peer')";
    vec![
        row("llamacpp-chat-stream", ";)= echo)=", Length),
        row("llamacpp2-chat-stream", ";)= echo)=", Length),
        // usage in an event of its own, with `choices: []`
        Row { usage, ..row("llamacpp-chat-stream-usage", ";)= echo)=", Length) },
        Row { usage, ..row("llamacpp2-chat-stream-usage", ";)= echo)=", Length) },
        row("llamacpp-chat-stream-usage-keepalive", ";)= echo)=", Length),
        row("llamacpp2-chat-stream-usage-keepalive", ";)= echo)=", Length),
        // characters outside ASCII
        row("llamacpp-chat-seeded-unicode-stream", "你你你", Length),
        row("llamacpp2-chat-seeded-unicode-stream", "你你你", Length),
        // quotes in the text: every other event has an escape
        row("llamacpp-chat-json-schema-stream", r#"{"ok":true,"c": "blue"}"#, Stop),
        row("llamacpp2-chat-json-schema-stream", r#"{"ok":true,"c": "blue"}"#, Stop),
        // arguments letter by letter, the id in the first part only
        Row { calls: add, usage: Some((387, 50)), ..row("llamacpp-chat-tools-stream", "", ToolCalls) },
        Row { calls: add, usage: Some((387, 50)), ..row("llamacpp2-chat-tools-stream", "", ToolCalls) },
        Row { calls: &[("add", r#"{"a":1}"#)], ..row("litellm-chat-tools-stream", "", ToolCalls) },
        row("litellm-chat-stream", ";)= echo)=", Length),
        row("litellm-native-chat-stream", ";)= echo)=", Length),
        // usage in an event that has a choice too
        Row { usage, ..row("litellm-chat-stream-usage", ";)= echo)=", Length) },
        row("litellm-upstream-stream-comments", "one two ", Stop),
        // the gateway makes a good stream of one that was cut: nobody can tell
        row("litellm-upstream-stream-no-done", "one two ", Stop),
        // an error as the last event, no `[DONE]`
        Row { reason: None, end: Err(engine_died), ..row("litellm-upstream-stream-error-event", "one ", Stop) },
        Row { reason: None, end: Err(reset), ..row("litellm-upstream-stream-reset", "one two ", Stop) },
        // `[DONE]` without a reason is whole
        Row { reason: None, end: Ok(StreamEnd::DoneWithoutReason), ..row("truss-chat-stream", "peer", Stop) },
        // cut by the reader: neither
        Row { reason: None, end: Err("truncated"), ..row("llamacpp-stream-client-cut", ";", Stop) },
        Row { reason: None, end: Err("truncated"), ..row("llamacpp2-stream-client-cut", ";", Stop) },
        // through the nginx that Truss sets up, for a client of HTTP/1.1 and of HTTP/1.0
        row("trussnginx-chat-stream", ";)= echo)=", Length),
        row("trussnginx-chat-stream-http10", ";)= echo)=", Length),
        // what the gateway was sent, for the answers of its own above
        // (it asks for usage whether or not it was asked)
        Row { usage, ..row("litellm-chat-stream-received", ";)= echo)=", Length) },
        Row { usage, ..row("litellm-chat-stream-usage-received", ";)= echo)=", Length) },
        Row { calls: &[("add", r#"{"a":1}"#)], usage: Some((356, 40)), ..row("litellm-chat-tools-stream-received", "", ToolCalls) },
        Row { usage, ..row("litellm-native-chat-stream-received", ";)= echo)=", Length) },
    ]
}

#[test]
fn recorded_streams_come_to_what_they_mean() {
    for row in recorded() {
        let body = read(&format!("{}.sse", row.file));
        let decoded = decode([body.as_bytes()]);
        let response = &decoded.response;
        assert_eq!(decoded.end, row.end.map_err(str::to_owned), "{}", row.file);
        assert_eq!(response.text(), row.text, "{}", row.file);
        assert_eq!(response.finish_reason(), row.reason.as_ref(), "{}", row.file);
        let calls: Vec<_> = response
            .tool_calls()
            .iter()
            .map(|call| (&*call.function.name, &*call.function.arguments))
            .collect();
        assert_eq!(calls, row.calls, "{}", row.file);
        assert!(response.tool_calls().iter().all(|call| call.id.len() > 20), "{}", row.file);
        let usage = response.usage.as_ref();
        let usage =
            usage.map(|usage| (usage.prompt_tokens.unwrap(), usage.completion_tokens.unwrap()));
        assert_eq!(usage, row.usage, "{}", row.file);
        assert!(!response.id.is_empty() && !response.model.is_empty(), "{}", row.file);
        assert_eq!(decoded.chunks, plain_chunks(&body), "{}: chunk by chunk", row.file);
    }
}

/// Streams that are none of a chat: named events, events without a name, and how they end for who expects
/// one.
const OTHERS: [(&str, usize, usize, Result<StreamEnd, &str>); 5] = [
    ("llamacpp-messages-api-stream", 9, 0, Err("truncated")),
    ("llamacpp2-messages-api-stream", 9, 0, Err("truncated")),
    ("llamacpp-responses-api-stream", 12, 0, Err("truncated")),
    ("llamacpp2-responses-api-stream", 12, 0, Err("truncated")),
    // objects of a model's own and the marker: no error, and no answer
    ("truss-stream-sse-response", 0, 2, Ok(StreamEnd::DoneWithoutReason)),
];

#[test]
fn a_stream_of_another_kind_gives_no_answer() {
    for (file, others, chunks, end) in OTHERS {
        let body = read(&format!("{file}.sse"));
        let decoded = decode([body.as_bytes()]);
        assert_eq!(decoded.end, end.map_err(str::to_owned), "{file}");
        assert_eq!((decoded.others, decoded.chunks.len()), (others, chunks), "{file}");
        assert!(decoded.chunks.iter().all(|chunk| chunk.choices.is_empty()), "{file}");
        assert_eq!(decoded.response.choices, [], "{file}");
        assert_eq!(decode(body.as_bytes().chunks(1)), decoded, "{file} byte by byte");
    }
}

#[test]
fn every_recorded_stream_is_decoded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.filter_map(|name| name.to_str()?.strip_suffix(".sse").map(str::to_owned));
    // Streams of completions are read in `answers.rs`.
    let recorded_here: BTreeSet<String> =
        names.filter(|name| !name.ends_with("completions-stream")).collect();
    let rows = recorded().into_iter().map(|row| row.file);
    let rows: BTreeSet<String> =
        rows.chain(OTHERS.map(|(file, ..)| file)).map(str::to_owned).collect();
    assert_eq!(recorded_here, rows);
    assert!(rows.len() > 30, "{rows:?}");
}

/// The recorded streams without those that repeat the shape of another.
fn shapes() -> impl Iterator<Item = Row> {
    let repeats = ["llamacpp2-", "-keepalive", "-native-", "-no-done", "nginx-", "-received"];
    recorded().into_iter().filter(move |row| !repeats.iter().any(|part| row.file.contains(part)))
}

#[test]
fn every_cut_of_a_recorded_stream_gives_the_same() {
    for row in shapes() {
        let body = read(&format!("{}.sse", row.file));
        let body = body.as_bytes();
        let whole = decode([body]);
        for at in 0..=body.len() {
            assert_eq!(decode([&body[..at], &body[at..]]), whole, "{} cut at {at}", row.file);
        }
        assert_eq!(decode(body.chunks(1)), whole, "{} byte by byte", row.file);
        assert_eq!(decode(body.chunks(5)), whole, "{} by fives", row.file);
    }
}

#[test]
fn no_prefix_of_a_recorded_stream_passes_for_the_whole() {
    for row in shapes() {
        let body = read(&format!("{}.sse", row.file));
        let Ok(_) = row.end else { continue };
        let whole = decode([body.as_bytes()]);
        // Where the marker begins to be complete, and where the last reason is.
        let done = body.find("data: [DONE]").unwrap() + "data: [DONE]".len();
        let reason = whole
            .chunks
            .iter()
            .rposition(|chunk| chunk.choices.iter().any(|choice| choice.finish_reason.is_some()));
        for end in 0..body.len() {
            let prefix = decode([&body.as_bytes()[..end]]);
            let has_reason = reason.is_some_and(|reason| prefix.chunks.len() > reason);
            let expected = match (end >= done, has_reason) {
                (true, _) => whole.end.clone(),
                (false, true) => Ok(StreamEnd::ReasonWithoutDone),
                (false, false) => Err("truncated".to_owned()),
            };
            assert_eq!(prefix.end, expected, "{} up to {end}", row.file);
            assert!(row.text.starts_with(&*prefix.response.text()), "{} up to {end}", row.file);
            assert_eq!(
                prefix.chunks,
                whole.chunks[..prefix.chunks.len()],
                "{} up to {end}",
                row.file
            );
        }
    }
}
