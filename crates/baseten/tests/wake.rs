//! Waking a deployment: where the request goes, and that asking twice is harmless.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use std::sync::{Arc, Barrier};
use std::time::Duration;

use baseten::{Error, ErrorKind, Meta, READINESS};
use baseten_emulator::{Answer, Arrival, Emulator, Kind};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A ceiling for what should take seconds, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

both! {
    fn every_deployment_can_be_woken() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let (model, chain) = (client.model("abc").unwrap(), client.chain("c1").unwrap());
        let woken = |meta: Result<Meta, Error>, host: &str, path: &str| {
            assert_eq!(meta.unwrap().status().as_u16(), 202, "{path}");
            let seen = emulator.seen();
            let arrival = seen.last().unwrap();
            assert_eq!(arrival.header("host").unwrap(), format!("{host}.{}", emulator.root()));
            assert_eq!((arrival.method.as_str(), arrival.path.as_str()), ("POST", path));
            assert_eq!((arrival.body_len, arrival.header("content-length")), (0, Some("0")));
            assert_eq!(arrival.header("content-type"), None);
        };
        woken(wait(model.wake()), "model-abc", "/environments/production/wake");
        let staging = model.clone().environment("staging").unwrap();
        woken(wait(staging.wake()), "model-abc", "/environments/staging/wake");
        let one = model.clone().deployment("d1").unwrap();
        woken(wait(one.wake()), "model-abc", "/deployment/d1/wake");
        woken(wait(model.clone().development().unwrap().wake()), "model-abc", "/development/wake");
        woken(wait(model.regional("us").unwrap().wake()), "model-abc-us", "/wake");
        woken(wait(chain.wake()), "chain-c1", "/environments/production/wake");
    }

    fn waking_is_repeated_where_a_job_would_not_be() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        for (calls, status) in [429, 502, 503, 504].into_iter().enumerate() {
            let answer = Answer::platform_error(status).header("retry-after-ms", "1");
            emulator.model("abc").at("wake").then(answer);
            assert_eq!(wait(model.wake()).unwrap().attempts(), 2, "{status}");
            assert_eq!(emulator.seen().arrivals().len(), 2 * (calls + 1), "{status}");
        }
    }

    fn a_development_deployment_that_sleeps_is_woken_and_waited_for() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        emulator.development_sleeps(Kind::Model, "abc", 2);
        let model = client.model("abc").unwrap().development().unwrap();
        let error = wait(model.predict::<_, Value>(&1)).unwrap_err();
        assert_eq!((error.status().unwrap().as_u16(), error.attempts().len()), (404, 1));
        assert!(wait(model.wait_until_ready(READINESS, SOON)).unwrap());
        assert_eq!(wait(model.predict::<_, Value>(&1)).unwrap().value["echo"], 1);
        let asked: Vec<_> = emulator.seen().arrivals().iter().map(|arrival| asked(arrival)).collect();
        let (run, ask) = ("POST /development/predict", "GET /development/sync/v1/models/model");
        let expect = [
            (run, 404), ("POST /development/wake", 202), // asleep
            (ask, 404), (ask, 503), (ask, 200), // without a replica, loading, ready
            (run, 200),
        ];
        assert_eq!(asked, expect.map(|(line, status)| (line.to_owned(), status)));

        emulator.development_sleeps(Kind::Chain, "c1", 0);
        let chain = client.chain("c1").unwrap().development().unwrap();
        assert!(wait(chain.run_remote::<_, Value>(&json!({}))).is_err());
        assert!(wait(chain.wait_until_ready(READINESS, SOON)).unwrap());
        assert!(wait(chain.run_remote::<_, Value>(&json!({}))).is_ok());
    }

    fn a_wake_that_fails_is_made_again() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap().development().unwrap();
        // Asleep, and the first wake is refused; it hears the second, loads, and is ready.
        emulator.model("abc").at("wake").then(Answer::platform_error(429));
        let probe = emulator.model("abc").at("sync/v1/models/model");
        probe.then(Answer::platform_error(404)).then(Answer::not_ready());
        assert!(wait(model.wait_until_ready(READINESS, SOON)).unwrap());
        let asked: Vec<String> = emulator.seen().arrivals().iter().map(|a| a.method.clone()).collect();
        assert_eq!(asked, ["POST", "GET", "POST", "GET", "GET"]);
    }

    fn a_wait_for_a_deployment_ends() {
        let emulator = Emulator::start().unwrap();
        let client = client!(emulator);
        let model = client.model("abc").unwrap();
        emulator.model("abc").at("sync/health").answer(Answer::not_ready());
        assert!(!wait(model.wait_until_ready("health", Duration::from_millis(50))).unwrap());
        assert!(!wait(model.wait_until_ready("health", Duration::ZERO)).unwrap());
        let error = wait(model.wait_until_ready("../wake", SOON)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request, "{error}");

        let chain = client.chain("c1").unwrap();
        assert!(wait(chain.wait_until_ready(READINESS, SOON)).unwrap());
        for status in [401, 403] {
            emulator.chain("c1").every_route().answer(Answer::platform_error(status));
            let error = wait(chain.wait_until_ready(READINESS, SOON)).unwrap_err();
            assert_eq!(error.status().unwrap().as_u16(), status);
        }
    }
}

/// What a request asked, and what it got.
fn asked(arrival: &Arrival) -> (String, u16) {
    (format!("{} {}", arrival.method, arrival.path), arrival.status.unwrap())
}

/// One client asks once for all that wait: woken once, asked until it is ready and not once more.
fn assert_one_asked(emulator: &Emulator) {
    let statuses: Vec<_> = emulator.seen().arrivals().iter().map(|a| a.status.unwrap()).collect();
    assert_eq!(statuses, [202, 404, 503, 200]);
}

#[test]
fn of_many_threads_that_wait_one_asks() {
    use baseten_blocking as facade;
    let emulator = Emulator::start().unwrap();
    emulator.development_sleeps(Kind::Model, "abc", 2);
    let client = client!(emulator);
    let together = Barrier::new(20);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let model = client.model("abc").unwrap().development().unwrap();
                together.wait();
                assert!(model.wait_until_ready(READINESS, SOON).unwrap());
            });
        }
    });
    assert_one_asked(&emulator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_tasks_that_wait_one_asks() {
    use baseten as facade;
    let emulator = Emulator::start().unwrap();
    emulator.development_sleeps(Kind::Model, "abc", 2);
    let client = client!(emulator);
    let mut waits = JoinSet::new();
    let together = Arc::new(tokio::sync::Barrier::new(20));
    for _ in 0..20 {
        let model = client.model("abc").unwrap().development().unwrap();
        let together = together.clone();
        waits.spawn(async move {
            together.wait().await;
            model.wait_until_ready(READINESS, SOON).await
        });
    }
    while let Some(ready) = waits.join_next().await {
        assert!(ready.unwrap().unwrap());
    }
    assert_one_asked(&emulator);
}

/// The task that asks may go away, and its turn must not go with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_tasks_another_asks_when_that_one_is_aborted() {
    use baseten as facade;
    let emulator = Emulator::start().unwrap();
    emulator.development_sleeps(Kind::Model, "abc", 2);
    let client = client!(emulator);
    let model = client.model("abc").unwrap().development().unwrap();
    emulator.model("abc").at("wake").then(Answer::status(202).delayed(Duration::from_secs(3600)));
    let first = model.clone();
    let first = tokio::spawn(async move { first.wait_until_ready(READINESS, SOON).await });
    tokio::task::block_in_place(|| {
        emulator.wait_until(SOON, |seen| !seen.arrivals().is_empty()).unwrap();
    });
    let mut waits = JoinSet::new();
    for _ in 0..19 {
        let model = model.clone();
        waits.spawn(async move { model.wait_until_ready(READINESS, SOON).await });
    }
    first.abort();
    while let Some(ready) = waits.join_next().await {
        assert!(ready.unwrap().unwrap());
    }
    let seen = emulator.seen();
    let asked: Vec<_> = seen.arrivals().iter().skip(1).map(|arrival| arrival.status).collect();
    assert_eq!(asked, [202, 404, 503, 200].map(Some), "the first was never answered");
}
