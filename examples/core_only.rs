//! `baseten-core` with an HTTP client of your own.
//!
//! Core says what to send, when to send it again, and what came of it; sockets and clocks are yours.
//! The client here is std's `TcpStream` and reads only what an emulator answers. Take a real one:
//! [`baseten_core::Request::to_http`] is what most of them accept.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Instant, SystemTime};

use baseten_core::{
    Access, Answer, Attempt, Budget, Call, CallOptions, Cause, Credential, Failure, Hosts, ModelId,
    Operation, Request, Response, Start, Step, Target,
};
use baseten_emulator::{Answer as Given, DUMMY_KEY, Emulator};
use baseten_examples::Error;
use bytes::Bytes;
use serde_json::{Value, json};

fn main() -> Result<(), Error> {
    // The platform sheds the first request; the second one is answered.
    let emulator = Emulator::start()?;
    emulator.model("echo").then(Given::platform_error(503).header("retry-after", "0.1"));

    let hosts = Hosts::base_url(&emulator.base_url("echo"))?;
    let access = Access::new(hosts, Credential::api_key(DUMMY_KEY)?);
    let target = Target::model(ModelId::new("echo")?);
    let predict = access.template(&target, &Operation::Predict, Answer::Json)?;

    let response = carry_out(&predict.json(&json!({"prompt": "What is a transport?"}))?)?;
    let response = response.json::<Value>()?;
    println!("result      {}", response.value);
    println!("attempts    {}", response.meta.attempts());
    for tried in response.meta.failed_attempts() {
        println!("failed      #{}: {:?}, {:?}", tried.number, tried.outcome, tried.delivery);
    }
    Ok(())
}

/// Does what the call asks for until it is over.
fn carry_out(request: &Request) -> Result<Response<Bytes>, baseten_core::Error> {
    // One budget serves all calls of a program.
    let budget = Budget::new();
    let start = Start { wall: SystemTime::now(), seed: 7 };
    let mut call = Call::new(request, &CallOptions::default(), &budget, start);
    let began = Instant::now();
    loop {
        match call.step(began.elapsed()) {
            Step::Fail(error) => return Err(error),
            Step::Wait(pause) => {
                println!("waiting     {pause:?}");
                thread::sleep(pause);
            }
            Step::Send(attempt) => {
                println!("sending     #{}", attempt.number);
                match send(request, &attempt) {
                    Err(failure) => call.on_failure(began.elapsed(), failure),
                    Ok(answer) => {
                        let (head, body) = answer.into_parts();
                        let now = began.elapsed();
                        if head.status.is_success() {
                            return Ok(call.accept(now, head).finish(now, body));
                        }
                        call.on_rejected(now, head, body);
                    }
                }
            }
        }
    }
}

/// The HTTP client: one connection for one request, read to its end. A real one also keeps the
/// call's clocks.
fn send(request: &Request, attempt: &Attempt) -> Result<http::Response<Bytes>, Failure> {
    let endpoint = request.endpoint();
    let mut head = format!("{} {} HTTP/1.1\r\n", endpoint.method(), endpoint.uri());
    let mut headers = request.to_headers();
    attempt.set_headers(&mut headers);
    for (name, value) in &headers {
        head += &format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    head += "connection: close\r\n\r\n";

    let origin = endpoint.origin();
    let mut socket = TcpStream::connect((origin.host(), origin.port()))
        .map_err(|error| Failure::before_sending(Cause::Connect, Some(error.into())))?;
    let mut answer = Vec::new();
    let sent = socket
        .write_all(&[head.as_bytes(), request.body()].concat())
        .and_then(|()| socket.read_to_end(&mut answer));
    // From here on bytes may have left, so it may have run: what is unsure counts as sent.
    let failed = |cause, received: &[u8], source: Error| Failure {
        cause,
        sent: u64::MAX,
        received: received.len() as u64,
        reused: false,
        source: Some(source.to_string().into()),
    };
    match sent {
        Ok(_) => parse(&answer).map_err(|error| failed(Cause::Malformed, &answer, error)),
        Err(error) => Err(failed(Cause::Disconnected, &answer, error.into())),
    }
}

/// Status, headers, and everything after them as the body.
fn parse(answer: &[u8]) -> Result<http::Response<Bytes>, Error> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let mut lines = std::str::from_utf8(&answer[..end])?.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("no status line")?;
    let mut response = http::Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a header without a colon")?;
        response = response.header(name, value.trim());
    }
    Ok(response.body(Bytes::copy_from_slice(&answer[end + 4..]))?)
}
