//! Where the tests' WebSockets go.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its own part, and stops where it cannot go on"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use baseten_core::{
    Answer, CallOptions, Credential, Endpoint, Hosts, ModelId, Operation, Target, Template,
    Timeouts,
};
use baseten_emulator::{DUMMY_KEY, Emulator, Seen};
use baseten_transport::Options;
use baseten_transport::nonblocking::{Transport, Upgrade};
use baseten_websocket::WebSocket;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The model `abc` at these hosts, called with the emulator's key.
pub(crate) fn upgrade_at(hosts: &Hosts, options: Options) -> Upgrade {
    let target = Target::model(ModelId::new("abc").unwrap());
    let endpoint = Endpoint::new(hosts, &target, &Operation::WebSocket).unwrap();
    let credential = Credential::api_key(DUMMY_KEY).unwrap();
    let template = Template::new(endpoint, &credential, Answer::Stream).unwrap();
    Upgrade { transport: Transport::new(options), template, options: CallOptions::default() }
}

pub(crate) fn hosts(emulator: &Emulator) -> Hosts {
    let scheme = if emulator.ca_pem().is_some() { "https" } else { "http" };
    Hosts::root(&format!("{scheme}://{}", emulator.root())).unwrap()
}

pub(crate) fn upgrade(emulator: &Emulator) -> Upgrade {
    upgrade_at(&hosts(emulator), Options::default())
}

pub(crate) async fn connect(emulator: &Emulator) -> WebSocket {
    WebSocket::connect(&upgrade(emulator)).await.unwrap()
}

/// Waits for the emulator, which works on a thread of its own, to see something; our own runtime stands
/// still meanwhile.
pub(crate) fn within(emulator: &Emulator, cond: impl FnMut(&Seen) -> bool) -> Seen {
    emulator.wait_until(Duration::from_secs(10), cond).unwrap()
}

/// The same with an idle clock of so long, or with none.
pub(crate) fn idle(upgrade: Upgrade, idle: Option<Duration>) -> Upgrade {
    let timeouts = Timeouts { idle, ..Timeouts::default() };
    Upgrade { options: CallOptions { timeouts, ..upgrade.options }, ..upgrade }
}

/// A server of one WebSocket on a thread of its own, for what the emulator does not do: `early` is
/// written together with the 101, and `serve` has the bare socket.
pub(crate) fn peer<T: Send + 'static>(
    early: &'static [u8],
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (Hosts, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hosts = Hosts::base_url(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let thread = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let head = read_head(&mut socket);
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        socket.write_all(&[answer.as_bytes(), early].concat()).unwrap();
        serve(socket)
    });
    (hosts, thread)
}

/// A head with its names in lower case; values keep theirs where it matters (they are at line ends).
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let lines = head.split_inclusive("\r\n").map(|line| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.to_ascii_lowercase(),
    });
    lines.collect()
}
