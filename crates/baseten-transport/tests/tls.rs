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
use rustls::{CipherSuite, ClientConfig, ServerConfig, ServerConnection, StreamOwned};
use waits::secure::{Authority, config, provider, serve, versions};
use waits::{OK, Server, each, read_request, told};

#[test]
fn a_certificate_that_will_not_do_is_told_with_its_reason() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    //   certificate                          what the error says   reason
    for (signed, expect) in [
        (ours.sign("127.0.0.1", 2020), "expired"), // was good once
        (ours.sign("10.0.0.1", 4000), "not valid for"), // another address
        (theirs.local(), "UnknownIssuer"),         // an authority that nobody named
    ] {
        let (server, url) = serve(config(&signed), OK);
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
        let (server, url) = serve(versions(&ours.local(), &[version]), OK);
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
        let config = Arc::new(config(&ours.local()));
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

/// A server that wants a certificate of this authority.
fn demanding(ours: &Authority) -> (Server, String) {
    let roots = Arc::new(ours.roots());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_client_cert_verifier(verifier);
    let signed = ours.local();
    serve(builder.with_single_cert(signed.chain(), signed.key()).unwrap(), OK)
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let ours = Authority::new("ours");
    let (_server, url) = demanding(&ours);
    let signed = ours.sign("client.example", 4000);
    let (chain, key) = signed.pem();
    let trusting = ours.trusted().tls;
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(ours.roots());
    let own = builder.with_client_auth_cert(signed.chain(), signed.key()).unwrap();
    let known = trusting.with_client_certificate(chain.as_bytes(), key.as_bytes()).unwrap();
    for (tls, good) in [(known, true), (Tls::from_config(Arc::new(own)), true), (trusting, false)] {
        each(&Options { tls, ..Options::default() }, |transport| match transport.post(&url) {
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
fn roots_may_be_ones_own_alone_and_pem_or_der() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (_server, url) = serve(config(&ours.local()), OK);
    let (our_pem, their_pem) = (ours.pem(), theirs.pem());
    let (web, ours_too) = (Tls::default(), Tls::default().with_extra_roots(ours.der()).unwrap());
    let count = |tls: &Tls| format!("{tls:?}");
    assert_ne!(count(&web), count(&ours_too));
    //   roots                                                       trusts ours
    for (tls, good) in [
        (web.with_only_roots(our_pem.as_bytes()), true),
        (web.with_only_roots(ours.der()), true),
        (ours_too.with_only_roots(their_pem.as_bytes()), false), // what was added before goes, too
        (web.with_only_roots((our_pem + &their_pem).as_bytes()), true),
        (web.with_only_roots(theirs.der()).unwrap().with_extra_roots(ours.der()), true),
        (web.with_extra_roots(theirs.der()), false),
    ] {
        each(&Options { tls: tls.unwrap(), ..Options::default() }, |transport| {
            match transport.post(&url) {
                Ok(answer) => assert!(good && answer.value == "ok"),
                Err(error) => assert!(!good && told(&error).contains("UnknownIssuer"), "{error:?}"),
            }
        });
    }
    assert!(count(&web.with_only_roots(ours.der()).unwrap()).contains("roots: Some(1)"));
}

#[test]
fn the_provider_may_be_any() {
    let only = |suite| {
        let suites = ring::DEFAULT_CIPHER_SUITES.iter().copied();
        let cipher_suites = suites.filter(|has| has.suite() == suite).collect();
        Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() })
    };
    let (aes, chacha) =
        (CipherSuite::TLS13_AES_256_GCM_SHA384, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    let ours = Authority::new("ours");
    let signed = ours.local();
    let server = ServerConfig::builder_with_provider(only(aes));
    let server = server.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let server = server.with_no_client_auth().with_single_cert(signed.chain(), signed.key());
    let (_server, url) = serve(server.unwrap(), OK);
    for (suite, good) in [(aes, true), (chacha, false)] {
        let tls = ours.trusted().tls.with_provider(only(suite)).unwrap();
        each(&Options { tls, ..Options::default() }, |transport| {
            let cause = transport.post(&url).err().map(|error| error.cause());
            assert_eq!(cause, (!good).then_some(Some(Cause::Tls)), "{suite:?}");
        });
    }
}

#[test]
fn what_cannot_be_used_is_refused_and_no_key_is_shown() {
    let ours = Authority::new("ours");
    let (chain, key) = ours.sign("client.example", 4000).pem();
    let (_, another) = ours.sign("client.example", 4000).pem();
    let (chain, key, another) = (chain.as_bytes(), key.as_bytes(), another.as_bytes());
    let web = Tls::default();
    let useless = CryptoProvider { cipher_suites: Vec::new(), ..ring::default_provider() };
    let own = ClientConfig::builder_with_provider(provider());
    let own = own.with_safe_default_protocol_versions().unwrap();
    let own = own.with_root_certificates(ours.roots()).with_no_client_auth();
    let own = Tls::from_config(Arc::new(own));
    //   attempt                                              what is said
    for (tls, expect) in [
        (web.with_client_certificate(b"", key), "client certificate: it holds no certificate"),
        (web.with_client_certificate(chain, b""), "client key: the PEM text holds no private key"),
        (
            web.with_client_certificate(chain, chain),
            "client key: the PEM text holds no private key",
        ),
        (web.with_client_certificate(chain, another), "client certificate: "),
        (web.with_only_roots(b"nothing"), "roots: it holds no certificate"),
        (web.with_provider(Arc::new(useless)), "provider: "),
        // Made over, it would have lost what its owner had set.
        (own.with_extra_roots(ours.der()), "configuration of your own"),
        (own.with_root_files(None, None), "configuration of your own"),
        (own.with_client_certificate(chain, key), "configuration of your own"),
    ] {
        let error = tls.unwrap_err();
        assert!(error.to_string().contains(expect), "{expect}: {error}");
    }
    let line = std::str::from_utf8(key).unwrap().lines().nth(1).unwrap();
    let tls = web.with_client_certificate(chain, key).unwrap();
    assert!(!format!("{tls:?}").contains(line), "{tls:?}");
}
