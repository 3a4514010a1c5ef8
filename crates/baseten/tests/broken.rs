//! Connections that break, stall or lie. Both facades; the emulator counts what arrived.

mod facades;

use std::time::{Duration, Instant};

use baseten::{Bytes, Clock, Delivery, ErrorKind, Stop, Timeouts};
use baseten_emulator::{Answer, Fault, When};
use facades::{SOON, each, each_with, once, within};
use serde_json::json;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_connection_that_breaks_after_sending_is_not_tried_again() {
    each(|facade, emulator| {
        for (fault, name) in [(Fault::reset(), "reset"), (Fault::cut(), "cut")] {
            for byte in [0, 1, 20] {
                emulator.forget();
                emulator.inject(When::Request(0), fault.clone().at_byte(byte));
                let error = facade.predict(&json!(1)).unwrap_err();
                let told = format!("{} {name} at {byte}: {error}", facade.name());
                assert_eq!(error.kind(), ErrorKind::Disconnected, "{told}");
                assert_eq!(error.delivery(), Delivery::MaybeRan, "{told}");
                assert_eq!(error.stop(), Stop::MayRunTwice, "{told}");
                assert_eq!(emulator.seen().arrivals().len(), 1, "{told}");
            }
        }
    });
}

#[test]
fn a_refused_connection_is_tried_again_and_named() {
    each(|facade, emulator| {
        emulator.refuse();
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent));
        assert_eq!(error.attempts().len(), 3, "{}", facade.name());
        let told = format!("no connection to {}", emulator.url());
        assert!(error.to_string().contains(&told), "{error}");
        assert_eq!(emulator.seen().opened(), 0);
        emulator.listen().unwrap();
        assert_eq!(facade.predict(&json!(2)).unwrap().meta.attempts(), 1);

        // A connection that is kept does without.
        emulator.inject(When::Request(0), Fault::refuse().at_end());
        for n in 0..2 {
            assert_eq!(facade.predict(&json!(n)).unwrap().meta.attempts(), 1, "{}", facade.name());
        }
        assert_eq!(emulator.seen().opened(), 1);
    });
}

#[test]
fn a_body_that_breaks_off_is_truncated_and_keeps_what_came() {
    each(|facade, emulator| {
        emulator.model("abc").answer(Answer::bytes("application/json", "[1,2,3,4,5,6,7,8,9]"));
        for fault in [Fault::cut(), Fault::reset(), Fault::close()] {
            emulator.forget();
            emulator.inject(When::Request(0), fault.at_body(7).after(ms(20)));
            let error = facade.predict(&json!(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated, "{}: {error}", facade.name());
            assert_eq!((error.delivery(), error.stop()), (Delivery::Answered, Stop::Final));
            assert_eq!(error.body(), "[1,2,3,", "{}", facade.name());
            assert_eq!(emulator.seen().arrivals().len(), 1);
        }
    });
}

#[test]
fn a_stream_that_breaks_off_says_so_after_what_came() {
    each(|facade, emulator| {
        emulator
            .model("abc")
            .answer(Answer::stream(["one ", "two "]).ending(baseten_emulator::Ending::Close));
        let mut stream = facade.stream(&json!({})).unwrap();
        let (all, error) = stream.rest();
        assert_eq!(all, b"one two ");
        assert_eq!(error.unwrap().kind(), ErrorKind::Truncated, "{}", facade.name());
        assert_eq!(stream.chunk().unwrap(), None, "an error is told once");
    });
}

#[test]
fn what_is_not_http_is_told_as_that() {
    each_with(once(), |facade, emulator| {
        for raw in [
            "SSH-2.0-OpenSSH_9.6\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        ] {
            emulator.model("abc").answer(Answer::raw(raw));
            let error = facade.predict(&json!(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Disconnected, "{}: {error}", facade.name());
            assert!(error.to_string().contains("is not HTTP/1.1"), "{}: {error}", facade.name());
        }
    });
}

#[test]
fn heads_and_bodies_without_end_are_bounded() {
    let limits = baseten::Limits { body: 100_000, ..baseten::Limits::default() };
    each_with(baseten::CallOptions { limits, ..once() }, |facade, emulator| {
        let lines = format!("X-Filler: {}\r\n", "y".repeat(1000)).repeat(80);
        emulator.model("abc").answer(Answer::raw(format!("HTTP/1.1 200 OK\r\n{lines}")));
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{}: {error}", facade.name());
        assert!(error.to_string().contains("limit of 65536 bytes"), "{error}");

        emulator.model("abc").answer(Answer::endless("z".repeat(10_000)));
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{}: {error}", facade.name());
        assert_eq!(error.body().len(), 100_000);
    });
}

#[test]
fn each_clock_fires_and_is_named() {
    use Delivery::{Answered, MaybeRan};
    let limit = ms(60);
    let set = |change: fn(&mut Timeouts, Option<Duration>)| {
        let mut timeouts = Timeouts::default();
        change(&mut timeouts, Some(limit));
        within(timeouts)
    };
    let first_byte = || set(|t, d| t.first_byte = d);
    let idle = || set(|t, d| t.idle = d);
    let total = || set(|t, d| t.total = d);
    let stalled = |fault: Fault| Answer::json(json!([1, 2, 3])).fault(fault);
    let within_head = Fault::stall().at_byte(10);
    let within_body = || Fault::stall().at_body(2);
    //   which clock   where it stalls                what is told                     had come
    for (options, answer, clock, delivery, received) in [
        (first_byte(), stalled(Fault::stall()), Clock::FirstByte, MaybeRan, Some(0)),
        (idle(), stalled(within_head), Clock::Idle, MaybeRan, Some(10)),
        (idle(), stalled(within_body()), Clock::Idle, Answered, Some(2)),
        (total(), stalled(Fault::stall()), Clock::Total, MaybeRan, Some(0)),
        (total(), stalled(within_body()), Clock::Total, Answered, Some(2)),
        (total(), Answer::endless("x"), Clock::Total, Answered, None), // as much as there was time for
    ] {
        each_with(options, |facade, emulator| {
            emulator.model("abc").answer(answer.clone());
            let began = Instant::now();
            let error = facade.predict(&json!(1)).unwrap_err();
            let took = began.elapsed();
            let told = format!("{} {clock:?}: {error}", facade.name());
            assert_eq!(error.kind(), ErrorKind::Timeout, "{told}");
            assert_eq!(error.clock(), Some((clock, limit)), "{told}");
            assert_eq!(error.delivery(), delivery, "{told}");
            match received {
                Some(received) => assert_eq!(error.received(), received, "{told}"),
                None => assert!(error.received() > 0, "{told}"),
            }
            let elapsed = error.elapsed().unwrap();
            assert!(elapsed >= limit && elapsed <= took && took < SOON, "{elapsed:?} {told}");
            if clock == Clock::Idle {
                let says = format!("after {} bytes of the answer and ", error.received());
                assert!(error.to_string().contains(&says) && told.contains("ms in all"), "{told}");
            }
            assert_eq!(emulator.seen().arrivals().len(), 1, "{told}");
        });
    }
}

#[test]
fn a_clock_that_fires_in_a_stream_tells_of_the_whole_call() {
    let idle = ms(400);
    let timeouts = Timeouts { idle: Some(idle), ..Timeouts::default() };
    each_with(within(timeouts), |facade, emulator| {
        let pieces = Answer::stream(["one ", "two ", "three"]).paced(ms(30));
        emulator.model("abc").answer(pieces.ending(baseten_emulator::Ending::Stall));
        emulator.model("abc").then(Answer::platform_error(503).header("retry-after-ms", "50"));
        let began = Instant::now();
        let (all, error) = facade.stream(&json!({})).unwrap().rest();
        let (error, took) = (error.unwrap(), began.elapsed());
        assert_eq!(error.clock(), Some((Clock::Idle, idle)), "{}: {error}", facade.name());
        assert_eq!((&all[..], error.received()), (&b"one two three"[..], 13));
        // The pause, two pieces' and the clock.
        let elapsed = error.elapsed().unwrap();
        assert!(elapsed >= ms(50 + 2 * 30) + idle && elapsed <= took, "{elapsed:?} {took:?}");
        assert_eq!(error.attempts().len(), 1, "the other one was accepted");
    });
}

#[test]
fn any_byte_resets_the_idle_clock() {
    let timeouts = Timeouts { idle: Some(ms(400)), ..Timeouts::default() };
    each_with(within(timeouts), |facade, emulator| {
        // One byte each 40 ms takes longer than the clock in all, and than a chunk.
        emulator.model("abc").answer(
            Answer::stream(["0123456789", "0123456789"]).fault(Fault::slow(1, ms(20)).at_body(0)),
        );
        let (all, error) = facade.stream(&json!({})).unwrap().rest();
        assert!(error.is_none(), "{}: {error:?}", facade.name());
        assert_eq!(all, b"01234567890123456789");
    });
}

#[test]
fn a_connection_closed_while_idle_costs_nothing() {
    each(|facade, emulator| {
        let stray =
            Fault::send("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").at_end();
        for faults in [
            vec![Fault::close().at_end()],
            vec![Fault::reset().at_end()],
            vec![stray, Fault::close().at_end()],
        ] {
            emulator.forget();
            let closed = emulator.seen().closed();
            for fault in &faults {
                emulator.inject(When::Request(0), fault.clone());
            }
            facade.predict(&json!(1)).unwrap();
            emulator.wait_until(SOON, |seen| seen.closed() > closed).unwrap();
            let answer = facade.predict(&json!(2)).unwrap();
            assert_eq!(answer.meta.attempts(), 1, "{} {faults:?}", facade.name());
            assert_eq!(emulator.seen().arrivals().len(), 2, "{} {faults:?}", facade.name());
        }
    });
}

#[test]
fn an_early_answer_is_heard_during_the_upload() {
    each_with(once(), |facade, emulator| {
        let large = Bytes::from(vec![b'x'; 32 << 20]);
        for after in [0, 100_000] {
            emulator.model("abc").answer(Answer::platform_error(413).early(after));
            let error =
                facade.predict_bytes("application/octet-stream", large.clone()).unwrap_err();
            assert_eq!(
                error.status().map(|s| s.as_u16()),
                Some(413),
                "{} {after}: {error:?}",
                facade.name()
            );
        }
    });
}

#[test]
fn informational_answers_are_passed_over() {
    each(|facade, emulator| {
        for status in [100, 102, 103] {
            emulator.inject(When::Request(0), Fault::interim(status));
            assert_eq!(facade.predict(&json!(1)).unwrap().meta.status(), 200, "{}", facade.name());
        }
    });
}

#[test]
fn dropping_a_stream_is_seen_before_the_next_event() {
    each(|facade, emulator| {
        let pause = Duration::from_secs(60);
        emulator.model("abc").answer(Answer::stream(["one", "two"]).paced(pause));
        let mut stream = facade.stream(&json!({})).unwrap();
        assert_eq!(stream.chunk().unwrap().unwrap(), "one");
        drop(stream);
        let seen = emulator.wait_until(SOON, |seen| seen.ended() == 1).unwrap();
        let outcome = seen.last().unwrap().outcome.unwrap();
        let left = matches!(outcome, baseten_emulator::Outcome::PeerLeft { after_events: 1, .. });
        assert!(left, "{}: {outcome:?}", facade.name());
    });
}
