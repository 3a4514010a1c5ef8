//! The key never leaves: not by printing anything there is to print, not to another origin.

mod facades;

use std::time::Duration;

use baseten::{
    AsyncRequest, CallOptions, Client, Credential, Error, Hosts, Method, Multipart, RetryPolicy,
    Upload,
};
use baseten_core::{
    Access, Answer as Take, Budget, Call, Endpoint, ModelId, Operation, Start, Target, Template,
};
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
    printed.debug(&builder.build().unwrap());
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

#[tokio::test]
async fn nothing_of_a_changing_key_or_of_a_body_shows_it() {
    let emulator = Emulator::builder().key(CANARY).start().unwrap();
    let mut printed = Printed::default();
    let target = Target::model(ModelId::new("abc").unwrap());
    let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict).unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(3600);
    let token = Credential::token_until(CANARY, later).unwrap();
    let rotating = Credential::rotating(|| Credential::api_key(CANARY));
    for changing in [token, rotating.clone()] {
        let template = Template::new(endpoint.clone(), &changing, Take::Json).unwrap();
        let request = template.json("hi").unwrap();
        let start = Start { wall: std::time::SystemTime::now(), seed: 1 };
        let mut call = Call::new(&request, &CallOptions::default(), &Budget::new(), start);
        printed.debug(&(&changing, &template, &request, call.step(Duration::ZERO), &call));
    }

    let turned = Client::builder().credential(rotating).base_url(emulator.base_url("abc"));
    printed.debug(&turned);
    let model = turned.build().unwrap().model("abc").unwrap();
    printed.debug(&(&model, model.request(), model.openai().unwrap()));
    printed.debug(&model.predict::<_, Value>("hi").await.unwrap());
    emulator.model("abc").then(Answer::platform_error(401));
    printed.error(&model.predict::<_, Value>("hi").await.unwrap_err());
    let form = || Multipart::new().text("a", "b").file("f", "f.bin", "a/b", Upload::new(&b"x"[..]));
    let upload = model.request().upload("a/b", Upload::new(&b"xy"[..]).with_length(3));
    printed.debug(&(Upload::new(&b"x"[..]), form(), &upload, model.request().multipart(form())));
    printed.error(&upload.send().await.unwrap_err());
    assert!(!printed.leaks(), "{}", printed.0);
    assert!(emulator.seen().arrivals()[0].header("authorization").unwrap().contains(CANARY));
}

#[test]
fn a_server_that_echoes_the_key_is_not_quoted() {
    let in_text = || Answer::bytes("text/plain", format!("no such key: {CANARY}"));
    let in_json = || {
        let said = json!({"error": {"message": CANARY, "code": CANARY, CANARY: [CANARY]}});
        Answer::json(said)
    };
    let split = format!("{}{CANARY}", "x".repeat(995));
    let wrong = json!({"n": CANARY});
    //   answer                                              why the key is in what it leads to
    let answers = [
        in_text().with_status(401),                          // the message
        in_text().with_status(503),                          // the same, tried again
        in_json().with_status(400),                          // every member of the JSON
        Answer::bytes("text/plain", split).with_status(500), // where messages are cut
        Answer::status(307).header("location", &format!("https://{CANARY}.example/")),
        echoing(404, "x-request-id"), // by which the error is named
        echoing(404, "x-seen"),
        echoing(503, "x-baseten-request-id"), // the same, tried again
        Answer::json(wrong),                  // serde quotes what it did not expect
    ];
    macro_rules! told {
        ($facade:ident, $wait:expr) => {
            for answer in &answers {
                let emulator = Emulator::builder().key(CANARY).start().unwrap();
                emulator.model("abc").answer(answer.clone());
                let client = $facade::Client::builder().api_key(CANARY);
                let options = facades::once();
                let client = client.base_url(emulator.base_url("abc")).options(options);
                let model = client.build().unwrap().model("abc").unwrap();
                type Number = std::collections::BTreeMap<String, u64>;
                let error = $wait(model.predict::<_, Number>("hi")).unwrap_err();
                let mut printed = Printed::default();
                printed.error(&error);
                printed.debug(&(
                    error.api(),
                    error.headers(),
                    error.attempts(),
                    error.request_id(),
                ));
                assert!(!printed.leaks(), "{}", printed.0);
                assert_eq!(emulator.seen().arrivals().len(), 1);
            }
        };
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    told!(baseten, |call| runtime.block_on(call));
    told!(baseten_blocking, std::convert::identity);
}

/// An answer that is nobody's but the test's, with the key in this header.
fn echoing(status: u16, header: &str) -> Answer {
    let head = format!("HTTP/1.1 {status} Whatever\r\n{header}: Bearer {CANARY}\r\n");
    Answer::raw(format!(
        "{head}retry-after-ms: 1\r\nconnection: close\r\ncontent-length: 1\r\n\r\n1"
    ))
}

#[test]
fn a_header_that_echoes_the_key_is_not_quoted() {
    macro_rules! told {
        ($facade:ident, $wait:expr) => {
            for header in ["x-request-id", "x-baseten-request-id", "x-seen"] {
                let emulator = Emulator::builder().key(CANARY).start().unwrap();
                emulator.model("abc").answer(echoing(200, header));
                let client = $facade::Client::builder().api_key(CANARY);
                let client = client.base_url(emulator.base_url("abc")).build().unwrap();
                let model = client.model("abc").unwrap();
                let mut printed = Printed::default();
                // Of an attempt that came before, of a whole answer, of a stream, and of an error in a body.
                emulator.model("abc").then(echoing(503, header));
                let response = $wait(model.predict::<_, u64>("hi")).unwrap();
                printed.debug(&response);
                printed.debug(&(response.meta.failed_attempts(), response.meta.headers()));
                printed.debug(&response.meta.request_id());
                assert_eq!(response.meta.attempts(), 2);
                printed.debug(&$wait(model.predict_stream("hi")).unwrap());
                printed.error(&$wait(model.predict::<_, String>("hi")).unwrap_err());
                assert!(!printed.leaks(), "{}", printed.0);
                assert!(printed.0.contains("Bearer [redacted]"), "{}", printed.0);
            }
        };
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    told!(baseten, |call| runtime.block_on(call));
    told!(baseten_blocking, std::convert::identity);
}

#[test]
fn headers_of_the_callers_own_are_not_printed() {
    macro_rules! told {
        ($facade:ident) => {
            let emulator = Emulator::start().unwrap();
            let builder = || {
                let client = $facade::Client::builder().api_key("dummy-key-0000");
                client.base_url(emulator.base_url("abc")).header("x-gateway-key", CANARY)
            };
            let (mut printed, client) = (Printed::default(), builder().build().unwrap());
            let model = client.model("abc").unwrap().header("cookie", CANARY).unwrap();
            printed.debug(&(builder(), &client, &model, client.chain("c1").unwrap()));
            printed.debug(&(model.openai().unwrap(), model.request().header("x-own", CANARY)));
            let access = Access::new(Hosts::baseten(), Credential::none());
            let access = access.header("x-own", CANARY).unwrap();
            let target = Target::model(ModelId::new("abc").unwrap());
            let template = access.template(&target, &Operation::Predict, Take::Json).unwrap();
            let template = template.header("accept", "audio/wav").unwrap();
            let request = template.json("hi").unwrap();
            printed.debug(&(&access, &template, &request, request.to_http()));
            printed.debug(&access.grpc(&target).unwrap());
            assert!(!printed.leaks(), "{}", printed.0);
            // What they are is told, and what is no secret.
            for told in ["x-gateway-key", "cookie", "x-own", "audio/wav"] {
                assert!(printed.0.contains(told), "{told}: {}", printed.0);
            }
        };
    }
    told!(baseten);
    told!(baseten_blocking);
}

#[test]
fn a_stream_that_echoes_the_key_is_not_quoted() {
    let event = json!({"error": {"message": format!("no such key: {CANARY}"), "code": 401}});
    let emulator = Emulator::builder().key(CANARY).start().unwrap();
    emulator.model("abc").every_route().answer(Answer::sse([event.to_string()]));
    let client = baseten_blocking::Client::builder().api_key(CANARY);
    let model = client.base_url(emulator.base_url("abc")).build().unwrap().model("abc").unwrap();
    let request = baseten::openai::ChatRequest::new("m", [baseten::openai::Message::user("hi")]);
    let error = model.openai().unwrap().chat_stream(&request).unwrap().chunk().unwrap_err();
    let mut printed = Printed::default();
    printed.error(&error);
    printed.debug(&error.api());
    assert!(printed.0.contains("no such key: [redacted]"), "{}", printed.0);
    assert!(!printed.leaks(), "{}", printed.0);
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
