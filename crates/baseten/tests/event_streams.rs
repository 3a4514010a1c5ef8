//! What an event stream of either facade gives: chunks, texts, all events, or the whole, which there is only
//! if the stream has finished.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten::ErrorKind;
use baseten::openai::{ChatRequest, CompletionRequest, Message, StreamEnd, StreamEvent};
use baseten_emulator::{Answer, Emulator, Fault};
use serde_json::{Value, json};

fn chat() -> ChatRequest {
    ChatRequest::new("m", [Message::user("hi")])
}

fn completion() -> CompletionRequest {
    CompletionRequest::new("m", "hi")
}

/// An event with a part of a chat and of a completion.
fn event(delta: Value, text: &str, reason: Value) -> String {
    json!({"id": "c", "choices": [{"index": 0, "delta": delta, "text": text, "finish_reason": reason}]})
        .to_string()
}

fn says(text: &str) -> String {
    event(json!({"content": text}), text, Value::Null)
}

fn stops() -> String {
    event(json!({}), "", json!("stop"))
}

/// Events, and what the stream fails with.
fn failing() -> [(&'static str, Answer, ErrorKind); 4] {
    let error = json!({"error": {"message": "out of memory"}}).to_string();
    let body = |events: &[String]| {
        let frames: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        Answer::stream(frames)
    };
    [
        ("the body ends, the answer does not", body(&[says("a")]), ErrorKind::Truncated),
        ("an error of the server", body(&[says("a"), error, stops()]), ErrorKind::Stream),
        ("no JSON", body(&[says("a"), "oops".into(), stops()]), ErrorKind::Decode),
        (
            "the connection breaks",
            Answer::sse([says("a"), stops()])
                .fault(Fault::cut().at_body(says("a").len() as u64 + 20)),
            ErrorKind::Truncated,
        ),
    ]
}

both! {
    fn a_stream_that_finished_is_collected_to_the_answer() {
        let emulator = Emulator::start().unwrap();
        let usage = json!({"choices": [], "usage": {"completion_tokens": 2}}).to_string();
        let events = [says("Hel"), says("lo"), stops(), usage];
        emulator.any_model().every_route().answer(Answer::sse(events));
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        for before in 0..=3 {
            let mut stream = wait(openai.chat_stream(&chat())).unwrap();
            for _ in 0..before {
                assert!(wait(stream.chunk()).unwrap().is_some());
            }
            let answer = wait(stream.collect()).unwrap();
            assert_eq!(answer.value.text(), "Hello", "{before} chunks were taken before");
            assert_eq!(answer.value.usage.unwrap().completion_tokens, Some(2));
            assert_eq!(answer.meta.status(), 200);
        }
        let answer = wait(wait(openai.completion_stream(&completion())).unwrap().collect()).unwrap();
        assert_eq!((answer.value.text(), answer.value.id.as_str()), ("Hello", "c"));
    }

    fn a_stream_that_failed_is_never_collected_to_an_answer() {
        let emulator = Emulator::start().unwrap();
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        for (why, answer, kind) in failing() {
            emulator.any_model().every_route().answer(answer);
            let stream = wait(openai.chat_stream(&chat())).unwrap();
            assert_eq!(wait(stream.collect()).unwrap_err().kind(), kind, "{why}");
            let stream = wait(openai.completion_stream(&completion())).unwrap();
            assert_eq!(wait(stream.collect()).unwrap_err().kind(), kind, "{why}, a completion");

            // Nor when the error has been told already.
            let mut stream = wait(openai.chat_stream(&chat())).unwrap();
            assert!(wait(stream.chunk()).unwrap().is_some(), "{why}");
            assert_eq!(wait(stream.chunk()).unwrap_err().kind(), kind, "{why}");
            assert!(wait(stream.chunk()).unwrap().is_none(), "{why}: after an error there is the end");
            assert_eq!((stream.end(), &*stream.partial().text()), (None, "a"), "{why}");
            let error = wait(stream.collect()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated, "{why}: {error}");
            let mut stream = wait(openai.completion_stream(&completion())).unwrap();
            while let Ok(Some(_)) = wait(stream.chunk()) {}
            assert_eq!(stream.partial().text(), "a", "{why}");
            assert_eq!(wait(stream.collect()).unwrap_err().kind(), ErrorKind::Truncated, "{why}");
        }
    }

    fn texts_alone() {
        let emulator = Emulator::start().unwrap();
        let usage = json!({"choices": [], "usage": {"completion_tokens": 2}}).to_string();
        let call = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]});
        let other = json!({"choices": [{"index": 1, "delta": {"content": "x"}, "text": "x", "finish_reason": "stop"}]});
        let events = [
            event(json!({"role": "assistant", "content": ""}), "", Value::Null),
            event(json!({"reasoning_content": "Hm"}), "", Value::Null),
            says("Hel"),
            other.to_string(),
            event(call, "", Value::Null),
            says("lo"),
            stops(),
            usage,
        ];
        emulator.any_model().every_route().answer(Answer::sse(events));
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        let mut stream = wait(openai.chat_stream(&chat())).unwrap();
        let mut completed = wait(openai.completion_stream(&completion())).unwrap();
        for expected in [Some("Hel"), Some("lo"), None, None] {
            assert_eq!(wait(stream.text()).unwrap(), expected);
            assert_eq!(wait(completed.text()).unwrap(), expected, "a completion");
        }
        assert_eq!((stream.end(), completed.end()), (Some(StreamEnd::Done), Some(StreamEnd::Done)));
        let answer = stream.partial();
        assert_eq!((answer.reasoning(), answer.tool_calls().len()), (Some("Hm"), 1));
        assert_eq!(answer.usage.as_ref().unwrap().completion_tokens, Some(2));

        for (why, answer, kind) in failing() {
            emulator.any_model().every_route().answer(answer);
            let mut stream = wait(openai.chat_stream(&chat())).unwrap();
            assert_eq!(wait(stream.text()).unwrap(), Some("a"), "{why}");
            assert_eq!(wait(stream.text()).unwrap_err().kind(), kind, "{why}");
            assert_eq!(wait(stream.text()).unwrap(), None, "{why}");
        }
    }

    fn events_of_hosted_tools_beside_the_chunks() {
        let emulator = Emulator::start().unwrap();
        let frames = [
            "event: tool.started\ndata: {\"tool\":\"search\"}\n\n".to_owned(),
            format!("data: {}\n\n", says("Hello")),
            "event: tool.done\ndata: {}\n\n".to_owned(),
            format!("data: {}\n\ndata: [DONE]\n\n", stops()),
        ];
        emulator.any_model().every_route().answer(Answer::stream(frames));
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        let mut stream = wait(openai.chat_stream(&chat())).unwrap();
        let mut told = Vec::new();
        while let Some(event) = wait(stream.event()).unwrap() {
            told.push(match event {
                StreamEvent::Chunk(chunk) => format!("chunk {:?}", chunk.text()),
                StreamEvent::Other(event) => format!("{:?} {:?}", event.name, event.data),
            });
        }
        let tool = [r#"b"tool.started" b"{\"tool\":\"search\"}""#, r#"b"tool.done" b"{}""#];
        assert_eq!(told, [tool[0], "chunk \"Hello\"", tool[1], "chunk \"\""]);
        assert_eq!(stream.end(), Some(StreamEnd::Done));

        // Who asks for chunks sees none of them.
        let mut stream = wait(openai.chat_stream(&chat())).unwrap();
        assert_eq!(wait(stream.chunk()).unwrap().unwrap().text(), "Hello");
        assert!(wait(stream.chunk()).unwrap().is_some());
        assert!(wait(stream.chunk()).unwrap().is_none());
    }
}
