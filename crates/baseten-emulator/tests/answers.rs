//! Installed answers: whole, queued, by closure, streamed, gathered, raw, early.

mod common;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Ending, Outcome};
use common::{Reply, connect, exchange, post, read_all};

const SOON: Duration = Duration::from_secs(5);

#[test]
fn takes_the_queue_then_the_standing_answer_then_the_wider_ones() {
    let emulator = Emulator::start().unwrap();
    emulator.any_model().every_route().answer(Answer::status(501));
    emulator.any_model().answer(Answer::status(502));
    emulator.model("abc").every_route().answer(Answer::status(503));
    let route = emulator.model("abc");
    route.answer(Answer::status(204)).then(Answer::status(201)).then(Answer::status(202));
    let ask = |path: &str| exchange(&emulator, post(path, "{}").as_bytes()).status;
    let predict = [(); 4].map(|()| ask("/model/abc/predict"));
    assert_eq!(predict, [201, 202, 204, 204]);
    route.clear();
    assert_eq!(ask("/model/abc/predict"), 503, "any route of this model");
    assert_eq!(ask("/model/abc/sync/x"), 503, "any route of this model");
    assert_eq!(ask("/model/xyz/predict"), 502, "this route of any model");
    assert_eq!(ask("/model/xyz/sync/x"), 501, "anything");
    assert_eq!(ask("/chain/xyz/run_remote"), 200, "chains are not models");
}

#[test]
fn answers_by_closure() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").at("sync/count").answer_with(|arrival| {
        Answer::json(serde_json::json!([arrival.index, arrival.text(), arrival.header("HOST")]))
    });
    exchange(&emulator, post("/model/abc/predict", "1").as_bytes());
    let reply = exchange(&emulator, post("/model/abc/sync/count?x=1", "body").as_bytes());
    assert_eq!(reply.text(), r#"[1,"body","x"]"#);
}

#[test]
fn a_panic_in_a_closure_costs_one_connection() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer_with(|arrival| match arrival.text() {
        Some("1") => panic!("on purpose"),
        _ => Answer::status(204),
    });
    let mut socket = connect(&emulator);
    socket.write_all(post("/model/abc/predict", "1").as_bytes()).unwrap();
    assert_eq!(read_all(&mut socket).unwrap(), b"");
    emulator.wait_until(SOON, |seen| seen.closed() == 1).unwrap();
    assert_eq!(exchange(&emulator, post("/model/abc/predict", "2").as_bytes()).status, 204);
}

/// Bytes of a recording of the server, but for date, connection and request id.
#[test]
fn errors_look_as_recorded() {
    let emulator = Emulator::start().unwrap();
    // (answer, head lines, body)
    #[rustfmt::skip]
    let table = [
        (Answer::model_raised(), "500 Internal Server Error", &["x-baseten-error-source: 04", "x-baseten-error-code: 600", "content-length: 54", "content-type: application/json"][..], r#"{"error":"Internal Server Error (in model/chainlet)."}"#),
        (Answer::model_error(429, 600, "model said no"), "429 Too Many Requests", &["x-baseten-error-source: 04", "x-baseten-error-code: 600", "content-length: 25"], r#"{"error":"model said no"}"#),
        (Answer::not_ready(), "503 Service Unavailable", &["x-baseten-error-source: 04", "x-baseten-error-code: 600"], r#"{"error":"Model with name model is not ready."}"#),
        (Answer::platform_error(502), "502 Bad Gateway", &["content-type: application/json"], r#"{"error":"Error making prediction"}"#),
    ];
    for (answer, status, lines, body) in table {
        emulator.model("abc").then(answer);
        let reply = exchange(&emulator, post("/model/abc/predict", "1").as_bytes());
        assert_eq!(reply.head.lines().next(), Some(&*format!("HTTP/1.1 {status}")));
        for line in lines {
            assert!(reply.head.lines().any(|sent| sent == *line), "{line} in {}", reply.head);
        }
        assert_eq!(reply.text(), body);
    }
    for status in [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 504, 529] {
        emulator.model("abc").then(Answer::platform_error(status));
        let reply = exchange(&emulator, post("/model/abc/predict", "1").as_bytes());
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("x-baseten-error-source"), None, "{status}");
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(body["error"].is_string(), "{status}");
    }
}

#[test]
fn streams_each_chunk_in_a_write_of_its_own() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::stream(["token-0 ", "token-1 "]));
    let reply = exchange(&emulator, post("/model/abc/predict", "1").as_bytes());
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    assert!(reply.raw.ends_with(b"\r\n\r\n8\r\ntoken-0 \r\n8\r\ntoken-1 \r\n0\r\n\r\n"));
    let seen = emulator.seen();
    let arrival = seen.last().unwrap();
    assert_eq!((arrival.events, arrival.sent), (2, reply.raw.len() as u64));

    emulator.model("abc").answer(Answer::sse(["{}", "{\"i\": 1}"]));
    let reply = exchange(&emulator, post("/model/abc/predict", "1").as_bytes());
    assert_eq!(reply.text(), "data: {}\n\ndata: {\"i\": 1}\n\ndata: [DONE]\n\n");
}

#[test]
fn gathers_a_generator_as_truss_does() {
    let emulator = Emulator::start().unwrap();
    let generator = Answer::stream(["token-0 ", "token-1 ", "\"é\""]);
    let gathered = Some(r#""token-0 token-1 \"é\"""#);
    // (answer, request headers, gathered, reason)
    let table = [
        (&generator, "Accept: application/json\r\n", gathered, "exactly this"),
        (&generator, "Accept: application/json\r\nUser-Agent: x-OpenAI/1\r\n", None, "openai"),
        (&generator, "Accept: application/json, */*\r\n", None, "not exactly"),
        (&generator, "Accept: */*\r\n", None, "anything"),
        (&generator, "", None, "nothing"),
        (&Answer::sse(["1"]), "Accept: application/json\r\n", None, "a response of its own"),
    ];
    for (answer, headers, gathered, reason) in table {
        emulator.model("abc").then(answer.clone());
        let request = format!(
            "POST /model/abc/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {DUMMY_KEY}\r\n\
             {headers}content-length: 1\r\n\r\n1"
        );
        let reply = exchange(&emulator, request.as_bytes());
        let whole = reply.header("content-length").map(|_| reply.text());
        assert_eq!(whole, gathered, "{reason}");
        let json = reply.header("content-type") == Some("application/json");
        assert_eq!(json, gathered.is_some(), "{reason}");
    }
}

#[test]
fn notices_at_once_that_a_peer_left() {
    let emulator = Emulator::start().unwrap();
    let hour = Duration::from_secs(3600);
    let chunks = [(Duration::ZERO, "a"), (Duration::ZERO, "b"), (hour, "c")];
    let stream = Answer::stream(chunks);
    // Two events are read; the third is due in an hour.
    emulator.model("abc").answer(stream);
    let mut socket = connect(&emulator);
    socket.write_all(post("/model/abc/predict", "1").as_bytes()).unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"1\r\nb\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        received.push(byte[0]);
    }
    let left = emulator.elapsed();
    drop(socket);
    let seen = emulator.wait_until(SOON, |seen| seen.ended() == 1).unwrap();
    let Some(Outcome::PeerLeft { at, after_events, after_bytes }) = seen.arrivals()[0].outcome
    else {
        panic!("{:?}", seen.arrivals()[0].outcome)
    };
    assert_eq!((after_events, after_bytes), (2, received.len() as u64));
    assert!(at >= left, "{at:?} {left:?}");

    // While it waits for the head, and while an answer is raw: the same.
    for answer in [Answer::status(200).delayed(hour), Answer::raw("x").ending(Ending::Stall)] {
        let ended = emulator.seen().ended();
        emulator.model("abc").answer(answer);
        let mut socket = connect(&emulator);
        socket.write_all(post("/model/abc/predict", "1").as_bytes()).unwrap();
        emulator
            .wait_until(SOON, |seen| {
                seen.arrivals().len() > ended && seen.last().unwrap().body_complete
            })
            .unwrap();
        drop(socket);
        let seen = emulator.wait_until(SOON, |seen| seen.ended() > ended).unwrap();
        assert!(matches!(seen.last().unwrap().outcome, Some(Outcome::PeerLeft { .. })));
    }
}

#[test]
fn paces_a_stream() {
    let emulator = Emulator::start().unwrap();
    let pause = Duration::from_millis(20);
    emulator.model("abc").answer(Answer::stream(["a", "b", "c"]).paced(pause));
    let began = Instant::now();
    let reply = exchange(&emulator, post("/model/abc/predict", "1").as_bytes());
    assert_eq!(reply.text(), "abc");
    assert!(began.elapsed() >= 2 * pause);
}

#[test]
fn ends_a_stream_in_every_way() {
    let emulator = Emulator::start().unwrap();
    let ask = |answer: Answer| {
        emulator.model("abc").then(answer);
        let mut socket = connect(&emulator);
        socket.write_all(post("/model/abc/predict", "1").as_bytes()).unwrap();
        (read_all(&mut socket), emulator.seen().last().unwrap().outcome)
    };
    for ending in [Ending::Cut, Ending::Close, Ending::Reset] {
        let (received, outcome) = ask(Answer::stream(["a", "b"]).ending(ending));
        assert_eq!(received.is_err(), ending == Ending::Reset, "{ending:?}");
        let bytes = received.unwrap_or_else(|bytes| bytes);
        assert!(bytes.ends_with(b"1\r\na\r\n1\r\nb\r\n"), "{ending:?} keeps what was written");
        assert!(matches!(outcome, Some(Outcome::CutByFault { after_bytes, .. })
            if after_bytes == bytes.len() as u64));
    }
    let (received, outcome) = ask(Answer::raw_chunks(["HTTP/1.1 200", " \r\n\r", "\nx"]));
    assert_eq!(received.unwrap(), b"HTTP/1.1 200 \r\n\r\nx");
    assert!(matches!(outcome, Some(Outcome::Completed { .. })));
    assert_eq!(emulator.seen().last().unwrap().sent, 18);
    let (received, _) = ask(Answer::raw(""));
    assert_eq!(received.unwrap(), b"");
}

#[test]
fn a_false_length_is_sent_as_it_is() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::stream(["four"]).header("content-length", "9"));
    let mut socket = connect(&emulator);
    socket.write_all(post("/model/abc/predict", "1").as_bytes()).unwrap();
    let bytes = read_all(&mut socket).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("content-length: 9\r\n") && text.ends_with("\r\n\r\nfour"), "{text}");
}

#[test]
fn answers_before_the_upload_is_over() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::platform_error(413).early(4));
    let mut socket = connect(&emulator);
    let head = format!(
        "POST /model/abc/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {DUMMY_KEY}\r\n\
         Content-Length: 1000000\r\n\r\nfour"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let reply = Reply::read(&mut socket);
    assert_eq!(reply.status, 413);
    // It is a polite close: what is still sent is swallowed, never answered by RST.
    socket.write_all(&vec![b'x'; 500_000]).unwrap();
    assert_eq!(read_all(&mut socket).unwrap(), b"");
    socket.write_all(&vec![b'x'; 400_000]).unwrap();
    let arrival = emulator.seen().last().unwrap().clone();
    assert_eq!((arrival.body_len, arrival.body_complete), (4, false));
    assert!(matches!(arrival.outcome, Some(Outcome::Completed { .. })));
}

#[test]
fn refuses_what_is_too_large() {
    let emulator = Emulator::builder().max_body(10).keep_body(3).start().unwrap();
    let ask = |body: &str| exchange(&emulator, post("/model/abc/predict", body).as_bytes()).status;
    assert_eq!((ask("1234567890"), ask("12345678901")), (200, 413));
    let seen = emulator.seen();
    let [taken, refused] = [0, 1].map(|n| &seen.arrivals()[n]);
    assert_eq!((taken.text(), taken.body_len), (Some("123"), 10));
    assert_eq!((refused.body_len, refused.body_complete), (0, false));
    let request = format!(
        "POST /model/abc/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {DUMMY_KEY}\r\n\
         Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n"
    );
    assert_eq!(exchange(&emulator, request.as_bytes()).status, 413, "found out on the way");
}

#[test]
fn asks_for_the_body_only_if_it_wants_it() {
    let emulator = Emulator::start().unwrap();
    let head = format!(
        "POST /model/abc/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {DUMMY_KEY}\r\n\
         Content-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut socket = connect(&emulator);
    socket.write_all(head.as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut socket).status, 100);
    socket.write_all(b"1").unwrap();
    assert_eq!(Reply::read(&mut socket).status, 200);
    emulator.model("abc").answer(Answer::platform_error(429).early(0));
    assert_eq!(exchange(&emulator, head.as_bytes()).status, 429);
    // Raw bytes behind a 100.
    emulator.model("abc").answer(Answer::raw("HTTP/1.1 204 No Content\r\n\r\n"));
    let mut socket = connect(&emulator);
    socket.write_all(format!("{head}1").as_bytes()).unwrap();
    assert_eq!([(); 2].map(|()| Reply::read(&mut socket).status), [100, 204]);
}

#[test]
fn an_answer_hyper_cannot_send_says_so() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::status(200).header("bad name", "x"));
    let reply = exchange(&emulator, post("/model/abc/predict", "1").as_bytes());
    assert_eq!(reply.status, 500);
    assert!(reply.text().contains("Answer::raw"), "{}", reply.text());
}

#[test]
fn answers_are_values() {
    let answer = Answer::stream([(Duration::from_millis(5), vec![0xff_u8, 0])])
        .ending(Ending::Reset)
        .with_status(201)
        .delayed(Duration::from_millis(1));
    let json = serde_json::to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), answer, "{json}");
    let short = r#"{"status": 503, "body": {"whole": "{}"}}"#;
    assert_eq!(serde_json::from_str::<Answer>(short).unwrap().status, 503);
}
