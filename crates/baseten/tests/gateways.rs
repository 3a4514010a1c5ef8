//! OpenAI-compatible servers at a base URL of the caller's: the Model APIs, or what stands for them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten::openai::{
    ChatRequest, CompletionRequest, EmbeddingRequest, FinishReason, Message, StreamEnd,
};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator};
use serde_json::json;

both! {
    fn the_model_apis_are_on_a_host_of_their_own() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let below = facade::Client::builder().api_key(DUMMY_KEY).base_url(emulator.url());
        let host = format!("inference.localhost:{}", emulator.addr().port());
        for (client, host) in [(client, host), (below.build().unwrap(), emulator.addr().to_string())] {
            let apis = client.model_apis().unwrap();
            let served = wait(apis.models()).unwrap().value;
            assert_eq!(served[0].id, "emulated/echo");
            let request = ChatRequest::new(&served[0].id, [Message::user("hi")]);
            assert_eq!(wait(apis.chat(&request)).unwrap().value.text(), "hi");
            let mut stream = wait(apis.chat_stream(&request)).unwrap();
            let mut text = String::new();
            while let Some(chunk) = wait(stream.chunk()).unwrap() {
                text.push_str(chunk.text());
            }
            assert_eq!((&*text, stream.end().is_some()), ("hi", true));
            emulator.model_apis().then(Answer::platform_error(429).header("retry-after-ms", "1"));
            assert_eq!(wait(apis.chat(&request)).unwrap().meta.attempts(), 2);
            let error = wait(apis.embeddings(&EmbeddingRequest::new("m", ["a"]))).unwrap_err();
            assert_eq!(error.status().unwrap().as_u16(), 404, "there are none");
            let seen = emulator.seen();
            let last = seen.last().unwrap();
            assert_eq!((last.host.as_deref(), &*last.path), (Some(&*host), "/v1/embeddings"));
        }
    }

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

    fn completions_and_models_are_typed() {
        let emulator = Emulator::start().unwrap();
        let openai = client!(emulator).model("abc").unwrap().openai().unwrap();
        let part = |text: &str, reason: Option<&str>| {
            let choice = json!({"index": 0, "text": text, "finish_reason": reason});
            json!({"object": "text_completion", "choices": [choice]})
        };
        let route = emulator.model("abc").at("sync/v1/completions");
        route.answer(Answer::json(part("upon a time", Some("length"))));
        let request = CompletionRequest::new("org/model", "Once ").max_tokens(3);
        let answer = wait(openai.completion(&request)).unwrap().value;
        assert_eq!(answer.text(), "upon a time");
        assert_eq!(answer.choices[0].finish_reason, Some(FinishReason::Length));

        let parts = [part("upon ", None), part("a time", Some("length"))];
        route.answer(Answer::sse(parts.map(|part| part.to_string())));
        let mut stream = wait(openai.completion_stream(&request)).unwrap();
        let mut texts = Vec::new();
        while let Some(part) = wait(stream.chunk()).unwrap() {
            texts.push(part.text().to_owned());
        }
        assert_eq!((stream.end(), stream.partial().text()), (Some(StreamEnd::Done), "upon a time"));
        assert_eq!(texts, ["upon ", "a time"]);
        let seen = emulator.seen();
        let bodies: Vec<&str> = seen.arrivals().iter().map(|arrival| arrival.text().unwrap()).collect();
        let sent = r#"{"model":"org/model","prompt":"Once ","max_tokens":3"#;
        assert_eq!(bodies[0], format!("{sent}}}"));
        assert_eq!(
            bodies[1],
            format!(r#"{sent},"stream":true,"stream_options":{{"include_usage":true}}}}"#)
        );

        let listed = json!({"object": "list", "data": [{"id": "org/model", "created": 1, "own": 2}]});
        emulator.model("abc").at("sync/v1/models").answer(Answer::json(listed));
        let models = wait(openai.models()).unwrap().value;
        assert_eq!((&*models[0].id, models[0].created), ("org/model", Some(1)));
        assert_eq!(models[0].extra["own"], 2, "what has no field is kept");
    }
}
