//! Lets a model call a function of one's own: declared from a Rust type, called with that type, its
//! result told to the model, until it answers.
//!
//! A name or arguments that the model made up are told to it too; the run says what was called.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use baseten::Client;
use baseten::openai::{ChatRequest, Message, ToolSet};
use baseten_emulator::Answer;
use baseten_examples::{Error, Place};
use serde_json::{Value, json};

/// The weather in a city, now.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Weather {
    city: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let place = Place::find()?;
    if let Some(emulator) = &place.emulator {
        let engine = emulator.model(&place.model_id).at("sync/v1/chat/completions");
        let call = json!({"name": "weather", "arguments": "{\"city\":\"Oslo\"}"});
        engine
            .then(answer(
                json!({"tool_calls": [{"id": "c1", "type": "function", "function": call}]}),
            ))
            .answer(answer(json!({"content": "It is 12 degrees in Oslo."})));
    }
    let Place { credential, hosts, model_id, .. } = &place;
    let client = Client::builder().credential(credential.clone()).hosts(hosts.clone()).build()?;
    let engine = client.model(model_id)?.openai()?;
    println!("calling {place}");

    let tools = ToolSet::new().function("weather", |Weather { city }| match &*city {
        "Oslo" => Ok(json!({"city": city, "celsius": 12})),
        _ => Err("there is no station in that city"),
    })?;
    let name = std::env::args().nth(1).unwrap_or_else(|| "not-required".into());
    let request = ChatRequest::new(name, [Message::user("How warm is it in Oslo?")]);
    let mut run = tools.run(request);
    let answer = engine.run_tools(&mut run).await?;

    for called in run.called() {
        println!("{} {}", called.call.function.name, called.call.function.arguments);
        println!("  came to {:?}", called.outcome);
    }
    println!("{}  ({:?})", answer.value.text(), run.end());
    Ok(())
}

/// What an engine would answer.
fn answer(message: Value) -> Answer {
    Answer::json(json!({"choices": [{"index": 0, "message": message}]}))
}
