//! What a caller can tell of a failure behind the gateway, and of the gateway's own.

use std::time::{Duration, Instant};

use baseten::openai::{ChatRequest, Message};
use baseten::{Error, RetryPolicy};
use baseten_emulator::{Answer, Ending};
use serde_json::{Value, json};

use super::answers::{event, question, unfinished};
use super::{Gateway, NATIVE};
use crate::interop::case::{Case, Found, patient};
use crate::interop::edge::Edge;

#[rustfmt::skip]
pub(super) const CASES: &[Case<Gateway>] = &[
    Case { name: "a rate limit, then an answer", requests: 2, run: limited,
        expect: "an answer, attempts: 2, after the second that the engine asked for; upstream: 2" },
    Case { name: "a rate limit that stays", requests: 3, run: limited_for_ever,
        expect: "Status, 429, Refused, a rate limit; upstream: 3" },
    Case { name: "a rate limit, streamed", requests: 1, run: limited_stream,
        expect: "Status, 429, Refused, a rate limit; upstream: 1" },
    // It tries three times whatever the configuration says.
    Case { name: "a rate limit behind LiteLLM's own provider", requests: 1, run: limited_native,
        expect: "Status, 429, Refused, a rate limit; upstream: 3" },
    Case { name: "an exception in the model", requests: 1, run: raised,
        expect: "Status, 500, MaybeRan; upstream: 1" },
    Case { name: "an engine that is not ready", requests: 1, run: not_ready,
        expect: "Status, 503, Refused; upstream: 1" },
    Case { name: "a text longer than the context", requests: 1, run: too_long,
        expect: "Status, 400, Answered, the context's length; upstream: 1" },
    Case { name: "a page of HTML", requests: 1, run: html,
        expect: "Status, 502, MaybeRan; upstream: 1" },
    Case { name: "an engine that hangs up", requests: 1, run: hung_up,
        expect: "Status, 500, MaybeRan; upstream: 1" },
    Case { name: "an error in the middle of a stream", requests: 1, run: midway,
        expect: "Stream: litellm.APIConnectionError: APIConnectionError: OpenAIException - no memory, after \"Grüße, \"" },
    Case { name: "a stream that breaks off", requests: 1, run: cut,
        expect: "Stream: litellm.APIConnectionError: APIConnectionError: OpenAIException - Response \
            payload is not completed: <TransferEncodingError: 400, message='Not enough data to satisfy \
            transfer length header.'>, after \"Grüße, 日本\"" },
    // What a Truss model that raises midway looks like. Reason and marker are LiteLLM's.
    Case { name: "a stream that ends too soon", requests: 1, run: short,
        expect: "\"stop\", Done, after \"Grüße, 日本\"" },
    Case { name: "a model that LiteLLM does not have", requests: 1, run: no_model,
        expect: "Status, 400, Answered; upstream: 0" },
    Case { name: "a key that LiteLLM does not have", requests: 1, run: wrong_key,
        expect: "Status, 400, Answered; upstream: 0" },
];

fn limited(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().then(too_many().header("retry-after", "1"));
    gateway.chats().answer(Answer::json(json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "yes"}}],
    })));
    let start = Instant::now();
    let answer = gateway.engine.chat(&question())?;
    let when = match start.elapsed() >= Duration::from_secs(1) {
        true => "after the second that the engine asked for",
        false => "too soon",
    };
    let (attempts, upstream) = (answer.meta.attempts(), gateway.arrivals().len());
    Ok(format!("an answer, attempts: {attempts}, {when}; upstream: {upstream}").into())
}

fn limited_for_ever(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(too_many());
    Ok(failed(gateway, gateway.engine.chat(&question())))
}

fn limited_stream(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(too_many());
    Ok(failed(gateway, once(gateway).chat_stream(&question())))
}

fn limited_native(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(too_many());
    let request = ChatRequest::new(NATIVE, [Message::user("hello world")]);
    Ok(failed(gateway, once(gateway).chat(&request)))
}

fn raised(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(Answer::model_raised());
    Ok(failed(gateway, gateway.engine.chat(&question())))
}

fn not_ready(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(Answer::not_ready());
    Ok(failed(gateway, once(gateway).chat(&question())))
}

fn too_long(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    let message = "This model's maximum context length is 8192 tokens.";
    let error =
        json!({"object": "error", "message": message, "type": "BadRequestError", "code": 400});
    gateway.chats().answer(Answer::json(error).with_status(400));
    Ok(failed(gateway, gateway.engine.chat(&question())))
}

fn html(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(Answer::nginx_error(502));
    Ok(failed(gateway, gateway.engine.chat(&question())))
}

fn hung_up(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(Answer::raw(""));
    Ok(failed(gateway, gateway.engine.chat(&question())))
}

fn midway(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    let first = event(json!({"role": "assistant", "content": "Grüße, "}), None);
    let error = json!({"error": {"message": "no memory", "type": "server_error", "code": 500}});
    gateway.chats().answer(Answer::sse([first, error].iter().map(Value::to_string)));
    read(gateway)
}

fn cut(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(unfinished(Ending::Cut));
    read(gateway)
}

fn short(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    gateway.chats().answer(unfinished(Ending::Finish));
    read(gateway)
}

fn no_model(gateway: &Gateway, _: &Edge) -> Result<Found, Error> {
    let request = ChatRequest::new("org/other", [Message::user("hello world")]);
    Ok(failed(gateway, gateway.engine.chat(&request)))
}

fn wrong_key(gateway: &Gateway, edge: &Edge) -> Result<Found, Error> {
    let engine = gateway.engine_with(edge, "another-key")?;
    Ok(failed(gateway, engine.chat(&question())))
}

fn too_many() -> Answer {
    let body = json!({"error": "too many", "error_code": "rate_limited"});
    Answer::json(body).with_status(429)
}

/// The same client, which tries nothing again.
fn once(gateway: &Gateway) -> crate::interop::engine::Engine {
    let options = baseten::CallOptions { retry: RetryPolicy::never(), ..patient() };
    gateway.engine.clone().options(options)
}

/// What a program can tell of it, and how many requests the engine got.
fn failed<T>(gateway: &Gateway, result: Result<T, Error>) -> Found {
    let Err(error) = result else { return "an answer".into() };
    let status = error.status().map_or(0, |status| status.as_u16());
    let api = error.api().cloned().unwrap_or_default();
    let about = match (api.is_rate_limit(), api.is_context_length()) {
        (true, false) => ", a rate limit",
        (false, true) => ", the context's length",
        _ => "",
    };
    let upstream = gateway.arrivals().len();
    let (kind, delivery) = (error.kind(), error.delivery());
    format!("{kind:?}, {status}, {delivery:?}{about}; upstream: {upstream}").into()
}

/// Reads a stream to its end or error.
fn read(gateway: &Gateway) -> Result<Found, Error> {
    let mut stream = gateway.engine.chat_stream(&question())?;
    let ended = loop {
        match stream.chunk() {
            Ok(Some(_)) => {}
            Ok(None) => {
                let reason = stream.partial().finish_reason().map(ToString::to_string);
                let end = stream.end().map(|end| format!("{end:?}"));
                break format!("{:?}, {}", reason.unwrap_or_default(), end.unwrap_or_default());
            }
            Err(error) => {
                let said = error.api().map(|api| api.message().to_owned()).unwrap_or_default();
                break format!("{:?}: {said}", error.kind());
            }
        }
    };
    Ok(format!("{ended}, after {:?}", stream.partial().text()).into())
}
