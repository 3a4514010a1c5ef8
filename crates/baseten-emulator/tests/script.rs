//! Scripts of faults in JSON: each line of one is played, and what it does is seen on the wire.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use baseten_emulator::{Answer, Closer, Emulator, Outcome, Step};
use common::{Reply, connect, exchange, post, read_all};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(5);
/// Answers `0123456789`, without a head, and closes.
const BARE: &str = "/model/abc/predict";
/// Answers `head` and `body`, and keeps the connection.
const KEPT: &str = "/model/abc/sync/kept";

/// What is seen of a script.
#[derive(Clone, Copy)]
enum See {
    /// Two calls, each on a connection of its own: what comes of them, and `!` after a reset.
    Calls([&'static str; 2]),
    /// One call: what comes at once, and what only after a pause.
    Pause(&'static str, &'static str),
    /// One call: what comes, and nothing more, on a connection that stays.
    Silence(&'static str),
    /// An upload of 1 MB, of which the answer or its absence says how far it came.
    Upload(&'static str),
    /// An answer with this header line; then the connection, kept by all that it said, is closed.
    Kept(&'static str),
    /// One call is answered; the next connection is refused, until the emulator listens again.
    Refused,
    /// What comes before the TLS handshake, as plain bytes.
    BeforeTls(&'static str),
}

/// (what is to go wrong, script, what is seen)
#[rustfmt::skip]
const TABLE: &[(&str, &str, See)] = &[
    ("refused, from a call on", r#"[{"when": {"request": 0}, "fault": {"action": "refuse"}}]"#,
        See::Refused),
    ("reset", r#"[{"when": {"request": 0}, "fault": {"action": "reset"}}]"#,
        See::Calls(["!", "0123456789"])),
    ("reset at byte n, for the k-th call", r#"[{"when": {"request": 1}, "fault": {"action": "reset", "at": {"byte": 3}}}]"#,
        See::Calls(["0123456789", "012!"])),
    ("cut, for every call", r#"[{"when": "every_request", "fault": {"action": "cut", "at": {"byte": 4}}}]"#,
        See::Calls(["0123", "0123"])),
    ("turned away at the door", r#"[{"when": {"connection": 0}, "fault": {"action": "cut"}}]"#,
        See::Calls(["", "0123456789"])),
    ("closed, for every connection", r#"[{"when": "every_connection", "fault": {"action": "close", "at": {"byte": 2}}}]"#,
        See::Calls(["01", "01"])),
    ("stalled", r#"[{"when": {"request": 0}, "fault": {"action": "stall", "at": {"byte": 5}}}]"#,
        See::Silence("01234")),
    ("delayed before the first byte", r#"[{"when": {"request": 0}, "fault": {"action": "delay", "wait": 50}}]"#,
        See::Pause("", "0123456789")),
    ("delayed on the way", r#"[{"when": {"request": 0}, "fault": {"action": "delay", "at": {"byte": 5}, "wait": 50}}]"#,
        See::Pause("01234", "56789")),
    ("garbled", r#"[{"when": {"request": 0}, "fault": {"action": {"garble": 1}, "at": {"byte": 4}}}]"#,
        See::Calls(["0123556789", "0123456789"])),
    ("more bytes", r#"[{"when": {"request": 0}, "fault": {"action": {"send": "ab"}, "at": {"byte": 5}}}]"#,
        See::Calls(["01234ab56789", "0123456789"])),
    ("more bytes that are no text", r#"[{"when": {"request": 0}, "fault": {"action": {"send": [97, 98]}}}]"#,
        See::Calls(["ab0123456789", "0123456789"])),
    ("1xx first", r#"[{"when": {"request": 0}, "fault": {"action": {"send": "HTTP/1.1 103 Early Hints\r\n\r\n"}}}]"#,
        See::Calls(["HTTP/1.1 103 Early Hints\r\n\r\n0123456789", "0123456789"])),
    ("slow bytes", r#"[{"when": {"request": 0}, "fault": {"action": {"slow": {"bytes": 5, "every": 50}}}}]"#,
        See::Pause("01234", "56789")),
    ("another answer, for the k-th call", r#"[{"when": {"request": 1}, "fault": {"action": {"answer": {"status": 200, "body": {"raw": {"chunks": [{"data": "other"}]}}}}}}]"#,
        See::Calls(["0123456789", "other"])),
    ("closed after the head", r#"[{"when": {"request": 0}, "fault": {"action": {"answer": {"status": 200, "body": {"raw": {"chunks": [{"data": "HTTP/1.1 200 OK\r\n\r\nbody"}]}}}}}},
        {"when": {"request": 0}, "fault": {"action": "close", "at": {"body": 0}}}]"#,
        See::Calls(["HTTP/1.1 200 OK\r\n\r\n", "0123456789"])),
    ("cut at byte n of the body", r#"[{"when": {"request": 0}, "fault": {"action": {"answer": {"status": 200, "body": {"raw": {"chunks": [{"data": "HTTP/1.1 200 OK\r\n\r\nbody"}]}}}}}},
        {"when": {"request": 0}, "fault": {"action": "cut", "at": {"body": 3}}}]"#,
        See::Calls(["HTTP/1.1 200 OK\r\n\r\nbod", "0123456789"])),
    ("false keep-alive", r#"[{"when": {"request": 0}, "fault": {"action": {"header": {"name": "keep-alive", "value": "timeout=600"}}}},
        {"when": {"request": 0}, "fault": {"action": "close", "at": "end"}}]"#,
        See::Kept("keep-alive: timeout=600")),
    ("early answer during an upload", r#"[{"when": {"request": 0}, "fault": {"action": {"answer": {"status": 413, "body": {"whole": "too large"}, "early": 5}}}}]"#,
        See::Upload("413")),
    ("reset during an upload", r#"[{"when": {"request": 0}, "fault": {"action": "reset", "at": {"upload": 5}}}]"#,
        See::Upload("reset")),
    ("cut, counted behind TLS", r#"[{"when": {"connection": 0}, "fault": {"action": "cut", "at": {"byte": 3}, "layer": "tcp"}}]"#,
        See::Calls(["012", "0123456789"])),
    ("plain bytes instead of TLS", r#"[{"when": {"connection": 0}, "fault": {"action": {"send": "hello"}, "layer": "tcp"}},
        {"when": {"connection": 0}, "fault": {"action": "cut", "at": {"byte": 5}, "layer": "tcp"}}]"#,
        See::BeforeTls("hello")),
    ("bytes below TLS are encrypted", r#"[{"when": {"connection": 0}, "fault": {"action": {"send": "hello"}, "layer": "http"}},
        {"when": {"connection": 0}, "fault": {"action": "cut", "layer": "tcp"}}]"#,
        See::BeforeTls("")),
];

fn played(script: &str, tls: bool) -> Emulator {
    let emulator = Emulator::builder().tls(tls).start().unwrap();
    emulator.model("abc").answer(Answer::raw("0123456789"));
    emulator.model("abc").at("sync/kept").answer(Answer::bytes("text/plain", "body"));
    let script: Vec<Step> = serde_json::from_str(script).unwrap();
    let again = serde_json::to_string(&script).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Step>>(&again).unwrap(), script);
    emulator.play(script);
    emulator
}

fn call(emulator: &Emulator, path: &str) -> TcpStream {
    let mut socket = connect(emulator);
    // One that is turned away may be gone already.
    socket.write_all(post(path, "1").as_bytes()).ok();
    socket
}

/// Everything until the end, and `!` after a reset.
fn heard(mut socket: TcpStream) -> String {
    let (bytes, end) = match read_all(&mut socket) {
        Ok(bytes) => (bytes, ""),
        Err(bytes) => (bytes, "!"),
    };
    String::from_utf8(bytes).unwrap() + end
}

#[test]
fn each_script_does_what_it_says() {
    for (name, script, see) in TABLE {
        let emulator = played(script, matches!(see, See::BeforeTls(_)));
        match *see {
            See::Calls(expect) => {
                let calls = [(); 2].map(|()| heard(call(&emulator, BARE)));
                assert_eq!(calls, expect, "{name}");
            }
            See::Pause(first, rest) => {
                let began = Instant::now();
                let mut socket = call(&emulator, BARE);
                let mut come = vec![0; first.len()];
                socket.read_exact(&mut come).unwrap();
                assert_eq!((come, heard(socket)), (first.into(), rest.into()), "{name}");
                assert!(began.elapsed() >= Duration::from_millis(50), "{name}");
            }
            See::Silence(expect) => silence(&emulator, expect, name),
            See::Upload(expect) => assert_eq!(upload(&emulator), expect, "{name}"),
            See::Kept(line) => {
                let mut socket = call(&emulator, KEPT);
                let reply = Reply::read(&mut socket);
                assert_eq!((reply.text(), reply.header("connection")), ("body", None), "{name}");
                assert!(reply.head.contains(line), "{name}: {}", reply.head);
                assert_eq!(heard(socket), "", "{name}");
                let closed = emulator.seen().connections()[0].closed.unwrap();
                assert_eq!(closed.1, Closer::Fault, "{name}");
            }
            See::Refused => refused(&emulator),
            See::BeforeTls(expect) => {
                let mut socket = connect(&emulator);
                let mut come = Vec::new();
                socket.read_to_end(&mut come).unwrap();
                assert_eq!(come, expect.as_bytes(), "{name}");
            }
        }
    }
}

/// Nothing follows: the emulator has sent that much, and nothing ended the call but the peer.
fn silence(emulator: &Emulator, expect: &str, name: &str) {
    let mut socket = call(emulator, BARE);
    let mut come = vec![0; expect.len()];
    socket.read_exact(&mut come).unwrap();
    assert_eq!(come, expect.as_bytes(), "{name}");
    drop(socket);
    let seen = emulator.wait_until(SOON, |seen| seen.ended() == 1).unwrap();
    let sent = expect.len() as u64;
    let outcome = seen.last().unwrap().outcome;
    assert!(
        matches!(outcome, Some(Outcome::PeerLeft { after_bytes, .. }) if after_bytes == sent),
        "{name}: {outcome:?}"
    );
}

/// The status that came while the body was under way, or how that ended.
fn upload(emulator: &Emulator) -> String {
    let head = post(BARE, "").replace("Content-Length: 0", "Content-Length: 1000000");
    let mut socket = connect(emulator);
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(b"12345").unwrap();
    let mut begin = [0; 12];
    let mut said = String::new();
    match socket.read_exact(&mut begin) {
        Ok(()) => said.push_str(std::str::from_utf8(&begin[9..]).unwrap()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => said.push_str("reset"),
        Err(error) => write!(said, "{error}").unwrap(),
    }
    assert!(!emulator.seen().last().unwrap().body_complete);
    said
}

/// The call at whose first byte the door closes is answered; the next finds nobody.
fn refused(emulator: &Emulator) {
    for round in 0..2 {
        assert_eq!(heard(call(emulator, BARE)), "0123456789");
        if round == 1 {
            emulator.refuse();
        }
        let error = TcpStream::connect(emulator.addr()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(emulator.seen().opened(), round + 1, "it was not accepted");
        emulator.listen().unwrap();
        emulator.listen().unwrap(); // it does
    }
    assert_eq!(exchange(emulator, post(KEPT, "1").as_bytes()).text(), "body");
}

#[test]
fn what_is_open_goes_on_while_others_are_refused() {
    let emulator = played("[]", false);
    let mut socket = call(&emulator, KEPT);
    assert_eq!(Reply::read(&mut socket).text(), "body");
    emulator.refuse();
    emulator.refuse(); // no effect
    socket.write_all(post(KEPT, "2").as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut socket).text(), "body");
    assert!(TcpStream::connect(emulator.addr()).is_err());
    emulator.listen().unwrap();
    socket.write_all(post(KEPT, "3").as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut socket).text(), "body");
    assert_eq!(exchange(&emulator, post(KEPT, "4").as_bytes()).text(), "body");
}

#[test]
fn an_emulator_that_refuses_ends_as_well() {
    let emulator = played("[]", false);
    let addr = emulator.addr();
    emulator.refuse();
    drop(emulator);
    assert!(TcpStream::connect(addr).is_err());
}

/// Where a step has a variant of which enum.
const PLACES: [(&str, &str, usize); 4] = [
    ("Action", "/fault/action", 11),
    ("At", "/fault/at", 4),
    ("Layer", "/fault/layer", 2),
    ("When", "/when", 4),
];

/// The variants of an enum as JSON has them, from its declaration.
fn variants(source: &str, of: &str) -> Vec<String> {
    let body = source.split(&format!("pub enum {of} {{")).nth(1).unwrap();
    let body = body.split("\n}").next().unwrap();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(char::is_uppercase));
    let names = names.map(|line| line.split(['(', ',', ' ']).next().unwrap());
    let snake = |name: &str| {
        let mut snake = String::new();
        for (at, letter) in name.char_indices() {
            if letter.is_uppercase() && at > 0 {
                snake.push('_');
            }
            snake.extend(letter.to_lowercase());
        }
        snake
    };
    names.map(snake).collect()
}

/// The variants that no step of the scripts has in its place.
fn missing<'a>(variants: &'a [String], place: &str, scripts: &[&str]) -> Vec<&'a str> {
    let steps =
        scripts.iter().flat_map(|script| serde_json::from_str::<Vec<Value>>(script).unwrap());
    let played: BTreeSet<String> = steps
        .filter_map(|step| match step.pointer(place)? {
            Value::Object(variant) => variant.keys().next().cloned(),
            word => word.as_str().map(str::to_owned),
        })
        .collect();
    variants.iter().map(String::as_str).filter(|variant| !played.contains(*variant)).collect()
}

#[test]
fn the_table_plays_all_there_is() {
    let source = include_str!("../src/fault.rs");
    let scripts: Vec<&str> = TABLE.iter().map(|(_, script, _)| *script).collect();
    for (of, place, least) in PLACES {
        let variants = variants(source, of);
        assert!(variants.len() >= least, "{of}: {variants:?}");
        assert_eq!(missing(&variants, place, &scripts), [""; 0], "{of}");
    }
}

#[test]
fn a_variant_that_is_not_played_is_found() {
    let declared = "pub enum Action {\n    /// A.\n    Cut,\n    SlowDown {\n        /// B.\n        bytes: usize,\n    },\n    Garble(u8),\n}\n";
    let variants = variants(declared, "Action");
    assert_eq!(variants, ["cut", "slow_down", "garble"]);
    let scripts = [
        r#"[{"fault": {"action": "cut"}}, {"when": "slow_down", "fault": {"at": {"slow_down": 1}}}]"#,
        r#"[{"fault": {"action": {"garble": 1}}}]"#,
    ];
    assert_eq!(missing(&variants, "/fault/action", &scripts), ["slow_down"], "in its place");
}
