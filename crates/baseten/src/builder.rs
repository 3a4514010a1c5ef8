//! Settings of a client. The only place that reads the environment.

use std::path::Path;
use std::{env, fmt, fs};

use baseten_core::{Access, CallOptions, Credential, Error, Hosts};
use baseten_transport::nonblocking::Transport;
#[cfg(feature = "proxy")]
use baseten_transport::{InvalidProxy, Proxies};
use baseten_transport::{Options, Pool};

use crate::client::Client;

/// Settings of a [`Client`]. Only a credential is required.
///
/// ```
/// let client = baseten::Client::builder()
///     .api_key("abcd1234.secret")
///     .base_url("http://127.0.0.1:8080/model/abcd1234")
///     .build()?;
/// # Ok::<(), baseten::Error>(())
/// ```
pub struct ClientBuilder {
    credential: Option<Credential>,
    hosts: Hosts,
    options: CallOptions,
    headers: Vec<(String, String)>,
    transport: Options,
    /// The first setting that could not be read.
    fault: Option<Error>,
}

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        Self {
            credential: None,
            hosts: Hosts::baseten(),
            options: CallOptions::default(),
            headers: Vec::new(),
            transport: Options::default(),
            fault: None,
        }
    }

    /// What the environment says: `BASETEN_API_KEY` (required), `BASETEN_BASE_URL` in place of
    /// Baseten's hosts, `SSL_CERT_FILE` and `SSL_CERT_DIR` with more roots to trust, and the proxies
    /// of curl: `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, or the same in capitals.
    /// `HTTP_PROXY` in capitals is not read in a CGI program (where `REQUEST_METHOD` is set): there a
    /// client can set it by sending a header.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] naming the variable that is missing or wrong.
    pub fn from_env() -> Result<Self, Error> {
        let mut builder = Self::new();
        match read("BASETEN_API_KEY")? {
            Some(key) => builder = builder.api_key(key),
            None => return Err(Error::request("BASETEN_API_KEY is not set")),
        }
        if let Some(url) = read("BASETEN_BASE_URL")? {
            builder = builder.base_url(url);
        }
        #[cfg(feature = "tls")]
        {
            let (file, dir) = (env::var_os("SSL_CERT_FILE"), env::var_os("SSL_CERT_DIR"));
            let tls = builder.transport.tls.with_root_files(file.as_deref(), dir.as_deref())?;
            builder = builder.tls(tls);
        }
        #[cfg(feature = "proxy")]
        {
            builder = builder.proxies(proxies()?);
        }
        Ok(builder)
    }

    /// The credential of a remote in a `.trussrc`, which `truss` keeps in the home folder; see
    /// [`Credential::from_trussrc`]. Nothing is read from the environment.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the file cannot be read or does not have it.
    pub fn from_trussrc(path: impl AsRef<Path>, remote: Option<&str>) -> Result<Self, Error> {
        Ok(Self::new().credential(Credential::from_trussrc(&text(path.as_ref())?, remote)?))
    }

    /// The credential of a profile in the `auth.json` of Baseten's command line tool, on Linux in
    /// `~/.config/baseten`; see [`Credential::from_cli_auth`]. Nothing is read from the environment.
    ///
    /// # Errors
    /// As [`ClientBuilder::from_trussrc`].
    pub fn from_cli_auth(path: impl AsRef<Path>, profile: Option<&str>) -> Result<Self, Error> {
        Ok(Self::new().credential(Credential::from_cli_auth(&text(path.as_ref())?, profile)?))
    }

    /// An API key. White space around it is trimmed.
    #[must_use]
    pub fn api_key(self, key: impl AsRef<str>) -> Self {
        let credential = Credential::api_key(key.as_ref());
        self.set(credential, |builder, credential| builder.credential = Some(credential))
    }

    /// A credential of any kind: a token, a key with a fixed scheme, or none.
    #[must_use]
    pub fn credential(self, credential: Credential) -> Self {
        Self { credential: Some(credential), ..self }
    }

    /// One URL in place of Baseten's hosts; see [`Hosts::base_url`].
    #[must_use]
    pub fn base_url(self, url: impl AsRef<str>) -> Self {
        let hosts = Hosts::base_url(url.as_ref());
        self.set(hosts, |builder, hosts| builder.hosts = hosts)
    }

    /// Other hosts: another root, or a `Host` header of its own.
    #[must_use]
    pub fn hosts(self, hosts: Hosts) -> Self {
        Self { hosts, ..self }
    }

    /// Clocks, retries and limits of every call that has none of its own.
    #[must_use]
    pub fn options(self, options: CallOptions) -> Self {
        Self { options, ..self }
    }

    /// A header of every call, unless the call or what it is made of has another value for it. What the
    /// client sets itself is refused, when it is built.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How connections are kept.
    #[must_use]
    pub fn pool(mut self, pool: Pool) -> Self {
        self.transport.pool = pool;
        self
    }

    /// The most that the head of an answer may have, in bytes. Default 64 KiB; less than 8 KiB counts as
    /// that. The limits of bodies and events are [`CallOptions::limits`].
    #[must_use]
    pub fn head_limit(mut self, bytes: usize) -> Self {
        self.transport.head_limit = bytes;
        self
    }

    /// Whom to trust, and how to encrypt.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: baseten_transport::Tls) -> Self {
        self.transport.tls = tls;
        self
    }

    /// Which connections go through which proxy. Without this they all go direct: only
    /// [`ClientBuilder::from_env`] reads the environment.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.transport.proxies = proxies;
        self
    }

    /// The client. It opens nothing yet.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] with the first setting that could not be read, or that
    /// there is no credential.
    pub fn build(self) -> Result<Client, Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let missing = "no API key was given; `Credential::none()` calls without one";
        let credential = self.credential.ok_or_else(|| Error::request(missing))?;
        let access = self
            .headers
            .iter()
            .try_fold(Access::new(self.hosts, credential), |access, (name, value)| {
                access.header(name, value)
            })?;
        Ok(Client::new(access, Transport::new(self.transport), self.options))
    }

    fn set<T, E: Into<Error>>(
        mut self,
        parsed: Result<T, E>,
        set: impl FnOnce(&mut Self, T),
    ) -> Self {
        match parsed {
            Ok(value) => set(&mut self, value),
            Err(error) => {
                self.fault.get_or_insert_with(|| error.into());
            }
        }
        self
    }
}

/// Of headers only the names: nobody here knows which of them are secrets.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ClientBuilder")
            .field("credential", &self.credential)
            .field("hosts", &self.hosts)
            .field("options", &self.options)
            .field("headers", &headers)
            .field("transport", &self.transport)
            .field("fault", &self.fault)
            .finish()
    }
}

fn text(path: &Path) -> Result<String, Error> {
    let unread =
        |error| Error::request(format!("{} cannot be read", path.display())).because(error);
    fs::read_to_string(path).map_err(unread)
}

fn read(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::request(format!("{name} is not UTF-8"))),
    }
}

/// The first of these variables that is set and not empty, with its name.
#[cfg(feature = "proxy")]
fn first<'a>(names: &[&'a str]) -> Result<Option<(&'a str, String)>, Error> {
    for name in names {
        if let Some(value) = read(name)?.filter(|value| !value.is_empty()) {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}

/// The proxies of the environment. As in curl, lower case goes before capitals, and an empty variable
/// is as good as none.
#[cfg(feature = "proxy")]
fn proxies() -> Result<Proxies, Error> {
    type Rule = fn(Proxies, &str) -> Result<Proxies, InvalidProxy>;
    let is_cgi = env::var_os("REQUEST_METHOD").is_some();
    let http: &[_] = if is_cgi { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] };
    let rules: [(&[_], Rule); 3] = [
        (http, Proxies::with_http),
        (&["https_proxy", "HTTPS_PROXY"], Proxies::with_https),
        (&["all_proxy", "ALL_PROXY"], Proxies::with_all),
    ];
    let mut proxies = Proxies::none();
    for (names, rule) in rules {
        if let Some((name, url)) = first(names)? {
            let named = |error| Error::request(format!("{name}: {error}"));
            proxies = rule(proxies, &url).map_err(named)?;
        }
    }
    Ok(match first(&["no_proxy", "NO_PROXY"])? {
        Some((_, hosts)) => proxies.with_exceptions(&hosts),
        None => proxies,
    })
}
