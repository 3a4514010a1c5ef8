//! Nothing a server sends is lost on the way through the types, and nothing it sends makes them panic.

#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::vec;

use baseten_openai::{
    ChatChunk, ChatDecoder, ChatRequest, ChatResponse, ClassifyRequest, CompletionRequest,
    CompletionResponse, EmbeddingRequest, EmbeddingResponse, Entity, Label, Progress, Rank,
    RerankRequest, ServedModel,
};
use bytes::Bytes;
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// JSON with every member that a type has a field for, and unknown ones at every depth.
fn samples() -> [(&'static str, Value); 12] {
    [
        ("ChatRequest", chat_request()),
        ("ChatResponse", chat_response()),
        ("ChatChunk", chat_chunk()),
        ("CompletionRequest", completion_request()),
        ("CompletionResponse", completion_response()),
        (
            "EmbeddingRequest",
            json!({
                "model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8, "user": "u",
            }),
        ),
        (
            "RerankRequest",
            json!({
                "query": "q", "texts": ["a"], "raw_scores": true, "return_text": true, "truncate": true,
                "truncation_direction": "Right", "model": "m",
            }),
        ),
        ("Rank", json!({"index": 1, "score": 0.5, "text": "a"})),
        (
            "ClassifyRequest",
            json!({
                "inputs": [["a"]], "raw_scores": false, "truncate": true, "truncation_direction": "Left",
                "aggregation_strategy": "max", "model": "m",
            }),
        ),
        ("Label", json!({"label": "good", "score": 0.5})),
        (
            "Entity",
            json!({"token": "t", "token_id": 1, "start": 0, "end": 1, "results": {"O": 0.5}}),
        ),
        ("ServedModel", json!({"id": "m", "object": "model", "created": 1, "owned_by": "me"})),
    ]
}

fn messages() -> Value {
    json!([
        {"role": "system", "content": "s"},
        {"role": "user", "name": "n", "content": [
            {"type": "text", "text": "t"},
            {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "d", "format": "wav"}},
            {"type": "file", "file": {"filename": "f", "file_data": "d", "file_id": "i"}},
            {"type": "video_url", "video_url": {"url": "v"}},
        ]},
        {"role": "assistant", "reasoning_content": "r", "reasoning": "r", "refusal": "no", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"input": "x"}},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ])
}

fn chat_request() -> Value {
    json!({
        "model": "m", "messages": messages(), "max_tokens": 1, "max_completion_tokens": 1,
        "temperature": 0.5, "top_p": 0.5, "n": 1, "stop": ["s"], "seed": -1, "logprobs": true,
        "top_logprobs": 2, "logit_bias": {"1": -1.5}, "frequency_penalty": 0.5,
        "presence_penalty": 0.5, "parallel_tool_calls": false, "reasoning_effort": "high",
        "response_format": {"type": "json_schema", "grammar": "g", "structural_tag": "t", "json_schema": {
            "name": "n", "description": "d", "schema": {"type": "object"}, "strict": true,
        }},
        "tools": [
            {"type": "function", "function": {
                "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true,
            }},
            {"type": "baseten__exa__web_search_exa"},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true},
        "user": "u", "top_k": 1, "min_p": 0.5, "top_p_min": 0.5, "repetition_penalty": 1.5,
        "length_penalty": 1.5, "early_stopping": true, "best_of": 1, "bad": ["b"],
        "bad_token_ids": [1], "stop_token_ids": [1], "include_stop_str_in_output": true,
        "ignore_eos": true, "min_tokens": 1, "skip_special_tokens": true,
        "spaces_between_special_tokens": true, "truncate_prompt_tokens": 1, "echo": true,
        "add_generation_prompt": true, "add_special_tokens": true, "documents": [{"text": "d"}],
        "chat_template": "t", "chat_template_args": {"enable_thinking": true},
    })
}

fn completion_request() -> Value {
    json!({
        "model": "m", "prompt": "p", "suffix": "s", "max_tokens": 1, "temperature": 0.5, "top_p": 0.5,
        "n": 1, "stop": ["s"], "seed": 1, "logprobs": 1, "frequency_penalty": 0.5,
        "presence_penalty": 0.5, "stream": false, "stream_options": {"include_usage": true},
        "user": "u", "top_k": 1, "echo": true, "best_of": 1,
    })
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1},
    })
}

fn logprobs() -> Value {
    let token = json!({"token": "t", "logprob": -0.5, "bytes": [116]});
    let mut first = token.clone();
    first["top_logprobs"] = json!([token]);
    json!({"content": [first], "refusal": [token]})
}

fn chat_response() -> Value {
    json!({
        "id": "i", "object": "chat.completion", "created": 1, "model": "m", "usage": usage(),
        "system_fingerprint": "f", "service_tier": "default",
        "choices": [{
            "index": 0, "message": messages()[2], "finish_reason": "stop", "stop_reason": "s",
            "logprobs": logprobs(),
        }, {
            "index": 1, "message": {"role": "assistant", "content": "c"}, "finish_reason": "length",
            "stop_reason": 7,
        }],
    })
}

fn chat_chunk() -> Value {
    json!({
        "id": "i", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": usage(),
        "system_fingerprint": "f", "service_tier": "default",
        "choices": [{
            "index": 0, "finish_reason": "stop", "stop_reason": 7, "logprobs": logprobs(),
            "delta": {
                "role": "assistant", "content": "c", "reasoning_content": "r", "reasoning": "r",
                "refusal": "no", "tool_calls": [
                    {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}},
                ],
            },
        }],
    })
}

fn completion_response() -> Value {
    json!({
        "id": "i", "object": "text_completion", "created": 1, "model": "m", "usage": usage(),
        "system_fingerprint": "f",
        "choices": [{
            "index": 0, "text": "t", "finish_reason": "stop", "stop_reason": "s",
            "logprobs": {"tokens": ["t"]},
        }],
    })
}

/// Reads a value as a type and writes it again, through text both times.
fn through<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
    let read: T =
        serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{error}: {value}"));
    let text = serde_json::to_string(&read).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn round_trip(name: &str, value: &Value) -> Value {
    match name {
        "ChatRequest" => through::<ChatRequest>(value),
        "ChatResponse" => through::<ChatResponse>(value),
        "ChatChunk" => through::<ChatChunk>(value),
        "CompletionRequest" => through::<CompletionRequest>(value),
        "CompletionResponse" => through::<CompletionResponse>(value),
        "EmbeddingRequest" => through::<EmbeddingRequest>(value),
        "RerankRequest" => through::<RerankRequest>(value),
        "Rank" => through::<Rank>(value),
        "ClassifyRequest" => through::<ClassifyRequest>(value),
        "Label" => through::<Label>(value),
        "Entity" => through::<Entity>(value),
        "ServedModel" => through::<ServedModel>(value),
        _ => panic!("{name} has no type"),
    }
}

#[test]
fn every_field_is_written_as_it_was_read() {
    for (name, sample) in samples() {
        assert_eq!(round_trip(name, &sample), sample, "{name}");
    }
}

#[test]
fn extra_members_go_over_the_fields_at_every_depth() {
    let request = ChatRequest::new("m", [])
        .max_tokens(1)
        .streamed()
        .extra("max_tokens", "many")
        .merge(
            json!({"stream_options": {"x": 1}, "thinking": {"type": "enabled"}})
                .as_object()
                .unwrap(),
        )
        .merge(json!({"thinking": {"budget": 1}}).as_object().unwrap());
    assert_eq!(
        serde_json::to_value(&request).unwrap(),
        json!({
            "model": "m", "messages": [], "max_tokens": "many", "stream": true,
            "stream_options": {"include_usage": true, "x": 1},
            "thinking": {"type": "enabled", "budget": 1},
        })
    );
}

/// Members whose value is an enum of texts.
const ENUMS: [&str; 7] = [
    "role",
    "finish_reason",
    "reasoning_effort",
    "encoding_format",
    "aggregation_strategy",
    "type",
    "tool_choice",
];

/// Objects that hold names of the caller's, not members of the schema.
const OPEN: [&str; 2] = ["logit_bias", "results"];

/// A value with members taken away, unknown members put in, and enums with unknown values, all as
/// `choices` says.
fn mutated(value: &Value, choices: &mut vec::IntoIter<u8>) -> Value {
    match value {
        Value::Object(members) => {
            let mut mutant = Map::new();
            for (name, value) in members {
                let tag = name == "type" || name == "model";
                if !tag && one_in(8, choices) {
                    continue;
                }
                let unknown = ENUMS.contains(&&**name) && one_in(4, choices);
                let value = match value {
                    Value::String(_) if unknown && name != "type" => "never-seen".into(),
                    value if OPEN.contains(&&**name) => value.clone(),
                    value => mutated(value, choices),
                };
                mutant.insert(name.clone(), value);
            }
            if one_in(4, choices) {
                mutant.insert("x_new".into(), json!({"deep": [1, null, {"a": "b"}]}));
            }
            mutant.into()
        }
        Value::Array(items) => items.iter().map(|item| mutated(item, choices)).collect(),
        value => value.clone(),
    }
}

fn one_in(of: u8, choices: &mut vec::IntoIter<u8>) -> bool {
    choices.next().is_some_and(|choice| choice % of == 0)
}

/// Whether all that is in `part` is in `whole` too. What a type adds is no matter, nor are empty lists
/// and objects.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(name, part)| {
            let empty = *part == json!({}) || *part == json!([]);
            whole.get(name).map_or(empty, |whole| holds(whole, part))
        }),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
        }
        (whole, part) => whole == part,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn unknown_members_and_values_survive(
        sample in 0..12_usize,
        choices in prop::collection::vec(any::<u8>(), 400),
    ) {
        let (name, sample) = &samples()[sample];
        let mutant = mutated(sample, &mut choices.into_iter());
        let written = round_trip(name, &mutant);
        prop_assert!(holds(&written, &mutant), "{} lost something:\n{}\n{}", name, mutant, written);
        prop_assert_eq!(round_trip(name, &written), written, "{}: written twice", name);
    }

    #[test]
    fn a_remembered_event_is_read_as_a_new_one(
        texts in prop::collection::vec((0..5_u8, ".{0,6}|[\"\\\\\n\u{1}{}]{0,4}"), 1..24),
        size in 1..200_usize,
    ) {
        let events: Vec<Value> = texts
            .iter()
            .map(|(kind, text)| {
                let mut choice = json!({"index": 0});
                choice["delta"] = match kind {
                    0 => json!({"reasoning_content": text}),
                    1 => json!({"content": text, "x_new": "x"}),
                    2 => json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}),
                    _ => json!({"content": text}),
                };
                let mut event = json!({"id": "c", "choices": [], "model": "m"});
                match kind {
                    3 => choice["logprobs"] = json!({"content": [{"token": text, "logprob": -0.5}]}),
                    4 => choice["finish_reason"] = "stop".into(),
                    5 => event["id"] = text.as_str().into(),
                    _ => {}
                }
                event["choices"] = json!([choice]);
                event
            })
            .collect();
        let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let mut decoder = ChatDecoder::new();
        let mut chunks = Vec::new();
        for piece in body.as_bytes().chunks(size) {
            decoder.push(Bytes::copy_from_slice(piece));
            while decoder.advance().unwrap() == Progress::Chunk {
                chunks.push(decoder.chunk().clone());
            }
        }
        let plain: Vec<ChatChunk> =
            events.iter().map(|event| serde_json::from_value(event.clone()).unwrap()).collect();
        prop_assert_eq!(chunks, plain);
        let mut collector = baseten_openai::ChatCollector::new();
        for event in events {
            collector.push(&serde_json::from_value(event).unwrap());
        }
        prop_assert_eq!(collector.partial(), decoder.partial());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                prop::sample::select(vec![
                    "data: ", "\n\n", "{", "}", "\"choices\":", "[", "]", "\"delta\":", "\"content\":\"a\"",
                    "[DONE]", "event: error\n", "\"index\":0", ",", "null", "\"error\":",
                ]).prop_map(|text| text.as_bytes().to_vec()),
            ],
            0..40,
        ),
    ) {
        let mut decoder = ChatDecoder::with_limit(200);
        let mut ends = 0;
        for piece in &pieces {
            decoder.push(Bytes::copy_from_slice(piece));
        }
        decoder.finish();
        for _ in 0..1000 {
            match decoder.advance() {
                Ok(Progress::More) => prop_assert!(false, "more, though the body is over"),
                Ok(Progress::End) | Err(_) => ends += 1,
                Ok(_) => prop_assert_eq!(ends, 0),
            }
        }
        prop_assert!(ends > 900, "it ends");
        let body = pieces.concat();
        let _ = ChatResponse::decode(&body);
        let _ = CompletionResponse::decode(&body);
        let _ = EmbeddingResponse::decode(&body);
        let _ = Rank::decode(&body);
    }
}
