//! The loop of a chat with tools through both facades, against an engine that wants them called.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten::ErrorKind;
use baseten::openai::{ChatRequest, Message, Tool, ToolEnd, ToolFault, ToolSet};
use baseten_emulator::{Answer, Emulator};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

fn sums<'a>() -> ToolSet<'a> {
    let tool = Tool::function("add", json!({"type": "object"}));
    ToolSet::new().tool(tool, |Add { a, b }| a.checked_add(b).ok_or("too large"))
}

fn ask() -> ChatRequest {
    ChatRequest::new("m", [Message::user("1 + 2?")])
}

fn wants(name: &str, arguments: &str) -> Answer {
    let call =
        json!({"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    Answer::json(json!({"choices": [{"message": message, "finish_reason": "tool_calls"}]}))
}

fn says(text: &str) -> Answer {
    Answer::json(json!({"choices": [{"message": {"role": "assistant", "content": text}}]}))
}

/// The messages of each request that arrived.
fn chats(emulator: &Emulator) -> Vec<Value> {
    let seen = emulator.seen();
    let body = |text: &str| serde_json::from_str::<Value>(text).unwrap()["messages"].clone();
    seen.arrivals().iter().map(|arrival| body(arrival.text().unwrap())).collect()
}

both! {
    fn calls_are_made_and_answered_until_the_model_is_done() {
        let emulator = Emulator::start().unwrap();
        let engine = emulator.model("abc").at("sync/v1/chat/completions");
        engine.then(wants("add", r#"{"a":1,"b":2}"#)).then(wants("sub", "{}")).answer(says("3"));
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        let mut run = sums().run(ask());
        let answer = wait(openai.run_tools(&mut run)).unwrap();
        assert_eq!((answer.value.text().as_ref(), run.end()), ("3", Some(ToolEnd::Answered)));
        let [first, second] = run.called() else { panic!("two calls") };
        assert_eq!(first.outcome.as_deref().unwrap(), "3");
        assert!(matches!(second.outcome, Err(ToolFault::Unknown)));
        let chats = chats(&emulator);
        assert_eq!(chats.iter().map(|chat| chat.as_array().unwrap().len()).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(chats[2][2], json!({"role": "tool", "content": "3", "tool_call_id": "c1"}));
        assert_eq!(chats[2][4]["content"], "error: there is no function of this name");
    }

    fn a_model_that_never_stops_is_asked_so_often_and_no_more() {
        let emulator = Emulator::start().unwrap();
        let engine = emulator.model("abc").at("sync/v1/chat/completions");
        engine.answer(wants("add", r#"{"a":1,"b":2}"#));
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        let mut run = sums().rounds(2).run(ask());
        let answer = wait(openai.run_tools(&mut run)).unwrap();
        assert_eq!((answer.value.tool_calls().len(), run.end()), (1, Some(ToolEnd::OutOfRounds)));
        assert_eq!((emulator.seen().arrivals().len(), run.called().len()), (3, 2));
    }

    fn arguments_that_are_none_end_a_run_that_asked_for_it() {
        let emulator = Emulator::start().unwrap();
        let engine = emulator.model("abc").at("sync/v1/chat/completions");
        engine.answer(wants("add", r#"{"a":"one"}"#));
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        let mut run = sums().stop_at_faults().run(ask());
        wait(openai.run_tools(&mut run)).unwrap();
        assert_eq!((run.end(), emulator.seen().arrivals().len()), (Some(ToolEnd::Fault), 1));
        let Err(ToolFault::Arguments(error)) = &run.called()[0].outcome else { panic!("{run:?}") };
        assert_eq!(error.start(), r#"{"a":"one"}"#);
    }

    fn a_run_that_failed_goes_on_where_it_was() {
        let emulator = Emulator::start().unwrap();
        let engine = emulator.model("abc").at("sync/v1/chat/completions");
        engine
            .then(wants("add", r#"{"a":1,"b":2}"#))
            .then(Answer::json(json!({"error": {"message": "out of memory"}})))
            .answer(says("3"));
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        let mut run = sums().run(ask());
        let error = wait(openai.run_tools(&mut run)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stream, "an error under status 200");
        assert_eq!(error.api().unwrap().message(), "out of memory");
        assert_eq!((run.end(), run.called().len()), (None, 1));
        assert_eq!(wait(openai.run_tools(&mut run)).unwrap().value.text(), "3");
        assert_eq!(run.called().len(), 1, "what was called is not called again");
        let chats = chats(&emulator);
        assert_eq!(chats[1], chats[2]);
    }

    fn an_object_that_is_no_answer_is_an_error_that_says_so() {
        let emulator = Emulator::start().unwrap();
        emulator.model("abc").every_route().answer(Answer::json(json!({"output": "3"})));
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        let error = wait(openai.chat(&ask())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert_eq!(error.body().as_ref(), br#"{"output":"3"}"#);
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(why, "the answer has no `choices`");
    }
}
