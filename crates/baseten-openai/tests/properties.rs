//! Nothing a server sends is lost on the way through the types, and nothing it sends makes them panic.

#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod samples;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    vec,
};

use baseten_openai::{
    ChatChunk, ChatDecoder, ChatRequest, ChatResponse, CompletionResponse, EmbeddingResponse,
    Progress, Rank,
};
use bytes::Bytes;
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// Reads a value as a type and writes it again, through text both times.
fn through<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
    let read: T =
        serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{error}: {value}"));
    let text = serde_json::to_string(&read).unwrap();
    serde_json::from_str(&text).unwrap()
}

type RoundTrip = fn(&Value) -> Value;

macro_rules! through {
    ($($name:ident,)*) => { &[$((stringify!($name), through::<baseten_openai::$name>),)*] };
}

/// The types that stand for JSON, but for those of [`PARTS`].
#[rustfmt::skip]
const TYPES: &[(&str, RoundTrip)] = through![
    Aggregation, ChatChunk, ChatRequest, ChatResponse, Choice, ChunkChoice, ClassifyRequest,
    CompletionChoice, CompletionRequest, CompletionResponse, CompletionTokensDetails, Content, Delta,
    EmbeddingRequest, EncodingFormat, Entity, File, FinishReason, Format, Function, FunctionCall,
    FunctionDelta, ImageUrl, Input, InputAudio, JsonSchema, Label, Logprobs, Message, Part,
    PromptTokensDetails, Rank, ReasoningEffort, RerankRequest, ResponseFormat, Role, ServedModel,
    StopReason, StreamOptions, TokenLogprob, Tool, ToolCall, ToolCallDelta, ToolChoice, Usage,
];

/// Written as members of a request among others, so that what it does not know is the request's. Not
/// here is `EmbeddingResponse`, which is read by hand and never written: what it keeps is in
/// `embeddings.rs`.
const PARTS: [(&str, &str); 1] = [("EngineOptions", "ChatRequest")];

fn round_trip(name: &str, value: &Value) -> Value {
    let (_, through) = TYPES.iter().find(|(of, _)| *of == name).unwrap();
    through(value)
}

#[test]
fn every_field_is_written_as_it_was_read() {
    for (name, sample) in samples::all() {
        assert_eq!(round_trip(name, &sample), sample, "{name}");
    }
}

/// The types of this source that serde reads and writes, each with the members it has a field for.
fn declared(source: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let (mut derived, mut open) = (false, false);
    for (at, line) in source.lines().enumerate() {
        derived |= line.starts_with("#[derive(") && line.contains(" Serialize");
        open |= line == "open_enum! {";
        let begin = line.trim_start();
        let Some(rest) =
            ["pub struct ", "pub enum "].iter().find_map(|kind| begin.strip_prefix(kind))
        else {
            continue;
        };
        let name = rest.split(|letter: char| !letter.is_alphanumeric()).next().unwrap();
        if derived || open || source.contains(&format!("impl Serialize for {name} ")) {
            found.push((name.to_owned(), fields(source.lines().skip(at + 1))));
        }
        (derived, open) = (false, false);
    }
    found
}

/// The members that the fields of a type are, as far as its end.
fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut members, mut renamed, mut flat) = (Vec::new(), None, false);
    for line in lines.take_while(|line| *line != "}" && *line != "    }") {
        renamed = line.split_once("rename = \"").map(|(_, name)| name).or(renamed);
        flat |= line.contains("serde(flatten");
        let Some((field, _)) = line.strip_prefix("    pub ").and_then(|rest| rest.split_once(':'))
        else {
            continue;
        };
        let member = renamed.take().map_or(field, |name| name.split('"').next().unwrap());
        if !std::mem::take(&mut flat) {
            members.push(member.to_owned());
        }
    }
    members
}

#[test]
fn every_public_type_and_field_has_a_sample() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let types: BTreeMap<String, Vec<String>> =
        sources.flat_map(|path| declared(&fs::read_to_string(path).unwrap())).collect();
    let parts = PARTS.map(|(part, _)| part);
    let tested = TYPES.iter().map(|(name, _)| *name).chain(parts);
    assert_eq!(types.keys().map(String::as_str).collect::<BTreeSet<_>>(), tested.collect());

    let samples = samples::all();
    let mut members = 0;
    for (name, fields) in types {
        let of = PARTS.iter().find(|(part, _)| *part == name).map_or(&*name, |(_, whole)| whole);
        let of_type: Vec<&Value> =
            samples.iter().filter(|(named, _)| *named == of).map(|(_, sample)| sample).collect();
        assert!(!of_type.is_empty(), "{name} has no sample");
        for field in &fields {
            let has = of_type.iter().any(|sample| sample.get(field).is_some());
            assert!(has, "no sample of {name} has {field}");
            members += 1;
        }
    }
    assert!(members > 150, "{members} members were looked for");
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

/// Members that are text or, with some servers, a number: ids, which are read as text, and codes, which
/// are kept as they came.
const IDS: [&str; 6] =
    ["id", "object", "system_fingerprint", "service_tier", "owned_by", "tool_call_id"];
const CODES: [&str; 2] = ["finish_reason", "stop_reason"];

/// Objects that hold names of the caller's, not members of the schema.
const OPEN: [&str; 2] = ["logit_bias", "results"];

/// A value with members taken away, unknown members put in, enums with unknown values, and numbers in
/// place of ids and codes, all as `choices` says.
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
                let number = [&IDS[..], &CODES].concat().contains(&&**name) && one_in(4, choices);
                let value = match value {
                    Value::String(_) if number => 7.into(),
                    Value::String(_) if unknown => "never-seen".into(),
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
            let as_text = part.is_number() && IDS.contains(&&**name);
            let part = if as_text { &part.to_string().into() } else { part };
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
        sample in 0..samples::all().len(),
        choices in prop::collection::vec(any::<u8>(), 400),
    ) {
        let (name, sample) = &samples::all()[sample];
        let mutant = mutated(sample, &mut choices.into_iter());
        let written = round_trip(name, &mutant);
        prop_assert!(holds(&written, &mutant), "{} lost something:\n{}\n{}", name, mutant, written);
        prop_assert_eq!(round_trip(name, &written), written, "{}: written twice", name);
    }

    #[test]
    fn a_value_that_an_enum_does_not_know_survives(text in ".{0,12}") {
        let samples = samples::all();
        for (name, through) in TYPES {
            let text = text.as_str().into();
            if samples.iter().any(|(of, sample)| of == name && sample.is_string()) {
                prop_assert_eq!(through(&text), text, "{}", name);
            }
        }
    }

    #[test]
    fn a_remembered_event_is_read_as_a_new_one(
        texts in prop::collection::vec((0..10_u8, ".{0,6}|[\"\\\\\n\u{1}{}]{0,4}|\\]}"), 1..24),
        counted in any::<bool>(),
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
                if counted {
                    event["usage"] = json!({"completion_tokens": text.len()});
                }
                match kind {
                    3 => choice["logprobs"] = json!({"content": [{"token": text, "logprob": -0.5}]}),
                    4 => choice["finish_reason"] = "stop".into(),
                    5 => event["id"] = text.as_str().into(),
                    6 => event["usage"] = json!({"completion_tokens": text.len(), "x_new": text}),
                    7 => choice["delta"]["role"] = text.as_str().into(),
                    8 => choice["token_ids"] = json!([1]),
                    9 => choice["delta"]["channel"] = text.as_str().into(),
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
