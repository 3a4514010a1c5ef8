//! What is said of a host that no connection leads to.
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
