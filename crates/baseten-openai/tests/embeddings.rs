//! Vectors come out as they were meant: in order, bit by bit, in every form.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use baseten_core::{
    Answer, Budget, Call, CallOptions, Credential, Endpoint, Error, Hosts, ModelId, Operation,
    Start, Step, Target, Template,
};
use baseten_openai::{EmbeddingRequest, EmbeddingResponse, EncodingFormat, Input};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn base64(values: &[f32]) -> String {
    STANDARD.encode(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn recorded_answers_are_read() {
    //   file                              vectors  numbers  tokens
    for (file, count, dimension, tokens) in [
        ("llamacpp-embeddings-float.json", 2, 64, 14),
        ("llamacpp-embeddings-base64.json", 2, 64, 14),
        ("llamacpp-embeddings-single-string.json", 1, 64, 7),
        ("llamacpp-embeddings-token-ids.json", 2, 64, 3),
        ("llamacpp2-embeddings-float.json", 2, 64, 14),
        ("llamacpp2-embeddings-base64.json", 2, 64, 14),
        ("litellm-embeddings.json", 2, 64, 14),
        ("litellm-embeddings-base64.json", 1, 64, 7),
    ] {
        let body = read(file);
        let response = EmbeddingResponse::decode(&body).unwrap();
        assert_eq!((response.len(), response.dimension()), (count, dimension), "{file}");
        assert_eq!(response.values().len(), count * dimension, "{file}");
        assert_eq!(response.usage.as_ref().unwrap().prompt_tokens, Some(tokens), "{file}");
        assert!(!response.model.is_empty() && response.extra["object"] == "list", "{file}");
        // The server normalises: each vector has length 1.
        for vector in response.iter() {
            let square: f32 = vector.iter().map(|value| value * value).sum();
            assert!((square - 1.0).abs() < 1e-3, "{file}: {square}");
        }
        for end in 0..body.len() {
            let prefix = body[..end].trim_ascii_end();
            assert!(EmbeddingResponse::decode(prefix).is_err(), "{file} up to {end}");
        }
    }
    let numbers = EmbeddingResponse::decode(&read("llamacpp-embeddings-float.json")).unwrap();
    let base64 = EmbeddingResponse::decode(&read("llamacpp-embeddings-base64.json")).unwrap();
    for (number, exact) in numbers.values().iter().zip(base64.values()) {
        assert!((number - exact).abs() < 1e-6, "the same vectors in both forms");
    }
}

#[test]
fn every_form_of_an_answer_is_read() {
    let vector = base64(&[1.0, 2.0]);
    let padded = base64(&[1.0, 2.0]);
    let bare = padded.trim_end_matches('=');
    for (why, body) in [
        ("numbers", json!({"data": [{"index": 0, "embedding": [1, 2.0]}]}).to_string()),
        ("base64", json!({"data": [{"index": 0, "embedding": vector}]}).to_string()),
        ("base64 without padding", json!({"data": [{"index": 0, "embedding": bare}]}).to_string()),
        ("no index", json!({"data": [{"embedding": [1, 2]}]}).to_string()),
        ("the index is null", json!({"data": [{"index": null, "embedding": [1, 2]}]}).to_string()),
        ("blanks", " { \"data\" : [ { \"embedding\" : [ 1 ,\n2 ] } ] } ".into()),
        ("an escaped name", r#"{"d\u0061ta":[{"embeddin\u0067":[1,2]}]}"#.into()),
        ("odd spellings of numbers", r#"{"data":[{"embedding":[1E0,20e-1]}]}"#.into()),
        ("nulls beside", r#"{"model":null,"usage":null,"data":[{"embedding":[1,2]}]}"#.into()),
        ("brackets in texts", r#"{"a":"]}","data":[{"t":"[{\"","embedding":[1,2]}]}"#.into()),
    ] {
        let response = EmbeddingResponse::decode(body.as_bytes());
        let response = response.unwrap_or_else(|error| panic!("{why}: {error}"));
        assert_eq!(response.values(), [1.0, 2.0], "{why}");
        assert_eq!((response.get(0), response.get(1)), (Some(&[1.0, 2.0][..]), None), "{why}");
    }
    let slashes = r#"{"data":[{"embedding":"\/\/9\/fw=="}]}"#;
    let response = EmbeddingResponse::decode(slashes.as_bytes()).unwrap();
    assert_eq!(response.values(), [f32::MAX], "`\\/` is a slash");
    let none = EmbeddingResponse::decode(br#"{"data":[]}"#).unwrap();
    assert_eq!((none.len(), none.dimension(), none.get(0)), (0, 0, None));
    assert!(none.is_empty() && none.iter().next().is_none());
}

#[test]
fn vectors_are_given_in_the_order_of_the_input() {
    let nulls = [json!(null), json!(null), json!(null)];
    #[rustfmt::skip]
    let table = [
        // indexes, as they come                     the places of their vectors in the answer
        ("in order",     vec![json!(0), json!(1), json!(2)],           Some(vec![0, 1, 2])),
        ("in another",   vec![json!(2), json!(0), json!(3), json!(1)], Some(vec![1, 3, 0, 2])),
        ("none told",    nulls.to_vec(),                               Some(vec![0, 1, 2])),
        ("some told",    vec![json!(0), json!(null), json!(2)],        Some(vec![0, 1, 2])),
        ("all 0: no more than none", vec![json!(0), json!(0), json!(0)], Some(vec![0, 1, 2])),
        ("two of each: of two answers in one", vec![json!(0), json!(1), json!(0), json!(1)], None),
        ("one missing",  vec![json!(0), json!(2)],                     None),
        ("one twice",    vec![json!(0), json!(1), json!(1)],           None),
        ("from 1",       vec![json!(1), json!(2)],                     None),
        ("far off",      vec![json!(0), json!(u64::MAX)],              None),
        ("one, not the first", vec![json!(1)],                         None),
    ];
    for (why, indexes, places) in table {
        let item = |(place, index)| json!({"index": index, "embedding": [place, -1]});
        let data: Vec<Value> = indexes.iter().enumerate().map(item).collect();
        let response = EmbeddingResponse::decode(json!({"data": data}).to_string().as_bytes());
        match (response, places) {
            (Ok(response), Some(places)) => {
                let expected: Vec<f32> =
                    places.iter().flat_map(|place| [*place as f32, -1.0]).collect();
                assert_eq!(response.values(), expected, "{why}");
            }
            (Err(error), None) => {
                let told = "the answer has vectors of one text, or of texts that are none";
                assert_eq!(error.to_string(), told, "{why}");
            }
            (got, _) => panic!("{why}: {got:?}"),
        }
    }
}

#[test]
fn members_without_a_field_are_kept_but_for_those_of_a_vector() {
    let body = json!({
        "object": "list", "model": "m", "x_new": {"deep": [1, null, {"a": "b"}]},
        "data": [{"object": "embedding", "index": 0, "embedding": [1], "x_new": [[]]}],
        "usage": {"prompt_tokens": 1, "x_new": true},
    });
    let response = EmbeddingResponse::decode(body.to_string().as_bytes()).unwrap();
    let extra = json!({"object": "list", "x_new": body["x_new"]});
    assert_eq!(Value::from(response.extra), extra);
    assert_eq!(serde_json::to_value(response.usage).unwrap(), body["usage"]);
    assert_eq!(response.model, "m");
}

#[test]
fn what_is_no_answer_says_so() {
    for (body, message) in [
        (r#"{"error":{"message":"boom"}}"#, "the answer is an error of the server: boom"),
        (r#"{"detail":"boom"}"#, "the answer is an error of the server: boom"),
        (r#"{"object":"error","message":"boom"}"#, "the answer is an error of the server: boom"),
        ("<html>", "the answer is no JSON object, or has none where one must be"),
        ("", "the answer is no JSON object, or has none where one must be"),
        ("{}", "the answer has no `data`"),
        (r#"{"data":[{"embedding":[1]}]} x"#, "the answer goes on after its end"),
        (
            r#"{"data":[{"embedding":[1]},{"embedding":[1,2]}]}"#,
            "the answer has vectors that differ in length",
        ),
        (r#"{"data":[{"embedding":[]}]}"#, "the answer has a vector of no numbers"),
        (r#"{"data":[{"index":0}]}"#, "the answer has a vector of no numbers"),
        (r#"{"data":[{"embedding":[NaN]}]}"#, "the answer has a vector with what is no number"),
        (r#"{"data":[{"embedding":[-inf]}]}"#, "the answer has a vector with what is no number"),
        (r#"{"data":[{"embedding":[null]}]}"#, "the answer has a vector with what is no number"),
        (r#"{"data":[{"embedding":[[1]]}]}"#, "the answer has a vector with what is no number"),
        (r#"{"data":[{"embedding":[+1]}]}"#, "the answer has a vector with what is no number"),
        (r#"{"data":[{"embedding":[1 2]}]}"#, "the answer has a vector without an end"),
        (r#"{"data":[{"embedding":[1,]}]}"#, "the answer has a vector with what is no number"),
        (
            r#"{"data":[{"embedding":{}}]}"#,
            "the answer has a vector that is neither an array nor base64",
        ),
        (r#"{"data":[{"embedding":"AACAP"}]}"#, "the answer has a vector that is not base64"),
        (r#"{"data":[{"embedding":"AACA?w=="}]}"#, "the answer has a vector that is not base64"),
        (
            r#"{"data":[{"embedding":"AACA"}]}"#,
            "the answer has a vector of base64 that ends within a float",
        ),
        (r#"{"data":[{"embedding":[1],}]}"#, "the answer has a member without a name"),
    ] {
        let error = EmbeddingResponse::decode(body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message, "{body}");
        assert_eq!(error.api().is_some(), message.ends_with("boom"), "{body}");
    }
}

#[test]
fn inputs_are_written_as_the_api_has_them() {
    let body = |input: Input| serde_json::to_value(EmbeddingRequest::new("m", input)).unwrap();
    for (input, expected, count) in [
        (Input::from("a"), json!("a"), 1),
        (Input::from(["a", "b"]), json!(["a", "b"]), 2),
        (Input::from(vec!["a".to_owned()]), json!(["a"]), 1),
        (Input::from(vec![1_u32, 2]), json!([1, 2]), 1),
        (Input::from(vec![vec![1_u32], vec![2]]), json!([[1], [2]]), 2),
    ] {
        assert_eq!(input.len(), count);
        assert_eq!(body(input)["input"], expected);
    }
    let request = EmbeddingRequest::new("m", "a").dimensions(8).as_numbers().extra("user", "me");
    assert_eq!(
        serde_json::to_value(&request).unwrap(),
        json!({"model": "m", "input": "a", "encoding_format": "float", "dimensions": 8, "user": "me"})
    );
}

/// A call that was answered with this status and body.
fn refused(status: u16, body: &'static str) -> Error {
    let target = Target::model(ModelId::new("abcd1234").unwrap());
    let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict).unwrap();
    let request = Template::new(endpoint, &Credential::none(), Answer::Json).unwrap().empty();
    let start = Start { wall: SystemTime::UNIX_EPOCH, seed: 1 };
    let mut call = Call::new(&request, &CallOptions::default(), &Budget::new(), start);
    assert!(matches!(call.step(Duration::ZERO), Step::Send(_)));
    let (head, ()) = http::Response::builder().status(status).body(()).unwrap().into_parts();
    call.on_rejected(Duration::ZERO, head, body.into());
    let Step::Fail(error) = call.step(Duration::ZERO) else { panic!("{status} is sent again") };
    error
}

#[test]
fn only_a_refusal_of_base64_is_asked_again_for_numbers() {
    let openai = r#"{"error":{"message":"encoding_format must be float","code":null}}"#;
    let fastapi = r#"{"detail":[{"loc":["body","encoding_format"],"msg":"unexpected value"}]}"#;
    let vllm = r#"{"object":"error","message":"base64 is not supported","code":400}"#;
    let other = r#"{"error":{"message":"input is too long"}}"#;
    let request = EmbeddingRequest::new("m", "a").dimensions(8);
    for (why, request, status, body, again) in [
        ("OpenAI's shape", &request, 400, openai, true),
        ("FastAPI's, which names the member", &request, 422, fastapi, true),
        ("vLLM's, which names the value", &request, 400, vllm, true),
        ("another reason", &request, 400, other, false),
        ("no refusal of the request", &request, 500, openai, false),
        ("no words", &request, 400, "", false),
        ("numbers were asked for", &request.clone().as_numbers(), 400, openai, false),
    ] {
        let instead = request.instead(&refused(status, body));
        assert_eq!(instead.is_some(), again, "{why}");
        let Some(instead) = instead else { continue };
        assert_eq!(instead.encoding_format, Some(EncodingFormat::Float), "{why}");
        assert_eq!(instead, request.clone().as_numbers(), "{why}: all else is the same");
    }
}

/// Any float that JSON can write.
fn finite() -> impl Strategy<Value = f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_filter("JSON has no other", |value| value.is_finite())
}

/// A number as some server may spell it.
fn spelling() -> impl Strategy<Value = String> {
    prop_oneof![
        finite().prop_map(|value| format!("{value}")),
        finite().prop_map(|value| format!("{value:e}")),
        finite().prop_map(|value| format!("{value:E}")),
        finite().prop_map(|value| format!("{}", f64::from(value))),
        finite().prop_map(|value| format!("{:.20e}", f64::from(value))),
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|value| format!("{value:e}")),
        // Half-way between two floats, and a hair beside it.
        (finite(), "0{0,30}[01]?").prop_filter_map("no next float", |(value, hair)| {
            let next = f32::from_bits(value.to_bits() ^ 1);
            let middle = (f64::from(value) + f64::from(next)) / 2.0;
            let text = format!("{middle:.60}");
            next.is_finite().then(|| format!("{text}{hair}"))
        }),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_are_what_parse_makes_of_them(
        numbers in prop::collection::vec(spelling(), 1..9),
        blank in prop::sample::select(vec!["", " ", "\n", "\t \r\n"]),
    ) {
        let list = numbers.join(&format!("{blank},{blank}"));
        let body = format!("{{\"data\":[{{\"embedding\":[{blank}{list}{blank}]}}]}}");
        let response = EmbeddingResponse::decode(body.as_bytes()).unwrap();
        let expected: Vec<f32> = numbers.iter().map(|number| number.parse().unwrap()).collect();
        prop_assert_eq!(bits(response.values()), bits(&expected), "{}", body);
    }

    #[test]
    fn base64_is_bit_for_bit(values in prop::collection::vec(any::<u32>(), 1..2000)) {
        let values: Vec<f32> = values.into_iter().map(f32::from_bits).collect();
        let body = json!({"data": [{"embedding": base64(&values)}, {"embedding": base64(&values)}]});
        let response = EmbeddingResponse::decode(body.to_string().as_bytes()).unwrap();
        for vector in response.iter() {
            prop_assert_eq!(bits(vector), bits(&values));
        }
    }

    #[test]
    fn anything_else_is_an_error_and_no_panic(
        body in "\\{\"data\":\\[\\{\"embedding\":[\\[\"][-0-9A-Za-z.,\\\\\"\\]} ]{0,30}",
    ) {
        if let Ok(response) = EmbeddingResponse::decode(body.as_bytes()) {
            prop_assert!(serde_json::from_str::<Value>(&body).is_ok(), "{} gave {:?}", body, response);
        }
    }
}
