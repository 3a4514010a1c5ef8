//! TLS servers, with whatever certificate a case needs.

use std::sync::Arc;

use baseten_transport::{Options, Tls};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

use super::{Server, answer};

/// A certificate authority, and what it signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, and its key.
pub(crate) struct Signed {
    certificate: Certificate,
    key: KeyPair,
}

impl Signed {
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone()]
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    /// Certificate and key.
    pub(crate) fn pem(&self) -> (String, String) {
        (self.certificate.pem(), self.key.serialize_pem())
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// A certificate for `name` that is good until `year`.
    pub(crate) fn sign(&self, name: &str, year: i32) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        Signed { certificate: params.signed_by(&key, &self.0).unwrap(), key }
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.0.der()
    }

    /// A good one for where the server is.
    pub(crate) fn local(&self) -> Signed {
        self.sign("127.0.0.1", 4000)
    }

    pub(crate) fn trusted(&self) -> Options {
        let tls = Tls::default().with_extra_roots(self.0.pem().as_bytes()).unwrap();
        Options { tls, ..Options::default() }
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A server that shows this certificate, and answers every request of a connection with `bytes`.
pub(crate) fn serve(config: ServerConfig, bytes: &'static [u8]) -> (Server, String) {
    let config = Arc::new(config);
    let server = Server::start(move |stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        answer(&mut stream, bytes);
        // Closed with bytes unread, the socket would send a reset that overtakes a last alert.
        let _ = std::io::copy(&mut stream.sock, &mut std::io::sink());
    });
    let url = format!("https://{}", server.address);
    (server, url)
}

pub(crate) fn config(signed: &Signed) -> ServerConfig {
    versions(signed, rustls::ALL_VERSIONS)
}

pub(crate) fn versions(
    signed: &Signed,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_protocol_versions(versions).unwrap();
    builder.with_no_client_auth().with_single_cert(signed.chain(), signed.key()).unwrap()
}
