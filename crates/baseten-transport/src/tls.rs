//! TLS by rustls, polled: no second socket, no thread, no process-wide provider.

use std::ffi::OsStr;
use std::io::{self, BufRead, IoSlice, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{env, fmt, fs};

use baseten_core::Origin;
use hyper::rt::ReadBufCursor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

pub(crate) use crate::dial::Connector;
use crate::options::Options;
use crate::stream::Raw;
use crate::wire::Socket;

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
    roots: Arc<RootCertStore>,
}

impl Tls {
    /// A configuration of your own: another provider, other roots, client certificates. Set no ALPN
    /// protocol but `http/1.1`.
    #[must_use]
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self { config, roots: Arc::new(RootCertStore::empty()) }
    }

    /// Trusts these certificates (PEM, one or more) beside the bundled web roots.
    ///
    /// # Errors
    /// [`InvalidTls`] if there is no certificate in it, or one that cannot be read.
    pub fn with_extra_roots(&self, pem: &[u8]) -> Result<Self, InvalidTls> {
        let mut roots = (*self.roots).clone();
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| InvalidTls(error.to_string()))?;
            roots.add(certificate).map_err(|error| InvalidTls(error.to_string()))?;
            found = true;
        }
        if !found {
            return Err(InvalidTls("the PEM text holds no certificate".into()));
        }
        Ok(Self::with_roots(roots))
    }

    /// Trusts the certificates in these files beside the bundled web roots: `file` has them in PEM,
    /// and so has every file in the directories of `dir` (a list as in `PATH`), where files without
    /// a certificate are passed over. This is what `SSL_CERT_FILE` and `SSL_CERT_DIR` mean.
    ///
    /// # Errors
    /// [`InvalidTls`] if `file` or a directory cannot be read, or `file` holds no certificate.
    pub fn with_root_files(
        &self,
        file: Option<&OsStr>,
        dir: Option<&OsStr>,
    ) -> Result<Self, InvalidTls> {
        let fault = |path: &Path, error: &dyn fmt::Display| {
            InvalidTls(format!("{}: {error}", path.display()))
        };
        let read = |path: &Path| fs::read(path).map_err(|error| fault(path, &error));
        let mut tls = self.clone();
        if let Some(path) = file.map(Path::new) {
            tls =
                tls.with_extra_roots(&read(path)?).map_err(|InvalidTls(why)| fault(path, &why))?;
        }
        for dir in dir.iter().flat_map(|dirs| env::split_paths(dirs)) {
            for entry in fs::read_dir(&dir).map_err(|error| fault(&dir, &error))? {
                let path = entry.map_err(|error| fault(&dir, &error))?.path();
                // Links to the same certificate under its hash, keys, notes: not all have to fit.
                let more = read(&path).and_then(|pem| tls.with_extra_roots(&pem));
                tls = more.unwrap_or(tls);
            }
        }
        Ok(tls)
    }

    fn with_roots(roots: RootCertStore) -> Self {
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        Self { config: Arc::new(config), roots }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::with_roots(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

/// Why certificates cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTls(String);

impl fmt::Display for InvalidTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS roots: {}", self.0)
    }
}

impl std::error::Error for InvalidTls {}

impl From<InvalidTls> for baseten_core::Error {
    fn from(error: InvalidTls) -> Self {
        Self::request(error.to_string())
    }
}

/// Makes the session of a new connection.
#[derive(Clone, Debug)]
pub(crate) struct Sessions(Tls);

impl Sessions {
    pub(crate) fn of(options: &Options) -> Self {
        Self(options.tls.clone())
    }

    pub(crate) fn session(&self, origin: &Origin) -> Result<Session, io::Error> {
        let name = ServerName::try_from(origin.host().to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let tls = ClientConnection::new(self.0.config.clone(), name).map_err(io::Error::other)?;
        Ok(Session { tls: Box::new(tls) })
    }
}

/// The TLS state of one connection.
pub(crate) struct Session {
    tls: Box<ClientConnection>,
}

impl Session {
    pub(crate) fn poll_handshake<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let flushed = self.poll_flush(raw, cx);
            match flushed {
                // Our last message is out as well, without which the server would wait for us.
                Poll::Ready(Ok(())) if !self.tls.is_handshaking() => return flushed,
                Poll::Ready(Err(_)) => return flushed,
                _ => {}
            }
            match self.poll_fill(raw, cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    pub(crate) fn poll_read<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut reader = self.tls.reader();
            match reader.fill_buf() {
                // Empty: the peer said goodbye (close_notify).
                Ok(plain) => {
                    let taken = plain.len().min(cursor.remaining());
                    cursor.put_slice(&plain[..taken]);
                    reader.consume(taken);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The socket ended without a goodbye: what came may be cut.
                Err(error) => return Poll::Ready(Err(error)),
            }
            // A key update asks for an answer; if it cannot go now, the next write takes it.
            if let Poll::Ready(Err(error)) = self.poll_flush(raw, cx) {
                return Poll::Ready(Err(error));
            }
            match self.poll_fill(raw, cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    pub(crate) fn poll_write<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let flushed = self.poll_flush(raw, cx);
        if let Poll::Ready(Err(error)) = flushed {
            return Poll::Ready(Err(error));
        }
        // rustls takes what its own buffer holds; that is bounded.
        let taken = self.tls.writer().write_vectored(bufs)?;
        if taken == 0 && flushed.is_pending() {
            return Poll::Pending;
        }
        match self.poll_flush(raw, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    pub(crate) fn poll_flush<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Polled { raw, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_close<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.tls.send_close_notify();
        self.poll_flush(raw, cx)
    }

    /// Takes in bytes of the wire; 0 at its end.
    fn poll_fill<S: Socket>(
        &mut self,
        raw: &mut Raw<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let read = match self.tls.read_tls(&mut Polled { raw, cx }) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if let Err(error) = self.tls.process_new_packets() {
            // The alert tells the peer why; that it may not get through changes nothing here.
            let _ = self.poll_flush(raw, cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(read))
    }
}

/// The polled wire as the blocking reader and writer that rustls takes: `Pending` is `WouldBlock`.
struct Polled<'a, 'b, S> {
    raw: &'a mut Raw<S>,
    cx: &'a mut Context<'b>,
}

fn or_would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<S: Socket> io::Read for Polled<'_, '_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        or_would_block(self.raw.poll_read(self.cx, buf))
    }
}

impl<S: Socket> io::Write for Polled<'_, '_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(self.raw.poll_write(self.cx, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
