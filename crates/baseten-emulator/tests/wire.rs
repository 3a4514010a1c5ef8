//! The emulator as a peer sees it: literal bytes over a plain socket.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use baseten_emulator::{Answer, Closer, DUMMY_KEY, Emulator, Kind, Operation, Outcome, Stage};
use common::{Reply, exchange, post};

#[test]
fn echoes_under_a_host_and_under_a_path() {
    let emulator = Emulator::start().unwrap();
    let by_host = format!(
        "POST /environments/staging/predict HTTP/1.1\r\nHost: model-abc.{}\r\n\
         X-First: 1\r\nAuthorization: Api-Key {DUMMY_KEY}\r\nx-first: 2\r\ncontent-length: 9\r\n\r\n{{\"n\": 1}}\n",
        emulator.root(),
    );
    let reply = exchange(&emulator, by_host.as_bytes());
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.text(), r#"{"echo": {"n": 1}, "model": "abc"}"#);
    let by_path = post("/model/abc/production/predict", "[1]");
    let second = exchange(&emulator, by_path.as_bytes());
    assert_eq!(second.text(), r#"{"echo": [1], "model": "abc"}"#);
    let ids = [&reply, &second].map(|reply| reply.header("x-baseten-request-id").unwrap());
    assert_ne!(ids[0], ids[1]);

    let seen = emulator.seen();
    let arrival = &seen.arrivals()[0];
    let names: Vec<_> = arrival.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Host", "X-First", "Authorization", "x-first", "content-length"]);
    assert_eq!(arrival.text(), Some("{\"n\": 1}\n"));
    assert_eq!((arrival.body_len, arrival.body_complete), (9, true));
    assert_eq!(arrival.request_id, ids[0]);
    assert_eq!(arrival.operation, Some(Operation::Predict));
    let stage = &arrival.target.as_ref().unwrap().stage;
    assert_eq!(*stage, Stage::Environment("staging".into()));
    assert!(matches!(arrival.outcome, Some(Outcome::Completed { .. })));
    assert_eq!(arrival.sent, reply.raw.len() as u64);
}

#[test]
fn an_id_with_hyphens_is_told_from_a_regional_host() {
    let emulator = Emulator::start().unwrap();
    let ask = |label: &str, path: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {label}.{}\r\nAuthorization: Api-Key {DUMMY_KEY}\r\n\
             content-length: 2\r\n\r\n{{}}",
            emulator.root(),
        );
        let status = exchange(&emulator, request.as_bytes()).status;
        let target = emulator.seen().last().unwrap().target.clone();
        (status, target.map(|target| (target.id, target.stage)))
    };
    let regional = |name: &str| Stage::Regional(name.into());
    let staging = "/environments/staging/predict";
    assert_eq!(ask("model-a-b", staging), (404, None), "an environment `b`, whose paths are bare");
    assert_eq!(ask("model-a-b", "/predict"), (200, Some(("a".into(), regional("b")))));
    emulator.model("a-b");
    let stage = Stage::Environment("staging".into());
    assert_eq!(ask("model-a-b", staging), (200, Some(("a-b".into(), stage.clone()))));
    assert_eq!(ask("model-a-b", "/predict"), (404, None));
    assert_eq!(ask("model-a-b-eu", "/predict"), (200, Some(("a-b".into(), regional("eu")))));
    emulator.regional("eu");
    assert_eq!(ask("model-c-d-eu", "/predict"), (200, Some(("c-d".into(), regional("eu")))));
    assert_eq!(ask("model-c-d", staging), (200, Some(("c-d".into(), stage))));
    emulator.chain("c-1");
    let chain = ask("chain-c-1", "/production/run_remote");
    assert_eq!(chain, (200, Some(("c-1".into(), Stage::Production))));
}

#[test]
fn checks_the_key_in_both_schemes() {
    let emulator = Emulator::builder().key("k.1").key("k.2").start().unwrap();
    let bad = r#"{"error":"please check the api-key you provided"}"#;
    // (header line, status, reason)
    let table = [
        ("Authorization: Api-Key k.1\r\n", 200, "a known key"),
        ("Authorization: Bearer k.2\r\n", 200, "the other scheme, the other key"),
        ("authorization: Bearer k.2\r\n", 200, "names have no case"),
        ("Authorization: Bearer k.3\r\n", 403, "an unknown key"),
        ("Authorization: Api-Key \r\n", 401, "an empty key is no key"),
        ("Authorization: k.1\r\n", 401, "no scheme"),
        ("x-api-key: k.1\r\n", 401, "not read by the platform"),
        ("", 401, "no key"),
        (&format!("Authorization: Bearer {DUMMY_KEY}\r\n"), 403, "given keys replace the default"),
    ];
    for (line, status, reason) in table {
        let request = format!(
            "POST /model/abc/predict HTTP/1.1\r\nHost: x\r\n{line}content-length: 1\r\n\r\n1"
        );
        let reply = exchange(&emulator, request.as_bytes());
        assert_eq!(reply.status, status, "{reason}");
        assert!(reply.header("x-baseten-request-id").is_some(), "{reason}");
        if status != 200 {
            assert_eq!(reply.text(), bad, "{reason}");
        }
    }
}

#[test]
fn passes_sync_routes_through() {
    let emulator = Emulator::start().unwrap();
    let request = format!(
        "PATCH /model/abc/environments/production/sync/items/1%2F2?x=%20&y HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {DUMMY_KEY}\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    );
    assert_eq!(
        exchange(&emulator, request.as_bytes()).text(),
        r#"{"echo": {"method": "PATCH", "route": "items/1%2F2", "query": "x=%20&y", "body": "hi"}, "model": "abc"}"#
    );
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"] {
        let request = post("/model/abc/sync/x", "").replacen("POST", method, 1);
        let reply = exchange(&emulator, request.as_bytes());
        assert!(reply.text().contains(&format!(r#""method": "{method}""#)), "{}", reply.text());
    }
    // HEAD has the head alone, and the connection goes on.
    let mut socket = TcpStream::connect(emulator.addr()).unwrap();
    let head = post("/model/abc/sync/x", "").replacen("POST", "HEAD", 1);
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    socket.write_all(post("/model/abc/predict", "1").as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut socket).text(), r#"{"echo": 1, "model": "abc"}"#);
}

#[test]
fn wakes_and_refuses() {
    let emulator = Emulator::start().unwrap();
    let wake = exchange(&emulator, post("/model/abc/deployment/d/wake", "").as_bytes());
    assert_eq!((wake.status, wake.text()), (202, ""));
    let unknown = exchange(&emulator, post("/model/abc/production/nope", "").as_bytes());
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().starts_with(r#"{"error":"#));
    assert_eq!(emulator.seen().arrivals()[1].operation, None);
}

#[test]
fn development_sleeps_until_it_is_woken() {
    let emulator = Emulator::start().unwrap();
    let ask = |path: &str| exchange(&emulator, post(path, "{}").as_bytes());
    let dev = |operation: &str| ask(&format!("/model/abc/development/{operation}")).status;
    emulator.development_sleeps(Kind::Model, "abc", 3);
    emulator.model("abc").answer(Answer::status(204)); // says the model, which does not run
    assert_eq!([dev("predict"), dev("sync/health"), dev("predict")], [404; 3]);
    assert_eq!(ask("/model/abc/environments/development/predict").status, 404, "the same");
    for (path, status, reason) in [
        ("/model/abc/production/predict", 204, "another deployment"),
        ("/model/abc/deployment/d1/predict", 204, "another deployment"),
        ("/model/xyz/development/predict", 200, "another model"),
        ("/chain/abc/development/run_remote", 200, "a chain"),
        ("/model/abc/production/wake", 202, "wakes another deployment"),
        (
            "/model/abc/development/async_predict",
            400,
            "queued by the platform, if it were well formed",
        ),
    ] {
        assert_eq!(ask(path).status, status, "{reason}");
    }
    emulator.model("abc").at("wake").then(Answer::platform_error(429));
    assert_eq!([dev("wake"), dev("predict")], [429, 404], "refused");
    assert_eq!(dev("wake"), 202);
    assert_eq!(dev("predict"), 404, "it has no replica yet");
    assert_eq!(
        ask("/model/abc/development/predict").text(),
        r#"{"error":"Model with name model is not ready."}"#
    );
    assert_eq!([dev("sync/health"), dev("predict"), dev("sync/health")], [503, 204, 200]);

    emulator.development_sleeps(Kind::Chain, "abc", 0);
    let paths = ["run_remote", "wake", "run_remote"];
    let chain = paths.map(|path| ask(&format!("/chain/abc/development/{path}")).status);
    assert_eq!(chain, [404, 202, 200], "ready at once");
}

#[test]
fn keeps_a_connection_and_tells_who_closed_it() {
    let emulator = Emulator::start().unwrap();
    let mut socket = TcpStream::connect(emulator.addr()).unwrap();
    for n in 0..100 {
        socket.write_all(post("/model/abc/predict", &n.to_string()).as_bytes()).unwrap();
        let reply = Reply::read(&mut socket);
        assert_eq!(reply.text(), format!(r#"{{"echo": {n}, "model": "abc"}}"#));
    }
    drop(socket);
    let seen = emulator.wait_until(Duration::from_secs(5), |seen| seen.closed() == 1).unwrap();
    let connection = &seen.connections()[0];
    assert_eq!(connection.requests, 100);
    assert_eq!(connection.closed.unwrap().1, Closer::Peer);
    assert_eq!(seen.ended(), 100);
    emulator.forget();
    assert_eq!(emulator.seen().arrivals().len(), 0);
    exchange(&emulator, post("/model/abc/predict", "1").as_bytes());
    assert_eq!(emulator.seen().last().unwrap().index, 100, "numbers go on");
}

#[test]
fn answers_pipelined_requests() {
    let emulator = Emulator::start().unwrap();
    let two = post("/model/abc/predict", "1") + &post("/model/abc/predict", "2");
    let mut socket = TcpStream::connect(emulator.addr()).unwrap();
    socket.write_all(two.as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut socket).text(), r#"{"echo": 1, "model": "abc"}"#);
    assert_eq!(Reply::read(&mut socket).text(), r#"{"echo": 2, "model": "abc"}"#);
    assert_eq!(emulator.seen().arrivals()[1].header("host"), Some("x"));
}

#[test]
fn stops_when_dropped() {
    let emulators: Vec<_> = (0..8).map(|_| Emulator::start().unwrap()).collect();
    let mut sockets: Vec<_> =
        emulators.iter().map(|emulator| TcpStream::connect(emulator.addr()).unwrap()).collect();
    for (emulator, socket) in emulators.iter().zip(&mut sockets) {
        socket.write_all(post("/model/abc/predict", "1").as_bytes()).unwrap();
        Reply::read(socket);
        assert_eq!(emulator.seen().opened(), 1, "each sees its own");
    }
    let addr = emulators[0].addr();
    drop(emulators);
    for socket in &mut sockets {
        assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    }
    assert!(TcpStream::connect(addr).is_err());
}
