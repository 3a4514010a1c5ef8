//! Which connections are kept for the next call, and which of them it gets. Both facades.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;
mod facades;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use baseten::{Hosts, Pool};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Fault, When};
use facades::{SOON, once};
use serde_json::Value;

macro_rules! model {
    ($emulator:expr, $pool:expr) => {{
        let client = facade::Client::builder().api_key(DUMMY_KEY).pool($pool);
        let client = client.base_url($emulator.base_url("abc")).build().unwrap();
        client.model("abc").unwrap()
    }};
}

both! {
    fn one_that_may_be_closed_is_not_used_again() {
        let ms = Duration::from_millis;
        let pool = Pool::default();
        //   what is set                          promised  a pause after it  connections
        for (pool, promise, pause, opened) in [
            (pool, None, ms(0), 1),
            (Pool { idle: ms(5), ..pool }, None, ms(5), 2),
            (Pool { max_age: ms(5), ..pool }, None, ms(5), 2), // however busy it was
            (Pool { max_idle: 0, ..pool }, None, ms(0), 2),
            (pool, Some(1), ms(0), 2), // with a second to spare there is nothing left of it
            (pool, Some(2), ms(1000), 2),
            (pool, Some(60), ms(0), 1),
            (Pool { idle: ms(5), ..pool }, Some(60), ms(5), 2), // the shorter of both counts
        ] {
            let emulator = Emulator::start().unwrap();
            if let Some(seconds) = promise {
                emulator.inject(When::EveryRequest, Fault::promise_keep_alive(seconds));
            }
            let model = model!(emulator, pool);
            wait(model.predict::<_, Value>(&1)).unwrap();
            thread::sleep(pause);
            let answer = wait(model.predict::<_, Value>(&1)).unwrap();
            assert_eq!(answer.meta.attempts(), 1, "{pool:?} {promise:?}");
            assert_eq!(emulator.seen().opened(), opened, "{pool:?} {promise:?}");
        }
    }

    fn the_last_used_is_the_first_to_be_used() {
        let emulator = Emulator::start().unwrap();
        let model = model!(emulator, Pool::default());
        emulator.model("abc").answer(Answer::stream(["one"]));
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(wait(model.predict_stream(&1)).unwrap());
        }
        // The second one is the last to come back.
        for at in [0, 2, 1] {
            while wait(streams[at].chunk()).unwrap().is_some() {}
        }
        wait(model.predict_stream(&1)).unwrap();
        let seen = emulator.seen();
        let connections: Vec<_> = seen.arrivals().iter().map(|seen| seen.connection).collect();
        assert_eq!(connections[3], connections[1], "{connections:?}");
        assert_eq!(seen.opened(), 3);
    }

    fn what_nobody_comes_back_for_is_closed_by_a_call_elsewhere() {
        const MODELS: usize = 20;
        let idle = Duration::from_millis(5);
        // Whether the call that finds them has an answer, and a connection of its own to keep.
        for answered in [true, false] {
            let emulator = Emulator::start().unwrap();
            let hosts = Hosts::root(&format!("http://{}", emulator.root())).unwrap();
            let client = facade::Client::builder().api_key(DUMMY_KEY).hosts(hosts);
            let pool = Pool { idle, ..Pool::default() };
            let client = client.pool(pool).options(once()).build().unwrap();
            for number in 0..MODELS {
                // Each model is a host of its own.
                let model = client.model(format!("once{number}")).unwrap();
                wait(model.predict::<_, Value>(&1)).unwrap();
            }
            assert_eq!(emulator.seen().opened(), MODELS);
            thread::sleep(2 * idle);
            if !answered {
                emulator.inject(When::EveryRequest, Fault::reset());
            }
            let model = client.model("other").unwrap();
            assert_eq!(wait(model.predict::<_, Value>(&1)).is_ok(), answered);
            let swept = emulator.wait_until(SOON, |seen| seen.closed() >= MODELS);
            assert!(swept.is_ok(), "answered: {answered}, {} closed", emulator.seen().closed());
            drop(client);
        }
    }
}

#[test]
fn each_runtime_has_connections_of_its_own() {
    use baseten as facade;
    const CALLS: usize = 10;
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pool = Pool::default();
    let at_most = |most| Pool { max_connections_per_origin: Some(most), ..pool };
    //   what is set                           opened  kept after a call
    for (pool, opened, kept) in [
        (pool, 2, 2),
        (at_most(2), 2, 2),
        (at_most(1), CALLS, 1), // the other's lies idle, and has to make way
        (Pool { max_idle: 1, ..pool }, CALLS, 1), // the other's is the older one
    ] {
        let emulator = Emulator::start().unwrap();
        let (runtimes, model) = ([runtime(), runtime()], model!(emulator, pool));
        // As workers make them that have a runtime each, and share a client.
        for call in 0..CALLS {
            runtimes[call % 2].block_on(model.predict::<_, Value>(&1)).unwrap();
            let settled = emulator.wait_until(SOON, |seen| seen.opened() - seen.closed() <= kept);
            assert!(settled.is_ok(), "{pool:?}, call {call}");
        }
        assert_eq!(emulator.seen().opened(), opened, "{pool:?}");
    }
}

#[test]
fn what_belongs_to_a_runtime_that_is_gone_is_closed() {
    use baseten as facade;
    let emulator = Emulator::start().unwrap();
    let idle = Duration::from_millis(5);
    let model = model!(emulator, Pool { idle, ..Pool::default() });
    for opened in 1..=3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(model.predict::<_, Value>(&1)).unwrap();
        let swept = emulator.wait_until(SOON, |seen| seen.closed() == opened - 1);
        assert!(swept.is_ok(), "{opened}");
        drop(runtime);
        thread::sleep(2 * idle);
    }
}

/// A task of which is known who holds on to it.
struct Task(Waker);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

/// What `work` comes to as a task of its own, which nobody holds any more then.
async fn as_a_task<T>(work: impl Future<Output = T>) -> T {
    let task = poll_fn(|cx| Poll::Ready(Arc::new(Task(cx.waker().clone())))).await;
    let (waker, mut work) = (Waker::from(task.clone()), pin!(work));
    let mut waits = 0;
    let done = poll_fn(|_| {
        waits += 1;
        work.as_mut().poll(&mut Context::from_waker(&waker))
    });
    let done = done.await;
    drop(waker);
    assert!(waits > 1, "it must have waited");
    assert_eq!(Arc::strong_count(&task), 1);
    done
}

#[tokio::test]
async fn an_idle_connection_keeps_nothing_of_the_task_that_it_served() {
    use baseten as facade;
    let emulator = Emulator::start().unwrap();
    let model = model!(emulator, Pool::default());
    for opened in [1, 1] {
        as_a_task(model.predict::<_, Value>(&1)).await.unwrap();
        assert_eq!(emulator.seen().opened(), opened);
    }
}
