//! TLS over both transports, against a server of rustls with whatever certificate a case needs.
//! (Names, tickets and faults at each byte are in the tests of the facades.)
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod waits;

use std::io::Write;
use std::sync::Arc;

use baseten_core::{Cause, Delivery, ErrorKind};
use baseten_transport::{Options, Tls};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ServerConfig, ServerConnection, StreamOwned};
use waits::secure::{Authority, config, provider, serve, versions};
use waits::{OK, Server, each, read_request, told};

#[test]
fn a_certificate_that_will_not_do_is_told_with_its_reason() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    //   certificate                          what the error says   reason
    for (identity, expect) in [
        (ours.sign("127.0.0.1", 2020), "expired"), // was good once
        (ours.sign("10.0.0.1", 4000), "not valid for"), // another address
        (theirs.local(), "UnknownIssuer"),         // an authority that nobody named
    ] {
        let (server, url) = serve(config(identity), OK);
        each(&ours.trusted(), |transport| {
            let error = transport.post(&url).unwrap_err();
            let told = format!("{}: {}", transport.name(), told(&error));
            assert!(told.contains(expect) && told.contains("certificate"), "{told}");
            assert_eq!((error.kind(), error.cause()), (ErrorKind::Connect, Some(Cause::Tls)));
            assert_eq!(error.delivery(), Delivery::NotSent, "{told}");
        });
        assert_eq!(server.taken(), 2, "one connection each");
    }
}

#[test]
fn both_versions_are_spoken_and_connections_kept() {
    for version in rustls::ALL_VERSIONS {
        let ours = Authority::new("ours");
        let (server, url) = serve(versions(ours.local(), &[version]), OK);
        each(&ours.trusted(), |transport| {
            for _ in 0..3 {
                assert_eq!(transport.post(&url).unwrap().value, "ok", "{version:?}");
            }
        });
        assert_eq!(server.taken(), 2, "{version:?}: one connection each");
    }
}

#[test]
fn a_body_that_ends_with_the_connection_is_whole_only_after_a_goodbye() {
    for goodbye in [true, false] {
        let ours = Authority::new("ours");
        let config = Arc::new(config(ours.local()));
        let server = Server::start(move |stream| {
            let session = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            read_request(&mut stream).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nall of it").unwrap();
            if goodbye {
                stream.conn.send_close_notify();
            }
            stream.flush().unwrap();
        });
        each(&ours.trusted(), |transport| {
            match transport.post(&format!("https://{}", server.address)) {
                Ok(answer) => assert!(goodbye && answer.value == "all of it"),
                Err(error) => {
                    let told = format!("{}: {}", transport.name(), told(&error));
                    assert!(!goodbye, "{told}");
                    assert_eq!(error.kind(), ErrorKind::Truncated, "{told}");
                    assert_eq!(error.body(), "all of it", "{told}");
                }
            }
        });
    }
}

#[test]
fn a_configuration_of_ones_own_shows_a_client_certificate() {
    let ours = Authority::new("ours");
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(ours.roots()), provider()).build();
    let (chain, key) = ours.local();
    let server = ServerConfig::builder_with_provider(provider());
    let server = server.with_safe_default_protocol_versions().unwrap();
    let server = server.with_client_cert_verifier(verifier.unwrap());
    let (_server, url) = serve(server.with_single_cert(chain, key).unwrap(), OK);

    let client = || {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        builder.with_root_certificates(ours.roots())
    };
    let (chain, key) = ours.sign("client.example", 4000);
    let known = client().with_client_auth_cert(chain, key).unwrap();
    for (config, good) in [(known, true), (client().with_no_client_auth(), false)] {
        let options = Options { tls: Tls::from_config(Arc::new(config)), ..Options::default() };
        each(&options, |transport| match transport.post(&url) {
            Ok(answer) => assert!(good && answer.value == "ok", "{}", transport.name()),
            Err(error) => {
                // In TLS 1.3 a client learns after its handshake that it was not welcome.
                let told = told(&error);
                assert!(!good && told.contains("CertificateRequired"), "{told}");
            }
        });
    }
}

#[test]
fn the_default_provider_of_the_process_is_never_asked() {
    // What another crate may have installed: here one that cannot encrypt at all.
    let useless = CryptoProvider { cipher_suites: Vec::new(), ..ring::default_provider() };
    useless.install_default().unwrap();
    let ours = Authority::new("ours");
    let (_server, url) = serve(config(ours.local()), OK);
    each(&ours.trusted(), |transport| {
        assert_eq!(transport.post(&url).unwrap().value, "ok", "{}", transport.name());
    });
}
