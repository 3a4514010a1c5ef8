//! TLS by rustls: whom to trust and how to encrypt, by value. No process-wide provider is read or set.

mod session;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::{env, fmt, fs};

use baseten_core::Origin;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::options::Options;
pub(crate) use session::Session;

/// Whom to trust, and how to encrypt: bundled web roots and ring unless said otherwise.
///
/// The provider is always explicit, so that two of them in one program cannot quarrel over a
/// process-wide default.
///
/// ```
/// # fn pem() -> Vec<u8> { Vec::new() }
/// use baseten_transport::Tls;
/// let tls = Tls::default().with_extra_roots(&pem());
/// assert!(tls.is_err(), "a PEM file without a certificate is refused");
/// ```
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// `None` for a configuration of the caller's own.
    parts: Option<Parts>,
    /// In place of the host's name.
    server_name: Option<ServerName<'static>>,
}

/// What a configuration is made of.
#[derive(Clone)]
struct Parts {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    /// What we show to a server that asks who we are.
    identity: Option<Arc<Identity>>,
}

/// A certificate with its chain, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Tls {
    /// A configuration of your own, for whatever the methods here do not offer. It stands as it is:
    /// they fail on it. Set no ALPN protocol but `http/1.1`.
    #[must_use]
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self { config, parts: None, server_name: None }
    }

    /// Trusts these certificates (PEM with one or more, or the DER of one) beside the others.
    ///
    /// # Errors
    /// [`InvalidTls`] if there is no certificate in it, or one that cannot be read.
    pub fn with_extra_roots(&self, certificates: &[u8]) -> Result<Self, InvalidTls> {
        let parts = self.parts()?;
        let mut roots = (*parts.roots).clone();
        add(&mut roots, certificates)?;
        self.made_of(Parts { roots: Arc::new(roots), ..parts })
    }

    /// Trusts these certificates (PEM with one or more, or the DER of one) and no others: not the
    /// bundled web roots, and none that were added before.
    ///
    /// # Errors
    /// As [`Tls::with_extra_roots`].
    pub fn with_only_roots(&self, certificates: &[u8]) -> Result<Self, InvalidTls> {
        let mut roots = RootCertStore::empty();
        add(&mut roots, certificates)?;
        self.made_of(Parts { roots: Arc::new(roots), ..self.parts()? })
    }

    /// Shows this certificate (PEM, first the certificate and then its chain) to a server that asks
    /// for one. The key is PEM as well, in the form of PKCS #8, PKCS #1 or SEC 1, not encrypted.
    ///
    /// # Errors
    /// [`InvalidTls`] if there is no certificate or no key, if the one is not for the other, or if
    /// the provider cannot sign with it. It never shows the key.
    pub fn with_client_certificate(&self, chain: &[u8], key: &[u8]) -> Result<Self, InvalidTls> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| InvalidTls::new("client certificate", error))?;
        if chain.is_empty() {
            return Err(InvalidTls::new("client certificate", NO_CERTIFICATE));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => InvalidTls::new(
                "client key",
                "the PEM text holds no private key, or an encrypted one",
            ),
            error => InvalidTls::new("client key", error),
        })?;
        self.made_of(Parts { identity: Some(Arc::new((chain, key))), ..self.parts()? })
    }

    /// Encrypts with this provider in place of ring.
    ///
    /// # Errors
    /// [`InvalidTls`] if it has no cipher suite for TLS 1.2 or 1.3, or cannot sign with the client
    /// key.
    pub fn with_provider(&self, provider: Arc<CryptoProvider>) -> Result<Self, InvalidTls> {
        self.made_of(Parts { provider, ..self.parts()? })
    }

    /// Trusts the certificates in these files beside the others: `file` has them in PEM, and so has
    /// every file in the directories of `dir` (a list as in `PATH`), where files without a certificate
    /// are passed over. This is what `SSL_CERT_FILE` and `SSL_CERT_DIR` mean.
    ///
    /// # Errors
    /// [`InvalidTls`] if `file` or a directory cannot be read, or `file` holds no certificate.
    pub fn with_root_files(
        &self,
        file: Option<&OsStr>,
        dir: Option<&OsStr>,
    ) -> Result<Self, InvalidTls> {
        let fault = |path: &Path, error: &dyn fmt::Display| {
            InvalidTls::new("roots", format_args!("{}: {error}", path.display()))
        };
        let read = |path: &Path| fs::read(path).map_err(|error| fault(path, &error));
        let parts = self.parts()?;
        let mut roots = (*parts.roots).clone();
        if let Some(path) = file.map(Path::new) {
            add(&mut roots, &read(path)?).map_err(|error| fault(path, &error.why))?;
        }
        for dir in dir.iter().flat_map(|dirs| env::split_paths(dirs)) {
            for entry in fs::read_dir(&dir).map_err(|error| fault(&dir, &error))? {
                let path = entry.map_err(|error| fault(&dir, &error))?.path();
                // Links to the same certificate under its hash, keys, notes: not all have to fit.
                let _ = read(&path).and_then(|certificates| add(&mut roots, &certificates));
            }
        }
        self.made_of(Parts { roots: Arc::new(roots), ..parts })
    }

    /// Asks the server for this name (SNI), and wants a certificate for it, whatever host is connected
    /// to: for a private link or a gateway by its address. It goes for every origin of a client, so give
    /// that one base URL. The key still goes to this URL's origin alone, and whoever holds a
    /// trusted certificate for the name counts as that origin. The `Host` header is a matter of its own:
    /// [`baseten_core::Hosts::with_host_header`].
    ///
    /// # Errors
    /// [`InvalidTls`] if it is no DNS name or IP address.
    pub fn with_server_name(&self, name: &str) -> Result<Self, InvalidTls> {
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|_| InvalidTls::new("server name", "it is no DNS name or IP address"))?;
        Ok(Self { server_name: Some(server_name), ..self.clone() })
    }

    fn parts(&self) -> Result<Parts, InvalidTls> {
        let own = "it is a configuration of your own, and stands as it is: change it before you hand it over";
        self.parts.clone().ok_or_else(|| InvalidTls::new("configuration", own))
    }

    /// The same, but for these parts.
    fn made_of(&self, parts: Parts) -> Result<Self, InvalidTls> {
        Ok(Self { server_name: self.server_name.clone(), ..parts.build()? })
    }
}

impl Parts {
    fn build(self) -> Result<Tls, InvalidTls> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidTls::new("provider", error))?
            .with_root_certificates(self.roots.clone());
        let config = match self.identity.as_deref() {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| InvalidTls::new("client certificate", error))?,
        };
        Ok(Tls { config: Arc::new(config), parts: Some(self), server_name: None })
    }
}

/// Adds what is in a PEM text, or one certificate in DER.
fn add(roots: &mut RootCertStore, certificates: &[u8]) -> Result<(), InvalidTls> {
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(certificates) {
        let certificate = certificate.map_err(|error| InvalidTls::new("roots", error))?;
        roots.add(certificate).map_err(|error| InvalidTls::new("roots", error))?;
        found = true;
    }
    if found || roots.add(CertificateDer::from(certificates)).is_ok() {
        return Ok(());
    }
    Err(InvalidTls::new("roots", NO_CERTIFICATE))
}

const NO_CERTIFICATE: &str = "it holds no certificate";

impl Default for Tls {
    fn default() -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(ring::default_provider());
        let parts = Parts { provider, roots: Arc::new(roots), identity: None };
        parts.build().expect("ring has cipher suites for TLS 1.2 and 1.3")
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts.as_ref();
        f.debug_struct("Tls")
            .field("roots", &parts.map(|parts| parts.roots.len()))
            .field("server_name", &self.server_name)
            .field("client_certificate", &parts.map(|parts| parts.identity.is_some()))
            .finish_non_exhaustive()
    }
}

/// Why certificates, a key or a provider cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTls {
    what: &'static str,
    why: String,
}

impl InvalidTls {
    fn new(what: &'static str, why: impl fmt::Display) -> Self {
        Self { what, why: why.to_string() }
    }
}

impl fmt::Display for InvalidTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS {}: {}", self.what, self.why)
    }
}

impl std::error::Error for InvalidTls {}

impl From<InvalidTls> for baseten_core::Error {
    fn from(error: InvalidTls) -> Self {
        Self::request(error.to_string())
    }
}

/// Makes the session of a new connection.
pub(crate) struct Sessions {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Sessions {
    pub(crate) fn of(options: &Options) -> Self {
        let Tls { config, server_name, .. } = &options.tls;
        Self { config: config.clone(), server_name: server_name.clone() }
    }

    pub(crate) fn session(&self, origin: &Origin) -> io::Result<Session> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(origin.host().to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        ClientConnection::new(self.config.clone(), name).map(Session::new).map_err(io::Error::other)
    }
}
