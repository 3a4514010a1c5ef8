//! Recorded answers that came in one piece, and the answers of the embedding engine's routes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{fs, path::Path};

use baseten_openai::{
    Aggregation, ChatResponse, ClassifyRequest, CompletionDecoder, CompletionRequest,
    CompletionResponse, Entity, FinishReason, Label, Progress, Rank, RerankRequest, ServedModel,
    StopReason, StreamEnd,
};
use bytes::Bytes;
use serde_json::{Value, json};

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn recorded_chat_answers_are_read_and_written_back_whole() {
    use FinishReason::{Length, Stop, ToolCalls};
    #[rustfmt::skip]
    let table = [
        //  file                            text                           reason     tokens
        ("truss-chat-ok",                   "peer",                        Stop,      (1, 2)),
        ("llamacpp-chat",                   ";)= echo)=",                  Length,    (53, 6)),
        ("llamacpp2-chat",                  ";)= echo)=",                  Length,    (53, 6)),
        ("llamacpp-chat-tools",             "",                            ToolCalls, (387, 50)),
        ("llamacpp2-chat-tools",            "",                            ToolCalls, (387, 50)),
        ("llamacpp-chat-json-schema",       r#"{"ok":true,"c": "blue"}"#,  Stop,      (53, 24)),
        ("llamacpp2-chat-json-schema",      r#"{"ok":true,"c": "blue"}"#,  Stop,      (53, 24)),
        ("llamacpp-chat-logprobs",          ";)",                          Length,    (53, 2)),
        ("llamacpp2-chat-logprobs",         ";)",                          Length,    (53, 2)),
        ("llamacpp-chat-n2",                ";)",                          Length,    (53, 2)),
        ("llamacpp2-chat-n2",               ";)",                          Length,    (53, 2)),
        ("llamacpp-chat-stop",              ";)= ",                        Stop,      (53, 4)),
        ("llamacpp2-chat-stop",             ";)= ",                        Stop,      (53, 4)),
        ("litellm-chat",                    ";)= echo)=",                  Length,    (53, 6)),
        ("litellm-native-chat",             ";)= echo)=",                  Length,    (53, 6)),
        ("litellm-api-key-scheme-chat",     ";)= echo)=",                  Length,    (53, 6)),
    ];
    for (file, text, reason, tokens) in table {
        let body = read(&format!("{file}.json"));
        let response = ChatResponse::decode(&body).unwrap();
        assert_eq!(response.text(), text, "{file}");
        assert_eq!(response.finish_reason(), Some(&reason), "{file}");
        let usage = response.usage.as_ref().unwrap();
        let counts = (usage.prompt_tokens.unwrap(), usage.completion_tokens.unwrap());
        assert_eq!(counts, tokens, "{file}");
        assert_eq!(response.choices.len(), if file.ends_with("n2") { 2 } else { 1 }, "{file}");
        let written = serde_json::to_value(&response).unwrap();
        assert_eq!(written, serde_json::from_slice::<Value>(&body).unwrap(), "{file}");
    }
}

#[test]
fn recorded_tool_calls_and_logprobs_are_typed() {
    #[derive(serde::Deserialize, PartialEq, Debug)]
    struct Add {
        a: i64,
        b: bool,
    }
    let response = ChatResponse::decode(&read("llamacpp-chat-tools.json")).unwrap();
    let [call] = response.tool_calls() else { panic!("one call") };
    assert_eq!(call.function.name, "add");
    assert_eq!(call.arguments::<Add>().unwrap(), Add { a: 1, b: true });
    let wrong = call.arguments::<Vec<u8>>().unwrap_err();
    assert_eq!(wrong.start(), call.function.arguments);
    let answer = call.answer("2");
    assert_eq!(answer.tool_call_id.as_ref(), Some(&call.id));

    let response = ChatResponse::decode(&read("llamacpp-chat-logprobs.json")).unwrap();
    let tokens = &response.choices[0].logprobs.as_ref().unwrap().content;
    assert_eq!(tokens.len(), 2);
    assert_eq!((&*tokens[1].token, tokens[1].bytes.as_deref()), (")", Some(&[41][..])));
    assert_eq!(tokens[1].top_logprobs[1].token, " quick");
    assert_eq!(tokens[1].extra["id"], 267);
}

#[test]
fn counts_and_logarithms_are_read_however_they_are_spelled() {
    #[rustfmt::skip]
    let table = [
        // usage                                                              cached   reasoning
        (json!({"prompt_tokens_details": {"cached_tokens": 3}}),               Some(3), None),
        (json!({"num_cached_tokens": 3}),                                      Some(3), None), // TensorRT-LLM
        (json!({"prompt_cache_hit_tokens": 3}),                                Some(3), None), // DeepSeek
        (json!({"prompt_tokens_details": {}, "num_cached_tokens": 3}),         Some(3), None),
        (json!({"prompt_tokens_details": null}),                               None,    None),
        (json!({"completion_tokens_details": {"reasoning_tokens": 2.0}}),      None,    Some(2)),
        (json!({"completion_tokens_details": {"reasoning_tokens": "2"}}),      None,    Some(2)),
        (json!({}),                                                            None,    None),
    ];
    for (usage, cached, reasoning) in table {
        let body = json!({"choices": [], "usage": usage}).to_string();
        let read = ChatResponse::decode(body.as_bytes()).unwrap().usage.unwrap();
        assert_eq!((read.cached_tokens(), read.reasoning_tokens()), (cached, reasoning), "{usage}");
        assert_eq!(read.prompt_tokens, None, "what was not told is not zero");
    }
    let body = json!({"choices": [{
        "logprobs": {"content": [{"token": "a", "logprob": null}]}, "stop_reason": 7, "finish_reason": "",
    }]});
    let choice = ChatResponse::decode(body.to_string().as_bytes()).unwrap().choices.remove(0);
    assert_eq!(choice.logprobs.unwrap().content[0].logprob, f64::NEG_INFINITY);
    assert_eq!((choice.stop_reason, choice.finish_reason), (Some(StopReason::Token(7)), None));
}

#[test]
fn a_member_of_another_kind_than_the_schema_has_fails_neither_an_answer_nor_a_stream() {
    #[rustfmt::skip]
    let table = [
        // of an event or an answer         written back
        (json!({"system_fingerprint": 7}),  json!({"system_fingerprint": "7"})),
        (json!({"service_tier": 1}),        json!({"service_tier": "1"})),
        (json!({"id": 7}),                  json!({"id": "7"})),
        (json!({"created": ""}),            json!({})),
        (json!({"usage": ""}),              json!({})),
        (json!({"usage": {"prompt_tokens": 1, "prompt_tokens_details": ""}}), json!({"usage": {"prompt_tokens": 1}})),
    ];
    for (members, expected) in table {
        let mut body = json!({"choices": [{"index": 0.0, "finish_reason": 0}]});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let chat = ChatResponse::decode(body.to_string().as_bytes()).unwrap();
        let completion = CompletionResponse::decode(body.to_string().as_bytes()).unwrap();
        let event = format!("data: {body}\n\n");
        let streamed = ChatResponse::decode(event.as_bytes()).unwrap();
        for (which, written) in [
            ("whole", serde_json::to_value(&chat).unwrap()),
            ("of a stream", serde_json::to_value(&streamed).unwrap()),
            ("a completion", serde_json::to_value(&completion).unwrap()),
        ] {
            let choice = &written["choices"][0];
            assert_eq!(
                (&choice["index"], &choice["finish_reason"]),
                (&json!(0), &json!(0)),
                "{which}"
            );
            for name in members.as_object().unwrap().keys() {
                let known = which != "a completion" || name != "service_tier";
                let expected = if known { &expected } else { &members };
                assert_eq!(written.get(name), expected.get(name), "{which}: {name}");
            }
        }
        assert_eq!(chat.finish_reason(), Some(&FinishReason::Code("0".into())));
    }
    let call = json!({"index": "0", "id": 7, "function": {"name": "f", "arguments": "{}"}});
    let event =
        json!({"choices": [{"index": "0", "delta": {"tool_calls": [call]}, "finish_reason": ""}]});
    let body = format!("data: {event}\n\ndata: [DONE]\n\n");
    let answer = ChatResponse::decode(body.as_bytes()).unwrap();
    assert_eq!(answer.tool_calls()[0].id, "7", "as of a call that came whole");
    assert_eq!(answer.tool_calls()[0].answer("1").tool_call_id.unwrap(), "7");
}

#[test]
fn recorded_completions_are_read_streamed_or_not() {
    for prefix in ["llamacpp", "llamacpp2"] {
        let whole =
            CompletionResponse::decode(&read(&format!("{prefix}-completions.json"))).unwrap();
        assert!(!whole.text().is_empty());
        assert_eq!(whole.choices[0].finish_reason, Some(FinishReason::Length));

        let body = read(&format!("{prefix}-completions-stream.sse"));
        for at in 0..=body.len() {
            let mut decoder = CompletionDecoder::new();
            let mut text = String::new();
            for piece in [&body[..at], &body[at..]] {
                decoder.push(Bytes::copy_from_slice(piece));
                while decoder.advance().unwrap() == Progress::Chunk {
                    text += decoder.chunk().text();
                }
            }
            assert_eq!(decoder.end(), Some(StreamEnd::Done), "cut at {at}");
            let response = decoder.into_answer();
            assert_eq!(response.text(), "</tools></tools></tools>l");
            assert_eq!(response.text(), text);
            assert_eq!(response.usage.unwrap().completion_tokens, Some(4));
            assert!(response.extra.contains_key("timings"));
        }
        let collected = CompletionResponse::decode(&body).unwrap();
        assert_eq!(collected.text(), "</tools></tools></tools>l", "a stream nobody asked for");
        let cut = CompletionResponse::decode(&body[..500]).unwrap_err();
        assert_eq!(cut.to_string(), "the answer is a stream that broke off");
    }
}

#[test]
fn a_completion_of_several_prompts_needs_all_its_choices() {
    let mut request = CompletionRequest::new("m", ["a", "b"]);
    request.n = Some(2);
    let event = |index: usize| {
        let choice = json!({"index": index, "text": "t", "finish_reason": "stop"});
        format!("data: {}\n\n", json!({"choices": [choice]}))
    };
    for count in 0..=4 {
        let mut decoder = CompletionDecoder::for_request(&request);
        decoder.push((0..count).map(event).collect::<String>().into());
        decoder.finish();
        let end = loop {
            match decoder.advance() {
                Ok(Progress::Chunk) => {}
                end => break end,
            }
        };
        assert_eq!(end.is_ok(), count == 4, "{count} of 4");
    }
}

#[test]
fn logarithms_of_a_streamed_completion_are_joined() {
    let event = |text: &str, token: f64| {
        let logprobs = json!({"tokens": [text], "token_logprobs": [token]});
        format!(
            "data: {}\n\n",
            json!({"choices": [{"index": 0, "text": text, "logprobs": logprobs}]})
        )
    };
    let body = event("a", -1.0) + &event("b", -2.0) + "data: [DONE]\n\n";
    let response = CompletionResponse::decode(body.as_bytes()).unwrap();
    assert_eq!(
        response.choices[0].logprobs,
        Some(json!({"tokens": ["a", "b"], "token_logprobs": [-1.0, -2.0]}))
    );
}

#[test]
fn recorded_lists_of_models_are_read() {
    for (file, names) in [
        ("llamacpp-models.json", &["acme/peer-tiny"][..]),
        ("llamacpp2-models.json", &["acme/peer-tiny"]),
        ("litellm-models.json", &["acme/peer-tiny", "native", "hdr", "emb"]),
    ] {
        let models = ServedModel::decode(&read(file)).unwrap();
        assert_eq!(models.iter().map(|model| &*model.id).collect::<Vec<_>>(), names, "{file}");
    }
    let models = ServedModel::decode(&read("llamacpp-models.json")).unwrap();
    assert_eq!(models[0].extra["meta"]["n_embd"], 64);
    let error = ServedModel::decode(br#"{"error":{"message":"boom"}}"#).unwrap_err();
    assert_eq!(error.api().unwrap().message(), "boom");
}

#[test]
fn the_routes_of_the_embedding_engine() {
    let ranks = Rank::decode(br#"[{"index":0,"score":0.1},{"index":1,"score":0.9,"text":"b"}]"#);
    let ranks = ranks.unwrap();
    assert_eq!((ranks[0].index, ranks[0].text.as_deref()), (1, Some("b")), "best first");

    let labels = Label::decode(br#"[[{"label":"good","score":0.9}],[]]"#).unwrap();
    assert_eq!((labels.len(), &*labels[0][0].label), (2, "good"));

    let entities = Entity::decode(
        br#"[[{"token":"Ann","token_id":7,"start":0,"end":3,"results":{"O":0.1,"B-PER":0.9}}]]"#,
    );
    let entities = entities.unwrap();
    assert_eq!((entities[0][0].label(), entities[0][0].end), (Some("B-PER"), Some(3)));

    for body in [&br#"{"error":"boom"}"#[..], br#"{"detail":"boom"}"#] {
        assert_eq!(Rank::decode(body).unwrap_err().api().unwrap().message(), "boom");
    }
    assert!(Label::decode(b"{}").unwrap_err().api().is_none());
}

#[test]
fn requests_to_the_embedding_engine_are_written_as_it_has_them() {
    let mut rank = RerankRequest::new("q", ["a", "b"]);
    rank.return_text = Some(true);
    assert_eq!(
        serde_json::to_string(&rank).unwrap(),
        r#"{"query":"q","texts":["a","b"],"return_text":true}"#
    );
    let entities = ClassifyRequest::entities(["a"], Aggregation::Simple);
    assert_eq!(
        serde_json::to_string(&entities).unwrap(),
        r#"{"inputs":[["a"]],"aggregation_strategy":"simple"}"#
    );
}
