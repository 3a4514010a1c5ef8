//! A program may link two providers of rustls, each switched on by another of its crates. rustls then
//! chooses none, and whoever asks it for the default panics; unless somebody has installed one, which
//! may be any.
//!
//! The tests of this crate are built with rustls' feature `custom-provider`, by which it refuses to
//! choose in the same way, without the C code of a second provider.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod waits;

use std::panic;
use std::sync::Arc;

use baseten_transport::{Options, Tls};
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use waits::secure::{Authority, config, provider, serve};
use waits::{OK, each};

#[test]
fn nobody_asks_for_the_default_provider_of_the_process() {
    let asked = panic::catch_unwind(|| drop(ClientConfig::builder()));
    assert!(asked.is_err(), "there must be no default, or this proves nothing");
    call_in_all_ways();
    assert!(CryptoProvider::get_default().is_none(), "none is installed for others either");

    // What another crate may have installed: here one that cannot encrypt at all.
    let useless = CryptoProvider { cipher_suites: Vec::new(), ..ring::default_provider() };
    useless.install_default().unwrap();
    call_in_all_ways();
}

/// Each way to say whom to trust and how to encrypt.
fn call_in_all_ways() {
    let ours = Authority::new("ours");
    let (_server, url) = serve(config(&ours.local()), OK);
    let (pem, (chain, key)) = (ours.pem(), ours.sign("client.example", 4000).pem());
    let own = ClientConfig::builder_with_provider(provider());
    let own = own.with_safe_default_protocol_versions().unwrap();
    let own = own.with_root_certificates(ours.roots()).with_no_client_auth();
    let trusting = Tls::default().with_extra_roots(pem.as_bytes()).unwrap();
    for tls in [
        Tls::default().with_only_roots(pem.as_bytes()),
        trusting.with_client_certificate(chain.as_bytes(), key.as_bytes()),
        trusting.with_provider(provider()),
        trusting.with_root_files(None, None),
        trusting.with_server_name("127.0.0.1"),
        Ok(Tls::from_config(Arc::new(own))),
        Ok(trusting),
    ] {
        let options = Options { tls: tls.unwrap(), ..Options::default() };
        each(&options, |transport| {
            assert_eq!(transport.post(&url).unwrap().value, "ok", "{}", transport.name());
        });
    }
}
