//! Where the tests' WebSockets go.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its own part, and stops where it cannot go on"
)]

use std::time::Duration;

use baseten_core::{
    Answer, CallOptions, Credential, Endpoint, Hosts, ModelId, Operation, Target, Template,
};
use baseten_emulator::{DUMMY_KEY, Emulator, Seen};
use baseten_transport::Options;
use baseten_transport::nonblocking::{Transport, Upgrade};
use baseten_websocket::WebSocket;

/// The model `abc` at these hosts, called with the emulator's key.
pub(crate) fn upgrade_at(hosts: &Hosts, options: Options) -> Upgrade {
    let target = Target::model(ModelId::new("abc").unwrap());
    let endpoint = Endpoint::new(hosts, &target, &Operation::WebSocket).unwrap();
    let credential = Credential::api_key(DUMMY_KEY).unwrap();
    let template = Template::new(endpoint, &credential, Answer::Stream).unwrap();
    Upgrade { transport: Transport::new(options), template, options: CallOptions::default() }
}

pub(crate) fn hosts(emulator: &Emulator) -> Hosts {
    let scheme = if emulator.ca_pem().is_some() { "https" } else { "http" };
    Hosts::root(&format!("{scheme}://{}", emulator.root())).unwrap()
}

pub(crate) fn upgrade(emulator: &Emulator) -> Upgrade {
    upgrade_at(&hosts(emulator), Options::default())
}

pub(crate) async fn connect(emulator: &Emulator) -> WebSocket {
    WebSocket::connect(&upgrade(emulator)).await.unwrap()
}

/// Waits for the emulator, which works on a thread of its own, to see something; our own runtime stands
/// still meanwhile.
pub(crate) fn within(emulator: &Emulator, cond: impl FnMut(&Seen) -> bool) -> Seen {
    emulator.wait_until(Duration::from_secs(10), cond).unwrap()
}
