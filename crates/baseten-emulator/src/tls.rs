//! A certificate authority of the emulator's own, and a certificate for the names it goes by.

use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// What its certificate is good for: every form in which this crate names itself, and a name that only
/// a proxy can resolve (`.test` is reserved for such, RFC 6761).
const NAMES: [&str; 6] = [
    "localhost",
    "api.localhost",
    "*.api.localhost",
    "inference.localhost",
    "127.0.0.1",
    "emulator.test",
];

/// The authority's certificate, and what accepts TLS connections.
pub(crate) struct Tls {
    pub(crate) ca_der: Vec<u8>,
    pub(crate) ca_pem: String,
    pub(crate) acceptor: TlsAcceptor,
}

impl Tls {
    /// Makes keys and certificates anew. TLS 1.2 and 1.3 by ring, ALPN `http/1.1`.
    pub(crate) fn generate() -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "baseten-emulator test authority");
        let ca_key = KeyPair::generate().map_err(io::Error::other)?;
        let ca = CertifiedIssuer::self_signed(params, ca_key).map_err(io::Error::other)?;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = CertificateParams::new(NAMES.map(String::from))
            .and_then(|params| params.signed_by(&key, &ca))
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                let chain = vec![certificate.der().clone(), ca.der().clone()];
                builder.with_no_client_auth().with_single_cert(chain, key)
            })
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            ca_der: ca.der().to_vec(),
            ca_pem: ca.pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}
