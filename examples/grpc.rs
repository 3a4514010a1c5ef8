//! What a gRPC client needs to call a model: an address, and metadata for each call.
//!
//! The protocol is the model's own, so is the client; this opens no connection. With tonic, `url` goes to
//! `Endpoint::from_shared`, and an interceptor gives each request what `metadata` says, by
//! `MetadataMap::from_headers`.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::time::SystemTime;

use baseten_blocking::{Client, Grpc};
use baseten_examples::Error;
use http::HeaderMap;

fn main() -> Result<(), Error> {
    let client = Client::builder().api_key("abcd1234.s3cret").build()?;
    let model = client.model("abcd1234")?;
    show(&model.clone().environment("staging")?.grpc()?)?;
    show(&model.clone().regional("eu-west")?.grpc()?)?;
    if let Err(error) = model.development()?.grpc() {
        println!("error       {error}");
    }
    Ok(())
}

/// What an interceptor does, once a call: a key that changes is asked for here.
fn intercept(grpc: &Grpc, metadata: &mut HeaderMap) -> Result<(), baseten_blocking::Error> {
    metadata.extend(grpc.metadata(SystemTime::now())?);
    Ok(())
}

fn show(grpc: &Grpc) -> Result<(), Error> {
    println!("connect to  {}", grpc.url());
    let mut metadata = HeaderMap::new();
    intercept(grpc, &mut metadata)?;
    for (name, value) in &metadata {
        println!("  {name}: {value:?}"); // the key is marked sensitive and not printed
    }
    Ok(())
}
