//! What WebSockets are opened with: the address, key, headers and options of the value it came from.
//! Frames are tested in `baseten-websocket`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use baseten::{CallOptions, Client, ErrorKind, Hosts, RetryPolicy};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Kind, Operation, Stage};

fn client(emulator: &Emulator) -> Client {
    let hosts = Hosts::root(&format!("http://{}", emulator.root())).unwrap();
    Client::builder().api_key(DUMMY_KEY).hosts(hosts).build().unwrap()
}

#[tokio::test]
async fn models_and_chains_are_reached_wherever_they_are_deployed() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let (model, chain) = (|| client.model("abc").unwrap(), || client.chain("c1").unwrap());
    //   opened with                                       kind         stage
    for (upgrade, kind, stage) in [
        (model().websocket(), Kind::Model, Stage::Environment("production".into())),
        (
            model().environment("qa").unwrap().websocket(),
            Kind::Model,
            Stage::Environment("qa".into()),
        ),
        (
            model().deployment("d1").unwrap().websocket(),
            Kind::Model,
            Stage::Deployment("d1".into()),
        ),
        (model().development().unwrap().websocket(), Kind::Model, Stage::Development),
        (model().regional("eu").unwrap().websocket(), Kind::Model, Stage::Regional("eu".into())),
        (chain().websocket(), Kind::Chain, Stage::Environment("production".into())),
        (chain().regional("eu").unwrap().websocket(), Kind::Chain, Stage::Regional("eu".into())),
    ] {
        let upgrade = upgrade.unwrap();
        let request = upgrade.template.websocket("MDEyMzQ1Njc4OWFiY2RlZg==").unwrap();
        let upgraded = upgrade.transport.upgrade(&request, &upgrade.options).await.unwrap();
        let accept = &upgraded.meta().headers()["sec-websocket-accept"];
        assert_eq!(accept, "BACScCJPNqyz+UBoqMH89VmURoA=", "from a recording of Truss");
        let seen = emulator.seen();
        let arrival = seen.last().unwrap();
        let target = arrival.target.as_ref().unwrap();
        assert_eq!((target.kind, &target.stage), (kind, &stage), "{}", arrival.path);
        assert_eq!(arrival.operation, Some(Operation::WebSocket));
    }
}

#[tokio::test]
async fn headers_and_options_of_the_model_count() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").at("websocket").answer(Answer::platform_error(503));
    let once = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
    let model = client(&emulator).model("abc").unwrap().options(once);
    let upgrade = model.header("x-own", "1").unwrap().websocket().unwrap();
    let request = upgrade.template.websocket("MDEyMzQ1Njc4OWFiY2RlZg==").unwrap();
    let error = upgrade.transport.upgrade(&request, &upgrade.options).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::Status, 1), "{error}");
    assert_eq!(emulator.seen().last().unwrap().header("x-own"), Some("1"));
}
