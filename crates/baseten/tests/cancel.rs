//! Dropping a call cancels it: its connection closes before the drop returns, whatever the thread
//! does next.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::time::{Duration, Instant};

use baseten::{Client, Model};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Outcome};
use serde_json::{Value, json};

/// Far longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(20);

fn model(emulator: &Emulator) -> Model {
    let client = Client::builder().api_key(DUMMY_KEY).base_url(emulator.base_url("abc"));
    client.build().unwrap().model("abc").unwrap()
}

/// The peer left while the answer was still to come. The thread of the test does nothing else, so
/// that no runtime could have helped.
fn left(emulator: &Emulator, events: usize) {
    let seen = emulator.wait_until(SOON, |seen| seen.ended() == 1).unwrap();
    match seen.last().unwrap().outcome.unwrap() {
        Outcome::PeerLeft { after_events, .. } => assert_eq!(after_events, events),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_dropped_future_closes_its_connection() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::json(json!(1)).delayed(LONG));
    let model = model(&emulator);
    let call = tokio::time::timeout(Duration::from_millis(50), model.predict::<_, Value>("hi"));
    assert!(call.await.is_err());
    left(&emulator, 0);
}

#[tokio::test]
async fn a_dropped_half_read_stream_closes_its_connection() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::stream(["one", "two", "three"]).paced(LONG));
    let mut stream = model(&emulator).predict_stream("hi").await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "one");
    drop(stream);
    left(&emulator, 1);
}

#[tokio::test]
async fn an_aborted_task_closes_its_connection() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::json(json!(1)).delayed(LONG));
    let model = model(&emulator);
    let task = tokio::spawn(async move { model.predict::<_, Value>("hi").await });
    let waiting = Instant::now();
    while emulator.seen().arrivals().is_empty() {
        assert!(waiting.elapsed() < SOON);
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    left(&emulator, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_share_connections_and_all_are_answered() {
    let emulator = Emulator::start().unwrap();
    let model = model(&emulator);
    for _ in 0..20 {
        let calls = (0..32).map(|n| {
            let model = model.clone();
            tokio::spawn(async move { model.predict::<_, Value>(&json!({"n": n})).await })
        });
        for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(call.await.unwrap().unwrap().value["echo"]["n"], n);
        }
    }
    let seen = emulator.seen();
    assert_eq!(seen.arrivals().len(), 640);
    assert!(seen.opened() <= 32, "{} connections", seen.opened());
}

#[test]
fn a_client_outlives_its_runtime() {
    let emulator = Emulator::start().unwrap();
    let model = model(&emulator);
    for calls in 1..=3 {
        // Each runtime takes its sockets and timers with it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(model.predict::<_, Value>("hi")).unwrap();
        let answer = runtime.block_on(model.predict::<_, Value>("hi")).unwrap();
        assert_eq!(answer.meta.attempts(), 1);
        let seen = emulator.seen();
        assert_eq!((seen.arrivals().len(), seen.opened()), (2 * calls, calls));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wakeup_is_lost_while_another_thread_turns_the_reactor() {
    let emulator = Emulator::start().unwrap();
    let text = "x".repeat(8 << 20);
    emulator.model("abc").answer(Answer::json(json!(text)));
    let model = model(&emulator);
    for _ in 0..20 {
        let model = model.clone();
        let call = tokio::spawn(async move { model.predict::<_, String>("hi").await });
        let answer = tokio::time::timeout(SOON, call).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.value.len(), text.len());
    }
}
