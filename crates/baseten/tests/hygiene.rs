//! The key never leaves: not by printing anything there is to print, not to another origin.

mod facades;

use std::time::Duration;

use baseten::{AsyncRequest, CallOptions, Client, Credential, Error, Hosts, Method, RetryPolicy};
use baseten_core::{Access, Answer as Take, Endpoint, ModelId, Operation, Target, Template};
use baseten_emulator::{Answer, Emulator, Fault, When};
use serde_json::{Value, json};

const CANARY: &str = "c4nary.k3y";

/// Everything that was printed, searched at the end.
#[derive(Default)]
struct Printed(String);

impl Printed {
    fn debug(&mut self, value: &impl std::fmt::Debug) {
        self.0.push_str(&format!("{value:?}\n{value:#?}\n"));
    }

    fn error(&mut self, error: &Error) {
        self.debug(error);
        self.0.push_str(&format!("{error}\n"));
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            self.debug(&error);
            self.0.push_str(&format!("{error}\n"));
            source = error.source();
        }
    }

    fn leaks(&self) -> bool {
        self.0.contains(CANARY)
    }
}

#[tokio::test]
async fn nothing_that_prints_shows_the_key() {
    let emulator = Emulator::builder().key(CANARY).start().unwrap();
    let mut printed = Printed::default();
    let key = Credential::api_key(CANARY).unwrap();
    let target = Target::model(ModelId::new("abc").unwrap());
    let access = Access::new(Hosts::baseten(), key.clone());
    let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict).unwrap();
    let template = Template::new(endpoint.clone(), &key, Take::Json).unwrap();
    let request = template.json("hi").unwrap();
    let builder = access.sync(&target, Method::GET, "health").header("x", "y");
    printed.debug(&(&key, &access, &endpoint, &template, &request, &builder));
    printed.debug(&request.to_http());

    let builder = || Client::builder().api_key(CANARY).base_url(emulator.base_url("abc"));
    let retry = RetryPolicy::never();
    printed.debug(&builder());
    let client =
        builder().options(CallOptions { retry, ..CallOptions::default() }).build().unwrap();
    let model = client.model("abc").unwrap();
    printed.debug(&(&client, &model, model.sync(Method::GET, "x")));
    let (chain, job) = (client.chain("c1").unwrap(), model.job("r1").unwrap());
    printed.debug(&(&chain, &job, model.openai().unwrap()));
    let requests = [AsyncRequest::new("hi")];
    printed.debug(&(&requests, model.submit_all(requests.clone(), Duration::ZERO)));
    printed.error(&job.status().await.unwrap_err());
    printed.debug(&model.predict::<_, Value>("hi").await.unwrap());
    printed.debug(&model.predict_stream("hi").await.unwrap());

    for fault in [Fault::reset(), Fault::cut().at_body(3), Fault::garble(0x80).at_byte(2)] {
        emulator.inject(When::Request(0), fault);
        printed.error(&model.predict::<_, Value>("hi").await.unwrap_err());
    }
    for answer in
        [Answer::platform_error(401), Answer::platform_error(503), Answer::json(json!("s"))]
    {
        emulator.model("abc").answer(answer);
        printed.error(&model.predict::<_, u64>("hi").await.unwrap_err());
    }
    printed.error(
        &model.sync(Method::GET, "x").header("authorization", CANARY).send().await.unwrap_err(),
    );
    let lost = Client::builder().api_key(CANARY).base_url("http://127.0.0.1:1").build().unwrap();
    printed.error(&lost.model("abc").unwrap().predict::<_, Value>("hi").await.unwrap_err());
    for bad in [format!("{CANARY}\nx"), format!("{CANARY} x"), format!("\u{e9}{CANARY}")] {
        printed.error(&Client::builder().api_key(bad).build().unwrap_err());
    }
    assert!(!printed.leaks(), "{}", printed.0);

    // The search would have found it: it did go over the wire.
    let sent = emulator.seen().arrivals()[0].header("authorization").unwrap().to_owned();
    printed.debug(&sent);
    assert!(printed.leaks());
}

#[test]
fn a_redirect_is_an_error_and_the_key_stays() {
    facades::each(|facade, emulator| {
        let elsewhere = Emulator::start().unwrap();
        let location = format!("{}/environments/production/predict?sig=s3cret", elsewhere.url());
        for status in [301, 302, 303, 307, 308] {
            emulator.model("abc").answer(Answer::status(status).header("location", &location));
            let error = facade.predict(&json!(1)).unwrap_err();
            assert_eq!(error.status().map(|s| s.as_u16()), Some(status), "{}", facade.name());
            let told = error.to_string();
            assert!(told.contains(&elsewhere.url()) && !told.contains("s3cret"), "{told}");
        }
        assert_eq!(elsewhere.seen().opened(), 0);
    });
}
