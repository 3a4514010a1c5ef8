//! A queued run from its submission to its webhook, verified: both facades, the emulator and the webhook
//! crate together.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use baseten::{AsyncRequest, JobOutcome, RunStatus, WebhookStatus};
use baseten_emulator::{DUMMY_KEY, Emulator};
use baseten_webhook::{Delivery, ReplayCache, SIGNATURE_HEADER, Secret, Verifier, Webhook};
use serde_json::{Value, json};

const SECRET: &str = "whsec_0123456789abcdef";

/// Takes one POST, verifies it and answers 503 the first time, as if it could not be stored.
fn receiver() -> (String, JoinHandle<Vec<(Webhook, Delivery)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/done", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let verifier = Verifier::new(Secret::new(SECRET).unwrap());
        let mut seen = ReplayCache::new(&verifier);
        let received = [503, 200].map(|status| {
            let mut socket = BufReader::new(listener.accept().unwrap().0);
            let (mut signature, mut length) = (None, 0);
            for line in
                socket.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty())
            {
                let Some((name, value)) = line.split_once(": ") else { continue };
                match name.to_ascii_lowercase().as_str() {
                    SIGNATURE_HEADER => signature = Some(value.to_owned()),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            socket.read_exact(&mut body).unwrap();
            let webhook = verifier.verify(signature.as_deref(), &body, SystemTime::now()).unwrap();
            let delivery = seen.check(&webhook, SystemTime::now());
            let answer = format!("HTTP/1.1 {status} \r\ncontent-length: 0\r\n\r\n");
            socket.get_mut().write_all(answer.as_bytes()).unwrap();
            (webhook, delivery)
        });
        received.into()
    });
    (url, thread)
}

fn emulator() -> Emulator {
    let builder = Emulator::builder().webhook_secret(SECRET).webhook_pause(Duration::ZERO);
    builder.start().unwrap()
}

/// What came is what was asked for, and the platform knows that it came.
fn check(outcome: JobOutcome, id: &str, received: &[(Webhook, Delivery)]) {
    let JobOutcome::Settled(status) = outcome else { panic!("{outcome:?}") };
    assert_eq!(status.status, RunStatus::Succeeded);
    assert_eq!(status.webhook_status, Some(WebhookStatus::Succeeded));
    let deliveries: Vec<_> = received.iter().map(|(_, delivery)| *delivery).collect();
    assert_eq!(deliveries, [Delivery::New, Delivery::Duplicate]);
    for (webhook, _) in received {
        assert_eq!(webhook.request_id, id);
        let output = webhook.output::<Value>().unwrap();
        assert_eq!(output, json!({"echo": {"prompt": "What is a queue?"}, "model": "abc"}));
    }
}

fn request(url: String) -> AsyncRequest<Value> {
    AsyncRequest::new(json!({"prompt": "What is a queue?"})).webhook(url)
}

#[test]
fn a_run_that_was_queued_blocking_comes_to_its_webhook() {
    let emulator = emulator();
    let client = baseten_blocking::Client::builder().api_key(DUMMY_KEY);
    let client = client.base_url(emulator.base_url("abc")).build().unwrap();
    let (url, received) = receiver();
    let job = client.model("abc").unwrap().submit(&request(url)).unwrap().value;
    let outcome = job.wait(Duration::from_secs(30)).unwrap();
    check(outcome, job.id(), &received.join().unwrap());
}

#[tokio::test]
async fn a_run_that_was_queued_async_comes_to_its_webhook() {
    let emulator = emulator();
    let client = baseten::Client::builder().api_key(DUMMY_KEY);
    let client = client.base_url(emulator.base_url("abc")).build().unwrap();
    let (url, received) = receiver();
    let job = client.model("abc").unwrap().submit(&request(url)).await.unwrap().value;
    let outcome = job.wait(Duration::from_secs(30)).await.unwrap();
    check(outcome, job.id(), &received.join().unwrap());
}
