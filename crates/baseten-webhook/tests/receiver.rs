//! The example does what it shows.

#[path = "../examples/receiver.rs"]
#[expect(dead_code, reason = "its main")]
mod receiver;

#[test]
fn the_receiver_takes_what_is_good_and_refuses_the_rest() {
    let mut log = Vec::new();
    receiver::run(&mut log).unwrap();
    let log = String::from_utf8(log).unwrap();
    let expect = [
        "200 accepted request-1: [0.5, 0.25]",
        "200 duplicate of request-1",
        "200 accepted request-2: the async request failed: MODEL_PREDICT_ERROR: out of memory",
        "401 refused: no secret made any signature", // tampered
        "401 refused: no secret made any signature", // a stranger's
        "400 refused: the webhook was sent 3600.",
        "401 refused: X-BASETEN-SIGNATURE cannot be read: entry 1 has 3 digits, not 64",
        "401 refused: the webhook has no X-BASETEN-SIGNATURE",
        "the sender saw 200 200 200 401 401 400 401 401",
    ];
    assert_eq!(log.lines().count(), expect.len(), "{log}");
    for (line, start) in log.lines().zip(expect) {
        assert!(line.starts_with(start), "{line}\nshould start with {start}");
    }
}
