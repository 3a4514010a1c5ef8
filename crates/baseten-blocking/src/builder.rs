//! Settings of a client. The only place that reads the environment.

use std::ffi::OsString;
use std::path::Path;
use std::{env, fmt, fs};

use baseten_core::{Access, CallOptions, Credential, Environment, Error, Hosts};
#[cfg(feature = "tls")]
use baseten_transport::Tls;
use baseten_transport::blocking::Transport;
#[cfg(feature = "proxy")]
use baseten_transport::{InvalidProxy, Proxies};
use baseten_transport::{Options, Pool};

use crate::client::Client;

/// Settings of a [`Client`]. Only a credential is required.
///
/// ```
/// let client = baseten_blocking::Client::builder()
///     .api_key("abcd1234.secret")
///     .base_url("http://127.0.0.1:8080/model/abcd1234")
///     .build()?;
/// # Ok::<(), baseten_blocking::Error>(())
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
    /// client can set it by sending a header. A variable that is empty is as good as none.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] naming the variable that is missing or wrong.
    pub fn from_env() -> Result<Self, Error> {
        let environment = Environment::new(&variable);
        let mut builder = Self::new().credential(environment.credential()?);
        builder.hosts = environment.hosts()?;
        #[cfg(feature = "tls")]
        {
            builder.transport.tls = with_roots(builder.transport.tls, environment)?;
        }
        #[cfg(feature = "proxy")]
        {
            builder.transport.proxies = proxies(environment)?;
        }
        Ok(builder)
    }

    /// The credential of a remote in a `.trussrc`, which `truss` keeps in the home folder; see
    /// [`Credential::from_trussrc`]. Nothing is read from the environment.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] naming the path, if the file cannot be read or does not have
    /// it.
    pub fn from_trussrc(path: impl AsRef<Path>, remote: Option<&str>) -> Result<Self, Error> {
        let credential = read(path.as_ref(), |text| Credential::from_trussrc(text, remote))?;
        Ok(Self::new().credential(credential))
    }

    /// The same of the file that `truss` itself would read: `USER_TRUSSRC_PATH` of the environment names
    /// it, else it is `~/.trussrc`. Nothing else is read from the environment.
    ///
    /// # Errors
    /// As [`ClientBuilder::from_trussrc`], and if there is no home folder.
    pub fn from_default_trussrc(remote: Option<&str>) -> Result<Self, Error> {
        Self::from_trussrc(Environment::new(&variable).trussrc()?, remote)
    }

    /// The credential of a profile in the `auth.json` of Baseten's command line tool, on Linux in
    /// `~/.config/baseten`; see [`Credential::from_cli_auth`]. Nothing is read from the environment.
    ///
    /// # Errors
    /// As [`ClientBuilder::from_trussrc`].
    pub fn from_cli_auth(path: impl AsRef<Path>, profile: Option<&str>) -> Result<Self, Error> {
        let credential = read(path.as_ref(), |text| Credential::from_cli_auth(text, profile))?;
        Ok(Self::new().credential(credential))
    }

    /// The same of the file and profile that the tool itself would take: `BASETEN_CONFIG_DIR` of the
    /// environment names the file's folder, else it is `baseten` in the user's folder for settings
    /// (`XDG_CONFIG_HOME` or `~/.config` on Linux). Without a name, the profile is that of
    /// `BASETEN_PROFILE`, else the current one. Nothing else is read from the environment.
    ///
    /// # Errors
    /// As [`ClientBuilder::from_trussrc`], and if there is no home folder.
    pub fn from_default_cli_auth(profile: Option<&str>) -> Result<Self, Error> {
        let environment = Environment::new(&variable);
        let named = environment.cli_profile()?;
        Self::from_cli_auth(environment.cli_auth()?, profile.or(named.as_deref()))
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
    pub fn tls(mut self, tls: Tls) -> Self {
        self.transport.tls = tls;
        self
    }

    /// Which connections go through which proxy. Without this they all go direct: only
    /// [`ClientBuilder::from_env`] takes some from the environment.
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

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// What is in a file. Its faults are told with the path.
fn read(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<Credential, Error>,
) -> Result<Credential, Error> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Error::request(format!("{shown} cannot be read")).because(error))?;
    parse(&text).map_err(|error| Error::request(format!("{shown}: {error}")))
}

/// The roots of the environment beside these.
#[cfg(feature = "tls")]
fn with_roots(mut tls: Tls, environment: Environment<'_>) -> Result<Tls, Error> {
    let file = environment.parse("SSL_CERT_FILE", |file| tls.with_root_files(Some(file), None))?;
    tls = file.unwrap_or(tls);
    let dir = environment.parse("SSL_CERT_DIR", |dir| tls.with_root_files(None, Some(dir)))?;
    Ok(dir.unwrap_or(tls))
}

/// The proxies of the environment.
#[cfg(feature = "proxy")]
fn proxies(environment: Environment<'_>) -> Result<Proxies, Error> {
    type Rule = fn(Proxies, &str) -> Result<Proxies, InvalidProxy>;
    let rules: [(&str, Rule); 4] = [
        ("http", Proxies::with_http),
        ("https", Proxies::with_https),
        ("all", Proxies::with_all),
        ("no", |proxies, hosts| Ok(proxies.with_exceptions(hosts))),
    ];
    rules.into_iter().try_fold(Proxies::none(), |proxies, (of, rule)| {
        let set = environment.proxy(of, |value| rule(proxies.clone(), value))?;
        Ok(set.unwrap_or(proxies))
    })
}
