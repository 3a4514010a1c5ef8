//! How a proxy is asked for a tunnel: HTTP `CONNECT` (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928, with
//! the login of RFC 1929), as one state machine without I/O.
//!
//! Whoever drives it sends [`Handshake::unsent`], and reads no more than [`Handshake::wants`] bytes:
//! what comes behind the proxy's last answer is the target's.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::{HeaderValue, StatusCode};

/// One handshake. It holds credentials, and so has no `Debug`.
pub(crate) struct Handshake {
    /// What the proxy is to be told now, of which `sent` bytes have gone.
    out: Vec<u8>,
    sent: usize,
    awaits: Awaits,
    /// What has come of the answer that is awaited.
    answer: Vec<u8>,
    /// For SOCKS5, what is to be told later.
    login: Option<Vec<u8>>,
    request: Vec<u8>,
}

/// The answer that comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaits {
    /// To `CONNECT`: the head of an HTTP response.
    Head,
    /// Which way to log in.
    Method,
    /// Whether the login was good.
    Login,
    /// Whether the tunnel is open.
    Reply,
    /// None: the tunnel is open.
    Nothing,
}

/// The most that the head of an answer to `CONNECT` may have, in bytes and in lines.
const HEAD_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;

impl Handshake {
    /// Asks an HTTP proxy for `target`.
    pub(crate) fn connect(target: (&str, u16), authorization: Option<&HeaderValue>) -> Self {
        let target = authority(target.0, target.1);
        let mut out = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(value) = authorization {
            out.extend([b"Proxy-Authorization: ", value.as_bytes(), b"\r\n"].concat());
        }
        out.extend(b"\r\n");
        Self::new(out, Awaits::Head)
    }

    /// Asks a SOCKS5 proxy for `target`. No text in it can have more than 255 bytes; no name in the
    /// DNS has.
    pub(crate) fn socks5(
        (host, port): (&str, u16),
        login: Option<(&str, &str)>,
    ) -> Result<Self, Refusal> {
        let mut request = vec![VERSION, 1, 0];
        match host.parse() {
            Ok(IpAddr::V4(address)) => request.extend([&[1][..], &address.octets()].concat()),
            Ok(IpAddr::V6(address)) => request.extend([&[4][..], &address.octets()].concat()),
            Err(_) => request.extend([&[3][..], &sized(host)?].concat()),
        }
        request.extend(port.to_be_bytes());
        let methods: &[u8] = match login {
            Some(_) => &[NO_LOGIN, USER_AND_PASSWORD],
            None => &[NO_LOGIN],
        };
        let hello = [&[VERSION, methods.len() as u8], methods].concat();
        let login = match login {
            Some((user, password)) => Some([vec![1], sized(user)?, sized(password)?].concat()),
            None => None,
        };
        Ok(Self { login, request, ..Self::new(hello, Awaits::Method) })
    }

    fn new(out: Vec<u8>, awaits: Awaits) -> Self {
        Self { out, sent: 0, awaits, answer: Vec::new(), login: None, request: Vec::new() }
    }

    /// What is to be sent before anything is read.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// Says that so many bytes of it went.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// How many bytes may be read now; 0 when the tunnel is open.
    pub(crate) fn wants(&self) -> usize {
        let whole = match self.awaits {
            Awaits::Head => HEAD_MAX,
            Awaits::Method | Awaits::Login => 2,
            Awaits::Reply => reply_len(&self.answer),
            Awaits::Nothing => 0,
        };
        whole - self.answer.len()
    }

    /// Takes what was read, and goes on if an answer is complete with it; fails if the proxy refuses.
    pub(crate) fn received(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.answer.extend_from_slice(bytes);
        match (self.awaits, &*self.answer) {
            (Awaits::Head, _) => self.head(),
            (Awaits::Method, [version, ..]) if *version != VERSION => Err(Refusal::NotSocks5),
            (Awaits::Method, [_, NO_LOGIN]) => self.tell(self.request.clone(), Awaits::Reply),
            (Awaits::Method, [_, USER_AND_PASSWORD]) => match self.login.take() {
                Some(login) => self.tell(login, Awaits::Login),
                None => Err(Refusal::LoginWanted),
            },
            (Awaits::Method, [_, _]) if self.login.is_none() => Err(Refusal::LoginWanted),
            (Awaits::Method, [_, _]) => Err(Refusal::NoMethod),
            (Awaits::Login, [_, 0]) => self.tell(self.request.clone(), Awaits::Reply),
            (Awaits::Login, [_, status]) => Err(Refusal::Login(*status)),
            (Awaits::Reply, [version, ..]) if *version != VERSION => Err(Refusal::NotSocks5),
            // Some proxies say no more than this.
            (Awaits::Reply, [_, code, ..]) if *code != 0 => Err(Refusal::Reply(*code)),
            (Awaits::Reply, [_, _, _, kind, ..]) if !matches!(kind, 1 | 3 | 4) => {
                Err(Refusal::NotSocks5)
            }
            (Awaits::Reply, answer) if answer.len() == reply_len(answer) => {
                self.tell(Vec::new(), Awaits::Nothing)
            }
            _ => Ok(()),
        }
    }

    fn tell(&mut self, out: Vec<u8>, awaits: Awaits) -> Result<(), Refusal> {
        (self.out, self.sent, self.awaits) = (out, 0, awaits);
        self.answer.clear();
        Ok(())
    }

    fn head(&mut self) -> Result<(), Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(&self.answer).map_err(|_| Refusal::NotHttp)?;
        let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
        match (parsed, status) {
            (httparse::Status::Complete(length), Some(status)) if status.is_success() => {
                // The target speaks only when it is spoken to.
                let more = self.answer.len() > length;
                if more { Err(Refusal::NotHttp) } else { self.tell(Vec::new(), Awaits::Nothing) }
            }
            (httparse::Status::Complete(_), Some(status)) => Err(Refusal::Status(status)),
            (httparse::Status::Complete(_), None) => Err(Refusal::NotHttp),
            (httparse::Status::Partial, _) if self.wants() == 0 => Err(Refusal::TooLong),
            (httparse::Status::Partial, _) => Ok(()),
        }
    }
}

/// `host:port`, with the brackets of an IPv6 address.
pub(crate) fn authority(host: &str, port: u16) -> String {
    let mut authority = String::with_capacity(host.len() + 8);
    let _ = if host.contains(':') {
        write!(authority, "[{host}]:{port}")
    } else {
        write!(authority, "{host}:{port}")
    };
    authority
}

/// A text behind its length.
fn sized(text: &str) -> Result<Vec<u8>, Refusal> {
    let length = u8::try_from(text.len()).map_err(|_| Refusal::TooLongToSay)?;
    Ok([&[length], text.as_bytes()].concat())
}

/// How long a reply of SOCKS5 is, as far as its beginning tells.
fn reply_len(reply: &[u8]) -> usize {
    const BEFORE_ADDRESS: usize = 4;
    const PORT: usize = 2;
    match reply {
        [_, _, _, 1, ..] => BEFORE_ADDRESS + 4 + PORT,
        [_, _, _, 4, ..] => BEFORE_ADDRESS + 16 + PORT,
        [_, _, _, 3, length, ..] => BEFORE_ADDRESS + 1 + usize::from(*length) + PORT,
        _ => BEFORE_ADDRESS + 1,
    }
}

/// Why there is no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Status(StatusCode),
    NotHttp,
    TooLong,
    NotSocks5,
    LoginWanted,
    NoMethod,
    Login(u8),
    Reply(u8),
    TooLongToSay,
}

impl Refusal {
    /// Whether it is about who asks, which is the same however often it is asked.
    pub(crate) fn is_about_login(self) -> bool {
        match self {
            Self::Status(status) => status == StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::LoginWanted | Self::NoMethod | Self::Login(_) => true,
            _ => false,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
                f.write_str("407 Proxy Authentication Required: check user and password in its URL")
            }
            Self::Status(status) => write!(f, "refused the tunnel with {status}"),
            Self::NotHttp => f.write_str("what it answers to CONNECT is not a head of HTTP/1.1"),
            Self::TooLongToSay => f.write_str("SOCKS5 has no room for a name of over 255 bytes"),
            Self::TooLong => write!(f, "the head of its answer has more than {HEAD_MAX} bytes"),
            Self::NotSocks5 => f.write_str("what it answers is not SOCKS5"),
            Self::LoginWanted => f.write_str("it wants a user and a password: add them to its URL"),
            Self::NoMethod => f.write_str("it wants a login other than by user and password"),
            Self::Login(status) => write!(f, "refused user and password (SOCKS5 status {status})"),
            Self::Reply(code) => {
                let why = match code {
                    1 => "general failure",
                    2 => "not allowed by its rules",
                    3 => "network unreachable",
                    4 => "host unreachable",
                    5 => "connection refused",
                    6 => "TTL expired",
                    7 => "command not supported",
                    8 => "address type not supported",
                    _ => "not a code of the standard",
                };
                write!(f, "refused the tunnel with SOCKS5 reply {code}, {why}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: (&str, u16) = ("192.0.2.1", 443);

    /// Plays the proxy: each answer, cut into pieces at `cuts`, comes after what was told before it.
    /// The handshake must not ask for more than an answer has (of `CONNECT` it cannot know).
    fn play(
        mut handshake: Handshake,
        answers: &[&[u8]],
        cut: usize,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut told = vec![];
        let mut left = cut;
        for answer in answers {
            assert!(handshake.wants() > 0, "it must wait for an answer");
            let unsent = handshake.unsent().to_vec();
            handshake.sent(unsent.len());
            told.push(unsent);
            // Split at one byte counted over all answers; else as large as it may be.
            let (first, second) = answer.split_at(left.min(answer.len()));
            left = left.saturating_sub(answer.len());
            for mut piece in [first, second] {
                while !piece.is_empty() {
                    let (now, later) = piece.split_at(handshake.wants().min(piece.len()));
                    assert!(!now.is_empty(), "it must want the rest of an answer");
                    handshake.received(now)?;
                    piece = later;
                }
            }
        }
        assert!(handshake.unsent().is_empty() && handshake.wants() == 0, "it must be done");
        Ok(told)
    }

    /// Over every split the same.
    fn play_all(
        handshake: impl Fn() -> Handshake,
        answers: &[&[u8]],
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let whole = play(handshake(), answers, 0);
        for cut in 1..answers.iter().map(|answer| answer.len()).sum() {
            assert_eq!(play(handshake(), answers, cut), whole, "split at {cut}");
        }
        whole
    }

    #[test]
    fn connect_tells_target_and_login_and_takes_any_2xx() {
        let basic = HeaderValue::from_static("Basic dTpw");
        for (target, login, expect) in [
            (V4, None, "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n"),
            (("::1", 80), None, "CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
            (
                ("a.example", 1),
                Some(&basic),
                "CONNECT a.example:1 HTTP/1.1\r\nHost: a.example:1\r\n\
                 Proxy-Authorization: Basic dTpw\r\n\r\n",
            ),
        ] {
            for answer in [
                "HTTP/1.1 200 OK\r\n\r\n",
                "HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n",
                "HTTP/1.1 204\r\n\r\n",
            ] {
                let told = play_all(|| Handshake::connect(target, login), &[answer.as_bytes()]);
                assert_eq!(told.unwrap(), [expect.as_bytes()], "{answer}");
            }
        }
    }

    #[test]
    fn an_http_proxy_refuses_with_its_status_or_makes_no_sense() {
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(HEAD_MAX));
        let long = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(HEADERS_MAX + 1));
        for (answer, expect) in [
            (
                "HTTP/1.1 407 Nope\r\nX: y\r\n\r\n",
                Refusal::Status(StatusCode::PROXY_AUTHENTICATION_REQUIRED),
            ),
            ("HTTP/1.1 403 Forbidden\r\n\r\nwhy", Refusal::Status(StatusCode::FORBIDDEN)),
            ("HTTP/1.1 503 X\r\n\r\n", Refusal::Status(StatusCode::SERVICE_UNAVAILABLE)),
            ("HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", Refusal::Status(StatusCode::FOUND)),
            ("HTTP/1.1 200 OK\r\n\r\nsurplus", Refusal::NotHttp), // bytes that no target sent
            ("SSH-2.0-x\r\n\r\n", Refusal::NotHttp),
            ("\x05\0", Refusal::NotHttp), // a SOCKS proxy
            ("HTTP/1.1 20\r\n\r\n", Refusal::NotHttp),
            (&*long, Refusal::NotHttp),
            (&endless[..HEAD_MAX], Refusal::TooLong),
        ] {
            let refused = play(Handshake::connect(V4, None), &[answer.as_bytes()], 0).unwrap_err();
            assert_eq!(refused, expect, "{answer}");
        }
    }

    #[test]
    fn socks5_tells_a_target_as_what_it_is() {
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        //   target                  as it is told              how the proxy tells its own
        for (target, told, bound) in [
            (V4, [&[1][..], &[192, 0, 2, 1]].concat(), [&[1][..], &[0; 4]].concat()),
            (("2001:db8::9", 443), [&[4][..], &v6].concat(), [&[4][..], &[0; 16]].concat()),
            (("a.example", 443), b"\x03\x09a.example".to_vec(), b"\x03\x02ab".to_vec()),
            (("a.example", 443), b"\x03\x09a.example".to_vec(), b"\x03\x00".to_vec()),
        ] {
            let request = [&[5, 1, 0][..], &told, &[1, 187]].concat();
            let reply = [&[5, 0, 0][..], &bound, &[0, 80]].concat();
            let said =
                play_all(|| Handshake::socks5(target, None).unwrap(), &[b"\x05\x00", &reply]);
            assert_eq!(said.unwrap(), [b"\x05\x01\x00".to_vec(), request.clone()]);

            let login = Some(("user", "s3cret"));
            let answers: [&[u8]; 3] = [b"\x05\x02", b"\x01\x00", &reply];
            let said = play_all(|| Handshake::socks5(target, login).unwrap(), &answers).unwrap();
            let login_told = b"\x01\x04user\x06s3cret".to_vec();
            assert_eq!(said, [b"\x05\x02\x00\x02".to_vec(), login_told, request.clone()]);

            // A proxy may let in without asking.
            let said =
                play_all(|| Handshake::socks5(target, login).unwrap(), &[b"\x05\x00", &reply]);
            assert_eq!(said.unwrap()[1], request);
        }
        let long = "a".repeat(256);
        assert_eq!(Handshake::socks5((&long, 1), None).err(), Some(Refusal::TooLongToSay));
        assert_eq!(Handshake::socks5(V4, Some((&long, ""))).err(), Some(Refusal::TooLongToSay));
    }

    #[test]
    fn a_socks5_proxy_refuses_with_its_code_or_makes_no_sense() {
        let login = Some(("user", "s3cret"));
        for (login, answers, expect) in [
            (None, vec![&b"\x05\xff"[..]], Refusal::LoginWanted),
            (None, vec![b"\x05\x02"], Refusal::LoginWanted), // what we did not offer
            (login, vec![b"\x05\xff"], Refusal::NoMethod),
            (login, vec![b"\x05\x02", b"\x01\x01"], Refusal::Login(1)),
            (None, vec![b"\x04\x5b"], Refusal::NotSocks5), // SOCKS4
            (None, vec![b"HTTP/1.1 400 X\r\n\r\n"], Refusal::NotSocks5),
            (None, vec![b"\x05\x00", b"\x05\x02\x00\x01\0\0\0\0\0\0"], Refusal::Reply(2)),
            (None, vec![b"\x05\x00", b"\x05\x05"], Refusal::Reply(5)), // short, and then it closes
            (None, vec![b"\x05\x00", b"\x05\xfe\x00\x01"], Refusal::Reply(254)),
            (None, vec![b"\x05\x00", b"\x05\x00\x00\x07\x00"], Refusal::NotSocks5),
            (None, vec![b"\x05\x00", b"\x01\x00\x00\x01\x00"], Refusal::NotSocks5),
        ] {
            let handshake = Handshake::socks5(V4, login).unwrap();
            let refused = play(handshake, &answers, 0).unwrap_err();
            assert_eq!(refused, expect, "{answers:?}");
            assert!(!refused.to_string().contains("s3cret"));
        }
    }
}
