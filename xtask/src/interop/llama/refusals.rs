//! What the chat server refuses, and what a caller can tell from it.

use baseten::openai::{EmbeddingRequest, Message, Role};
use baseten::{Credential, Error, Response};

use super::chat::question;
use super::{Llama, MODEL};
use crate::interop::case::{Case, Found, refused, told};
use crate::interop::edge::Edge;

#[rustfmt::skip]
pub(super) const CASES: &[Case<Llama>] = &[
    Case { name: "a body that is no JSON", requests: 1, run: no_json,
        expect: "Status, 400, Answered: [json.exception.parse_error.101] parse error at line 1, \
            column 11: syntax error while parsing value - unexpected end of input; expected '[', '{', \
            or a literal" },
    Case { name: "messages that are a text", requests: 1, run: text_for_messages,
        expect: "Status, 400, Answered: Expected 'messages' to be an array" },
    Case { name: "a message without content", requests: 1, run: no_content,
        expect: "Status, 400, Answered: All non-assistant messages must contain 'content'" },
    Case { name: "a text longer than the context", requests: 1, run: too_long,
        expect: "Status, 400, Answered: is about the context's length" },
    Case { name: "the same, streamed", requests: 1, run: too_long_streamed,
        expect: "Status, 400, Answered: is about the context's length" },
    Case { name: "a route that is not there", requests: 1, run: no_route,
        expect: "Status, 404, Answered: File Not Found" },
    Case { name: "no key", requests: 1, run: no_key,
        expect: "Status, 401, Answered: Invalid API Key" },
    Case { name: "embeddings of a server for chat", requests: 1, run: no_embeddings,
        expect: "Status, 501, Answered: This server does not support embeddings. Start it with \
            `--embeddings`" },
];

fn no_json(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    Ok(refused(llama.model.post("v1/chat/completions", "{\"model\": ")))
}

fn text_for_messages(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    Ok(refused(llama.engine.chat(&question().extra("messages", "hello"))))
}

fn no_content(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let mut silent = Message::default();
    silent.role = Role::User;
    Ok(refused(llama.engine.chat(&question().message(silent))))
}

fn too_long(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let request = question().message(Message::user(long()));
    Ok(about_length(llama.engine.chat(&request)))
}

/// It is refused before the stream begins.
fn too_long_streamed(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let request = question().message(Message::user(long()));
    let stream = llama.engine.chat_stream(&request);
    Ok(stream.map_or_else(|error| length(&error), |_| "a stream".to_owned()).into())
}

fn no_route(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    Ok(refused(llama.model.get("v1/no/such/route")))
}

fn no_key(llama: &Llama, edge: &Edge) -> Result<Found, Error> {
    Ok(refused(llama.engine_with(edge, Credential::none())?.chat(&question())))
}

fn no_embeddings(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    Ok(refused(llama.engine.embeddings(&EmbeddingRequest::new(MODEL, "hello"))))
}

/// More tokens than either server takes.
pub(super) fn long() -> String {
    "x ".repeat(20_000)
}

/// Whether a refusal is one of length, and not its words: they hold counts.
pub(super) fn about_length<T>(result: Result<Response<T>, Error>) -> Found {
    result.map_or_else(|error| length(&error), |_| "an answer".to_owned()).into()
}

fn length(error: &Error) -> String {
    match error.api().is_some_and(|api| api.is_context_length()) {
        true => {
            let status = error.status().map_or(0, |status| status.as_u16());
            let (kind, delivery) = (error.kind(), error.delivery());
            format!("{kind:?}, {status}, {delivery:?}: is about the context's length")
        }
        false => told(error),
    }
}
