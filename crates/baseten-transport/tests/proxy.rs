//! Tunnels through HTTP and SOCKS5 proxies, over both transports. The proxies here resolve every
//! name to the server that the test runs, so that a name which nobody else knows proves the way.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod waits;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use baseten_core::{Cause, Clock, Delivery, ErrorKind, Stop, Timeouts};
use baseten_transport::{Options, Proxies};
use waits::secure::{Authority, config, serve};
use waits::{OK, Server, answer, each, read_head, told};

const PLAIN: &str = "http://model.example:8080";
const SECURE: &str = "https://model.example";

/// A proxy, and what it was asked: heads of `CONNECT`, or login and target of SOCKS5.
struct Proxy {
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Opens a tunnel to `target`, whatever it is asked for, after `open`, which says what it was.
    fn to(target: SocketAddr, open: fn(&mut TcpStream) -> String) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        let server = Server::start(move |mut client| {
            let ask = open(&mut client);
            heard.lock().unwrap().push(ask);
            relay(client, TcpStream::connect(target).unwrap());
        });
        Self { server, asked }
    }

    fn http(target: SocketAddr) -> Self {
        Self::to(target, |client| {
            let head = read_head(client).unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            head
        })
    }

    /// Wants user and password.
    fn socks5(target: SocketAddr) -> Self {
        Self::to(target, |client| {
            let hello = take(client, 2);
            let methods = take(client, hello[1].into());
            let login = methods.contains(&2);
            client.write_all(if login { b"\x05\x02" } else { b"\x05\x00" }).unwrap();
            let mut asked = String::new();
            if login {
                assert_eq!(take(client, 1), [1]);
                let (user, password) = (sized(client), sized(client));
                client.write_all(b"\x01\x00").unwrap();
                asked = format!("{user}:{password}@");
            }
            assert_eq!(take(client, 4), [5, 1, 0, 3], "the name is the proxy's to resolve");
            asked.push_str(&sized(client));
            let port = take(client, 2);
            client.write_all(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50").unwrap();
            format!("{asked}:{}", u16::from_be_bytes([port[0], port[1]]))
        })
    }

    fn url(&self, scheme: &str, login: &str) -> String {
        format!("{scheme}://{login}{}", self.server.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn take(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut taken = vec![0; bytes];
    stream.read_exact(&mut taken).unwrap();
    taken
}

fn sized(stream: &mut TcpStream) -> String {
    let length = take(stream, 1)[0];
    String::from_utf8(take(stream, length.into())).unwrap()
}

fn relay(client: TcpStream, target: TcpStream) {
    let (mut from_client, mut to_target) =
        (client.try_clone().unwrap(), target.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_target);
        let _ = to_target.shutdown(Shutdown::Write);
    });
    let (mut from_target, mut to_client) = (target, client);
    let _ = std::io::copy(&mut from_target, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Write);
}

fn through(url: &str, options: Options) -> Options {
    Options { proxies: Proxies::none().with_all(url).unwrap(), ..options }
}

/// A server that does as a proxy would until it refuses, and options that go through it.
fn refusing(scheme: &str, answers: &'static [&'static [u8]]) -> Options {
    let server = Server::start(move |mut client| {
        for answer in answers {
            let mut ask = [0; 1024];
            if client.read(&mut ask).unwrap() == 0 {
                return;
            }
            client.write_all(answer).unwrap();
        }
        let _ = client.shutdown(Shutdown::Write);
        // Until the peer leaves: a reset would overtake the answer.
        let _ = std::io::copy(&mut client, &mut std::io::sink());
    });
    let url = format!("{scheme}://us3r:s3cret@{}", server.address);
    through(&url, Options::default())
}

#[test]
fn an_http_proxy_opens_tunnels_for_plain_and_tls() {
    let ours = Authority::new("ours");
    let plain = Server::start(|mut stream| answer(&mut stream, OK));
    let (secure, _) = serve(config(&ours.sign("model.example", 4000)), OK);
    //   login              target  server          what the proxy is asked
    for (login, url, target, expect) in [
        ("", PLAIN, &plain, "CONNECT model.example:8080 HTTP/1.1\r\nHost: model.example:8080\r\n"),
        ("", SECURE, &secure, "CONNECT model.example:443 HTTP/1.1\r\nHost: model.example:443\r\n"),
        ("us%20er:p%40ss@", SECURE, &secure, "Proxy-Authorization: Basic dXMgZXI6cEBzcw==\r\n"),
    ] {
        let proxy = Proxy::http(target.address);
        each(&through(&proxy.url("http", login), ours.trusted()), |transport| {
            for _ in 0..3 {
                assert_eq!(transport.post(url).unwrap().value, "ok", "{}", transport.name());
            }
        });
        let asked = proxy.asked();
        assert_eq!(asked.len(), 2, "one tunnel each: {asked:?}");
        assert!(asked.iter().all(|head| head.contains(expect)), "{asked:?}");
        assert!(login.len() > 1 || !asked[0].contains("Authorization"), "{asked:?}");
    }
}

#[test]
fn a_socks5_proxy_opens_tunnels_for_plain_and_tls() {
    let ours = Authority::new("ours");
    let plain = Server::start(|mut stream| answer(&mut stream, OK));
    let (secure, _) = serve(config(&ours.sign("model.example", 4000)), OK);
    for (scheme, login, url, target, expect) in [
        ("socks5", "", PLAIN, &plain, "model.example:8080"),
        ("socks5h", "", SECURE, &secure, "model.example:443"),
        ("socks5", "us%20er:p%40ss@", SECURE, &secure, "us er:p@ss@model.example:443"),
    ] {
        let proxy = Proxy::socks5(target.address);
        each(&through(&proxy.url(scheme, login), ours.trusted()), |transport| {
            for _ in 0..3 {
                assert_eq!(transport.post(url).unwrap().value, "ok", "{}", transport.name());
            }
        });
        assert_eq!(proxy.asked(), [expect, expect]);
    }
}

/// What proxies say of a login.
const LOGIN: [&str; 3] =
    ["407 Proxy Authentication Required", "wants a login other than", "status 7"];

#[test]
fn a_refusal_is_told_with_its_code_and_without_credentials() {
    let long: &'static [u8] =
        format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(9000)).leak().as_bytes();
    // What is about the login is the same however often it is asked, and so is final.
    let answers: [(&str, &'static [&'static [u8]], &str); 11] = [
        ("http", &[b"HTTP/1.1 407 Who\r\n\r\n"], LOGIN[0]),
        ("http", &[b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"], "403 Forbidden"),
        ("http", &[b"HTTP/1.0 503 X\r\n\r\n"], "503 Service Unavailable"),
        ("http", &[b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"], "not a head"),
        ("http", &[b"HTTP/1.1 200 O"], "closed the connection before it answered"),
        ("http", vec![long].leak(), "more than 8192 bytes"),
        ("socks5", &[b"\x05\xff"], LOGIN[1]),
        ("socks5", &[b"\x05\x02", b"\x01\x07"], LOGIN[2]),
        ("socks5", &[b"\x05\x02", b"\x01\x00", b"\x05\x02\x00"], "reply 2, not allowed"),
        ("socks5", &[b"\x05\x02", b"\x01\x00", b"\x05\x05"], "reply 5, connection refused"),
        ("socks5", &[b"HTTP/1.1 400 X\r\n\r\n"], "not SOCKS5"),
    ];
    for (scheme, answers, expect) in answers {
        let options = refusing(scheme, answers);
        assert!(!format!("{options:?}").contains("s3cret"), "{options:?}");
        each(&options, |transport| {
            let error = transport.post(SECURE).unwrap_err();
            let all = format!("{} {} {error:?}", transport.name(), told(&error));
            assert!(all.contains(expect) && all.contains("127.0.0.1"), "{all}");
            let (cause, stop) = if LOGIN.contains(&expect) {
                (Cause::ProxyLogin, Stop::Final)
            } else {
                (Cause::Connect, Stop::Attempts)
            };
            assert_eq!((error.kind(), error.cause()), (ErrorKind::Connect, Some(cause)));
            assert_eq!((error.delivery(), error.stop()), (Delivery::NotSent, stop), "{all}");
            let advice = error.to_string().contains("give user and password in the proxy's URL");
            assert_eq!(advice, stop == Stop::Final, "{error}");
            for secret in ["s3cret", "us3r", "dXMzcjpzM2NyZXQ="] {
                assert!(!all.contains(secret), "{all}");
            }
        });
    }
}

#[test]
fn a_proxy_may_answer_byte_by_byte_and_must_answer_to_the_end() {
    type Answers = &'static [&'static [u8]];
    let http: Answers = &[b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n"];
    let socks: Answers = &[b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x03\x0cmodel.example\x00\x50"];
    let socks: Answers = vec![socks[0], socks[1], &socks[2][..19]].leak();
    for (scheme, answers) in [("http", http), ("socks5", socks)] {
        let length: usize = answers.iter().map(|answer| answer.len()).sum();
        for end in (0..length).map(Some).chain([None]) {
            let server = Server::start(move |mut client| {
                let mut left = end.unwrap_or(usize::MAX);
                for piece in answers {
                    let mut ask = [0; 1024];
                    assert!(client.read(&mut ask).unwrap() > 0);
                    for byte in *piece {
                        if left == 0 {
                            return;
                        }
                        left -= 1;
                        client.set_nodelay(true).unwrap();
                        client.write_all(&[*byte]).unwrap();
                    }
                }
                answer(&mut client, OK);
            });
            let url = format!("{scheme}://u:p@{}", server.address);
            each(&through(&url, Options::default()), |transport| {
                let told = format!("{} {scheme} {end:?}", transport.name());
                match transport.post(PLAIN) {
                    Ok(answer) => assert!(end.is_none() && answer.value == "ok", "{told}"),
                    Err(error) => {
                        assert!(end.is_some(), "{told}: {error:?}");
                        assert_eq!(error.cause(), Some(Cause::Connect), "{told}: {error:?}");
                        assert_eq!(error.delivery(), Delivery::NotSent, "{told}");
                    }
                }
            });
        }
    }
}

#[test]
fn the_connect_clock_bounds_the_proxy() {
    let limit = Duration::from_millis(60);
    let timeouts = Timeouts { connect: Some(limit), ..Timeouts::default() };
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for scheme in ["http", "socks5"] {
        let url = format!("{scheme}://{}", silent.local_addr().unwrap());
        each(&through(&url, Options::default()), |transport| {
            let error = transport.post_within(PLAIN, timeouts).unwrap_err();
            assert_eq!(error.clock(), Some((Clock::Connect, limit)), "{}", transport.name());
            assert_eq!(error.delivery(), Delivery::NotSent);
        });
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scheme in ["http", "socks5"] {
        let url = format!("{scheme}://us3r:s3cret@{free}");
        each(&through(&url, Options::default()), |transport| {
            let error = transport.post(PLAIN).unwrap_err();
            let all = format!("{} {error:?}", told(&error));
            assert!(all.contains(&format!("{scheme}://{free}: Connection refused")), "{all}");
            assert!(!all.contains("s3cret"), "{all}");
            assert_eq!(
                (error.cause(), error.delivery()),
                (Some(Cause::Connect), Delivery::NotSent)
            );
        });
    }
}

#[test]
fn exceptions_and_this_machine_go_direct() {
    let server = Server::start(|mut stream| answer(&mut stream, OK));
    let proxy = Proxy::http(server.address);
    let all = Proxies::none().with_all(&proxy.url("http", "")).unwrap();
    let port = server.address.port();
    //   exceptions        target       by the proxy
    for (exceptions, host, tunnels) in [
        ("", "127.0.0.1", 0), // loopback
        ("", "model.api.localhost", 0),
        // On Linux this is reached, and is here, but is no loopback address.
        ("", "0.0.0.0", 2),
        ("0.0.0.0/8", "0.0.0.0", 0),
        ("10.0.0.0/8", "0.0.0.0", 2),
    ] {
        let before = proxy.asked().len();
        let options =
            Options { proxies: all.clone().with_exceptions(exceptions), ..Options::default() };
        each(&options, |transport| {
            let url = format!("http://{host}:{port}");
            assert_eq!(transport.post(&url).unwrap().value, "ok", "{} {url}", transport.name());
        });
        assert_eq!(proxy.asked().len() - before, tunnels, "{host} except {exceptions}");
    }
}
