//! Chat and embeddings through both facades, against the emulator.

mod facades;

use std::time::Duration;

use baseten::openai::{ChatRequest, EmbeddingRequest, Message, StreamEnd};
use baseten::{CallOptions, ErrorKind};
use baseten_emulator::{Answer, Emulator, Ending, Fault};
use facades::{Facade, SOON, each, each_tls_with};
use serde_json::json;

fn ask() -> ChatRequest {
    ChatRequest::new("org/model", [Message::user("hi")])
}

fn events() -> [String; 4] {
    let chunk = |delta: serde_json::Value, reason: serde_json::Value| {
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "org/model",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        .to_string()
    };
    [
        chunk(json!({"role": "assistant", "content": null}), json!(null)),
        chunk(json!({"content": "Hel"}), json!(null)),
        chunk(json!({"content": "lo"}), json!("stop")),
        json!({"id": "c1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
            .to_string(),
    ]
}

#[test]
fn a_chat_in_one_piece() {
    each(|facade, emulator| {
        emulator.model("abc").at("sync/v1/chat/completions").answer(Answer::json(json!({
            "id": "c1", "object": "chat.completion", "model": "org/model", "own": [1],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"},
                "finish_reason": "stop"}],
        })));
        let answer = facade.chat(&ask()).unwrap();
        assert_eq!(answer.value.text(), "Hello", "{}", facade.name());
        assert_eq!(answer.value.extra["own"], json!([1]), "what we do not know is kept");
        assert!(answer.meta.request_id().is_some());
        let seen = emulator.seen();
        let body: serde_json::Value = serde_json::from_slice(&seen.last().unwrap().body).unwrap();
        assert_eq!(
            body,
            json!({"model": "org/model", "messages": [{"role": "user", "content": "hi"}]})
        );
    });
}

#[test]
fn a_streamed_chat_gives_its_connection_back() {
    each(|facade, emulator| {
        emulator.model("abc").every_route().answer(Answer::sse(events()));
        for calls in 1..=3 {
            let chat = facade.chat_stream(&ask());
            assert_eq!(chat.texts, ["", "Hel", "lo", ""]);
            assert_eq!(chat.end, Some(StreamEnd::Done));
            assert_eq!(chat.answer.text(), "Hello", "{}", facade.name());
            assert_eq!(chat.answer.usage.unwrap().completion_tokens, Some(2));
            assert_eq!(chat.timings.chunks, 2, "neither the role nor the usage is a token");
            let (head, total) = (chat.meta.timings().head, chat.meta.timings().total);
            assert!(head <= chat.timings.first && chat.timings.last <= total, "{total:?}");
            assert!(total > Duration::ZERO, "{}", facade.name());
            // The end of the framing is a write of its own, and may come when the stream is gone.
            emulator.wait_until(SOON, |seen| seen.ended() == calls).unwrap();
        }
        assert_eq!(emulator.seen().opened(), 1, "{}", facade.name());
        let seen = emulator.seen();
        let body: serde_json::Value = serde_json::from_slice(&seen.last().unwrap().body).unwrap();
        assert_eq!(body["stream"], json!(true));
        assert_eq!(body["stream_options"], json!({"include_usage": true}));
    });
}

/// As most servers do: the end of the framing is written on its own, here well after the stream was read.
#[test]
fn an_end_that_comes_after_the_stream_was_dropped_is_read_when_the_connection_is_wanted() {
    let test = |facade: &Facade, emulator: &Emulator| {
        let frame = |event: &str| format!("{:x}\r\ndata: {event}\n\n\r\n", event.len() + 8).len();
        let content = events().iter().map(|event| frame(event)).sum::<usize>() + frame("[DONE]");
        let late = Fault::delay(Duration::from_millis(50)).at_body(content as u64);
        emulator.model("abc").every_route().answer(Answer::sse(events()).fault(late));
        for calls in 1..=3 {
            assert_eq!(facade.chat_stream(&ask()).end, Some(StreamEnd::Done), "{}", facade.name());
            emulator.wait_until(SOON, |seen| seen.ended() == calls).unwrap();
        }
        assert_eq!(emulator.seen().opened(), 1, "{}", facade.name());
    };
    each(test);
    each_tls_with(CallOptions::default(), test);
}

#[test]
fn done_ends_a_stream_that_stays_open() {
    each(|facade, emulator| {
        emulator.model("abc").every_route().answer(Answer::sse(events()).ending(Ending::Stall));
        let chat = facade.chat_stream(&ask());
        assert_eq!(chat.end, Some(StreamEnd::Done), "{}", facade.name());
        assert_eq!(chat.answer.text(), "Hello");
        // Its end could still come; when the connection is wanted again it has not.
        assert_eq!(facade.chat_stream(&ask()).end, Some(StreamEnd::Done));
        emulator.wait_until(SOON, |seen| (seen.opened(), seen.closed()) == (2, 1)).unwrap();
    });
}

/// Whoever sends what nobody can read, or an error and then more, is told that nobody reads on.
#[test]
fn a_stream_that_failed_lets_its_server_stop() {
    for last in ["oops".to_owned(), json!({"error": {"message": "out of memory"}}).to_string()] {
        each(|facade, emulator| {
            let pieces = [format!("data: {}\n\n", events()[1]), format!("data: {last}\n\n")];
            let pieces = pieces.into_iter().chain(std::iter::repeat_n(": more\n\n".into(), 2));
            let answer = Answer::stream(pieces).ending(Ending::Stall);
            emulator.model("abc").every_route().answer(answer);
            match facade {
                // While the stream is there: dropping it would tell anybody.
                Facade::Async(runtime, model) => runtime.block_on(async {
                    let mut stream = model.openai().unwrap().chat_stream(&ask()).await.unwrap();
                    while stream.chunk().await.is_ok() {}
                    emulator.wait_until(SOON, |seen| seen.closed() == 1).unwrap();
                }),
                Facade::Blocking(model) => {
                    let mut stream = model.openai().unwrap().chat_stream(&ask()).unwrap();
                    while stream.chunk().is_ok() {}
                    emulator.wait_until(SOON, |seen| seen.closed() == 1).unwrap();
                }
            }
        });
    }
}

#[test]
fn a_stream_that_breaks_off_is_no_answer_but_its_part_is_there() {
    each(|facade, emulator| {
        let cut = || Answer::sse(events());
        for (answer, kind) in [
            // The body ends well, the answer does not: what a Truss server does when a model raises.
            (Answer::stream([format!("data: {}\n\n", events()[1])]), ErrorKind::Truncated),
            (cut().fault(Fault::cut().at_body(400)), ErrorKind::Truncated),
            (
                Answer::sse([
                    events()[1].clone(),
                    json!({"error": {"message": "out of memory"}}).to_string(),
                ]),
                ErrorKind::Stream,
            ),
        ] {
            emulator.model("abc").every_route().answer(answer);
            let chat = facade.chat_stream(&ask());
            let error = chat.error.unwrap();
            assert_eq!((error.kind(), chat.end), (kind, None), "{}: {error}", facade.name());
            assert_eq!(chat.answer.text(), "Hel", "{}: {error}", facade.name());
        }
    });
}

#[test]
fn an_answer_for_a_stream_and_a_stream_for_an_answer_are_read() {
    each(|facade, emulator| {
        let serve = |answer| {
            emulator.model("abc").every_route().answer(answer);
        };
        serve(Answer::json(json!({"choices": [{"message": {"content": "Hello"}}]})));
        let chat = facade.chat_stream(&ask());
        assert_eq!(chat.end, Some(StreamEnd::Document), "{}: {:?}", facade.name(), chat.error);
        assert_eq!((&*chat.texts.concat(), &*chat.answer.text()), ("Hello", "Hello"));
        serve(Answer::sse(events()));
        assert_eq!(facade.chat(&ask()).unwrap().value.text(), "Hello", "{}", facade.name());

        // Nor does an error under status 200 pass for either.
        serve(Answer::json(json!({"error": {"message": "out of memory", "code": 500}})));
        for error in [facade.chat(&ask()).unwrap_err(), facade.chat_stream(&ask()).error.unwrap()] {
            let api = error.api().map(|api| (api.message(), api.code()));
            assert_eq!(
                (error.kind(), api),
                (ErrorKind::Stream, Some(("out of memory", Some("500"))))
            );
        }
    });
}

#[test]
fn dropping_a_chat_stream_stops_the_server() {
    each(|facade, emulator| {
        let long = Duration::from_secs(600);
        emulator.model("abc").every_route().answer(Answer::sse(events()).paced(long));
        facade.first_chat_chunk(&ask());
        let seen = emulator.wait_until(SOON, |seen| seen.ended() == 1).unwrap();
        assert_eq!(seen.last().unwrap().events, 1, "{}", facade.name());
    });
}

#[test]
fn embeddings_fall_back_to_numbers() {
    each(|facade, emulator| {
        let route = emulator.model("abc").at("sync/v1/embeddings");
        let vector = |embedding: serde_json::Value| {
            Answer::json(json!({"data": [{"index": 0, "embedding": embedding}]}))
        };
        route.answer(vector(json!("AACAPwAAAEA=")));
        let request = EmbeddingRequest::new("m", ["text"]);
        assert_eq!(facade.embeddings(&request).unwrap().value.values(), [1.0, 2.0]);

        let refusal = json!({"error": {"message": "encoding_format: base64 is not supported"}});
        route.then(Answer::json(refusal).with_status(400)).answer(vector(json!([1.0, 2.0])));
        assert_eq!(facade.embeddings(&request).unwrap().value.values(), [1.0, 2.0]);
        let bodies: Vec<String> =
            emulator.seen().arrivals().iter().map(|a| a.text().unwrap().to_owned()).collect();
        assert!(bodies[1].contains("base64") && bodies[2].contains("\"float\""), "{bodies:?}");

        let other = json!({"error": {"message": "input is too long"}});
        route.then(Answer::json(other).with_status(400));
        let error = facade.embeddings(&request).unwrap_err();
        assert_eq!(error.api().unwrap().message(), "input is too long");
        assert_eq!(
            emulator.seen().arrivals().len(),
            4,
            "nothing is asked twice for another reason"
        );
    });
}

#[test]
fn the_embedding_engines_own_routes() {
    each(|facade, emulator| {
        let route = |name: &str| emulator.model("abc").at(&format!("sync/{name}"));
        route("rerank")
            .answer(Answer::json(json!([{"index": 0, "score": 0.1}, {"index": 1, "score": 0.9}])));
        route("predict").answer(Answer::json(json!([[{"label": "joy", "score": 0.8}]])));
        route("predict_tokens").answer(Answer::json(
            json!([[{"token": "Rome", "start": 0, "end": 4, "results": {"LOC": 0.9}}]]),
        ));
        let (ranks, labels, entities) = facade.engine();
        assert_eq!(ranks.unwrap().value[0].index, 1, "{}: the best first", facade.name());
        assert_eq!(labels.unwrap().value[0][0].label, "joy");
        assert_eq!(entities.unwrap().value[0][0].token, "Rome");
        let bodies: Vec<String> =
            emulator.seen().arrivals().iter().map(|a| a.text().unwrap().to_owned()).collect();
        assert_eq!(bodies[0], r#"{"query":"q","texts":["a","b"]}"#);
        assert_eq!(bodies[1], r#"{"inputs":[["a"]]}"#);
    });
}
