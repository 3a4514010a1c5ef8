//! Calls a model and prints its result, the request id and the timings.
//!
//! On an emulator inside this process, unless `BASETEN_API_KEY` and `BASETEN_MODEL_ID` name a model
//! on Baseten. Its input is the first argument, any JSON.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use baseten::Client;
use baseten_examples::{Error, Place};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let place = Place::find()?;
    let input: Value = match std::env::args().nth(1) {
        Some(input) => serde_json::from_str(&input)?,
        None => json!({"prompt": "What is a transport?"}),
    };

    // A program of your own writes `Client::from_env()?`.
    let Place { credential, hosts, model_id, .. } = &place;
    let client = Client::builder().credential(credential.clone()).hosts(hosts.clone()).build()?;
    let model = client.model(model_id)?;
    let answer = model.predict::<_, Value>(&input).await?;

    let meta = &answer.meta;
    println!("called      {place}");
    println!("result      {}", answer.value);
    println!("request id  {}", meta.request_id().unwrap_or("none"));
    println!("status      {} after {} attempt(s)", meta.status(), meta.attempts());
    println!("head after  {:?}", meta.timings().head);
    println!("all after   {:?}", meta.timings().total);
    Ok(())
}
