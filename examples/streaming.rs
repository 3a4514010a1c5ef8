//! Prints a model's output as it comes, each piece with the time it came at.
//!
//! The pieces are bytes as the model sent them: a piece may be half a word, or half a character.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::time::{Duration, Instant};

use baseten::Client;
use baseten_emulator::Answer;
use baseten_examples::{Error, Place};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let place = Place::find()?;
    if let Some(emulator) = &place.emulator {
        let words = Answer::stream(["A ", "transport ", "carries ", "bytes."]);
        emulator.model(&place.model_id).answer(words.paced(Duration::from_millis(100)));
    }
    let Place { credential, hosts, model_id, .. } = &place;
    let client = Client::builder().credential(credential.clone()).hosts(hosts.clone()).build()?;
    let model = client.model(model_id)?;
    println!("calling {place}");

    let began = Instant::now();
    let mut stream = model.predict_stream(&json!({"prompt": "What is a transport?"})).await?;
    // Leaving this loop early, or dropping `stream`, closes the connection: the model can stop.
    while let Some(piece) = stream.chunk().await? {
        println!("{:>6} ms  {:?}", began.elapsed().as_millis(), String::from_utf8_lossy(&piece));
    }
    println!("{:>6} ms  the end of {:?}", began.elapsed().as_millis(), stream.meta().request_id());
    Ok(())
}
