//! Asks an engine by OpenAI's protocol and prints the answer as it is written, then what it took.
//!
//! The answer is put together while it streams, so a stream that breaks off is an error and what came
//! is still there.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::io::Write;
use std::time::Duration;

use baseten::Client;
use baseten::openai::{ChatRequest, Message};
use baseten_emulator::Answer;
use baseten_examples::{Error, Place};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let place = Place::find()?;
    if let Some(emulator) = &place.emulator {
        let engine = emulator.model(&place.model_id).at("sync/v1/chat/completions");
        engine.answer(Answer::sse(written()).paced(Duration::from_millis(30)));
    }
    let Place { credential, hosts, model_id, .. } = &place;
    let client = Client::builder().credential(credential.clone()).hosts(hosts.clone()).build()?;
    // For Baseten's Model APIs, or a gateway at a base URL: `client.model_apis()`.
    let engine = client.model(model_id)?.openai()?;
    println!("calling {place}");

    let name = std::env::args().nth(1).unwrap_or_else(|| "not-required".into());
    let request = ChatRequest::new(name, [Message::user("Why is the sky blue?")]).max_tokens(100);
    let mut stream = engine.chat_stream(&request).await?;
    while let Some(text) = stream.text().await? {
        print!("{text}");
        std::io::stdout().flush()?;
    }

    let (timings, answer) = (stream.timings(), stream.partial());
    println!("\n\nfirst after  {:?}", timings.first);
    println!("finished     {:?}, {:?}", answer.finish_reason(), stream.end());
    if let Some(tokens) = answer.usage.as_ref().and_then(|usage| usage.completion_tokens) {
        let pace = timings.tokens_per_second(tokens).unwrap_or_default();
        println!("tokens       {tokens}, {pace:.0} a second");
    }
    Ok(())
}

/// What an engine would write.
fn written() -> Vec<String> {
    let chunk =
        |choices, usage| json!({"id": "c1", "choices": choices, "usage": usage}).to_string();
    let word = |text: &str| chunk(json!([{"index": 0, "delta": {"content": text}}]), json!(null));
    let mut events: Vec<String> = ["Blue ", "light ", "scatters ", "most."].map(word).into();
    events.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), json!(null)));
    events.push(chunk(json!([]), json!({"prompt_tokens": 6, "completion_tokens": 4})));
    events
}
