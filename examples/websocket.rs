//! Talks with a model over a WebSocket: both ways at once, and what is done when it is lost.
//!
//! The upgrade is a call like any other; frames are `baseten-websocket`'s. The emulator's model echoes.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use baseten::Client;
use baseten_examples::{Error, Place};
use baseten_websocket::{Connector, Message, Reconnect};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let place = Place::find()?;
    let Place { credential, hosts, model_id, .. } = &place;
    let client = Client::builder().credential(credential.clone()).hosts(hosts.clone()).build()?;
    println!("calling {place}");

    let upgrade = client.model(model_id)?.websocket()?;
    let mut connector = Connector::new(upgrade, Reconnect::default());
    let mut socket = connector.connect().await?;
    println!("open        request {:?}", socket.meta().request_id());
    socket.send_text("hello").await?;
    socket.send_json(&json!({"n": 1})).await?;
    socket.send_text("bye").await?;
    loop {
        match socket.receive().await {
            Ok(Some(Message::Text(text))) => println!("text        {text}"),
            Ok(Some(Message::Binary(bytes))) => println!("bytes       {}", bytes.len()),
            Ok(None) => break,
            // A replica restarts, say: another one, which knows nothing of what was said so far.
            Err(error) => {
                println!("lost        {error}");
                socket = connector.reconnect(error).await?;
                socket.send_text("bye").await?;
            }
        }
    }
    if let Some(close) = socket.closed() {
        println!("closed      {close}");
    }
    Ok(())
}
