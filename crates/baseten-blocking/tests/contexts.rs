//! The blocking client works wherever a thread runs: it has no runtime to clash with.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use baseten_blocking::{Client, Model};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator};
use serde_json::{Value, json};

fn model(emulator: &Emulator) -> Model {
    let client = Client::builder().api_key(DUMMY_KEY).base_url(emulator.base_url("abc"));
    client.build().unwrap().model("abc").unwrap()
}

/// More calls than a tokio task may make without yielding (its budget is 128 moves, spent after 64
/// calls if the client were bound by it).
fn many_calls(model: &Model) {
    for n in 0..300 {
        assert_eq!(model.predict::<_, Value>(&json!({"n": n})).unwrap().value["echo"]["n"], n);
    }
}

#[tokio::test]
async fn inside_an_async_task() {
    let emulator = Emulator::start().unwrap();
    many_calls(&model(&emulator));
    assert_eq!(emulator.seen().opened(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inside_a_multi_threaded_runtime_and_spawn_blocking() {
    let emulator = Emulator::start().unwrap();
    let model = model(&emulator);
    many_calls(&model);
    let inside = model.clone();
    tokio::spawn(async move { many_calls(&inside) }).await.unwrap();
    tokio::task::spawn_blocking(move || many_calls(&model)).await.unwrap();
    assert_eq!(emulator.seen().arrivals().len(), 900);
}

#[tokio::test]
async fn a_stream_inside_an_async_task() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::stream((0..500).map(|n| format!("{n};"))));
    let stream = model(&emulator).predict_stream("hi").unwrap();
    let all: Vec<u8> = stream.flat_map(Result::unwrap).collect();
    assert_eq!(
        String::from_utf8(all).unwrap(),
        (0..500).map(|n| format!("{n};")).collect::<String>()
    );
}

struct CallsOnDrop(Model);

impl Drop for CallsOnDrop {
    fn drop(&mut self) {
        self.0.predict::<_, Value>("goodbye").unwrap();
    }
}

#[tokio::test]
async fn inside_drop() {
    let emulator = Emulator::start().unwrap();
    let guard = CallsOnDrop(model(&emulator));
    tokio::spawn(async move { drop(guard) }).await.unwrap();
    drop(CallsOnDrop(model(&emulator)));
    assert_eq!(emulator.seen().arrivals().len(), 2);
}

#[test]
fn in_threads_that_share_one_client() {
    let emulator = Emulator::start().unwrap();
    let model = model(&emulator);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| many_calls(&model));
        }
    });
    let seen = emulator.seen();
    assert_eq!(seen.arrivals().len(), 1200);
    assert!(seen.opened() <= 4, "{} connections", seen.opened());
}

#[test]
fn a_call_of_one_thread_goes_on_in_another() {
    let emulator = Emulator::start().unwrap();
    emulator.model("abc").answer(Answer::stream(["one", "two"]));
    let mut stream = model(&emulator).predict_stream("hi").unwrap();
    assert_eq!(stream.chunk().unwrap().unwrap(), "one");
    let rest = std::thread::spawn(move || stream.chunk().unwrap().unwrap());
    assert_eq!(rest.join().unwrap(), "two");
}
