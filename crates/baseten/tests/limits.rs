//! How much of an answer is taken in: each limit at what it was set to, for a client and for a call. Both
//! facades. The body of an error answer is in `refusals.rs`, compressed ones in `compression.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten::openai::{ChatRequest, CompletionRequest, Message};
use baseten::{CallOptions, Error, ErrorKind, Limits};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator};
use serde_json::{Value, json};

fn limits(limits: Limits) -> CallOptions {
    CallOptions { limits, ..CallOptions::default() }
}

fn told(error: &Error, text: &str) {
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    // In one line, with what is below it.
    assert!(format!("{error:?}").contains(text), "{error:?}");
}

both! {
    fn the_head_of_a_client() {
        let emulator = Emulator::start().unwrap();
        //   set to    counts as  the head has  fits
        for (set, limit, size, fits) in [
            (None, 65536, 50_000, true),
            (None, 65536, 70_000, false),
            (Some(16_384), 16_384, 20_000, false),
            (Some(200_000), 200_000, 70_000, true),
            (Some(0), 8192, 5000, true), // never less than 8 KiB
            (Some(0), 8192, 10_000, false),
        ] {
            let client = facade::Client::builder().api_key(DUMMY_KEY);
            let client = client.base_url(emulator.base_url("abc"));
            let client = match set {
                Some(bytes) => client.head_limit(bytes),
                None => client,
            };
            let model = client.build().unwrap().model("abc").unwrap();
            let filler = "y".repeat(1000);
            let answer = (0..size / 1000).fold(Answer::json(json!(1)), |answer, at| {
                answer.header(&format!("x-filler-{at}"), &filler)
            });
            emulator.model("abc").answer(answer);
            match wait(model.predict::<_, Value>(&1)) {
                Ok(answer) => assert!(fits && answer.meta.headers().len() > size / 1000, "{set:?}"),
                Err(error) => {
                    assert!(!fits, "{set:?} {size}: {error}");
                    told(&error, &format!("head of the answer is over the limit of {limit} bytes"));
                }
            }
        }
    }

    fn a_body_of_a_client_and_of_a_call() {
        let emulator = Emulator::start().unwrap();
        emulator.any_model().every_route().answer(Answer::json(json!("x".repeat(98))));
        let small = limits(Limits { body: 99, ..Limits::default() });
        let exact = limits(Limits { body: 100, ..Limits::default() });
        let model = client!(emulator, small.clone()).model("abc").unwrap();
        told(&wait(model.predict::<_, Value>(&1)).unwrap_err(), "body of the answer is over the limit of 99 bytes");
        wait(model.options(exact.clone()).predict::<_, Value>(&1)).unwrap();
        let model = client!(emulator).model("abc").unwrap();
        wait(model.request().json(&1).options(exact).send()).unwrap();
        told(&wait(model.request().json(&1).options(small).send()).unwrap_err(), "limit of 99 bytes");
        // What is not taken in whole has no such limit.
        let tiny = limits(Limits { body: 1, ..Limits::default() });
        let mut stream = wait(model.options(tiny).predict_stream(&1)).unwrap();
        assert_eq!(wait(stream.chunk()).unwrap().unwrap().len(), 100);
    }

    fn an_event_of_a_client_and_of_a_call() {
        let emulator = Emulator::start().unwrap();
        let event = |length: usize| {
            let frame = json!({"choices": [{"index": 0, "delta": {"content": ""}, "text": ""}]});
            let rest = frame.to_string().len() + "data: ".len();
            let text = "x".repeat(length - rest);
            json!({"choices": [{"index": 0, "delta": {"content": text}, "text": ""}]}).to_string()
        };
        emulator.any_model().every_route().answer(Answer::sse([event(200), "[DONE]".into()]));
        let small = limits(Limits { event: 150, ..Limits::default() });
        let enough = limits(Limits { event: 250, ..Limits::default() });
        let chat = ChatRequest::new("m", [Message::user("hi")]);
        let completion = CompletionRequest::new("m", "hi");
        for (of_client, of_call, fits) in [
            (None, None, true),
            (Some(&small), None, false),
            (Some(&enough), None, true),
            (Some(&small), Some(&enough), true),
            (Some(&enough), Some(&small), false),
        ] {
            let options = of_client.cloned().unwrap_or_default();
            let openai = client!(emulator, options).model("abc").unwrap().openai().unwrap();
            let openai = match of_call {
                Some(options) => openai.options(options.clone()),
                None => openai,
            };
            let mut chat = wait(openai.chat_stream(&chat)).unwrap();
            let mut completion = wait(openai.completion_stream(&completion)).unwrap();
            let outcomes = [wait(chat.chunk()).map(|_| ()), wait(completion.chunk()).map(|_| ())];
            for outcome in outcomes {
                match outcome {
                    Ok(()) => assert!(fits, "{of_client:?} {of_call:?}"),
                    Err(error) => {
                        assert!(!fits, "{error}");
                        told(&error, "150 bytes");
                    }
                }
            }
        }
    }

    fn an_answer_in_one_piece_to_a_request_for_a_stream() {
        let emulator = Emulator::start().unwrap();
        let choice = json!({"message": {"content": "x".repeat(100)}, "text": "x".repeat(100)});
        let answer = json!({"choices": [choice]});
        let size = answer.to_string().len();
        emulator.any_model().every_route().answer(Answer::json(answer));
        for (body, fits) in [(size, true), (size - 1, false)] {
            let options = limits(Limits { event: 10, body, ..Limits::default() });
            let openai = client!(emulator, options).model("abc").unwrap().openai().unwrap();
            let chat = ChatRequest::new("m", [Message::user("hi")]);
            let completion = CompletionRequest::new("m", "hi");
            let mut chat = wait(openai.chat_stream(&chat)).unwrap();
            let mut completion = wait(openai.completion_stream(&completion)).unwrap();
            let outcomes = [wait(chat.chunk()).map(|_| ()), wait(completion.chunk()).map(|_| ())];
            for outcome in outcomes {
                match outcome {
                    Ok(()) => assert!(fits, "{body}"),
                    Err(error) => {
                        assert!(!fits, "{body}: {error}");
                        told(&error, &format!("{body} bytes"));
                    }
                }
            }
        }
    }
}
