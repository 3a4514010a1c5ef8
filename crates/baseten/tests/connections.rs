//! A limit on the connections to one origin: who waits, for how long, and that no place is lost. Both
//! facades.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use baseten::{CallOptions, CancelToken, Clock, Delivery, ErrorKind, Pool, Stop, Timeouts};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Fault, When};
use facades::SOON;
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(600);

fn at_most(connections: usize) -> Pool {
    Pool { max_connections_per_origin: Some(connections), ..Pool::default() }
}

/// A model of each facade, with at most so many connections and this queue clock.
macro_rules! model {
    ($facade:ident, $emulator:expr, $most:expr, $queue:expr) => {{
        let timeouts = Timeouts { queue: Some($queue), ..Timeouts::default() };
        let options = CallOptions { timeouts, ..CallOptions::default() };
        let client = $facade::Client::builder().api_key(DUMMY_KEY).options(options);
        let client = client.base_url($emulator.base_url("abc")).pool(at_most($most));
        client.build().unwrap().model("abc").unwrap()
    }};
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn no_more_are_opened_and_every_call_is_served() {
    for blocking in [false, true] {
        let emulator = Emulator::start().unwrap();
        emulator.model("abc").answer(Answer::json(json!(1)).delayed(Duration::from_millis(2)));
        if blocking {
            let model = model!(baseten_blocking, emulator, 2, SOON);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| model.predict::<_, Value>("hi").unwrap());
                }
            });
        } else {
            let model = model!(baseten, emulator, 2, SOON);
            runtime().block_on(async {
                let calls = (0..8).map(|_| {
                    let model = model.clone();
                    tokio::spawn(async move { model.predict::<_, Value>("hi").await })
                });
                for call in calls.collect::<Vec<_>>() {
                    call.await.unwrap().unwrap();
                }
            });
        }
        let seen = emulator.seen();
        assert_eq!(seen.arrivals().len(), 8, "blocking: {blocking}");
        assert!(seen.opened() <= 2, "blocking: {blocking}, {}", seen.opened());
    }
}

#[test]
fn who_came_first_is_served_first() {
    let emulator = Emulator::start().unwrap();
    let model = model!(baseten, emulator, 1, SOON);
    runtime().block_on(async {
        // Each is in line before the next one comes, since a task runs until it waits.
        let calls = (0..16).map(|n| {
            let model = model.clone();
            async move { model.predict::<_, Value>(&json!({"n": n})).await }
        });
        let mut running = Vec::new();
        for call in calls {
            running.push(tokio::spawn(call));
            tokio::task::yield_now().await;
        }
        for call in running {
            call.await.unwrap().unwrap();
        }
    });
    let seen = emulator.seen();
    let order: Vec<String> =
        seen.arrivals().iter().map(|arrival| arrival.text().unwrap().to_owned()).collect();
    let expect: Vec<String> = (0..16).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(order, expect);
}

#[test]
fn the_wait_ends_by_its_own_clock() {
    let queue = Duration::from_millis(30);
    macro_rules! check {
        ($facade:ident, $wait:expr) => {{
            let emulator = Emulator::start().unwrap();
            emulator.model("abc").answer(Answer::stream(["one", "two"]).paced(LONG));
            let model = model!($facade, emulator, 1, queue);
            let mut held = $wait(model.predict_stream("hi")).unwrap();
            assert_eq!($wait(held.chunk()).unwrap().unwrap(), "one");
            let error = $wait(model.predict::<_, Value>("hi")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert_eq!(error.clock(), Some((Clock::Queue, queue)));
            assert_eq!((error.delivery(), error.stop()), (Delivery::NotSent, Stop::Final));
            assert_eq!(error.attempts().len(), 1, "not again, from the end of the line");
            let told = error.to_string();
            assert!(told.contains("no connection was free within 30ms"), "{told}");
            assert_eq!(emulator.seen().arrivals().len(), 1);

            // Dropping the stream makes room at once.
            drop(held);
            emulator.model("abc").answer(Answer::json(json!(1)));
            $wait(model.predict::<_, Value>("hi")).unwrap();
        }};
    }
    let runtime = runtime();
    check!(baseten, |call| runtime.block_on(call));
    check!(baseten_blocking, std::convert::identity);
}

#[test]
fn a_stream_holds_its_connection_until_its_end_and_a_failure_gives_it_up() {
    macro_rules! check {
        ($facade:ident, $wait:expr) => {{
            let emulator = Emulator::start().unwrap();
            let model = model!($facade, emulator, 1, SOON);
            emulator.model("abc").answer(Answer::stream(["one", "two"]));
            let mut stream = $wait(model.predict_stream("hi")).unwrap();
            while $wait(stream.chunk()).unwrap().is_some() {}
            emulator.model("abc").answer(Answer::json(json!(1)));
            // The stream is still there, and its connection is not its own any more.
            $wait(model.predict::<_, Value>("hi")).unwrap();
            assert_eq!(emulator.seen().opened(), 1);
            drop(stream);
            for fault in [Fault::reset(), Fault::cut().at_body(0)] {
                emulator.inject(When::Request(0), fault);
                $wait(model.predict::<_, Value>("hi")).unwrap_err();
                $wait(model.predict::<_, Value>("hi")).unwrap();
            }
        }};
    }
    let runtime = runtime();
    check!(baseten, |call| runtime.block_on(call));
    check!(baseten_blocking, std::convert::identity);
}

#[test]
fn who_leaves_the_line_takes_no_place_along() {
    // Async: by dropping the call, before and after its turn has come.
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::stream(["one", "two"]).paced(LONG));
    let model = model!(baseten, emulator, 1, SOON);
    runtime().block_on(async {
        let held = model.predict_stream("hi").await.unwrap();
        emulator.model("abc").answer(Answer::json(json!(1)));
        let cx = &mut Context::from_waker(Waker::noop());
        {
            let (mut one, mut two) =
                (pin!(model.predict::<_, Value>("a")), pin!(model.predict::<_, Value>("b")));
            assert!(one.as_mut().poll(cx).is_pending() && two.as_mut().poll(cx).is_pending());
            drop(held);
        }
        model.predict::<_, Value>("c").await.unwrap();
    });
    assert_eq!(emulator.seen().arrivals().len(), 2);

    // Blocking: by a token.
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::stream(["one", "two"]).paced(LONG));
    let model = model!(baseten_blocking, emulator, 1, SOON);
    let held = model.predict_stream("hi").unwrap();
    let token = CancelToken::new();
    let leaving = model.clone().options(CallOptions::default().canceled_by(&token));
    let error = thread::scope(|scope| {
        let call = scope.spawn(|| leaving.predict::<_, Value>("a").unwrap_err());
        token.cancel();
        call.join().unwrap()
    });
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Canceled, Delivery::NotSent));
    drop(held);
    emulator.model("abc").answer(Answer::json(json!(1)));
    model.predict::<_, Value>("b").unwrap();
    assert_eq!(emulator.seen().arrivals().len(), 2);
}
