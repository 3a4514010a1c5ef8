//! OpenAI-compatible servers at a base URL of the caller's: the Model APIs, or what stands for them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten::openai::{ChatRequest, Message};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator};
use serde_json::json;

both! {
    fn a_base_url_may_end_in_v1_or_not() {
        for end in ["", "/", "/v1", "/v1/"] {
            let emulator = Emulator::start().unwrap();
            let engine = emulator.model("abc").at("sync/v1/chat/completions");
            let message = json!({"role": "assistant", "content": "Hello"});
            engine.answer(Answer::json(json!({"choices": [{"message": message}]})));
            let below = format!("{}/environments/production/sync{end}", emulator.base_url("abc"));
            let client = facade::Client::builder().api_key(DUMMY_KEY).base_url(&below);
            let gateway = client.build().unwrap().model_apis().unwrap();
            let request = ChatRequest::new("org/model", [Message::user("hi")]);
            let answer = wait(gateway.chat(&request)).unwrap();
            assert_eq!(answer.value.text(), "Hello", "{end:?}");
            let seen = emulator.seen();
            let sent = seen.last().unwrap().text().unwrap();
            assert!(sent.starts_with(r#"{"model":"org/model","#), "the name goes as it is: {sent}");
        }
    }
}
