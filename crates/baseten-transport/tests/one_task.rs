//! What the async transport does in the turns of one task, which holds many calls or comes late.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod waits;

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use baseten_core::{CallOptions, Cause, Clock, RetryPolicy, Timeouts};
use baseten_transport::{Options, nonblocking};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use waits::{OK, Server, read_request, request};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// More than a test should take.
const LONG: Duration = Duration::from_secs(20);

/// A task may do so much in a turn of tokio's, and is put off after that; clocks are set all the same.
#[test]
fn clocks_run_for_each_of_many_calls_in_one_task() {
    let server = Server::start(|mut stream| {
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let request = request(&format!("http://{}", server.address));
    let limit = Duration::from_millis(300);
    let options = CallOptions {
        retry: RetryPolicy::never(),
        timeouts: Timeouts { first_byte: Some(limit), ..Timeouts::default() },
        ..CallOptions::default()
    };
    let transport = nonblocking::Transport::new(Options::default());
    runtime().block_on(async {
        let mut calls: Vec<_> =
            (0..200).map(|_| Box::pin(transport.fetch(&request, &options))).collect();
        let all = poll_fn(|cx| {
            calls.retain_mut(|call| match call.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(outcome) => {
                    let cause = outcome.unwrap_err().cause();
                    assert_eq!(cause, Some(Cause::Timeout { clock: Clock::FirstByte, limit }));
                    false
                }
            });
            if calls.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        let all = timeout(LONG, all).await;
        assert!(all.is_ok(), "{} calls wait for ever", calls.len());
    });
}

/// Bytes and end are seen in one turn by a task that comes late.
#[test]
fn a_server_that_leaves_with_its_answer_is_left_at_once() {
    let (say, said) = mpsc::channel();
    let (leave, left) = mpsc::channel();
    let server = Server::start(move |mut stream: TcpStream| {
        read_request(&mut stream).unwrap();
        stream.write_all(OK).unwrap();
        read_request(&mut stream).unwrap();
        stream.write_all(OK).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        say.send(()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        leave.send(matches!(stream.read(&mut [0]), Ok(0))).unwrap();
    });
    let request = request(&format!("http://{}", server.address));
    let options = CallOptions { retry: RetryPolicy::never(), ..CallOptions::default() };
    let transport = nonblocking::Transport::new(Options::default());
    runtime().block_on(async {
        transport.fetch(&request, &options).await.unwrap();
        let mut call = pin!(transport.fetch(&request, &options));
        // Over the kept connection the first poll sends.
        let sent = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending()));
        assert!(sent.await);
        said.recv_timeout(LONG).unwrap();
        assert_eq!(call.await.unwrap().value, "ok");
    });
    // Nothing runs here any more that could find out.
    assert!(left.recv_timeout(LONG).unwrap(), "the connection was kept");
}
