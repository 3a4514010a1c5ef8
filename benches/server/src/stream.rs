//! A chat, answered event by event as vLLM writes them.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// What a request wants of its stream.
pub(crate) struct Asked {
    /// Events with text.
    events: usize,
    /// Each event in a chunk and a write of its own, and time enough to read it before the next.
    pace: Option<Duration>,
}

/// More than a client under callgrind takes for an event.
const PACED: Duration = Duration::from_millis(3);

/// More than it takes for an event of each of many streams.
const SLOW: Duration = Duration::from_millis(60);

/// About what one read of a busy connection gives.
const PIECE: usize = 16 * 1024;

const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    date: Mon, 23 Nov 2026 12:00:00 GMT\r\n\
    server: uvicorn\r\n\
    content-type: text/event-stream; charset=utf-8\r\n\
    x-baseten-request-id: 5f1e0a7c9b2d4836a1c7e95d3f804b62\r\n\
    transfer-encoding: chunked\r\n\r\n";

/// Of four bytes each, which `bench_job::StreamJob::check` expects.
const WORDS: [&str; 4] = [" the", " fox", " ran", " far"];

/// What a request for a chat says of its stream; `None` for any other request.
pub(crate) fn asked_for(request: &[u8]) -> Option<Asked> {
    let request = str::from_utf8(request).ok()?;
    if !request.lines().next()?.contains("/chat/completions ") {
        return None;
    }
    let (_, rest) = request.split_once("\"max_tokens\":")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let pace = request.contains("\"paced\"").then_some(PACED);
    let pace = pace.or_else(|| request.contains("\"slow\"").then_some(SLOW));
    Some(Asked { events: rest[..digits].parse().ok()?, pace })
}

/// Writes the head and the events.
pub(crate) fn serve(stream: &mut impl Write, asked: &Asked) -> io::Result<()> {
    stream.write_all(HEAD.as_bytes())?;
    let texts =
        (0..asked.events).map(|at| event(&format!("\"content\":\"{}\"", WORDS[at % 4]), "null"));
    let events = texts.chain([event("", "\"stop\""), "data: [DONE]\n\n".to_owned()]);
    if let Some(pace) = asked.pace {
        for event in events {
            stream.write_all(&chunk(event.as_bytes()))?;
            stream.flush()?;
            thread::sleep(pace);
        }
    } else {
        let whole = events.collect::<String>();
        for piece in whole.as_bytes().chunks(PIECE) {
            stream.write_all(&chunk(piece))?;
        }
    }
    stream.write_all(b"0\r\n\r\n")
}

fn event(delta: &str, reason: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-8f6daf954acf1baf0fe6fe46b8108\",\"object\":\"chat.completion.chunk\",\
         \"created\":1795412199,\"model\":\"acme/peer-large-instruct\",\"system_fingerprint\":\"fp_b17e4c0a9\",\
         \"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{reason}}}]}}\n\n"
    )
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
