//! One call with `baseten-transport` alone, as a service short of memory and time would make it:
//! bytes in, bytes out, tight clocks and limits, one idle connection, no facade.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::time::Duration;

use baseten_core::{
    Answer, CallOptions, Endpoint, Limits, ModelId, Operation, Target, Template, Timeouts,
};
use baseten_examples::{Error, Place};
use baseten_transport::{Options, Pool, blocking::Transport};

fn main() -> Result<(), Error> {
    let place = Place::find()?;
    let target = Target::model(ModelId::new(&place.model_id)?);
    let endpoint = Endpoint::new(&place.hosts, &target, &Operation::Predict)?;
    println!("POST {}", endpoint.url());

    // Built once, used for every call: address, key and headers.
    let predict = Template::new(endpoint, &place.credential, Answer::Json)?;
    let transport = Transport::new(Options {
        pool: Pool { max_idle: 1, ..Pool::default() },
        ..Options::default()
    });
    let options = CallOptions {
        timeouts: Timeouts { total: Some(Duration::from_secs(30)), ..Timeouts::default() },
        limits: Limits { body: 1 << 20, ..Limits::default() },
        ..CallOptions::default()
    };

    let request = predict.bytes("application/json", r#"{"prompt": "What is a transport?"}"#)?;
    let response = transport.fetch(&request, &options)?;
    println!("{} {}", response.meta.status(), String::from_utf8_lossy(&response.value));
    println!("request id  {}", response.meta.request_id().unwrap_or("none"));
    Ok(())
}
