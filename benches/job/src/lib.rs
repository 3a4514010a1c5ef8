//! The job that every client does: so many small predicts, one after the other, on one connection.
//!
//! It holds what they must have in common, so that nothing but the client differs: the arguments, the
//! input, the output, the key and whom to trust. It must not send anything.

mod stream;

pub use stream::{CHAT_PATH, Chunk, QUESTION, Question, StreamJob};

use std::sync::Arc;
use std::{env, fs};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

/// Whatever went wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The key of every request: `authorization: Bearer …`.
pub const API_KEY: &str = "abcd1234.0123456789abcdef0123456789abcdef";

/// The model whose production deployment is called.
pub const MODEL_ID: &str = "abcd1234";

/// Where that is below the base URL.
pub const PATH: &str = "/environments/production/predict";

/// `BASE_URL CALLS [CA_FILE]`, as `cargo xtask bench` calls a client.
#[derive(Debug)]
pub struct Job {
    /// Scheme, host and port of the server.
    pub base_url: String,
    /// How often to predict.
    pub calls: u32,
    /// The authority to trust, in PEM.
    ca: Option<Vec<u8>>,
}

/// What goes in, the same in every call.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Input {
    prompt: &'static str,
    max_tokens: u32,
    temperature: f64,
    stop: [&'static str; 2],
}

/// What comes out.
#[derive(Clone, Debug, Deserialize)]
pub struct Output {
    id: String,
    text: String,
    tokens: u32,
    scores: Vec<f64>,
}

impl Job {
    /// The job that the command line describes.
    ///
    /// # Errors
    /// A missing or unreadable argument.
    pub fn from_args() -> Result<Self, Error> {
        let mut args = env::args().skip(1);
        let (Some(base_url), Some(calls)) = (args.next(), args.next()) else {
            return Err("usage: CLIENT BASE_URL CALLS [CA_FILE]".into());
        };
        let ca = args.next().map(fs::read).transpose()?;
        Ok(Self { base_url, calls: calls.parse()?, ca })
    }

    /// The whole URL, for clients that know nothing of models.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{PATH}", self.base_url)
    }

    /// The authority's certificates.
    ///
    /// # Errors
    /// A file that is not PEM.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let pem = self.ca.as_deref().unwrap_or_default();
        Ok(CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?)
    }

    /// TLS by rustls and ring that trusts the authority and nobody else.
    ///
    /// # Errors
    /// As [`Job::certificates`].
    pub fn tls(&self) -> Result<ClientConfig, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}

impl Input {
    /// The input of every call, 109 bytes of JSON.
    #[must_use]
    pub fn new() -> Self {
        Self {
            prompt: "Say in one sentence what a transport is.",
            max_tokens: 64,
            temperature: 0.5,
            stop: ["\n\n", "###"],
        }
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::new()
    }
}

impl Output {
    /// Fails unless it is what the server sends: a client that skips work must not win.
    ///
    /// # Errors
    /// Any other output.
    pub fn check(&self) -> Result<(), Error> {
        let whole = self.id == "run-7f3a" && self.text.len() == 62;
        let whole = whole && self.tokens == 13 && self.scores == [0.125, 0.25, 0.5];
        if whole { Ok(()) } else { Err(format!("unexpected output: {self:?}").into()) }
    }
}
