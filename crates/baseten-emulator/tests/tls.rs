//! TLS: the certificate, faults before and behind it, and the ways a TLS connection ends.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use baseten_emulator::{Answer, Emulator, Fault, Outcome, When};
use common::{Reply, connect, post};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type Stream = StreamOwned<ClientConnection, TcpStream>;
const PREDICT: &str = "/model/abc/predict";

fn emulator() -> Emulator {
    Emulator::builder().tls(true).start().unwrap()
}

fn config(emulator: &Emulator) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(emulator.ca_der().unwrap().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn dial(emulator: &Emulator, config: &Arc<ClientConfig>, name: &str) -> Stream {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(Arc::clone(config), name).unwrap();
    StreamOwned::new(session, connect(emulator))
}

/// Plaintext until the end; `Err` tells how it broke.
fn ask(emulator: &Emulator, config: &Arc<ClientConfig>) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut stream = dial(emulator, config, "localhost");
    let mut got = Vec::new();
    let result = stream
        .write_all(post(PREDICT, "1").as_bytes())
        .and_then(|()| stream.read_to_end(&mut got))
        .map_or_else(|error| Err(error.kind()), |_| Ok(()));
    (got, result)
}

#[test]
fn goes_by_all_its_names() {
    let emulator = emulator();
    assert!(emulator.url().starts_with("https://127.0.0.1:"));
    assert!(emulator.ca_pem().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    let config = config(&emulator);
    for name in ["localhost", "127.0.0.1", "api.localhost", "model-abc.api.localhost"] {
        let mut stream = dial(&emulator, &config, name);
        for n in 0..3 {
            stream.write_all(post(PREDICT, &n.to_string()).as_bytes()).unwrap();
            assert_eq!(Reply::read(&mut stream).status, 200, "{name}");
        }
    }
    let mut stranger = dial(&emulator, &config, "example.com");
    assert_eq!(stranger.write_all(b"x").unwrap_err().kind(), ErrorKind::InvalidData);
    drop(stranger);
    let seen = emulator.wait_until(Duration::from_secs(5), |seen| seen.closed() == 5).unwrap();
    assert_eq!(seen.connections()[4].requests, 0);
    let other = self::emulator();
    assert_ne!(emulator.ca_der(), other.ca_der(), "each is its own authority");
}

#[test]
fn cut_is_without_close_notify_and_close_is_with() {
    let emulator = emulator();
    let config = config(&emulator);
    emulator.model("abc").answer(Answer::raw("0123456789"));
    // (fault, bytes, how it ends, reason)
    let table = [
        (Fault::close(), 4, Ok(()), "close_notify"),
        (Fault::cut(), 4, Err(ErrorKind::UnexpectedEof), "FIN alone"),
        (Fault::reset(), 4, Err(ErrorKind::ConnectionReset), "RST"),
        (Fault::garble(1), 10, Ok(()), "garbled before TLS: the record is good"),
        (Fault::garble(1).on_tcp(), 0, Err(ErrorKind::InvalidData), "garbled behind TLS"),
    ];
    for (fault, bytes, end, reason) in table {
        let on_tcp = fault.layer == baseten_emulator::Layer::Tcp;
        let at = if on_tcp { 10 } else { 4 };
        emulator.inject(When::Request(0), fault.at_byte(at));
        let (got, ended) = ask(&emulator, &config);
        assert_eq!((got.len(), ended), (bytes, end), "{reason}");
    }
}

#[test]
fn cuts_at_every_byte_of_tls() {
    let emulator = emulator();
    let config = config(&emulator);
    emulator.model("abc").answer(Answer::raw("0123456789"));
    // One record: 5 bytes of header, 10 of data, 1 of type and 16 of tag; then close_notify.
    for n in 0..=40 {
        emulator.inject(When::Request(0), Fault::cut().at_byte(n).on_tcp());
        let (got, ended) = ask(&emulator, &config);
        assert_eq!(got.len(), if n < 32 { 0 } else { 10 }, "{n}");
        assert_eq!(ended, Err(ErrorKind::UnexpectedEof), "{n}: the close_notify is never whole");
        let outcome = emulator.seen().last().unwrap().outcome;
        let completed = matches!(outcome, Some(Outcome::Completed { .. }));
        assert_eq!(completed, n > 32, "{n}: {outcome:?}");
    }
}

#[test]
fn breaks_handshakes_at_every_byte() {
    let emulator = emulator();
    let config = config(&emulator);
    let mut failed = 0_u64;
    for n in 0.. {
        emulator.inject(When::Connection(0), Fault::cut().at_byte(n).on_tcp());
        let mut stream = dial(&emulator, &config, "localhost");
        let handshake = stream.conn.complete_io(&mut stream.sock);
        if handshake.is_ok() {
            break;
        }
        failed = n;
    }
    assert!((500..5000).contains(&failed), "{failed} bytes of handshake");
    assert_eq!(emulator.seen().arrivals().len(), 0);
}

#[test]
fn splits_tls_into_single_bytes() {
    let emulator = emulator();
    let config = config(&emulator);
    emulator.inject(When::Connection(0), Fault::split(1).on_tcp());
    let mut stream = dial(&emulator, &config, "localhost");
    stream.write_all(post(PREDICT, "1").as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut stream).status, 200);
}

#[test]
fn notices_at_once_that_a_peer_left() {
    let emulator = emulator();
    let config = config(&emulator);
    let hour = Duration::from_secs(3600);
    emulator.model("abc").answer(Answer::stream([(Duration::ZERO, "a"), (hour, "b")]));
    let mut stream = dial(&emulator, &config, "localhost");
    stream.write_all(post(PREDICT, "1").as_bytes()).unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"\r\na\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        got.push(byte[0]);
    }
    drop(stream);
    let seen = emulator.wait_until(Duration::from_secs(5), |seen| seen.ended() == 1).unwrap();
    assert!(matches!(
        seen.last().unwrap().outcome,
        Some(Outcome::PeerLeft { after_events: 1, .. })
    ));
}

#[test]
fn answers_an_upload_early() {
    let emulator = emulator();
    let config = config(&emulator);
    emulator.model("abc").answer(Answer::platform_error(413).early(0));
    let mut stream = dial(&emulator, &config, "localhost");
    let request = post(PREDICT, "x").replace("Content-Length: 1", "Content-Length: 1000000");
    stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut stream).status, 413);
    stream.write_all(&vec![b'x'; 900_000]).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "close_notify");
}
