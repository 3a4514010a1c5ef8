//! What is said of a host that no connection leads to, and how a connection is set that came about.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod waits;

use std::net::TcpListener;

use baseten_core::{Cause, Delivery};
use baseten_transport::Options;
use waits::{each, told};

#[test]
fn every_address_that_was_tried_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    each(&Options::default(), |transport| {
        // Names below it are this machine as well, in both families, without asking anybody.
        let error = transport.post(&format!("http://model.localhost:{port}")).unwrap_err();
        let told = format!("{}: {}", transport.name(), told(&error));
        assert!(
            told.contains(&format!("no connection to http://model.localhost:{port}")),
            "{told}"
        );
        assert!(told.contains(&format!("127.0.0.1:{port}: Connection refused")), "{told}");
        // Refused as well, or there is no IPv6 here.
        assert!(told.contains(&format!("[::1]:{port}: ")), "{told}");
        assert_eq!((error.cause(), error.delivery()), (Some(Cause::Connect), Delivery::NotSent));
    });
}

/// The kernel tells of keep-alive by the timer of an idle socket, and of `TCP_NODELAY` nowhere: that is
/// seen to in `net.rs`.
#[cfg(target_os = "linux")]
#[test]
fn an_idle_connection_is_probed_after_a_minute() {
    use std::sync::mpsc;

    each(&Options::default(), |transport| {
        let (told, peer) = mpsc::channel();
        let server = waits::Server::start(move |mut stream| {
            told.send(stream.peer_addr().unwrap().port()).unwrap();
            waits::answer(&mut stream, waits::OK);
        });
        transport.post(&format!("http://{}", server.address)).unwrap();
        let port = peer.recv().unwrap();
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        // Other connections of this port may linger.
        let ends = [port, server.address.port()].map(|port| format!("0100007F:{port:04X}"));
        let row: Vec<&str> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|row| row.get(1..3).is_some_and(|found| found == ends))
            .unwrap();
        // Which timer, and when it is due, in hundredths of a second.
        let (timer, due) = row[5].split_once(':').unwrap();
        let due = u64::from_str_radix(due, 16).unwrap();
        assert_eq!(timer, "02", "{}: {row:?}", transport.name());
        assert!((5000..=6000).contains(&due), "{}: {row:?}", transport.name());
    });
}
