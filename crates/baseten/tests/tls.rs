//! TLS through both facades: whom they trust, and what becomes of connections. The emulator has an
//! authority of its own, and a certificate for `localhost`, `*.api.localhost` and 127.0.0.1.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod facades;

use baseten::{Cause, Clock, Delivery, ErrorKind, Stop, Timeouts, Tls};
use baseten_emulator::{Emulator, Fault, When};
use facades::{Facade, SOON, each_tls_with, once, within};
use serde_json::json;

fn secure() -> Emulator {
    Emulator::builder().tls(true).start().unwrap()
}

#[test]
fn only_a_trusted_certificate_for_this_name_will_do() {
    let emulator = secure();
    let port = emulator.addr().port();
    let own = Tls::default().with_extra_roots(emulator.ca_pem().unwrap().as_bytes()).unwrap();
    //   host                    path          trust  outcome
    for (host, path, tls, good) in [
        ("127.0.0.1", "/model/abc", &own, true),
        ("localhost", "/model/abc", &own, true),
        ("model-abc.api.localhost", "", &own, true),
        ("elsewhere.localhost", "/model/abc", &own, false), // trusted, but not for this name
        ("127.0.0.1", "/model/abc", &Tls::default(), false), // unknown to the web's authorities
    ] {
        let url = format!("https://{host}:{port}{path}");
        for blocking in [false, true] {
            let facade = Facade::secure(blocking, &url, tls, once());
            let told = format!("{} {host}", facade.name());
            match facade.predict(&json!(1)) {
                Ok(answer) => assert!(good && answer.meta.status() == 200, "{told}"),
                Err(error) => {
                    assert!(!good, "{told}: {error:?}");
                    assert_eq!(error.kind(), ErrorKind::Connect, "{told}: {error:?}");
                    assert_eq!(error.cause(), Some(Cause::Tls), "{told}: {error:?}");
                    assert_eq!(error.delivery(), Delivery::NotSent, "{told}");
                    assert!(format!("{error:?}").contains("certificate"), "{told}: {error:?}");
                }
            }
        }
    }
}

#[test]
fn a_server_name_of_ones_own_is_asked_for_and_checked() {
    let emulator = secure();
    let port = emulator.addr().port();
    let own = Tls::default().with_extra_roots(emulator.ca_pem().unwrap().as_bytes()).unwrap();
    //   connected to            server name                      outcome
    for (host, name, good) in [
        ("elsewhere.localhost", "localhost", true), // whose own name has no certificate
        ("elsewhere.localhost", "model-abc.api.localhost", true),
        ("elsewhere.localhost", "127.0.0.1", true), // an address has no SNI, but a certificate
        ("localhost", "elsewhere.localhost", false), // although the host's own name has one
    ] {
        let tls = own.with_server_name(name).unwrap();
        // Whatever is said after it keeps it.
        for tls in
            [tls.clone(), tls.with_extra_roots(emulator.ca_pem().unwrap().as_bytes()).unwrap()]
        {
            let url = format!("https://{host}:{port}/model/abc");
            for blocking in [false, true] {
                let facade = Facade::secure(blocking, &url, &tls, once());
                let told = format!("{} {host} as {name}", facade.name());
                match facade.predict(&json!(1)) {
                    Ok(_) => assert!(good, "{told}"),
                    Err(error) => {
                        assert!(!good, "{told}: {error:?}");
                        assert_eq!(
                            (error.cause(), error.delivery()),
                            (Some(Cause::Tls), Delivery::NotSent)
                        );
                    }
                }
                let seen = emulator.seen();
                let host = format!("{host}:{port}");
                assert!(
                    seen.arrivals().iter().all(|seen| seen.header("host") != Some(name)),
                    "{host}"
                );
            }
        }
    }
    for name in ["", "two words", "https://localhost", "a:443"] {
        let error = own.with_server_name(name).unwrap_err();
        assert!(error.to_string().contains("TLS server name: it is no DNS name"), "{error}");
    }
}

/// A gateway by its address, told by both names which model is meant.
#[test]
fn server_name_and_host_header_go_together() {
    let emulator = secure();
    let hosts = baseten::Hosts::base_url(&format!("https://{}", emulator.addr())).unwrap();
    let hosts = hosts.with_host_header("model-abc.api.localhost").unwrap();
    let tls = Tls::default().with_only_roots(emulator.ca_pem().unwrap().as_bytes()).unwrap();
    let tls = tls.with_server_name("model-abc.api.localhost").unwrap();
    macro_rules! model {
        ($facade:ident) => {{
            let client = $facade::Client::builder().api_key(baseten_emulator::DUMMY_KEY);
            client.hosts(hosts.clone()).tls(tls.clone()).build().unwrap().model("abc").unwrap()
        }};
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let model = model!(baseten);
    runtime.block_on(model.predict::<_, serde_json::Value>(&1)).unwrap();
    model!(baseten_blocking).predict::<_, serde_json::Value>(&1).unwrap();
    let seen = emulator.seen();
    assert_eq!(seen.arrivals().len(), 2);
    for arrival in seen.arrivals() {
        assert_eq!(arrival.header("host"), Some("model-abc.api.localhost"));
    }
}

#[test]
fn a_bad_certificate_is_not_tried_again() {
    for blocking in [false, true] {
        let emulator = secure();
        let url = emulator.base_url("abc");
        let facade = Facade::secure(blocking, &url, &Tls::default(), Default::default());
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!((error.stop(), error.attempts().len()), (Stop::Final, 1), "{error:?}");
        assert_eq!(emulator.seen().opened(), 1, "{}", facade.name());
    }
}

#[test]
fn a_handshake_that_breaks_is_tried_again() {
    each_tls_with(Default::default(), |facade, emulator| {
        emulator.inject(When::Connection(0), Fault::reset().at_byte(20).on_tcp());
        let answer = facade.predict(&json!(1)).unwrap();
        assert_eq!(answer.meta.attempts(), 2, "{}", facade.name());
        assert_eq!(answer.meta.failed_attempts()[0].delivery, Delivery::NotSent);
    });
}

#[test]
fn roots_must_be_certificates() {
    let emulator = secure();
    for (pem, expect) in [
        (&b""[..], "holds no certificate"),
        (b"no PEM at all", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "TLS roots: "),
    ] {
        let error = Tls::default().with_extra_roots(pem).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    }
    let missing = Tls::default().with_root_files(Some("/no/such/file".as_ref()), None).unwrap_err();
    assert!(missing.to_string().contains("/no/such/file"), "{missing}");
    // A directory as SSL_CERT_DIR names it, with a file in it that is no certificate.
    let dir = std::env::temp_dir().join(format!("baseten-roots-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("ca.pem"), emulator.ca_pem().unwrap()).unwrap();
    std::fs::write(dir.join("README"), "not a certificate").unwrap();
    let tls = Tls::default().with_root_files(None, Some(dir.as_os_str())).unwrap();
    let facade = Facade::secure(true, &emulator.base_url("abc"), &tls, once());
    facade.predict(&json!(1)).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_connection_is_kept_although_tickets_wait_in_it() {
    each_tls_with(once(), |facade, emulator| {
        for n in 0..5 {
            facade.predict(&json!(n)).unwrap();
        }
        assert_eq!(emulator.seen().opened(), 1, "{}", facade.name());
    });
}

#[test]
fn a_connection_closed_while_idle_is_replaced_unseen() {
    each_tls_with(Default::default(), |facade, emulator| {
        for fault in [Fault::close(), Fault::cut(), Fault::reset()] {
            let closed = emulator.seen().closed();
            emulator.inject(When::Request(0), fault.clone().at_end());
            facade.predict(&json!(1)).unwrap();
            emulator.wait_until(SOON, |seen| seen.closed() > closed).unwrap();
            let answer = facade.predict(&json!(2)).unwrap();
            assert_eq!(answer.meta.attempts(), 1, "{} {fault:?}", facade.name());
        }
        assert_eq!(emulator.seen().arrivals().len(), 6);
    });
}

#[test]
fn the_connect_clock_bounds_the_handshake() {
    let limit = std::time::Duration::from_millis(80);
    let timeouts = Timeouts { connect: Some(limit), ..Timeouts::default() };
    let options = baseten::CallOptions { retry: once().retry, ..within(timeouts) };
    each_tls_with(options, |facade, emulator| {
        // The server says nothing after the connection is open.
        emulator.inject(When::EveryConnection, Fault::stall().on_tcp());
        let error = facade.predict(&json!(1)).unwrap_err();
        assert_eq!(error.clock(), Some((Clock::Connect, limit)), "{}: {error:?}", facade.name());
        assert_eq!(error.delivery(), Delivery::NotSent);
    });
}
