//! The quickstart without `async`: one blocking call, no runtime, no helper thread.
//!
//! It also builds without TLS and without the emulator
//! (`cargo run -p baseten-examples --no-default-features --example blocking`); then the environment
//! has to name a model on plain HTTP, with `BASETEN_BASE_URL`.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use baseten_blocking::Client;
use baseten_examples::{Error, Place};
use serde_json::{Value, json};

fn main() -> Result<(), Error> {
    let place = Place::find()?;

    // A program of your own writes `Client::from_env()?`.
    let Place { credential, hosts, model_id, .. } = &place;
    let client = Client::builder().credential(credential.clone()).hosts(hosts.clone()).build()?;
    let model = client.model(model_id)?;
    let answer = model.predict::<_, Value>(&json!({"prompt": "What is a transport?"}))?;

    println!("called      {place}");
    println!("result      {}", answer.value);
    println!("request id  {}", answer.meta.request_id().unwrap_or("none"));
    println!("all after   {:?}", answer.meta.timings().total);
    Ok(())
}
