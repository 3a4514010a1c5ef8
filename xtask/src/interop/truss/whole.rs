//! Answers taken in whole: outputs, refusals, and connections between calls.

use std::time::{Duration, Instant};

use baseten::{CallOptions, Clock, Error, ErrorKind, RetryPolicy, Timeouts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::interop::case::{Case, Found, SOON, patient, refused, told};
use crate::interop::edge::Edge;
use crate::interop::facade::Facade;

#[rustfmt::skip]
pub(crate) const CASES: &[Case<Facade>] = &[
    Case { name: "typed input and output", requests: 1, run: typed,
        expect: "Point { x: 3, label: \"here\" }, 200, Length(35), attempts: 1" },
    Case { name: "unicode", requests: 1, run: unicode,
        expect: "the same text" },
    Case { name: "8 MiB there and back", requests: 1, run: large,
        expect: "the same text" },
    Case { name: "connections are reused", requests: 3, run: reused,
        expect: "connections: 1" },
    Case { name: "the model raises, and the job may run twice", requests: 1, run: raises,
        expect: "Status, 500, Answered: Internal Server Error (in model/chainlet)." },
    Case { name: "the model's own 429", requests: 1, run: |facade, _| Ok(own_status(facade, 429)),
        expect: "Status, 429, Answered: too many cats" },
    Case { name: "the model's own 503", requests: 1, run: |facade, _| Ok(own_status(facade, 503)),
        expect: "Status, 503, Answered: too many cats" },
    Case { name: "an input that is no JSON", requests: 1, run: bad_json,
        expect: "Status, 400, Answered: Invalid JSON payload: \
            Expecting property name enclosed in double quotes: line 1 column 2 (char 1)" },
    Case { name: "an input that is no UTF-8", requests: 1, run: bad_utf8,
        expect: "Status, 500, Answered: Unhandled exception: UnicodeDecodeError: \
            'utf-8' codec can't decode byte 0xff in position 1: invalid start byte" },
    Case { name: "a bare NaN", requests: 1, run: nan,
        expect: "Decode, 200, Answered, names byte 10, keeps {\"value\": NaN}" },
    Case { name: "a route of the server", requests: 2, run: route,
        expect: "{}, then Status, 404, Answered: Not Found" },
    Case { name: "a job longer than the clock", requests: 1, run: slow,
        expect: "Timeout, FirstByte, MaybeRan; the server is left" },
    Case { name: "an idle connection that the server closed", requests: 2, run: idle,
        expect: "closed by the server, then answered, attempts: 1, connections: 2" },
];

#[derive(Debug, Deserialize, Serialize)]
struct Echo<T> {
    echo: T,
}

#[derive(Debug, Deserialize, Serialize)]
struct Point {
    x: u32,
    label: String,
}

/// An input that is given back.
#[derive(Serialize)]
struct Say<T> {
    r#do: &'static str,
    value: T,
}

fn typed(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    let value = Point { x: 3, label: "here".to_owned() };
    let answer = facade.predict::<_, Echo<Point>>(&Say { r#do: "echo", value })?;
    let meta = &answer.meta;
    Ok(format!(
        "{:?}, {}, {:?}, attempts: {}",
        answer.value.echo,
        meta.status().as_u16(),
        meta.framing(),
        meta.attempts()
    )
    .into())
}

fn unicode(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    let hard = "Grüße, 日本語, \u{1F468}\u{200D}\u{1F469}, e\u{301}, \0\t\r\n\u{1f}\u{7f}\u{2028}\u{feff}\u{10ffff} \"\\/";
    echoed(facade, hard)
}

fn large(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    echoed(facade, &"0123456789abcdeé".repeat(8 << 16)[..8 << 20])
}

fn echoed(facade: &Facade, text: &str) -> Result<Found, Error> {
    let answer = facade.predict::<_, Echo<String>>(&Say { r#do: "echo", value: text })?;
    let back = answer.value.echo;
    if back == text {
        return Ok("the same text".into());
    }
    let same = back.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
    Ok(format!("{} bytes for {}, other from byte {same} on", back.len(), text.len()).into())
}

fn reused(facade: &Facade, edge: &Edge) -> Result<Found, Error> {
    for value in 0..3 {
        facade.predict::<_, Echo<i32>>(&Say { r#do: "echo", value })?;
    }
    Ok(format!("connections: {}", edge.seen().opened).into())
}

/// Under the one policy that would try a 500 again: but the model has spoken.
fn raises(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    Ok(refused(harmless(facade).predict::<_, Value>(&json!({"do": "fail"}))))
}

/// These would be the platform's refusals, and tried again, if the model did not sign them.
fn own_status(facade: &Facade, status: u16) -> Found {
    let input = json!({"do": "refuse", "status": status, "detail": "too many cats"});
    refused(facade.predict::<_, Value>(&input))
}

fn bad_json(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    Ok(refused(facade.predict_bytes("application/json", b"{")))
}

/// A fault of the caller that Truss answers with 500.
fn bad_utf8(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    Ok(refused(harmless(facade).predict_bytes("application/json", b"\"\xff\"")))
}

/// Python's `json` writes what JSON does not have.
fn nan(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    let Err(error) = facade.predict::<_, Value>(&json!({"do": "nan"})) else {
        return Ok("a value".into());
    };
    let body = String::from_utf8_lossy(error.body());
    let at = body.find("NaN").unwrap_or_default();
    if error.kind() != ErrorKind::Decode || !error.to_string().contains(&format!("byte {at} of ")) {
        return Ok(format!("{error}").into());
    }
    let status = error.status().map_or(0, |status| status.as_u16());
    Ok(format!("Decode, {status}, {:?}, names byte {at}, keeps {body}", error.delivery()).into())
}

fn route(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    let ready = facade.get("v1/models/model")?.value;
    let missing = match facade.get("no/such/route?at=all") {
        Ok(answer) => answer.meta.status().to_string(),
        Err(error) => told(&error),
    };
    Ok(format!("{}, then {missing}", String::from_utf8_lossy(&ready)).into())
}

fn slow(facade: &Facade, edge: &Edge) -> Result<Found, Error> {
    let first_byte = Some(Duration::from_millis(300));
    let timeouts = Timeouts { first_byte, ..Timeouts::default() };
    let facade = facade.options(CallOptions { timeouts, ..CallOptions::default() });
    let Err(error) = facade.predict::<_, Value>(&json!({"do": "sleep", "seconds": 10})) else {
        return Ok("an answer".into());
    };
    let clock = error.clock().map(|(clock, _)| clock);
    if error.kind() != ErrorKind::Timeout || clock != Some(Clock::FirstByte) {
        return Ok(told(&error).into());
    }
    let left = edge.wait(SOON, |seen| seen.left_by_client == 1);
    let left = if left { "the server is left" } else { "the connection stays" };
    Ok(format!("Timeout, FirstByte, {:?}; {left}", error.delivery()).into())
}

/// Uvicorn closes after 5 s. No byte of the second request may go into the dead connection.
fn idle(facade: &Facade, edge: &Edge) -> Result<Found, Error> {
    let input = Say { r#do: "echo", value: 1 };
    facade.predict::<_, Echo<i32>>(&input)?;
    let start = Instant::now();
    if !edge.wait(SOON, |seen| seen.left_by_server == 1) {
        return Ok(format!("{:?}", edge.seen()).into());
    }
    let waited = start.elapsed();
    let attempts = facade.predict::<_, Echo<i32>>(&input)?.meta.attempts();
    let opened = edge.seen().opened;
    let words = "closed by the server, then answered";
    Ok(Found::from(format!("{words}, attempts: {attempts}, connections: {opened}")).after(waited))
}

/// The same client, for a job that may run twice.
fn harmless(facade: &Facade) -> Facade {
    let retry = RetryPolicy::default().may_run_twice();
    facade.options(CallOptions { retry, ..patient() })
}
