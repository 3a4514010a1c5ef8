//! Async requests and chains over literal bytes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod common;

use std::time::{Duration, Instant};

use baseten_emulator::{Answer, DUMMY_KEY, Emulator, JobStatus};
use common::{Reply, exchange, post};
use serde_json::{Value, json};

fn call(emulator: &Emulator, method: &str, path: &str, body: &str) -> (u16, Value) {
    let reply = exchange(emulator, post(path, body).replacen("POST", method, 1).as_bytes());
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

fn submit(emulator: &Emulator, path: &str, body: Value) -> String {
    let (status, answer) = call(emulator, "POST", path, &body.to_string());
    assert_eq!(status, 201);
    answer["request_id"].as_str().unwrap().into()
}

#[test]
fn a_job_moves_on_each_time_it_is_asked() {
    let emulator = Emulator::start().unwrap();
    let input = json!({ "model_input": { "n": 1 }, "webhook_endpoint": "https://example.com/h" });
    let id = submit(&emulator, "/model/abc/deployment/d1/async_predict", input.clone());
    let path = format!("/model/abc/async_request/{id}");
    let mut told = Vec::new();
    for _ in 0..4 {
        let (status, job) = call(&emulator, "GET", &path, "");
        assert_eq!(status, 200);
        assert_eq!((&job["request_id"], &job["model_id"]), (&json!(id), &json!("abc")));
        assert_eq!(job["deployment_id"], "d1");
        assert!(job["created_at"].as_str() <= job["status_at"].as_str());
        told.push((job["status"].clone(), job["webhook_status"].clone()));
    }
    let expected = [
        ("QUEUED", "PENDING"),
        ("IN_PROGRESS", "PENDING"),
        ("SUCCEEDED", "SUCCEEDED"),
        ("SUCCEEDED", "SUCCEEDED"),
    ];
    assert_eq!(told, expected.map(|(status, webhook)| (json!(status), json!(webhook))));
    assert_eq!(emulator.jobs().all()[0].submission, input);
}

#[test]
fn cancels_only_what_is_queued() {
    let emulator = Emulator::start().unwrap();
    emulator.jobs().script([]);
    let [first, second] = [1, 2].map(|n| {
        submit(&emulator, "/model/abc/production/async_predict", json!({ "model_input": n }))
    });
    emulator.jobs().set(&second, JobStatus::InProgress);
    let queue = call(&emulator, "GET", "/model/abc/production/async_queue_status", "").1;
    assert_eq!(
        (&queue["num_queued_requests"], &queue["num_in_progress_requests"]),
        (&json!(1), &json!(1))
    );
    for (id, canceled, after) in [(&first, true, "CANCELED"), (&second, false, "IN_PROGRESS")] {
        let path = format!("/model/abc/async_request/{id}");
        let (status, answer) = call(&emulator, "DELETE", &path, "");
        assert_eq!((status, &answer["canceled"]), (200, &json!(canceled)));
        let job = call(&emulator, "GET", &path, "").1;
        assert_eq!(
            (&job["status"], &job["webhook_status"]),
            (&json!(after), &json!("NO_WEBHOOK_PROVIDED"))
        );
    }
    emulator.jobs().set(&second, JobStatus::Failed);
    let job = call(&emulator, "GET", &format!("/model/abc/async_request/{second}"), "").1;
    assert_eq!(job["errors"][0]["code"], "MODEL_PREDICT_ERROR");
    assert!(!emulator.jobs().set("nope", JobStatus::Failed));
}

#[test]
fn each_deployment_has_a_queue_of_its_own() {
    let emulator = Emulator::start().unwrap();
    emulator.jobs().script([]);
    let input = json!({ "model_input": 1 });
    for place in ["production", "environments/production", "environments/qa", "deployment/d1"] {
        submit(&emulator, &format!("/model/abc/{place}/async_predict"), input.clone());
    }
    submit(&emulator, "/model/xyz/production/async_predict", input);
    // (deployment, queued there, reason)
    for (place, queued, reason) in [
        ("production", 2, "by either name"),
        ("environments/production", 2, "by either name"),
        ("environments/qa", 1, "another environment"),
        ("development", 0, "another environment"),
        ("deployment/d1", 1, "one deployment"),
        ("deployment/d2", 0, "another one"),
    ] {
        let path = format!("/model/abc/{place}/async_queue_status");
        let told = call(&emulator, "GET", &path, "").1;
        assert_eq!(told["num_queued_requests"], queued, "{place}: {reason}");
        assert!(told["deployment_id"].is_string());
    }
}

#[test]
fn a_job_is_forgotten_some_time_after_its_end() {
    let emulator = Emulator::start().unwrap();
    let jobs = emulator.jobs();
    let submitted =
        || submit(&emulator, "/model/abc/production/async_predict", json!({ "model_input": 1 }));
    let ask = |method, id: &str| {
        let (status, body) = call(&emulator, method, &format!("/model/abc/async_request/{id}"), "");
        (status, body["status"].as_str().map(str::to_owned))
    };
    let told = |status: &str| (200, Some(status.to_owned()));
    let gone = (404, None);

    jobs.forget_after(Duration::ZERO);
    let id = submitted();
    let statuses = [(); 4].map(|()| ask("GET", &id));
    let expect = [told("QUEUED"), told("IN_PROGRESS"), told("SUCCEEDED"), gone.clone()];
    assert_eq!(statuses, expect, "the end is told once");
    assert_eq!(ask("DELETE", &id), gone);
    assert_eq!(jobs.all()[0].status, JobStatus::Succeeded, "not by a test");
    jobs.forget_after(Duration::from_secs(3600));
    assert_eq!(ask("GET", &id), told("SUCCEEDED"), "the time holds for all jobs");

    jobs.forget_after(Duration::ZERO);
    for end in [JobStatus::Failed, JobStatus::Expired, JobStatus::WebhookFailed] {
        let id = submitted();
        assert!(jobs.set(&id, end));
        assert_eq!(ask("GET", &id), gone, "{end:?}");
    }
    let id = submitted();
    assert_eq!(ask("DELETE", &id).0, 200);
    assert_eq!(ask("GET", &id), gone, "cancelled is an end");
}

#[test]
fn questions_are_answered_up_to_so_many_a_second() {
    // (method, path) of the n-th question
    let question = |id: &str, n: usize| match n % 3 {
        0 => ("GET", format!("/model/abc/async_request/{id}")),
        1 => ("DELETE", format!("/model/abc/async_request/{id}")),
        _ => ("GET", "/model/abc/production/async_queue_status".to_owned()),
    };
    // On a machine so slow that they take a second, there is nothing to see, and it begins anew.
    let (emulator, id) = loop {
        let emulator = Emulator::start().unwrap();
        let path = "/model/abc/production/async_predict";
        let id = submit(&emulator, path, json!({ "model_input": 1 }));
        let began = Instant::now();
        let answers: Vec<_> = (0..24)
            .map(|n| question(&id, n))
            .map(|(method, path)| call(&emulator, method, &path, ""))
            .collect();
        if began.elapsed() < Duration::from_secs(1) {
            let (answered, refused) = answers.split_at(20);
            assert!(answered.iter().all(|(status, _)| *status == 200), "{answers:?}");
            let refusal = json!({ "error": "Too many requests", "error_code": "rate_limited" });
            assert!(refused.iter().all(|answer| *answer == (429, refusal.clone())), "{answers:?}");
            break (emulator, id);
        }
    };
    let ask = |n| {
        let (method, path) = question(&id, n);
        call(&emulator, method, &path, "").0
    };
    emulator.jobs().limit(Some(0));
    assert!((0..3).all(|n| ask(n) == 429));
    submit(&emulator, "/model/abc/production/async_predict", json!({ "model_input": 1 }));
    emulator.jobs().limit(None);
    assert!((0..60).all(|n| ask(n) == 200));
}

#[test]
fn refuses_bad_submissions_and_strangers() {
    let emulator = Emulator::start().unwrap();
    let id =
        submit(&emulator, "/model/abc/production/async_predict", json!({ "model_input": null }));
    let large = json!({ "model_input": "x".repeat(262_144) }).to_string();
    let post = |body: &str| call(&emulator, "POST", "/model/abc/production/async_predict", body);
    // (answer, status, reason)
    let table = [
        (post("{"), 400, "not JSON"),
        (post("{}"), 400, "no model_input"),
        (post(&large), 413, "over 256 KiB"),
        (post(r#"{"model_input": 1, "priority": 3}"#), 400, "0, 1 and 2"),
        (post(r#"{"model_input": 1, "webhook_endpoint": "http://example.com"}"#), 400, "not https"),
        (call(&emulator, "GET", "/model/abc/async_request/nope", ""), 404, "unknown id"),
        (call(&emulator, "GET", &format!("/model/xyz/async_request/{id}"), ""), 404, "another's"),
    ];
    for ((status, body), expected, reason) in table {
        assert_eq!(status, expected, "{reason}");
        assert!(body["error"].is_string(), "{reason}");
    }
    assert_eq!(emulator.jobs().all().len(), 1, "the others are no jobs");
    let text =
        format!("payload size of {} bytes exceeds maximum size of 262144 bytes", large.len());
    assert_eq!(post(&large).1["error"], text);
    emulator.model("abc").at("async_predict").then(Answer::platform_error(429));
    assert_eq!(post("{}"), (429, json!({ "error": "CAPACITY_EXCEEDED" })));
}

#[test]
fn chains_run_and_raise() {
    let emulator = Emulator::start().unwrap();
    let ask = || {
        let request = format!(
            "POST /production/run_remote HTTP/1.1\r\nHost: chain-c1.{}\r\n\
             Authorization: Bearer {DUMMY_KEY}\r\nContent-Length: 7\r\n\r\n{{\"n\":3}}",
            emulator.root()
        );
        exchange(&emulator, request.as_bytes())
    };
    assert_eq!(ask().text(), r#"{"echo": {"n":3}, "model": "c1"}"#);
    let id = submit(&emulator, "/chain/c1/production/async_run_remote", json!({ "n": 3 }));
    let job = call(&emulator, "GET", &format!("/chain/c1/async_request/{id}"), "").1;
    assert_eq!(job["chain_id"], "c1");
    // Recorded, but for the name of the class.
    let unnamed = exchange(&emulator, post("/chain/c1/production/run_remote", "[3]").as_bytes());
    assert_eq!((unnamed.status, unnamed.header("x-baseten-error-code")), (400, Some("700")));
    let words = r#"{"error":"Input Parsing Error:\n  ``: Input should be a valid dictionary or instance of EntrypointInput."}"#;
    assert_eq!(unnamed.text(), words);
    emulator.chain("c1").answer(Answer::chainlet_raised("ValueError", "n must not be negative"));
    let raised: Reply = ask();
    assert_eq!((raised.status, raised.header("x-baseten-error-code")), (500, Some("600")));
    // Recorded from a chain: truss_chains 0.18.35.
    let recorded = r#"{"error":{"exception_cls_name":"ValueError","exception_module_name":null,"exception_message":"n must not be negative","user_stack_trace":[{"filename":"/packages/chain.py","lineno":17,"name":"run_remote","line":"raise ValueError(\"n must not be negative\")"}]}}"#;
    assert_eq!(raised.text(), recorded);
}
