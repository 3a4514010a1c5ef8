//! The model behind every id that has no answer installed: it echoes, with the manners of Truss
//! server 0.18. Shapes and texts are literals from recordings of it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::IgnoredAny;

use crate::answer::{Answer, Body, Ending};
use crate::fault::Fault;
use crate::seen::Arrival;

/// `predict`: `{"echo": INPUT, "model": "ID"}`, in JSON, or in msgpack when the
/// request's media type is `application/octet-stream`.
pub(crate) fn echo(request: &Arrival, body: &[u8], id: &str) -> Answer {
    if is_msgpack(request) {
        return Answer::bytes("application/octet-stream", msgpack_echo(body, id));
    }
    match check_json(body) {
        Ok(()) => json_echo(body, id),
        Err(refusal) => refusal,
    }
}

/// `run_remote`: the same, for arguments by name.
///
/// The words are those of a chain whose entry point's class is `Entrypoint` (truss_chains 0.18).
pub(crate) fn echo_arguments(request: &Arrival, body: &[u8], id: &str) -> Answer {
    let unnamed = serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|it| !it.is_object());
    if unnamed && !is_msgpack(request) {
        let text = "Input Parsing Error:\n  ``: Input should be a valid dictionary or instance of \
                    EntrypointInput.";
        return Answer::model_error(400, 700, text);
    }
    echo(request, body, id)
}

/// Any `sync` route: what was asked of the container, in JSON. A body that is JSON is repeated as
/// it is, other text as a string, anything else as its length.
pub(crate) fn passed_through(request: &Arrival, body: &[u8], route: &str, id: &str) -> Answer {
    let query = request.path.split_once('?').map(|(_, query)| query);
    let shown = match (std::str::from_utf8(body), check_json(body)) {
        (Ok(""), _) => "null".to_owned(),
        (Ok(json), Ok(())) => json.to_owned(),
        (Ok(text), Err(_)) => serde_json::Value::from(text).to_string(),
        (Err(_), _) => body.len().to_string(),
    };
    let text = |value: &str| serde_json::Value::from(value).to_string();
    Answer::bytes(
        "application/json",
        format!(
            r#"{{"echo": {{"method": {}, "route": {}, "query": {}, "body": {shown}}}, "model": {}}}"#,
            text(&request.method),
            text(route),
            query.map_or_else(|| "null".into(), text),
            text(id),
        ),
    )
}

/// Sends a generator in one piece where a Truss server would.
pub(crate) fn gather(answer: Answer, request: &Arrival) -> Answer {
    let accepts_json = request.header("accept") == Some("application/json");
    let agent = request.header("user-agent").unwrap_or_default();
    let gathers = accepts_json && !agent.to_ascii_lowercase().contains("openai");
    let stream = match answer.body {
        Body::Stream(ref stream) if gathers && stream.gathered => stream,
        _ => return answer,
    };
    if stream.ending != Ending::Finish {
        return answer;
    }
    let delay: Duration = stream.chunks.iter().map(|chunk| chunk.after).sum();
    let parts: Vec<_> = stream.chunks.iter().map(|chunk| &*chunk.data).collect();
    let text = match String::from_utf8(parts.concat()) {
        Ok(text) => serde_json::Value::from(text).to_string(),
        Err(_) => return Answer::model_raised(),
    };
    let mut gathered = Answer { body: Body::Whole(text.into()), ..answer };
    gathered.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    gathered.headers.push(("content-type".into(), "application/json".into()));
    if !delay.is_zero() {
        gathered.faults.push(Fault::delay(delay));
    }
    gathered
}

/// The answer to a body that is not JSON: 400 and code 700, or 500 when it is not even UTF-8.
///
/// Python's words for the place are kept; its words for the cause (here always `Expecting value`)
/// differ by cause.
fn check_json(body: &[u8]) -> Result<(), Answer> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        let reason = match (error.error_len(), body[at]) {
            (None, _) => "unexpected end of data",
            (_, 0xC2..=0xF4) => "invalid continuation byte",
            _ => "invalid start byte",
        };
        let text = format!(
            "Unhandled exception: UnicodeDecodeError: 'utf-8' codec can't decode byte {:#04x} in position {at}: {reason}",
            body[at]
        );
        Answer::model_error(500, 500, &text)
    })?;
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| {
        let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let before: usize = lines.map(str::len).sum();
        let at_end = error.is_eof();
        // Python counts characters from 0 and names the first that it cannot use.
        let offset = if at_end { text.len() } else { before + error.column().saturating_sub(1) };
        let head = text.get(..offset).unwrap_or(text);
        let line = head.matches('\n').count() + 1;
        let column = head.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let text = format!(
            "Invalid JSON payload: Expecting value: line {line} column {column} (char {})",
            head.chars().count()
        );
        Answer::model_error(400, 700, &text)
    })
}

fn is_msgpack(request: &Arrival) -> bool {
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/octet-stream")
}

fn json_echo(body: &[u8], id: &str) -> Answer {
    let id = serde_json::Value::from(id).to_string();
    let mut out = BytesMut::with_capacity(body.len() + id.len() + 24);
    for part in [b"{\"echo\": ", body.trim_ascii(), b", \"model\": ", id.as_bytes(), b"}"] {
        out.put_slice(part);
    }
    Answer::bytes("application/json", out)
}

/// A map of two entries; ids of up to 255 bytes.
fn msgpack_echo(body: &[u8], id: &str) -> Bytes {
    let id = &id.as_bytes()[..id.len().min(255)];
    let length = u8::try_from(id.len()).unwrap_or(u8::MAX);
    let mut out = BytesMut::with_capacity(body.len() + id.len() + 16);
    for part in [b"\x82\xa4echo", body, b"\xa5model\xd9", &[length], id] {
        out.put_slice(part);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::check_json;
    use crate::answer::Body;

    /// Bodies and answers from recordings of the server.
    #[test]
    fn words_bad_input_as_truss_does() {
        let table: [(&[u8], u16, &str); 3] = [
            (
                b"{\"prompt\": ",
                400,
                r#"{"error":"Invalid JSON payload: Expecting value: line 1 column 12 (char 11)"}"#,
            ),
            (
                b"",
                400,
                r#"{"error":"Invalid JSON payload: Expecting value: line 1 column 1 (char 0)"}"#,
            ),
            (
                b"{\"prompt\": \"\xff\xfe\"}",
                500,
                r#"{"error":"Unhandled exception: UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 12: invalid start byte"}"#,
            ),
        ];
        for (body, status, text) in table {
            let answer = check_json(body).unwrap_err();
            assert_eq!(answer.status, status);
            assert_eq!(answer.body, Body::Whole(text.into()));
        }
        for good in ["1", " \"x\" ", "{}", "[1,\n2]", "null"] {
            assert!(check_json(good.as_bytes()).is_ok(), "{good}");
        }
    }
}
