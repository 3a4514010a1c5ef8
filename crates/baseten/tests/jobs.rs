//! Queued runs against the emulator: submitted, asked for, waited for, taken back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use std::time::{Duration, Instant};

use baseten::{
    AsyncRequest, CallOptions, CancelToken, Cancellation, Delivery, ErrorKind, InferenceRetry,
    JobErrorCode, JobOutcome, RetryPolicy, RunStatus, Timeouts, WebhookStatus,
};
use baseten_emulator::{Answer, Emulator, JobStatus};
use serde_json::{Value, json};

/// A ceiling for what should take milliseconds, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn new() -> AsyncRequest<Value> {
    AsyncRequest::new(json!({ "n": 1 }))
}

both! {
    fn every_field_is_submitted() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap().environment("qa").unwrap();
        let request = new()
            .webhook("https://hook.example/x")
            .priority(2)
            .max_time_in_queue(Duration::from_secs(3600))
            .retry(InferenceRetry { max_attempts: Some(1), ..InferenceRetry::default() });
        let job = wait(model.submit(&request)).unwrap();
        assert_eq!(job.meta.status().as_u16(), 201);
        assert!(job.meta.request_id().is_some());
        let queued = &emulator.jobs().all()[0];
        assert_eq!(job.value.id(), queued.request_id);
        let expect = json!({
            "model_input": { "n": 1 }, "webhook_endpoint": "https://hook.example/x", "priority": 2,
            "max_time_in_queue_seconds": 3600, "inference_retry_config": { "max_attempts": 1 },
        });
        assert_eq!(queued.submission, expect);
        assert_eq!(emulator.seen().last().unwrap().path, "/environments/qa/async_predict");
    }

    fn a_chain_takes_both_shapes() {
        let emulator = Emulator::start().unwrap();
        let chain = client!(emulator).chain("c1").unwrap().development().unwrap();
        for (request, sent) in [
            (new(), json!({ "model_input": { "n": 1 } })),
            (AsyncRequest::bare(json!({ "n": 1 })), json!({ "n": 1 })),
        ] {
            let job = wait(chain.submit(&request)).unwrap().value;
            let queued = emulator.jobs().all().pop().unwrap();
            assert_eq!((job.id(), queued.submission), (queued.request_id.as_str(), sent));
            assert_eq!(emulator.seen().last().unwrap().path, "/development/async_run_remote");
            let status = wait(job.status()).unwrap().value;
            assert_eq!(status.chain_id.as_deref(), Some("c1"));
            assert_eq!(emulator.seen().last().unwrap().path, format!("/async_request/{}", job.id()));
        }
    }

    fn any_success_with_an_id_is_taken() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        let submitting = emulator.model("abc").at("async_predict");
        for status in [200, 201, 202] {
            submitting.then(Answer::json(json!({ "request_id": "r-1", "x": 1 })).with_status(status));
            assert_eq!(wait(model.submit(&new())).unwrap().value.id(), "r-1", "{status}");
        }
        //   answer                                      what the user reads
        for (answer, expect) in [
            (Answer::json(json!({ "id": "r-1" })), "missing field `request_id`"),
            (Answer::json(json!({ "request_id": "a/b" })), "async request id has"),
            (Answer::status(202), "the answer is empty, not JSON"),
        ] {
            submitting.then(answer);
            let error = wait(model.submit(&new())).unwrap_err();
            assert_eq!((error.kind(), error.delivery()), (ErrorKind::Decode, Delivery::Answered));
            assert!(format!("{error:?}").contains(expect), "{error:?}");
        }
    }

    fn what_cannot_be_queued_is_not_sent() {
        let emulator = Emulator::start().unwrap();
        let (client, large) = (client!(emulator), "x".repeat(262_144));
        let (model, chain) = (client.model("abc").unwrap(), client.chain("c1").unwrap());
        for (error, expect) in [
            (wait(model.submit(&new().priority(3))).unwrap_err(), "priority is 3, allowed are 0, 1 and 2"),
            (wait(chain.submit(&new().webhook("http://example.com"))).unwrap_err(), "webhook_endpoint is http://example.com…"),
            (wait(model.submit(&AsyncRequest::new(large))).unwrap_err(), "the body is 262162 bytes long, at most 262144"),
            (wait(model.submit(&AsyncRequest::bare(1))).unwrap_err(), "the body is bare, which only a chain takes"),
            (model.job("../secret").unwrap_err(), "async request id has '.' at byte 0"),
            (chain.job("").unwrap_err(), "async request id is empty"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Request);
            assert!(error.to_string().contains(expect), "{error}");
        }
        assert_eq!(emulator.seen().opened(), 0);
    }

    fn a_run_is_queued_again_only_where_it_was_refused() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        let soon = |status| Answer::platform_error(status).header("retry-after-ms", "1");
        emulator.model("abc").at("async_predict").then(soon(429));
        assert_eq!(wait(model.submit(&new())).unwrap().meta.attempts(), 2);
        emulator.model("abc").at("async_predict").then(soon(502));
        let error = wait(model.submit(&new())).unwrap_err();
        assert_eq!(error.delivery(), Delivery::MaybeRan);
        assert_eq!(emulator.seen().arrivals().len(), 2 + 1);
    }

    fn many_are_queued_as_fast_as_they_are_taken() {
        let emulator = Emulator::start().unwrap();
        let options = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
        let model = client!(emulator, options).model("abc").unwrap();
        let submitting = emulator.model("abc").at("async_predict");
        submitting.then(Answer::platform_error(429)).then(Answer::platform_error(502));
        let requests = (0..5).map(|n| AsyncRequest::new(n).priority(if n == 3 { 9 } else { 1 }));
        let mut line = model.submit_all(requests, SOON);
        let (mut taken, mut told) = (Vec::new(), Vec::new());
        while let Some(job) = wait(line.job()) {
            match job {
                Ok(job) => taken.push(job.value.id().to_owned()),
                Err(error) => told.push(error.to_string()),
            }
        }
        let queued: Vec<_> = emulator.jobs().all();
        let ids: Vec<_> = queued.iter().map(|job| job.request_id.clone()).collect();
        let inputs: Vec<_> = queued.iter().map(|job| job.submission["model_input"].clone()).collect();
        assert_eq!(taken, ids);
        // The first was refused, offered again, and may then have been queued: it is not a third time.
        assert_eq!(inputs, [1, 2, 4]);
        assert_eq!(emulator.seen().arrivals().len(), 2 + 3);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("502 Bad Gateway"), "{told:?}");
        assert!(told[1].contains("priority is 9, allowed are 0, 1 and 2"), "{told:?}");
        assert!(wait(line.job()).is_none());
    }

    fn a_run_that_is_refused_for_long_is_given_up() {
        let emulator = Emulator::start().unwrap();
        let options = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
        let chain = client!(emulator, options).chain("c1").unwrap();
        emulator.chain("c1").at("async_run_remote").then(Answer::platform_error(429));
        let mut line = chain.submit_all([new(), new()], Duration::from_millis(100));
        assert_eq!(wait(line.job()).unwrap().unwrap_err().delivery(), Delivery::Refused);
        assert!(wait(line.job()).unwrap().is_ok(), "the line goes on");
    }

    fn a_status_tells_all_there_is() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap().deployment("d1").unwrap();
        emulator.jobs().script([JobStatus::InProgress, JobStatus::Failed]);
        let request = new().webhook("https://hook.example/x");
        let job = wait(model.submit(&request)).unwrap().value;
        let status = wait(job.status()).unwrap().value;
        assert_eq!(status.status, RunStatus::InProgress);
        assert_eq!(status.webhook_status, Some(WebhookStatus::Pending));
        assert!(!status.is_settled());
        let status = wait(job.status()).unwrap().value;
        assert_eq!(status.status, RunStatus::Failed);
        assert_eq!(status.errors[0].code, JobErrorCode::ModelPredictError);
        assert_eq!(status.errors[0].to_string(), "MODEL_PREDICT_ERROR: Internal Server Error (in model/chainlet).");
        assert_eq!((status.request_id.as_str(), status.deployment_id.as_deref()), (job.id(), Some("d1")));
        assert!(status.created_at.is_some() && status.created_at <= status.status_at);
        assert!(status.is_settled());
        // The same by its id alone, whatever deployment it is for.
        let again = client!(emulator).model("abc").unwrap().job(job.id()).unwrap();
        assert_eq!(wait(again.status()).unwrap().value.status, RunStatus::Failed);
    }

    fn too_late_to_cancel_is_a_value() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        emulator.jobs().script([]);
        let job = wait(model.submit(&new())).unwrap().value;
        assert_eq!(wait(job.cancel()).unwrap().value, Cancellation::Canceled);
        assert_eq!(wait(job.status()).unwrap().value.status, RunStatus::Canceled);
        assert_eq!(emulator.seen().arrivals()[1].method, "DELETE");
        let job = wait(model.submit(&new())).unwrap().value;
        emulator.jobs().set(job.id(), JobStatus::InProgress);
        let Cancellation::TooLate { message } = wait(job.cancel()).unwrap().value else {
            panic!("it was canceled");
        };
        assert_eq!(message, "Only queued requests can be canceled");
        let stranger = model.job("unknown").unwrap();
        assert_eq!(wait(stranger.cancel()).unwrap_err().status().unwrap().as_u16(), 404);
    }

    fn a_queue_has_a_length() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        emulator.jobs().script([]);
        let first = wait(model.submit(&new())).unwrap().value;
        wait(model.submit(&new())).unwrap();
        emulator.jobs().set(first.id(), JobStatus::InProgress);
        let queue = wait(model.queue_status()).unwrap().value;
        assert_eq!((queue.queued, queue.in_progress), (1, 1));
        assert_eq!(queue.model_id.as_deref(), Some("abc"));
        let path = "/environments/production/async_queue_status";
        assert_eq!(emulator.seen().last().unwrap().path, path);
    }

    fn a_wait_ends_with_the_run() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        emulator.jobs().script([JobStatus::InProgress, JobStatus::Succeeded]);
        let job = wait(model.submit(&new())).unwrap().value;
        let JobOutcome::Settled(status) = wait(job.wait(SOON)).unwrap() else { panic!("not settled") };
        assert_eq!(status.status, RunStatus::Succeeded);
        assert_eq!(status.webhook_status, Some(WebhookStatus::NoWebhookProvided));
        assert_eq!(emulator.seen().arrivals().len(), 1 + 2);
    }

    fn a_wait_survives_what_passes() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        emulator.jobs().script([JobStatus::Expired]);
        let job = wait(model.submit(&new())).unwrap().value;
        emulator.model("abc").at("async_request").then(Answer::platform_error(502));
        let JobOutcome::Settled(status) = wait(job.wait(SOON)).unwrap() else { panic!("not settled") };
        assert_eq!(status.status, RunStatus::Expired);
        assert_eq!(emulator.seen().arrivals().len(), 1 + 2);
    }

    fn a_wait_that_cannot_end_well_ends() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        let job = model.job("unknown").unwrap();
        assert_eq!(wait(job.wait(SOON)).unwrap(), JobOutcome::Gone(None));
        assert_eq!(wait(job.wait(Duration::ZERO)).unwrap(), JobOutcome::Pending(None));
        assert_eq!(emulator.seen().arrivals().len(), 1, "404 is final, and no time is no question");
        emulator.model("abc").at("async_request").then(Answer::platform_error(401));
        assert_eq!(wait(job.wait(SOON)).unwrap_err().status().unwrap().as_u16(), 401);

        emulator.jobs().script([]);
        let job = wait(model.submit(&new())).unwrap().value;
        let JobOutcome::Pending(last) = wait(job.wait(Duration::from_millis(300))).unwrap() else {
            panic!("it goes on");
        };
        assert_eq!(last.unwrap().status, RunStatus::Queued);
    }

    fn a_run_is_gone_an_hour_after_its_end() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        emulator.jobs().forget_after(Duration::ZERO); // an hour, but nobody waits for it
        emulator.jobs().script([JobStatus::Succeeded]);
        let job = wait(model.submit(&new())).unwrap().value;
        let JobOutcome::Settled(_) = wait(job.wait(SOON)).unwrap() else { panic!("told once") };
        assert_eq!(wait(job.wait(SOON)).unwrap(), JobOutcome::Gone(None));
        for error in [wait(job.status()).unwrap_err(), wait(job.cancel()).unwrap_err()] {
            assert_eq!((error.status().unwrap().as_u16(), error.attempts().len()), (404, 1));
            assert!(error.to_string().contains("async request not found"), "{error}");
        }

        // It ends, and is forgotten, between two questions.
        emulator.jobs().script([JobStatus::InProgress]);
        let job = wait(model.submit(&new())).unwrap().value;
        let asked = emulator.seen().arrivals().len();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                emulator.wait_until(SOON, |seen| seen.ended() > asked).unwrap();
                assert!(emulator.jobs().set(job.id(), JobStatus::Succeeded));
            });
            let JobOutcome::Gone(last) = wait(job.wait(SOON)).unwrap() else { panic!("not gone") };
            assert_eq!(last.unwrap().status, RunStatus::InProgress, "what was known of it");
        });
    }

    fn a_429_to_one_question_holds_all() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        emulator.model("abc").at("async_queue_status").then(Answer::platform_error(429));
        let began = Instant::now();
        let asked = wait(model.queue_status()).unwrap();
        // After a pause of the client's own alone it would have asked again sooner.
        assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!((asked.meta.attempts(), emulator.seen().arrivals().len()), (2, 2));
        assert!(asked.meta.timings().waited >= Duration::from_millis(900), "{:?}", asked.meta);
    }

    fn a_question_can_be_given_up_in_line() {
        let emulator = Emulator::start().unwrap();
        let refusal = Answer::platform_error(429).header("retry-after", "50");
        emulator.model("abc").at("async_queue_status").answer(refusal);
        let once = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
        let timeouts = Timeouts { total: Some(Duration::from_millis(100)), ..Timeouts::default() };
        let model = client!(emulator, once.clone()).model("abc").unwrap();
        wait(model.queue_status()).unwrap_err();
        // Everybody else waits for those 50 s, if they have the time.
        let hasty = model.clone().options(CallOptions { timeouts, ..once.clone() });
        let error = wait(hasty.queue_status()).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::NotSent), "{error}");
        let token = CancelToken::new();
        token.cancel();
        let error = wait(model.options(once.canceled_by(&token)).queue_status()).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Canceled, Delivery::NotSent), "{error}");
        assert_eq!(emulator.seen().arrivals().len(), 1);
    }

    fn questions_are_paced() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let model = client.model("abc").unwrap();
        let job = wait(model.submit(&new())).unwrap().value;
        let began = Instant::now();
        for _ in 0..4 {
            wait(job.status()).unwrap();
            // Clones and other models of the client keep the same pace.
            wait(client.clone().chain("c1").unwrap().queue_status()).unwrap();
        }
        assert!(began.elapsed() >= 7 * Duration::from_millis(56), "{:?}", began.elapsed());
        assert_eq!(emulator.seen().arrivals().len(), 1 + 8);
    }
}

/// Questions that are all answered 429, each asked twice: what keeps the pace then is the turns of their
/// attempts alone, since nobody is ready to wait for longer than this.
fn refused(emulator: &Emulator) -> CallOptions {
    let refusal = Answer::platform_error(429).header("retry-after-ms", "1");
    emulator.model("abc").at("async_request").answer(refusal);
    let longest_wait = Duration::from_millis(50);
    let retry = RetryPolicy { max_attempts: 2, longest_wait, ..RetryPolicy::default() };
    CallOptions { retry, ..CallOptions::default() }
}

#[tokio::test]
async fn many_tasks_that_are_refused_stay_below_the_limit() {
    use baseten as facade;
    let emulator = Emulator::start().unwrap();
    let model = client!(emulator, refused(&emulator)).model("abc").unwrap();
    // So many may be sent again.
    for n in 0..300 {
        model.predict::<_, Value>(&n).await.unwrap();
    }
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let job = model.job("r1").unwrap();
        calls.spawn(async move { job.status().await.unwrap_err().attempts().len() });
    }
    while let Some(attempts) = calls.join_next().await {
        assert_eq!(attempts.unwrap(), 2);
    }
    assert_eq!(questions(&emulator).len(), 2 * 40);
    let most = most_questions_in_a_second(&emulator);
    assert!((2..20).contains(&most), "{most}");
}

#[test]
fn many_threads_that_are_refused_stay_below_the_limit() {
    use baseten_blocking as facade;
    let emulator = Emulator::start().unwrap();
    let model = client!(emulator, refused(&emulator)).model("abc").unwrap();
    // So many may be sent again.
    for n in 0..300 {
        model.predict::<_, Value>(&n).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..40 {
            let job = model.job("r1").unwrap();
            scope.spawn(move || assert_eq!(job.status().unwrap_err().attempts().len(), 2));
        }
    });
    assert_eq!(questions(&emulator).len(), 2 * 40);
    let most = most_questions_in_a_second(&emulator);
    assert!((2..20).contains(&most), "{most}");
}

/// When questions arrived.
fn questions(emulator: &Emulator) -> Vec<Duration> {
    emulator.seen().arrivals().iter().filter(|a| a.method == "GET").map(|a| a.at).collect()
}

/// The most of them within any one second.
fn most_questions_in_a_second(emulator: &Emulator) -> usize {
    let times = questions(emulator);
    let within = |from: &Duration| {
        times.iter().filter(|at| (*from..*from + Duration::from_secs(1)).contains(*at)).count()
    };
    times.iter().map(within).max().unwrap_or_default()
}

/// How many questions came beyond the limit of the platform.
fn refusals(emulator: &Emulator) -> usize {
    emulator.seen().arrivals().iter().filter(|arrival| arrival.status == Some(429)).count()
}

#[tokio::test]
async fn many_tasks_wait_below_the_limit() {
    use baseten as facade;
    let emulator = Emulator::start().unwrap();
    emulator.jobs().script([JobStatus::Succeeded]);
    let model = client!(emulator).model("abc").unwrap();
    let mut waits = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let job = model.submit(&new()).await.unwrap().value;
        waits.spawn(async move { job.wait(SOON).await.unwrap() });
    }
    while let Some(outcome) = waits.join_next().await {
        assert!(matches!(outcome.unwrap(), JobOutcome::Settled(_)));
    }
    let most = most_questions_in_a_second(&emulator);
    assert!((2..20).contains(&most), "{most}");
    assert_eq!(refusals(&emulator), 0);
}

#[test]
fn many_threads_wait_below_the_limit() {
    use baseten_blocking as facade;
    let emulator = Emulator::start().unwrap();
    emulator.jobs().script([JobStatus::Succeeded]);
    let model = client!(emulator).model("abc").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..40 {
            let job = model.submit(&new()).unwrap().value;
            scope.spawn(move || {
                assert!(matches!(job.wait(SOON).unwrap(), JobOutcome::Settled(_)));
            });
        }
    });
    let most = most_questions_in_a_second(&emulator);
    assert!((2..20).contains(&most), "{most}");
    assert_eq!(refusals(&emulator), 0);
}

/// They share an organisation's limit, know nothing of each other, and both think it higher than it is.
#[tokio::test]
async fn two_clients_beyond_the_limit_wait_all_the_same() {
    use baseten as facade;
    let emulator = Emulator::start().unwrap();
    emulator.jobs().script([JobStatus::Succeeded]);
    emulator.jobs().limit(Some(10));
    let mut waits = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let model = client!(emulator).model("abc").unwrap();
        for _ in 0..15 {
            let job = model.submit(&new()).await.unwrap().value;
            waits.spawn(async move { job.wait(SOON).await.unwrap() });
        }
    }
    while let Some(outcome) = waits.join_next().await {
        assert!(matches!(outcome.unwrap(), JobOutcome::Settled(_)));
    }
    assert!(refusals(&emulator) > 0, "they have met the limit");
}
