//! Webhooks of async requests, posted to receivers on this machine.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use baseten_emulator::{Emulator, Job, JobStatus};
use baseten_webhook::{Secret, Verifier, Webhook};
use common::{exchange, post};
use serde_json::{Value, json};

/// The head of a POST, its lines in lower case, and its body.
type Post = (Vec<String>, Vec<u8>);

/// Answers one POST after the other with these statuses, and gives them back; 0 hangs up.
fn receiver(statuses: &'static [u16]) -> (String, JoinHandle<Vec<Post>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let posts = statuses.iter().map(|status| {
            let mut socket = BufReader::new(listener.accept().unwrap().0);
            let lines = socket.by_ref().lines().map(|line| line.unwrap().to_lowercase());
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            socket.read_exact(&mut body).unwrap();
            if *status > 0 {
                let answer = format!("HTTP/1.1 {status} \r\ncontent-length: 0\r\n\r\n");
                socket.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            (head, body)
        });
        posts.collect()
    });
    (url, thread)
}

fn submit(emulator: &Emulator, path: &str, body: &Value) -> String {
    let reply = exchange(emulator, post(path, &body.to_string()).as_bytes());
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    answer["request_id"].as_str().unwrap().into()
}

fn status(emulator: &Emulator, id: &str) -> Value {
    let path = format!("/model/abc/async_request/{id}");
    let reply = exchange(emulator, post(&path, "").replacen("POST", "GET", 1).as_bytes());
    serde_json::from_slice(&reply.body).unwrap()
}

/// The job once its webhook is not pending any more.
fn settled(emulator: &Emulator, id: &str) -> (Value, Job) {
    emulator.jobs().limit(None);
    for _ in 0..2000 {
        let status = status(emulator, id);
        if status["webhook_status"] != "PENDING" {
            return (status, emulator.jobs().all().pop().unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{id} is still pending");
}

#[test]
fn a_delivery_is_signed_with_every_secret() {
    let builder = Emulator::builder().webhook_secret("whsec_new").webhook_secret("whsec_old");
    let emulator = builder.start().unwrap();
    let (url, received) = receiver(&[204]);
    let body = json!({ "model_input": { "n": 1 }, "webhook_endpoint": url });
    let id = submit(&emulator, "/model/abc/deployment/d1/async_predict", &body);
    let (head, body) = received.join().unwrap().pop().unwrap();
    assert_eq!(head[0], "post /hook?a=b http/1.1");
    assert!(head.contains(&"content-type: application/json".to_owned()), "{head:?}");
    assert!(head.contains(&format!("x-baseten-request-id: {id}")), "{head:?}");
    let signature =
        head.iter().find_map(|line| line.strip_prefix("x-baseten-signature: ")).unwrap();
    assert_eq!(signature.matches("v1=").count(), 2);
    for secret in ["whsec_new", "whsec_old"] {
        let verifier = Verifier::new(Secret::new(secret).unwrap());
        let webhook = verifier.verify(Some(signature), &body, SystemTime::now()).unwrap();
        assert_eq!((&webhook.request_id, webhook.model_id.as_deref()), (&id, Some("abc")));
        assert_eq!(webhook.deployment_id.as_deref(), Some("d1"));
        assert_eq!(webhook.output::<Value>().unwrap(), json!({"echo": {"n": 1}, "model": "abc"}));
    }
    let (status, job) = settled(&emulator, &id);
    assert_eq!(
        (&status["status"], &status["webhook_status"]),
        (&json!("SUCCEEDED"), &json!("SUCCEEDED"))
    );
    assert_eq!(job.posted, [Some(204)]);
}

#[test]
fn what_the_receiver_answers_decides_about_another_attempt() {
    //   answers              what is told of them              status            webhook   why
    for (answers, posted, run, delivery) in [
        (&[503, 200][..], &[Some(503), Some(200)][..], "SUCCEEDED", "SUCCEEDED"), // tried again
        (&[500, 504], &[Some(500), Some(504)], "WEBHOOK_FAILED", "FAILED"), // twice and no more
        (&[429], &[Some(429)], "WEBHOOK_FAILED", "FAILED"), // only four statuses are tried again
        (&[301], &[Some(301)], "WEBHOOK_FAILED", "FAILED"),
        (&[0], &[None], "WEBHOOK_FAILED", "FAILED"), // hung up
    ] {
        let emulator = Emulator::builder().webhook_pause(Duration::ZERO).start().unwrap();
        let (url, received) = receiver(answers);
        let body = json!({ "model_input": 1, "webhook_endpoint": url });
        let id = submit(&emulator, "/model/abc/production/async_predict", &body);
        let posts = received.join().unwrap();
        assert!(posts.iter().all(|(head, _)| !head.concat().contains("x-baseten-signature")));
        let (status, job) = settled(&emulator, &id);
        assert_eq!((&status["status"], &status["webhook_status"]), (&json!(run), &json!(delivery)));
        assert_eq!(job.posted, posted, "{answers:?}");
    }
}

#[test]
fn a_run_is_delivered_when_it_is_over_and_not_before() {
    let emulator = Emulator::start().unwrap();
    emulator.jobs().script([]);
    let (url, received) = receiver(&[200]);
    let body = json!({ "model_input": 1, "webhook_endpoint": url });
    let id = submit(&emulator, "/model/abc/production/async_predict", &body);
    assert_eq!(status(&emulator, &id)["webhook_status"], "PENDING");
    assert!(emulator.jobs().all()[0].posted.is_empty());
    emulator.jobs().set(&id, JobStatus::Succeeded);
    let webhook = Webhook::parse(&received.join().unwrap()[0].1).unwrap();
    assert_eq!(webhook.output::<Value>().unwrap(), json!({"echo": 1, "model": "abc"}));
    assert_eq!(settled(&emulator, &id).0["status"], "SUCCEEDED");
}

#[test]
fn a_run_that_did_not_end_well_has_errors_and_no_output() {
    for (end, code) in
        [(JobStatus::Failed, "MODEL_PREDICT_ERROR"), (JobStatus::Expired, "MODEL_PREDICT_TIMEOUT")]
    {
        let emulator = Emulator::start().unwrap();
        emulator.jobs().script([end]);
        let (url, received) = receiver(&[200]);
        let body = json!({ "model_input": 1, "webhook_endpoint": url });
        let id = submit(&emulator, "/model/abc/production/async_predict", &body);
        let webhook = Webhook::parse(&received.join().unwrap()[0].1).unwrap();
        assert_eq!(webhook.data.map(|data| data.get().to_owned()), None, "{end:?}");
        assert_eq!(webhook.errors[0].code.to_string(), code);
        let told = settled(&emulator, &id).0;
        assert_eq!((&told["status"], &told["errors"][0]["code"]), (&json!(end), &json!(code)));
    }
}

#[test]
fn a_receiver_may_keep_the_connection() {
    let emulator = Emulator::start().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let body = json!({ "model_input": 1, "webhook_endpoint": url });
    let id = submit(&emulator, "/model/abc/production/async_predict", &body);
    let mut socket = listener.accept().unwrap().0;
    let began = Instant::now();
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    let (_, job) = settled(&emulator, &id);
    assert_eq!(job.posted, [Some(200)]);
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "it does not wait for the end of the connection"
    );
    drop(socket);
}

#[test]
fn a_name_in_bare_arguments_is_no_webhook() {
    let emulator = Emulator::start().unwrap();
    let arguments = json!({ "n": 1, "webhook_endpoint": "http://127.0.0.1:9/" });
    let id = submit(&emulator, "/chain/c1/production/async_run_remote", &arguments);
    let reply = post(&format!("/chain/c1/async_request/{id}"), "").replacen("POST", "GET", 1);
    let told: Value = serde_json::from_slice(&exchange(&emulator, reply.as_bytes()).body).unwrap();
    assert_eq!(told["webhook_status"], "NO_WEBHOOK_PROVIDED");
}

#[test]
fn a_secret_that_is_none_is_told() {
    let error = Emulator::builder().webhook_secret(" ").start().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
