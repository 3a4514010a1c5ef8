//! A peer made of literal bytes: just enough of HTTP to read one answer.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by test binaries, each of which uses its part"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use baseten_emulator::{DUMMY_KEY, Emulator};

/// An answer, and the bytes it came in.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub raw: Vec<u8>,
}

impl Reply {
    /// Reads one answer, by content-length, by chunks, or to the end.
    pub fn read(socket: &mut impl Read) -> Self {
        let mut raw = Vec::new();
        while !raw.ends_with(b"\r\n\r\n") {
            take(socket, &mut raw, 1);
        }
        let head = String::from_utf8(raw.clone()).unwrap();
        let mut reply = Self { status: head[9..12].parse().unwrap(), head, body: Vec::new(), raw };
        if reply.header("transfer-encoding") == Some("chunked") {
            reply.read_chunks(socket);
        } else if let Some(length) = reply.header("content-length") {
            let length = length.parse().unwrap();
            take(socket, &mut reply.raw, length);
            reply.body = reply.raw[reply.raw.len() - length..].to_vec();
        }
        reply
    }

    fn read_chunks(&mut self, socket: &mut impl Read) {
        loop {
            let from = self.raw.len();
            while !self.raw[from..].ends_with(b"\r\n") {
                take(socket, &mut self.raw, 1);
            }
            let line = std::str::from_utf8(&self.raw[from..self.raw.len() - 2]).unwrap();
            let length = usize::from_str_radix(line, 16).unwrap();
            take(socket, &mut self.raw, length + 2);
            let end = self.raw.len() - 2;
            self.body.extend_from_slice(&self.raw[end - length..end]);
            if length == 0 {
                return;
            }
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn take(socket: &mut impl Read, into: &mut Vec<u8>, bytes: usize) {
    let from = into.len();
    into.resize(from + bytes, 0);
    socket.read_exact(&mut into[from..]).unwrap();
}

/// A POST with the dummy key, to be sent to an address rather than a host.
pub fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {DUMMY_KEY}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A connection that fails instead of hanging.
pub fn connect(emulator: &Emulator) -> TcpStream {
    let socket = TcpStream::connect(emulator.addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// One request on a connection of its own.
pub fn exchange(emulator: &Emulator, request: &[u8]) -> Reply {
    let mut socket = connect(emulator);
    socket.write_all(request).unwrap();
    Reply::read(&mut socket)
}

/// Everything until the end; `Err` holds what came before a reset.
pub fn read_all(socket: &mut TcpStream) -> Result<Vec<u8>, Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match socket.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                return Err(bytes);
            }
        }
    }
}
