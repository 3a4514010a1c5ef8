//! Baseten's public paths, turned into those of the server in the container.
//!
//! The bytes of one client's connection go in and come out with other request lines, all else as
//! it was. Requests are framed only to find where the next one begins. Nothing here knows a socket.

use std::mem;

/// The requests of one connection, one after the other.
#[derive(Debug)]
pub(crate) struct RequestLines {
    part: Part,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
}

/// The part of a request that comes next.
#[derive(Clone, Copy, Debug)]
enum Part {
    RequestLine,
    /// A header, or the empty line after the last one; what they have said of the body so far.
    Header(Body),
    /// Bytes of the body, or of one of its chunks with the line end behind it.
    Data {
        left: u64,
        chunked: bool,
    },
    ChunkSize,
    /// A trailer, or the empty line that ends the request.
    Trailer,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Length(u64),
    Chunked,
    /// Another protocol, up to the end of the connection. (No peer refuses one and goes on.)
    Upgrade,
}

impl RequestLines {
    /// Before the first request of a connection.
    pub(crate) fn new() -> Self {
        Self { part: Part::RequestLine, line: Vec::new() }
    }

    /// Takes the bytes that came next and appends what goes on in their place; the beginning of a
    /// line waits for its end. Returns how many requests began.
    pub(crate) fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut begun = 0;
        while !bytes.is_empty() {
            if let Part::Data { left, chunked } = self.part {
                let here = left.min(bytes.len() as u64) as usize;
                out.extend(&bytes[..here]);
                bytes = &bytes[here..];
                self.part = Part::data(left - here as u64, chunked);
                continue;
            }
            let Some(line) = self.whole_line(&mut bytes) else { break };
            if matches!(self.part, Part::RequestLine) {
                begun += 1;
                out.extend(translated(&line));
            } else {
                out.extend(&line);
            }
            self.part = self.part.after(&line);
        }
        begun
    }

    /// The next line with its end, once it is whole.
    fn whole_line(&mut self, bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let end = bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let (here, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        self.line.extend(here);
        *bytes = rest;
        end.map(|_| mem::take(&mut self.line))
    }
}

impl Part {
    /// What comes next where `left` bytes of a body or chunk are missing.
    fn data(left: u64, chunked: bool) -> Self {
        match (left, chunked) {
            (0, false) => Self::RequestLine,
            (0, true) => Self::ChunkSize,
            _ => Self::Data { left, chunked },
        }
    }

    /// What comes after a line that was expected as `self`.
    fn after(self, line: &[u8]) -> Self {
        let last = line == b"\r\n";
        match self {
            Self::RequestLine => Self::Header(Body::Length(0)),
            Self::Header(Body::Length(length)) if last => Self::data(length, false),
            Self::Header(Body::Chunked) if last => Self::ChunkSize,
            Self::Header(Body::Upgrade) if last => Self::data(u64::MAX, false),
            Self::Header(body) => Self::Header(body.as_said_by(line)),
            Self::ChunkSize => match chunk_size(line) {
                0 => Self::Trailer,
                size => Self::data(size + 2, true),
            },
            Self::Trailer if last => Self::RequestLine,
            Self::Trailer => Self::Trailer,
            Self::Data { .. } => self,
        }
    }
}

impl Body {
    fn as_said_by(self, header: &[u8]) -> Self {
        let header = String::from_utf8_lossy(header).to_ascii_lowercase();
        match header.trim_end().split_once(':') {
            Some(("content-length", value)) => value.trim().parse().map_or(self, Self::Length),
            Some(("transfer-encoding", _)) => Self::Chunked,
            Some(("upgrade", _)) => Self::Upgrade,
            _ => self,
        }
    }
}

fn chunk_size(line: &[u8]) -> u64 {
    let line = String::from_utf8_lossy(line);
    let digits = line.trim_end().split(';').next().unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

fn translated(request_line: &[u8]) -> Vec<u8> {
    let line = String::from_utf8_lossy(request_line);
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some(version)) => {
            format!("{method} {} {version}", in_container(target)).into_bytes()
        }
        _ => request_line.to_vec(),
    }
}

/// The path (and query) inside the container of a public one; any other is left as it is.
fn in_container(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    match without_stage(path) {
        "/predict" | "/run_remote" => format!("/v1/models/model:predict{query}"),
        "/websocket" => format!("/v1/websocket{query}"),
        rest => match rest.strip_prefix("/sync") {
            Some(route) if route.starts_with('/') => format!("{route}{query}"),
            _ => target.to_owned(),
        },
    }
}

/// What follows the deployment in a public path.
fn without_stage(path: &str) -> &str {
    let named = path.strip_prefix("/environments/").or_else(|| path.strip_prefix("/deployment/"));
    match named {
        Some(rest) => rest.find('/').map_or(path, |at| &rest[at..]),
        None => path.strip_prefix("/development").unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_paths_become_the_containers() {
        //   public                                        in the container
        for (public, container) in [
            ("/environments/production/predict", "/v1/models/model:predict"),
            ("/environments/my-env/predict?a=b/c", "/v1/models/model:predict?a=b/c"),
            ("/deployment/q1w2e3/predict", "/v1/models/model:predict"),
            ("/development/predict", "/v1/models/model:predict"),
            ("/predict", "/v1/models/model:predict"), // a regional host
            ("/environments/production/websocket", "/v1/websocket"),
            ("/environments/production/sync/v1/models/model", "/v1/models/model"),
            ("/environments/production/sync/predict", "/predict"),
            ("/environments/production/sync/a/sync/b?c=/sync/d", "/a/sync/b?c=/sync/d"),
            ("/development/sync/items/12?q=%20", "/items/12?q=%20"),
            ("/sync/health", "/health"),
            ("/environments/predict", "/environments/predict"), // no name
            ("/synchronous/x", "/synchronous/x"),
            ("/", "/"),
        ] {
            assert_eq!(in_container(public), container, "{public}");
        }
    }

    /// Every way to frame a body, on one connection; bodies that look like requests.
    const SENT: &str = "POST /environments/production/predict HTTP/1.1\r\nHost: a\r\n\
        content-length: 22\r\n\r\nGET /sync/a HTTP/1.1\r\n\
        GET /sync/b HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
        16;x=y\r\nGET /sync/c HTTP/1.1\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: /sync/d\r\n\r\n\
        PUT /sync/e HTTP/1.1\r\nContent-Length: 0\r\n\r\n\
        GET /sync/f HTTP/1.1\r\n\r\n";
    const PASSED: &str = "POST /v1/models/model:predict HTTP/1.1\r\nHost: a\r\n\
        content-length: 22\r\n\r\nGET /sync/a HTTP/1.1\r\n\
        GET /b HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /v1/models/model:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
        16;x=y\r\nGET /sync/c HTTP/1.1\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: /sync/d\r\n\r\n\
        PUT /e HTTP/1.1\r\nContent-Length: 0\r\n\r\n\
        GET /f HTTP/1.1\r\n\r\n";

    #[test]
    fn after_an_upgrade_nothing_changes() {
        let head = "GET /websocket HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
        let frames = "GET /sync/x HTTP/1.1\r\n\r\n\n";
        for at in 0..=head.len() {
            let sent = format!("{head}{frames}");
            let (first, second) = sent.as_bytes().split_at(at);
            let (mut lines, mut out) = (RequestLines::new(), Vec::new());
            let begun = lines.pass(first, &mut out) + lines.pass(second, &mut out);
            let passed = sent.replacen("/websocket", "/v1/websocket", 1);
            assert_eq!((begun, std::str::from_utf8(&out).unwrap()), (1, &*passed), "cut at {at}");
        }
    }

    #[test]
    fn only_request_lines_change_however_the_bytes_are_cut() {
        for at in 0..=SENT.len() {
            let (first, second) = SENT.as_bytes().split_at(at);
            let (mut lines, mut out) = (RequestLines::new(), Vec::new());
            let begun = lines.pass(first, &mut out) + lines.pass(second, &mut out);
            assert_eq!((begun, std::str::from_utf8(&out).unwrap()), (5, PASSED), "cut at {at}");
        }
        let (mut lines, mut out) = (RequestLines::new(), Vec::new());
        let begun: usize = SENT.bytes().map(|byte| lines.pass(&[byte], &mut out)).sum();
        assert_eq!((begun, std::str::from_utf8(&out).unwrap()), (5, PASSED), "bytewise");
    }
}
