//! The loop of a chat with tools: what is called, what the model is told, and how it ends.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use baseten_openai::{
    ChatRequest, ChatResponse, Message, Tool, ToolChoice, ToolEnd, ToolFault, ToolRun, ToolSet,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

fn ask() -> ChatRequest {
    ChatRequest::new("m", [Message::user("?")])
}

fn add() -> Tool {
    Tool::function("add", json!({"type": "object"}))
}

fn sums<'a>() -> ToolSet<'a> {
    ToolSet::new().tool(add(), |Add { a, b }| a.checked_add(b).ok_or("too large"))
}

/// An answer that wants these functions called.
fn calls(wanted: &[(&str, &str)]) -> ChatResponse {
    let call = |(at, (name, arguments)): (usize, &(&str, &str))| json!({"id": format!("c{at}"), "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls: Vec<Value> = wanted.iter().enumerate().map(call).collect();
    let choice = json!({"message": {"role": "assistant", "tool_calls": calls}});
    ChatResponse::decode(json!({"choices": [choice]}).to_string().as_bytes()).unwrap()
}

fn says(text: &str) -> ChatResponse {
    let body = json!({"choices": [{"message": {"role": "assistant", "content": text}}]});
    ChatResponse::decode(body.to_string().as_bytes()).unwrap()
}

/// The messages since the question, as they are sent.
fn since(run: &ToolRun<'_>) -> Value {
    let messages = serde_json::to_value(&run.request().messages[1..]).unwrap();
    assert_eq!(run.request().tools.len(), 1, "the tools are in every request, once");
    messages
}

#[test]
fn what_comes_of_a_call_is_told_to_the_model_and_kept() {
    for (why, name, arguments, told) in [
        ("a result", "add", r#"{"a":1,"b":2}"#, "3"),
        ("a name that is none", "sub", r#"{"a":1}"#, "error: there is no function of this name"),
        (
            "a member missing",
            "add",
            r#"{"a":1}"#,
            "error: the arguments of a tool call cannot be read: missing field `b` at line 1 column 7",
        ),
        (
            "no JSON: a model wrote it",
            "add",
            r#"{"a":"#,
            "error: the arguments of a tool call cannot be read: EOF while parsing a value at line 1 column 5",
        ),
        (
            "the function fails",
            "add",
            &*json!({"a": i64::MAX, "b": 1}).to_string(),
            "error: too large",
        ),
    ] {
        let mut run = sums().run(ask());
        let wanted = calls(&[(name, arguments)]);
        assert!(run.advance(&wanted), "{why}");
        assert_eq!(run.end(), None, "{why}");
        let call = &serde_json::to_value(wanted.message()).unwrap();
        let result = json!({"role": "tool", "content": told, "tool_call_id": "c0"});
        assert_eq!(since(&run), json!([call, result]), "{why}");
        let [called] = run.called() else { panic!("{why}: one call") };
        assert_eq!(called.call.function.arguments, arguments, "{why}");
        match (&called.outcome, why) {
            (Ok(text), "a result") => assert_eq!(text, told),
            (Err(ToolFault::Unknown), "a name that is none") => {}
            (Err(ToolFault::Failed(text)), "the function fails") => assert_eq!(text, "too large"),
            (Err(ToolFault::Arguments(error)), _) => assert_eq!(error.start(), arguments),
            (outcome, _) => panic!("{why}: {outcome:?}"),
        }

        let mut run = sums().stop_at_faults().run(ask());
        let fails = why != "a result";
        assert_eq!(run.advance(&wanted), !fails, "{why}");
        assert_eq!(run.end(), fails.then_some(ToolEnd::Fault), "{why}");
        assert_eq!(run.called().len(), 1, "{why}");
        if fails {
            assert_eq!(since(&run), json!([]), "{why}: no half a turn is in the chat");
        }
    }
}

#[test]
fn several_calls_of_a_turn_are_made_in_order() {
    let mut run = sums().run(ask());
    assert!(run.advance(&calls(&[
        ("add", r#"{"a":1,"b":1}"#),
        ("?", ""),
        ("add", r#"{"a":2,"b":2}"#)
    ])));
    let told = since(&run);
    let of = |at: usize| (told[at]["tool_call_id"].as_str(), told[at]["content"].as_str());
    assert_eq!(of(1), (Some("c0"), Some("2")));
    assert_eq!(of(2), (Some("c1"), Some("error: there is no function of this name")));
    assert_eq!(of(3), (Some("c2"), Some("4")));
    assert!(!run.advance(&says("done")));
    assert_eq!(run.end(), Some(ToolEnd::Answered));
    assert_eq!(since(&run)[4]["content"], "done", "the chat can go on from here");
    assert_eq!(run.called().len(), 3);
}

#[test]
fn rounds_have_a_bound() {
    for (why, tools, rounds) in
        [("8 by default", sums(), 8), ("one", sums().rounds(1), 1), ("none", sums().rounds(0), 0)]
    {
        let mut run = tools.run(ask());
        let more = calls(&[("add", r#"{"a":1,"b":1}"#)]);
        for round in 0..rounds {
            assert!(run.advance(&more), "{why}: round {round}");
        }
        assert!(!run.advance(&more), "{why}");
        assert_eq!(run.end(), Some(ToolEnd::OutOfRounds), "{why}");
        assert_eq!(run.called().len(), rounds, "{why}: the last calls are not made");
    }
}

#[test]
fn a_choice_that_forces_calls_holds_once() {
    for (choice, after) in [
        (ToolChoice::Required, None),
        (ToolChoice::Function("add".into()), None),
        (ToolChoice::Auto, Some(ToolChoice::Auto)),
    ] {
        let mut run = sums().run(ask().tool_choice(choice.clone()));
        assert_eq!(run.request().tool_choice, Some(choice));
        assert!(run.advance(&calls(&[("add", r#"{"a":1,"b":1}"#)])));
        assert_eq!(run.request().tool_choice, after);
    }
}

#[test]
fn a_function_may_change_what_is_around_it_and_give_anything() {
    let mut seen = Vec::new();
    let tools = ToolSet::new()
        .tool(add(), |_: Value| Ok::<_, String>("the first of this name, replaced"))
        .tool(add(), |Add { a, b }| {
            seen.push((a, b));
            Ok::<_, String>(json!({"sum": a + b}))
        });
    let mut run = tools.run(ask());
    assert!(run.advance(&calls(&[("add", r#"{"a":1,"b":2}"#)])));
    assert_eq!(since(&run)[1]["content"], r#"{"sum":3}"#);
    drop(run);
    assert_eq!(seen, [(1, 2)]);
}

#[cfg(feature = "schemars")]
#[test]
fn a_function_of_a_type_has_its_schema() {
    /// Greets somebody.
    #[derive(Deserialize, schemars::JsonSchema)]
    struct Greet {
        name: String,
    }
    let tools = ToolSet::new()
        .function("greet", |Greet { name }| Ok::<_, String>(format!("Hello {name}")))
        .unwrap();
    let mut run = tools.run(ask());
    let function = run.request().tools[0].function.clone().unwrap();
    assert_eq!(function.description.as_deref(), Some("Greets somebody."));
    assert_eq!(function.strict, Some(true));
    assert_eq!(function.parameters.unwrap()["required"], json!(["name"]));
    assert!(run.advance(&calls(&[("greet", r#"{"name":"Ada"}"#)])));
    assert_eq!(run.called()[0].outcome.as_deref().unwrap(), "Hello Ada");
}
