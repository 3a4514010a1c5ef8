//! Compressed answers, read as if they had come plain. Both facades.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use baseten::openai::{ChatRequest, Message};
use baseten::{AsyncRequest, CallOptions, Error, ErrorKind, Limits, Method};
use baseten_emulator::{Answer, Emulator, Fault, When};
use facades::{each, each_with, once};
use serde_json::{Value, json};

const PLAIN: &[u8] = include_bytes!("encodings/answer.json");
const GZIP: &[u8] = include_bytes!("encodings/answer.json.gz");
const ZSTD: &[u8] = include_bytes!("encodings/answer.json.zst");

fn plain() -> Value {
    serde_json::from_slice(PLAIN).unwrap()
}

fn encoded(encoding: &str, body: &'static [u8]) -> Answer {
    Answer::bytes("application/json", body).header("content-encoding", encoding)
}

/// A head and a body whose end is the end of the connection.
fn until_close(encoding: &str, body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\n\r\n");
    Answer::raw([head.as_bytes(), body].concat())
}

#[test]
fn a_compressed_answer_is_read_as_the_plain_one() {
    each(|facade, emulator| {
        for (encoding, body) in [("gzip", GZIP), ("x-gzip", GZIP), ("zstd", ZSTD)] {
            emulator.model("abc").every_route().answer(encoded(encoding, body));
            let answer = facade.predict(&json!(1)).unwrap();
            assert_eq!(answer.value, plain(), "{} {encoding}", facade.name());
            // What came on the wire is still to be seen.
            assert_eq!(answer.meta.headers()["content-encoding"], encoding);
            assert_eq!(answer.meta.encoded_length(), Some(body.len() as u64));

            let arrival = emulator.seen();
            let arrival = arrival.last().unwrap();
            assert_eq!(arrival.header("accept-encoding"), Some("gzip, zstd"));
            assert_eq!(arrival.header("accept"), Some("application/json"));
        }
        // In pieces, as a gateway compresses what it passes on.
        let chunks = GZIP.chunks(50).map(<[u8]>::to_vec);
        emulator
            .model("abc")
            .every_route()
            .answer(Answer::stream(chunks).header("content-encoding", "gzip"));
        let answer = facade.sync(Method::GET, "items", &[], None).unwrap();
        assert_eq!(answer.value, PLAIN, "{}", facade.name());

        emulator.model("abc").every_route().answer(Answer::json(plain()));
        let answer = facade.predict(&json!(1)).unwrap();
        assert_eq!((answer.value, answer.meta.encoded_length()), (plain(), None));
        assert_eq!(emulator.seen().opened(), 1, "they all go over one connection");
    });
}

#[test]
fn what_has_no_body_has_none_whatever_its_encoding() {
    each(|facade, emulator| {
        for (method, answer) in [
            (Method::GET, Answer::bytes("text/plain", "")),
            (Method::HEAD, Answer::bytes("text/plain", "")),
            (Method::POST, Answer::status(204)),
        ] {
            emulator.model("abc").every_route().answer(answer.header("content-encoding", "gzip"));
            let answer = facade.sync(method, "x", &[], None).unwrap();
            assert_eq!(answer.value, "", "{}", facade.name());
        }
    });
}

#[test]
fn a_stream_is_not_asked_for_compressed_and_not_decoded() {
    each(|facade, emulator| {
        emulator.model("abc").every_route().answer(encoded("gzip", GZIP));
        let mut stream = facade.stream(&json!(1)).unwrap();
        assert_eq!(stream.rest().0, GZIP, "{}", facade.name());
        assert_eq!(emulator.seen().last().unwrap().header("accept-encoding"), None);

        let chat = ChatRequest::new("m", [Message::user("hi")]);
        let error = facade.chat_stream(&chat).error.unwrap();
        assert_eq!(emulator.seen().last().unwrap().header("accept-encoding"), None);
        assert!(error.to_string().contains("encoding `gzip`"), "{}: {error}", facade.name());
    });
}

#[test]
fn a_header_of_the_callers_own_wins_and_its_answer_comes_as_it_is() {
    each(|facade, emulator| {
        emulator.model("abc").every_route().answer(encoded("gzip", GZIP));
        for own in ["gzip", "identity"] {
            let headers = [("accept-encoding", own)];
            let answer = facade.sync(Method::GET, "x", &headers, None).unwrap();
            assert_eq!(answer.value, GZIP, "{} {own}", facade.name());
            assert_eq!(answer.meta.encoded_length(), None);
            assert_eq!(emulator.seen().last().unwrap().header("accept-encoding"), Some(own));
        }
    });
}

#[test]
fn an_encoding_that_nobody_reads_is_named() {
    each(|facade, emulator| {
        for encoding in ["br", "deflate", "gzip, gzip"] {
            let body = b"\x8b\x02\x80 no JSON";
            emulator.model("abc").every_route().answer(encoded(encoding, body));
            let bytes = facade.sync(Method::GET, "x", &[], None).unwrap();
            assert_eq!(bytes.value, &body[..], "{} as it came", facade.name());

            let error = facade.predict(&json!(1)).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Decode, "{text}");
            assert!(text.contains(&format!("encoding `{encoding}` and was not decoded")), "{text}");
            assert!(!text.contains("JSON"), "{text}");
            assert_eq!(error.body(), &body[..]);

            let chat = ChatRequest::new("m", [Message::user("hi")]);
            let text = facade.chat(&chat).unwrap_err().to_string();
            assert!(text.contains(&format!("encoding `{encoding}`")), "{text}");
        }
        // What was decoded and is no JSON is told as ever.
        emulator
            .model("abc")
            .every_route()
            .answer(encoded("gzip", include_bytes!("encodings/words.gz")));
        let error = facade.predict(&json!(1)).unwrap_err();
        assert!(error.to_string().contains("not the JSON expected, at byte 0 of 10"), "{error}");
        assert_eq!(error.body(), "just words");
    });
}

/// Cut at every byte, where the end of the body is told by its length, and where by nothing.
#[test]
fn a_cut_compressed_answer_is_never_a_shorter_one() {
    each_with(once(), |facade, emulator| {
        for (encoding, body) in [("gzip", GZIP), ("zstd", ZSTD)] {
            for at in 0..body.len() {
                emulator.model("abc").every_route().answer(encoded(encoding, body));
                emulator.inject(When::Request(0), Fault::close().at_body(at as u64));
                let by_length = facade.predict(&json!(1)).unwrap_err();
                let told = format!("{} {encoding} cut at {at}: {by_length}", facade.name());
                assert_eq!(by_length.kind(), ErrorKind::Truncated, "{told}");
                assert_eq!(by_length.received(), at as u64, "{told}");
                assert!(PLAIN.starts_with(by_length.body()), "{told}");

                emulator.model("abc").every_route().answer(until_close(encoding, &body[..at]));
                let by_close = facade.predict(&json!(1)).unwrap_err();
                let told = format!("{} {encoding} closed at {at}: {by_close}", facade.name());
                // A part of gzip's checksum is as good as a wrong one.
                let in_trailer = encoding == "gzip" && at >= body.len() - 8;
                let kind = if in_trailer { ErrorKind::Decode } else { ErrorKind::Truncated };
                assert_eq!(by_close.kind(), kind, "{told}");
            }
            emulator.model("abc").every_route().answer(until_close(encoding, body));
            assert_eq!(facade.predict(&json!(1)).unwrap().value, plain(), "{encoding}");
        }
    });
}

#[test]
fn a_garbled_answer_is_an_error_and_not_its_beginning() {
    each(|facade, emulator| {
        for (encoding, body) in [("gzip", GZIP), ("zstd", ZSTD), ("zstd", GZIP), ("gzip", PLAIN)] {
            emulator.model("abc").every_route().answer(encoded(encoding, body));
            if body != PLAIN {
                emulator.inject(When::Request(0), Fault::garble(0x55).at_body(30));
            }
            let error = facade.predict(&json!(1)).unwrap_err();
            let told = format!("{} {encoding}: {error}", facade.name());
            assert_eq!(error.kind(), ErrorKind::Decode, "{told}");
            assert!(
                told.contains("not in the encoding that its `content-encoding` names"),
                "{told}"
            );
            assert_eq!(error.attempts().len(), 0, "the call did run");
        }
    });
}

/// One repeating block of zstd after another: 1 MiB in 38 bytes.
fn mebibytes(count: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38];
    for block in 0..8 {
        let head = u32::from(block == 7) | 1 << 1 | (128 << 10) << 3;
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.push(b' ');
    }
    frame.repeat(count)
}

#[test]
fn bombs_and_limits_are_named() {
    each(|facade, emulator| {
        let bomb = Answer::bytes("application/json", mebibytes(1000));
        emulator.model("abc").every_route().answer(bomb.header("content-encoding", "zstd"));
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{}: {error}", facade.name());
        assert!(error.to_string().contains("100th of its size"), "{error}");
        assert!(error.to_string().contains("accept-encoding: identity"), "{error}");
        assert_eq!(error.body().len(), 16 << 20, "no more of it was decoded");
    });
    let limits = Limits { body: PLAIN.len() - 1, ..Limits::default() };
    each_with(CallOptions { limits, ..CallOptions::default() }, |facade, emulator| {
        for (encoding, body) in [("gzip", GZIP), ("zstd", ZSTD)] {
            emulator.model("abc").every_route().answer(encoded(encoding, body));
            let error = facade.predict(&json!(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{}: {error}", facade.name());
            let limit = format!("limit of {} bytes", PLAIN.len() - 1);
            assert!(error.to_string().contains(&limit), "{error}");
            assert_eq!(error.body(), &PLAIN[..PLAIN.len() - 1]);
        }
    });
}

#[test]
fn a_compressed_error_body_is_readable() {
    let limits = Limits { error_body: 1 << 10, ..Limits::default() };
    each_with(CallOptions { limits, ..once() }, |facade, emulator| {
        let gzip = include_bytes!("encodings/error.gz");
        let zstd = include_bytes!("encodings/error.zst");
        let check = |error: Error| {
            let told = format!("{}: {error}", facade.name());
            assert_eq!(error.api().unwrap().message(), "the pool is shut", "{told}");
            assert!(told.contains("the pool is shut"), "{told}");
        };
        for (encoding, body) in [("gzip", &gzip[..]), ("zstd", &zstd[..])] {
            emulator.model("abc").every_route().answer(encoded(encoding, body).with_status(500));
            check(facade.predict(&json!(1)).unwrap_err());
            // Whoever compresses without being asked must be understood as well.
            let Err(error) = facade.stream(&json!(1)) else { panic!("it is a 500") };
            check(error);
        }
        // The beginning counts, however large it is.
        let bomb = Answer::bytes("application/json", mebibytes(20)).with_status(500);
        emulator.model("abc").every_route().answer(bomb.header("content-encoding", "zstd"));
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!((error.kind(), error.body().len()), (ErrorKind::Status, 1 << 10));
    });
}

#[test]
fn every_call_that_is_taken_in_whole_asks_and_decodes() {
    let emulator = Emulator::start().unwrap();
    let client = baseten_blocking::Client::builder().api_key(baseten_emulator::DUMMY_KEY);
    let client = client.base_url(emulator.base_url("abc")).build().unwrap();
    let model = client.model("abc").unwrap();
    let asked = |what: &str| {
        let seen = emulator.seen();
        assert_eq!(seen.last().unwrap().header("accept-encoding"), Some("gzip, zstd"), "{what}");
    };
    model.predict_bytes("text/plain", "1").unwrap();
    asked("predict_bytes");
    let job = model.submit(&AsyncRequest::new(1)).unwrap().value;
    asked("submit");
    job.status().unwrap();
    asked("status");
    model.queue_status().unwrap();
    asked("queue_status");
    model.wake().unwrap();
    asked("wake");
    let body = baseten_blocking::Upload::new(&b"1"[..]);
    model.request().upload("text/plain", body).send().unwrap();
    asked("an upload");
    emulator.model("abc").every_route().answer(encoded("gzip", GZIP));
    let chat = ChatRequest::new("m", [Message::user("hi")]);
    drop(model.openai().unwrap().chat(&chat));
    asked("chat");
    let chain = client.chain("abc").unwrap();
    drop(chain.run_remote::<_, Value>(&json!({})));
    asked("run_remote");
}
