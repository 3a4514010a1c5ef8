//! Waking a deployment: where the request goes, and that asking twice is harmless.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use std::sync::Barrier;
use std::time::Duration;

use baseten::{Error, ErrorKind, Meta, READINESS};
use baseten_emulator::{Answer, Emulator};

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

    fn a_deployment_is_waited_for() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap().development().unwrap();
        // Asleep, loading, ready.
        let probe = emulator.model("abc").at("sync/v1/models/model");
        probe.then(Answer::platform_error(404)).then(Answer::not_ready());
        assert!(wait(model.wait_until_ready(READINESS, SOON)).unwrap());
        let paths: Vec<String> =
            emulator.seen().arrivals().iter().map(|a| format!("{} {}", a.method, a.path)).collect();
        let ask = "GET /development/sync/v1/models/model";
        assert_eq!(paths, ["POST /development/wake", ask, ask, ask]);
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

#[test]
fn of_many_threads_that_wait_one_asks() {
    use baseten_blocking as facade;
    let emulator = Emulator::start().unwrap();
    let client = client!(emulator);
    let probe = emulator.model("abc").at("sync/v1/models/model");
    probe.then(Answer::not_ready()).then(Answer::not_ready());
    let together = Barrier::new(20);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let model = client.model("abc").unwrap();
                together.wait();
                assert!(model.wait_until_ready(READINESS, SOON).unwrap());
            });
        }
    });
    assert_eq!(emulator.seen().arrivals().len(), 1 + 3, "woken once, asked three times");
}
