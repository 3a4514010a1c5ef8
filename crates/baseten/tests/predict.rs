//! One real call through every layer, against the emulator.

use baseten::{Client, Error};
use baseten_emulator::Emulator;
use serde_json::{Value, json};

#[tokio::test]
async fn predict() -> Result<(), Error> {
    let emulator = Emulator::start().unwrap();
    let client = Client::builder()
        .api_key(baseten_emulator::DUMMY_KEY)
        .base_url(emulator.base_url("abc"))
        .build()?;
    let model = client.model("abc")?;
    for _ in 0..3 {
        let answer = model.predict::<_, Value>(&json!({"prompt": "hi"})).await?;
        println!("{:?}", answer);
    }
    println!("{:#?}", emulator.seen());
    Ok(())
}
