//! Calls routes of the container's own server, which Baseten passes on below `sync/`.
//!
//! Any method, path, query and header; the answer is bytes until it is read as JSON. The emulator
//! answers each with what it was asked.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use baseten::{Client, Method};
use baseten_examples::{Error, Place};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let place = Place::find()?;
    let Place { credential, hosts, model_id, .. } = &place;
    let client = Client::builder().credential(credential.clone()).hosts(hosts.clone()).build()?;
    let model = client.model(model_id)?;
    println!("calling {place}");

    // Blanks and unicode are percent-encoded; a route that would climb out with `..` is refused.
    let found = model.sync(Method::GET, "items?q=red shoes&limit=3").send().await?;
    println!("GET   {} {}", found.meta.status(), found.json::<Value>()?.value);

    let added = model
        .sync(Method::POST, "items")
        .header("x-trace-id", "a1b2")
        .json(&json!({"name": "shoe", "size": 42}))
        .send()
        .await?;
    println!("POST  {} {}", added.meta.status(), added.json::<Value>()?.value);

    if let Some(emulator) = &place.emulator {
        let seen = emulator.seen();
        let header = seen.last().and_then(|request| request.header("x-trace-id"));
        println!("the emulator saw x-trace-id: {}", header.unwrap_or("none"));
    }
    Ok(())
}
