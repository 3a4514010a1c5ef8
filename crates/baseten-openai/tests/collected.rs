//! What the events of a stream are put together to, and that it goes back into the chat as it came.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use baseten_openai::{
    ChatCollector, ChatDecoder, ChatRequest, ChatResponse, CompletionResponse, FinishReason,
    Message, Progress, StreamEnd,
};
use bytes::Bytes;
use serde_json::{Value, json};

/// The answer out of a stream, the same however its bytes are cut.
fn collected(body: &str) -> ChatResponse {
    let of = |size: usize| {
        let mut decoder = ChatDecoder::new();
        for piece in body.as_bytes().chunks(size) {
            decoder.push(Bytes::copy_from_slice(piece));
            while decoder.advance().unwrap() == Progress::Chunk {}
        }
        assert_eq!(decoder.end(), Some(StreamEnd::Done), "{body}");
        decoder.into_answer()
    };
    let whole = of(body.len());
    for size in 1..20 {
        assert_eq!(of(size), whole, "{body} in pieces of {size}");
    }
    whole
}

fn event(body: Value) -> String {
    format!("data: {body}\n\n")
}

/// An event with this delta of the first choice.
fn delta(delta: Value) -> String {
    event(json!({"id": "c1", "choices": [{"index": 0, "delta": delta}]}))
}

/// How the message of an answer is sent back.
fn sent_back(response: &ChatResponse) -> Value {
    let message = response.message().unwrap().clone();
    let request = ChatRequest::new("m", [Message::user("?")]).message(message);
    serde_json::to_value(&request).unwrap()["messages"][1].clone()
}

const ONE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one \"}}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn what_is_collected_is_what_was_sent() {
    let body = [
        delta(json!({"role": "assistant", "content": null, "reasoning_content": "Let me "})),
        delta(json!({"reasoning_content": "think.", "reasoning_details": [{"text": "Let"}]})),
        delta(json!({"reasoning_details": [{"text": " me"}], "signature": "ab"})),
        delta(json!({"content": "Hi", "signature": "cd"})),
        delta(json!({"content": ""})),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n".to_owned(),
        STOP.to_owned(),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2},\"timings\":{}}\n\n"
            .to_owned(),
        DONE.to_owned(),
    ];
    let response = collected(&body.concat());
    let usage = response.usage.as_ref().unwrap();
    assert_eq!(usage.completion_tokens, Some(2), "the last counts, they are not added up");
    assert_eq!(response.reasoning(), Some("Let me think."));
    assert_eq!(response.finish_reason(), Some(&FinishReason::Stop));
    assert!(response.extra.contains_key("timings"));
    // The message goes back with everything it came with.
    assert_eq!(
        sent_back(&response),
        json!({
            "role": "assistant", "content": "Hi", "reasoning_content": "Let me think.",
            "reasoning_details": [{"text": "Let"}, {"text": " me"}], "signature": "abcd",
        })
    );
}

#[test]
#[rustfmt::skip]
fn members_without_a_field_come_to_what_they_are() {
    let table = [
        // what, the member of each delta, what it comes to
        ("a text in pieces", vec![json!("Let"), json!(" me"), json!(" me")], json!("Let me me")),
        ("a label on each", vec![json!("analysis"), json!("analysis"), json!("analysis")], json!("analysis")),
        ("a label that changes", vec![json!("analysis"), json!("analysis"), json!("final")], json!("final")),
        ("an empty text, then pieces", vec![json!(""), json!(""), json!("a"), json!(""), json!("b")], json!("ab")),
        ("lists", vec![json!([1]), json!([1]), json!([2])], json!([1, 1, 2])),
        ("`null` takes nothing away", vec![json!([1]), json!(null), json!([2]), json!(null)], json!([1, 2])),
        ("a number: the last", vec![json!(1), json!(2)], json!(2)),
        ("the older form of a call, in parts",
            vec![json!({"name": "f", "arguments": ""}), json!({"arguments": "{\"x\""}), json!({"arguments": ":1"}), json!({"arguments": "}"})],
            json!({"name": "f", "arguments": "{\"x\":1}"})),
        ("the same with the name in each part",
            vec![json!({"name": "f", "arguments": "{"}), json!({"name": "f", "arguments": "}"})],
            json!({"name": "f", "arguments": "{}"})),
        ("sound", vec![json!({"id": "a", "data": "AA"}), json!({"data": "BB"}), json!({"data": "BB", "expires_at": 1})],
            json!({"id": "a", "data": "AABBBB", "expires_at": 1})),
    ];
    for (what, parts, expected) in table {
        let of_delta = |part: &Value| delta(json!({"content": "a", "x_new": part}));
        let of_call = |part: &Value| delta(json!({"tool_calls": [{"index": 0, "x_new": part}]}));
        let of_function = |part: &Value| delta(json!({"tool_calls": [{"index": 0, "function": {"x_new": part}}]}));
        let body = |event: &dyn Fn(&Value) -> String| {
            format!("{}{STOP}{DONE}", parts.iter().map(event).collect::<String>())
        };
        let response = collected(&body(&of_delta));
        assert_eq!(response.message().unwrap().extra["x_new"], expected, "{what}");
        assert_eq!(response.text(), "a".repeat(parts.len()), "{what}");
        let response = collected(&body(&of_call));
        assert_eq!(response.tool_calls()[0].extra["x_new"], expected, "{what}, in a call");
        let response = collected(&body(&of_function));
        assert_eq!(response.tool_calls()[0].function.extra["x_new"], expected, "{what}, in a function");
    }
}

#[test]
fn lists_that_have_an_item_for_each_token_go_on() {
    let part = |ids: Value| {
        json!({"index": 0, "delta": {"content": "a"}, "text": "a", "token_ids": ids, "x_last": ids[0],
            "logprobs": {"content": [], "x_new": ids}})
    };
    let parts = [json!([1]), json!([1]), json!([2, 3]), json!(null)];
    let events: String =
        parts.map(|ids| event(json!({"choices": [part(ids)], "x_event": [1]}))).concat();
    let body = format!("{events}{STOP}{DONE}");
    let chat = collected(&body);
    let completion = CompletionResponse::decode(body.as_bytes()).unwrap();
    let of_chat = chat.choices[0].logprobs.as_ref().unwrap().extra["x_new"].clone();
    let of_completion = completion.choices[0].logprobs.as_ref().unwrap()["x_new"].clone();
    for (which, choice, logprobs, outside) in [
        ("chat", &chat.choices[0].extra, of_chat, &chat.extra),
        ("completion", &completion.choices[0].extra, of_completion, &completion.extra),
    ] {
        assert_eq!(choice["token_ids"], json!([1, 1, 2, 3]), "{which}");
        assert_eq!(logprobs, json!([1, 1, 2, 3]), "{which}");
        assert_eq!(choice["x_last"], 2, "{which}: of all else the last");
        assert_eq!(outside["x_event"], json!([1]), "{which}: beside the choices too");
    }
}

#[test]
fn a_completion_keeps_what_it_was_told_first() {
    let body = [
        event(
            json!({"object": "text_completion", "created": 1, "model": "m", "choices": [{"text": "a"}]}),
        ),
        event(json!({"id": "c", "system_fingerprint": "f", "choices": [{"text": "b"}]})),
        event(
            json!({"id": "d", "created": 2, "model": "n", "choices": [], "usage": {"prompt_tokens": 1}}),
        ),
        event(json!({"usage": {"prompt_tokens": 2}})),
        DONE.to_owned(),
    ];
    let answer = CompletionResponse::decode(body.concat().as_bytes()).unwrap();
    assert_eq!(
        serde_json::to_value(&answer).unwrap(),
        json!({
            "id": "c", "object": "text_completion", "created": 1, "model": "m", "system_fingerprint": "f",
            "choices": [{"index": 0, "text": "ab"}], "usage": {"prompt_tokens": 2},
        })
    );
}

#[test]
fn chunks_from_elsewhere_are_collected_as_the_decoder_does() {
    let mut decoder = ChatDecoder::new();
    let mut collector = ChatCollector::new();
    let words = ["a", "b\\n", "\\\"c\\\"", "d", "\u{20ac}"].map(|word| ONE.replace("one ", word));
    decoder.push(format!("{}{STOP}{DONE}", words.concat()).into());
    while decoder.advance().unwrap() == Progress::Chunk {
        collector.push(decoder.chunk());
    }
    assert_eq!(collector.partial(), decoder.partial());
    assert_eq!(collector.into_response().text(), "ab\n\"c\"d\u{20ac}");
}

#[test]
fn thinking_goes_back_under_the_name_it_came_with() {
    for (why, thinking) in [
        ("Model APIs, SGLang, DeepSeek", json!({"reasoning_content": "Let me think."})),
        ("vLLM, OpenRouter", json!({"reasoning": "Let me think."})),
        ("both", json!({"reasoning_content": "Let me think.", "reasoning": "Let me think."})),
        ("one of them empty", json!({"reasoning_content": "", "reasoning": "Let me think."})),
    ] {
        let message = |text: &str, content: &str| {
            let mut message = json!({"role": "assistant", "content": content});
            for (name, thought) in thinking.as_object().unwrap() {
                message[name] = if thought == "" { "".into() } else { text.into() };
            }
            message
        };
        let whole = message("Let me think.", "Hi");
        let body = json!({"choices": [{"message": whole, "finish_reason": "stop"}]}).to_string();
        let in_parts = [message("Let me ", ""), message("think.", ""), json!({"content": "Hi"})];
        let in_parts: String = in_parts.map(delta).concat();
        for (how, response) in [
            ("whole", ChatResponse::decode(body.as_bytes()).unwrap()),
            ("streamed", collected(&format!("{in_parts}{STOP}{DONE}"))),
        ] {
            assert_eq!(response.reasoning(), Some("Let me think."), "{why}, {how}");
            assert_eq!(response.text(), "Hi", "{why}, {how}: none of it is in the text");
            let mut back = sent_back(&response);
            if thinking["reasoning_content"] == "" && how == "streamed" {
                back["reasoning_content"] = "".into(); // parts of it that are empty were none
            }
            assert_eq!(back, whole, "{why}, {how}");
        }
    }
}

#[test]
fn the_last_usage_counts_wherever_it_stands() {
    let usage = |tokens: u64| json!({"prompt_tokens": 3, "completion_tokens": tokens});
    let alone = |tokens| event(json!({"choices": [], "usage": usage(tokens)}));
    let no_choices = |tokens| event(json!({"usage": usage(tokens)}));
    let beside = |tokens| {
        let choice = json!({"index": 0, "delta": {"content": "a"}});
        event(json!({"choices": [choice], "usage": usage(tokens)}))
    };
    let null = event(json!({"choices": [{"index": 0, "delta": {}}], "usage": null}));
    for (why, events, tokens) in [
        ("none", vec![ONE.to_owned()], None),
        ("with an empty list of choices", vec![ONE.to_owned(), alone(1)], Some(1)),
        ("without choices", vec![ONE.to_owned(), no_choices(1)], Some(1)),
        ("with a choice", vec![beside(1)], Some(1)),
        ("in every event", vec![beside(1), beside(2), beside(3)], Some(3)),
        ("in every event, then alone", vec![beside(1), beside(2), alone(2)], Some(2)),
        ("alone, then with a choice", vec![alone(1), beside(2)], Some(2)),
        ("`null` in all but the last", vec![null.clone(), null.clone(), alone(4)], Some(4)),
        ("`null` after it", vec![beside(5), null], Some(5)),
    ] {
        let response = collected(&format!("{}{STOP}{DONE}", events.concat()));
        let counted = response.usage.and_then(|usage| usage.completion_tokens);
        assert_eq!(counted, tokens, "{why}");
    }
}

#[test]
fn what_says_nothing_adds_nothing() {
    let choice = |choice: Value| event(json!({"choices": [choice]}));
    for (why, nothing) in [
        ("`content: null`", delta(json!({"content": null}))),
        ("empty content", delta(json!({"content": ""}))),
        ("an empty delta", delta(json!({}))),
        ("no delta", choice(json!({"index": 0}))),
        ("`delta: null`", choice(json!({"index": 0, "delta": null}))),
        ("no index", choice(json!({"delta": {}}))),
        (
            "all that can be `null`",
            choice(json!({"index": 0, "finish_reason": null, "logprobs": null,
            "delta": {"role": null, "content": null, "refusal": null, "tool_calls": null,
                "reasoning": null, "reasoning_content": null}})),
        ),
        ("a reason that is empty", choice(json!({"index": 0, "delta": {}, "finish_reason": ""}))),
        ("an empty list of calls", delta(json!({"tool_calls": []}))),
        ("no choices", event(json!({"choices": []}))),
        ("`choices: null`", event(json!({"choices": null}))),
    ] {
        let plain = collected(&format!("{ONE}{STOP}{DONE}")).choices;
        for (place, body) in [
            ("first", format!("{nothing}{ONE}{STOP}{DONE}")),
            ("in between", format!("{ONE}{nothing}{STOP}{DONE}")),
            ("last", format!("{ONE}{STOP}{nothing}{DONE}")),
        ] {
            let mut choices = collected(&body).choices;
            // Empty and missing are the same to a reader.
            choices[0].message.content = Some(choices[0].message.text().into_owned().into());
            assert_eq!(choices, plain, "{why}, {place}");
        }
    }
}

#[test]
fn answers_that_come_in_turn_are_kept_apart() {
    let part = |index: u32, text: &str| {
        let logprobs = json!({"content": [{"token": text, "logprob": -0.5}]});
        event(
            json!({"choices": [{"index": index, "delta": {"content": text}, "logprobs": logprobs}]}),
        )
    };
    let end = |index: u32, reason: &str| {
        event(json!({"choices": [{"index": index, "delta": {}, "finish_reason": reason}]}))
    };
    let body =
        [part(1, "x"), part(0, "a"), part(0, "b"), end(0, "stop"), part(1, "y"), end(1, "length")];
    let response = collected(&format!("{}{DONE}", body.concat()));
    let told: Vec<_> = response
        .choices
        .iter()
        .map(|choice| {
            let tokens = &choice.logprobs.as_ref().unwrap().content;
            let tokens: Vec<&str> = tokens.iter().map(|token| &*token.token).collect();
            let reason = choice.finish_reason.clone().unwrap();
            (choice.index, choice.message.text().into_owned(), tokens, reason)
        })
        .collect();
    assert_eq!(
        told,
        [
            (0, "ab".to_owned(), vec!["a", "b"], FinishReason::Stop),
            (1, "xy".to_owned(), vec!["x", "y"], FinishReason::Length),
        ]
    );
}
