//! Waking a deployment: where the request goes, and that asking twice is harmless.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten::{Error, Meta};
use baseten_emulator::{Answer, Emulator};

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
}
