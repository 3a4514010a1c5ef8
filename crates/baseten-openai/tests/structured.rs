//! Schemas in the strict dialect, answers of a type, and the loop of a tool call.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use baseten_openai::{
    ChatRequest, ChatResponse, Message, ParseErrorKind, ResponseFormat, Tool, ToolChoice,
    strict_schema,
};
use serde_json::{Value, json};

/// An object schema with these members, as a caller would write it.
fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

/// The same in the strict dialect.
fn closed(properties: Value) -> Value {
    let required: Value = properties.as_object().unwrap().keys().cloned().collect();
    json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    })
}

#[test]
#[rustfmt::skip]
fn what_the_dialect_can_express_is_brought_into_it() {
    for (why, member, strict) in [
        ("text", json!({"type": "string"}), json!({"type": "string"})),
        ("an option", json!({"type": ["integer", "null"]}), json!({"type": ["integer", "null"]})),
        ("a format of numbers", json!({"type": "integer", "format": "int64", "minimum": 0}), json!({"type": "integer", "minimum": 0})),
        ("a format of text", json!({"type": "string", "format": "uuid"}), json!({"type": "string", "format": "uuid"})),
        ("a default", json!({"type": "integer", "default": 3}), json!({"type": "integer"})),
        ("an enum", json!({"type": "string", "enum": ["a"]}), json!({"type": "string", "enum": ["a"]})),
        ("a list", json!({"type": "array", "items": object(json!({}))}), json!({"type": "array", "items": closed(json!({}))})),
        ("an object inside", object(json!({"x": {"type": "number"}})), closed(json!({"x": {"type": "number"}}))),
        ("alternatives", json!({"oneOf": [object(json!({})), {"type": "null"}]}), json!({"anyOf": [closed(json!({})), {"type": "null"}]})),
        ("a reference", json!({"$ref": "#"}), json!({"$ref": "#"})),
        ("a reference with words", json!({"$ref": "#", "description": "d"}), json!({"anyOf": [{"$ref": "#"}], "description": "d"})),
        ("closed already", json!({"type": "object", "additionalProperties": false}), closed(json!({}))),
    ] {
        let schema = object(json!({"m": member}));
        assert_eq!(strict_schema(&schema).unwrap(), closed(json!({"m": strict})), "{why}");
    }
    let mut with_definitions = object(json!({"m": {"$ref": "#/$defs/D"}}));
    with_definitions["$defs"] = json!({"D": object(json!({}))});
    with_definitions["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    let mut expected = closed(json!({"m": {"$ref": "#/$defs/D"}}));
    expected["$defs"] = json!({"D": closed(json!({}))});
    let strict = strict_schema(&with_definitions).unwrap();
    assert_eq!(strict, expected);
    assert_eq!(strict_schema(&strict).unwrap(), strict, "it is in the dialect now");
    for (name, reference) in
        [("a b", "#/$defs/a%20b"), ("é/~", "#/$defs/%C3%A9~1~0"), ("%", "#/$defs/%25")]
    {
        let mut schema = object(json!({"m": {"$ref": reference}}));
        schema["$defs"] = json!({name: object(json!({}))});
        assert_eq!(strict_schema(&schema).unwrap()["properties"]["m"]["$ref"], reference, "{name}");
    }
}

#[test]
#[rustfmt::skip]
fn what_it_cannot_is_an_error_with_its_place() {
    for (member, path, problem) in [
        (json!(true), "/properties/m~1", "any value or none"),
        (json!({}), "/properties/m~1", "any value"),
        (json!({"description": "d"}), "/properties/m~1", "any value"),
        (json!({"type": "object", "additionalProperties": {"type": "string"}}), "/properties/m~1", "members of any name"),
        (json!({"type": "object", "additionalProperties": true}), "/properties/m~1", "members of any name"),
        (json!({"type": "array", "prefixItems": [{"type": "string"}]}), "/properties/m~1/prefixItems", "it has no `prefixItems`"),
        (json!({"type": "array", "uniqueItems": true}), "/properties/m~1/uniqueItems", "it has no `uniqueItems`"),
        (json!({"type": "string", "maxLength": 1}), "/properties/m~1/maxLength", "it has no `maxLength`"),
        (json!({"allOf": [{"type": "string"}]}), "/properties/m~1/allOf", "it has no `allOf`"),
        (json!({"$ref": "#", "properties": {}}), "/properties/m~1", "a reference and something more"),
        (json!({"type": "array", "items": {"anyOf": [{"type": "null"}, {"not": {}}]}}), "/properties/m~1/items/anyOf/1/not", "it has no `not`"),
        (json!({"oneOf": [true]}), "/properties/m~1/oneOf/0", "any value or none"),
        (json!({"anyOf": []}), "/properties/m~1/anyOf", "one of no schemas"),
        (json!({"type": "array"}), "/properties/m~1", "a list of any values"),
        (json!({"type": ["array", "null"]}), "/properties/m~1", "a list of any values"),
        (json!({"$ref": "#/$defs/Missing"}), "/properties/m~1/$ref", "a reference to what is not in the schema"),
        (json!({"$ref": "https://example.com/schema"}), "/properties/m~1/$ref", "a reference to what is not in the schema"),
        (json!({"$ref": "#/properties/m~1/$ref"}), "/properties/m~1/$ref", "a reference to what is not in the schema"), // a text is no schema
        (json!({"$ref": "#%2"}), "/properties/m~1/$ref", "a reference to what is not in the schema"),
    ] {
        let error = strict_schema(&object(json!({"m/": member}))).unwrap_err();
        assert_eq!(error.path(), path, "{member}");
        let text = format!("the strict dialect cannot express the schema at `{path}`: {problem}");
        assert_eq!(error.to_string(), text, "{member}");
    }
    for root in [json!({"type": "string"}), json!({"anyOf": [object(json!({}))]})] {
        assert_eq!(strict_schema(&root).unwrap_err().path(), "", "{root}");
    }
}

#[test]
fn answers_of_a_type_or_why_not() {
    let response = |message: Value, reason: Value| -> ChatResponse {
        let body = json!({"choices": [{"message": message, "finish_reason": reason}]});
        ChatResponse::decode(body.to_string().as_bytes()).unwrap()
    };
    let said = |text: &str| json!({"content": text});
    let parse = |message, reason: &str| response(message, reason.into()).parse::<Vec<u8>>();
    assert_eq!(parse(said(" [1]\n"), "stop").unwrap(), [1]);
    assert_eq!(parse(said("[1]"), "length").unwrap(), [1], "whole in spite of its end");
    let number = |text: &str, reason: &str| response(said(text), reason.into()).parse::<f64>().ok();
    for (text, reason, value) in [
        ("12", "stop", Some(12.0)),
        ("12", "", Some(12.0)), // of an engine that gives no reason
        ("12", "length", None), // of 123, perhaps
        ("-0.5", "length", None),
        ("12", "content_filter", None),
        ("12\n", "length", Some(12.0)),
    ] {
        assert_eq!(number(text, reason), value, "{text:?} {reason}");
    }
    let call = json!({"tool_calls": [{"id": "a", "function": {"name": "f"}}]});
    for (message, reason, kind, text) in [
        (json!({"refusal": "I will not"}), "stop", "Refused", "I will not"),
        (said("[1,"), "length", "Truncated", "[1,"),
        (said("[1,"), "", "Truncated", "[1,"), // of a stream that broke off
        (said("[1,"), "content_filter", "Filtered", "[1,"),
        (said("12"), "length", "Truncated", "12"),
        (said("[1,"), "stop", "Invalid", "[1,"),
        (said("[\"a\"]"), "stop", "Invalid", "[\"a\"]"),
        (said("```json\n[1]```"), "stop", "Invalid", "```json\n[1]```"), // never mended unasked
        (said(""), "stop", "Invalid", ""),
        (call, "tool_calls", "ToolCalls", ""),
    ] {
        let error = parse(message.clone(), reason).unwrap_err();
        let got = match error.kind() {
            ParseErrorKind::Invalid(_) => "Invalid".to_owned(),
            kind => format!("{kind:?}"),
        };
        assert_eq!((&*got, error.text()), (kind, text), "{message}");
        assert!(text.is_empty() || !error.to_string().contains(text), "the text stays out of it");
    }
    assert!(ChatResponse::default().parse::<u8>().is_err());
}

#[test]
fn an_answer_with_calls_goes_back_with_their_results() {
    let body = json!({"choices": [{"message": {"role": "assistant", "reasoning_content": "r", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "[1]"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]}}]});
    let response = ChatResponse::decode(body.to_string().as_bytes()).unwrap();
    let request = ChatRequest::new("m", [Message::user("?")])
        .tool(Tool::function("f", json!({"type": "array"})).description("d"))
        .tool_choice(ToolChoice::Function("f".into()))
        .answer(response.message().unwrap(), |call| match &*call.function.name {
            "f" => call.arguments::<Vec<u8>>().unwrap()[0].to_string(),
            _ => call.arguments::<Value>().unwrap().to_string(),
        });
    let sent = serde_json::to_value(&request).unwrap();
    assert_eq!(sent["messages"][1], body["choices"][0]["message"], "the answer as it came");
    assert_eq!(sent["messages"][2], json!({"role": "tool", "tool_call_id": "a", "content": "1"}));
    assert_eq!(sent["messages"][3], json!({"role": "tool", "tool_call_id": "b", "content": "{}"}));
    assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(sent["tools"][0]["function"]["description"], "d");
}

#[test]
fn forms_are_written_as_the_servers_have_them() {
    for (format, json) in [
        (ResponseFormat::default(), json!({"type": "text"})),
        (ResponseFormat::json_object(), json!({"type": "json_object"})),
        (ResponseFormat::grammar("g"), json!({"type": "grammar", "grammar": "g"})),
        (
            ResponseFormat::structural_tag("t"),
            json!({"type": "structural_tag", "structural_tag": "t"}),
        ),
        (
            ResponseFormat::json_schema("n", json!({"type": "object"})),
            json!({"type": "json_schema", "json_schema": {
                "name": "n", "schema": {"type": "object"}, "strict": true,
            }}),
        ),
    ] {
        assert_eq!(serde_json::to_value(&format).unwrap(), json);
        assert_eq!(serde_json::from_value::<ResponseFormat>(json).unwrap(), format);
    }
}

#[cfg(feature = "schemars")]
mod types {
    use std::collections::BTreeMap;

    use super::{closed, json};
    use baseten_openai::{ResponseFormat, Tool};
    use schemars::JsonSchema;
    use serde::Deserialize;

    /// A shape.
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Shape {
        /// How it is called.
        name: String,
        corners: Option<u32>,
        #[serde(default)]
        closed: bool,
        kind: Kind,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    enum Kind {
        Plane,
        Solid { faces: u8 },
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Open<T> {
        inside: Vec<Box<T>>,
    }

    #[test]
    fn a_type_becomes_a_tool_and_a_form() {
        let tool = Tool::of::<Shape>("draw").unwrap().function.unwrap();
        assert_eq!((&*tool.name, tool.description.as_deref()), ("draw", Some("A shape.")));
        assert_eq!(tool.strict, Some(true));
        let mut expected = closed(json!({
            "name": {"type": "string", "description": "How it is called."},
            "corners": {"type": ["integer", "null"], "minimum": 0},
            "closed": {"type": "boolean"},
            "kind": {"$ref": "#/$defs/Kind"},
        }));
        let faces = json!({"faces": {"type": "integer", "minimum": 0, "maximum": 255}});
        expected["title"] = "Shape".into();
        expected["$defs"] = json!({"Kind": {"anyOf": [
            {"type": "string", "enum": ["Plane"]},
            closed(json!({"Solid": closed(faces)})),
        ]}});
        assert_eq!(tool.parameters.unwrap(), expected);

        let format = ResponseFormat::of::<Open<Shape>>().unwrap().json_schema.unwrap();
        assert_eq!((&*format.name, format.strict), ("Open", Some(true)));
    }

    #[test]
    fn a_type_that_cannot_be_strict_says_where() {
        let error = Tool::of::<Open<BTreeMap<String, u8>>>("f").unwrap_err();
        assert_eq!(error.path(), "/properties/inside/items");
        let error = ResponseFormat::of::<Open<(u8, u8)>>().unwrap_err();
        assert_eq!(error.path(), "/properties/inside/items/prefixItems");
        assert_eq!(Tool::of::<Vec<u8>>("f").unwrap_err().path(), "", "the root is no object");
    }
}
