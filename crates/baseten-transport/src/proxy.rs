//! Which connections go through which proxy: curl's rules, by value.
//!
//! Reading URLs and lists of exceptions is left to hyper-util's matcher, which opens nothing. What a
//! proxy is told is in [`handshake`], how in [`tunnel`](mod@tunnel). The environment is not read here.

mod handshake;
mod tunnel;

use std::fmt;
use std::sync::Arc;

use baseten_core::Origin;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::options::Options;
use handshake::{Handshake, Refusal};
pub(crate) use tunnel::tunnel;

/// Proxies, by the rules that curl reads from the environment: one for `http` targets, one for
/// `https` targets, one for all without their own, and what goes direct all the same.
///
/// A proxy is `http://host:port` (HTTP `CONNECT`; `http://` may be left out, the port is then 80) or
/// `socks5://host:port` (`socks5h://` is the same; the port is 1080 unless said), each with
/// `user:password@` before the host if it wants them, percent-encoded. Every connection is a tunnel,
/// that for a plain `http` target, too: the proxy has to allow `CONNECT` to its port. The proxy
/// resolves the target's name. Targets on this machine (loopback addresses, `localhost` and below)
/// go direct always.
///
/// ```
/// use baseten_transport::Proxies;
/// let proxies = Proxies::none()
///     .with_https("http://user:secret@proxy.example.com:3128")?
///     .with_exceptions("10.0.0.0/8, .internal.example.com");
/// assert!(!format!("{proxies:?}").contains("secret"));
/// assert!(Proxies::none().with_all("ftp://proxy.example.com").is_err());
/// # Ok::<(), baseten_transport::InvalidProxy>(())
/// ```
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    all: Option<Arc<Proxy>>,
    /// Intercepts what is no exception.
    exceptions: Option<Arc<Matcher>>,
}

impl Proxies {
    /// No proxy: every connection goes direct. This is the default.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The proxy for `http` targets; an empty URL is none.
    ///
    /// # Errors
    /// [`InvalidProxy`] if it cannot be read or is of a kind that is not supported: nothing goes
    /// direct because a rule has a mistake in it.
    pub fn with_http(self, url: &str) -> Result<Self, InvalidProxy> {
        Ok(Self { http: Proxy::parse(url)?, ..self })
    }

    /// The proxy for `https` targets; an empty URL is none.
    ///
    /// # Errors
    /// As [`Proxies::with_http`].
    pub fn with_https(self, url: &str) -> Result<Self, InvalidProxy> {
        Ok(Self { https: Proxy::parse(url)?, ..self })
    }

    /// The proxy for targets of either scheme that has none of its own; an empty URL is none.
    ///
    /// # Errors
    /// As [`Proxies::with_http`].
    pub fn with_all(self, url: &str) -> Result<Self, InvalidProxy> {
        Ok(Self { all: Proxy::parse(url)?, ..self })
    }

    /// What goes direct, as a list with commas: domains (`example.com` and `.example.com` both mean it
    /// and all below it), addresses, networks (`10.0.0.0/8`), or `*` for everything. Only a target
    /// that is an address itself is compared with addresses and networks: no name is resolved for it.
    #[must_use]
    pub fn with_exceptions(self, hosts: &str) -> Self {
        // A proxy for everything makes the matcher's answer one about exceptions alone.
        let matcher = Matcher::builder().all("http://proxy.invalid").no(hosts).build();
        Self { exceptions: Some(Arc::new(matcher)), ..self }
    }

    pub(crate) fn of(options: &Options) -> Self {
        options.proxies.clone()
    }

    /// The proxy on the way to `origin`.
    fn on_the_way_to(&self, origin: &Origin) -> Option<&Proxy> {
        let own = if origin.is_https() { &self.https } else { &self.http };
        let proxy = own.as_ref().or(self.all.as_ref())?;
        let is_exception = |matcher: &Arc<Matcher>| {
            origin.to_string().parse().is_ok_and(|uri: Uri| matcher.intercept(&uri).is_none())
        };
        let direct = origin.is_loopback() || self.exceptions.as_ref().is_some_and(is_exception);
        (!direct).then_some(proxy)
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { http, https, all, exceptions } = self;
        let show = |proxy: &Option<Arc<Proxy>>| proxy.as_ref().map(ToString::to_string);
        f.debug_struct("Proxies")
            .field("http", &show(http))
            .field("https", &show(https))
            .field("all", &show(all))
            .field("exceptions", &exceptions.is_some())
            .finish()
    }
}

/// One proxy. Its `Display` has no credentials.
struct Proxy {
    host: String,
    port: u16,
    kind: Kind,
}

enum Kind {
    /// With the value of `Proxy-Authorization`.
    Http(Option<HeaderValue>),
    /// With user and password.
    Socks5(Option<(String, String)>),
}

impl Proxy {
    fn parse(url: &str) -> Result<Option<Arc<Self>>, InvalidProxy> {
        let url = url.trim();
        if url.is_empty() {
            return Ok(None);
        }
        // The matcher drops what is behind the host: there, a password with a slash in it goes on.
        let whole = |uri: Uri| matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !url.parse().is_ok_and(whole) {
            return Err(InvalidProxy(UNREADABLE));
        }
        // It drops a rule that it cannot read, too, and everything would go direct.
        let matcher = Matcher::builder().all(url).build();
        let target = Uri::from_static("http://target.invalid");
        let rule = matcher.intercept(&target).ok_or(InvalidProxy(UNREADABLE))?;
        let kind = Kind::of(&rule)?;
        let authority = rule.uri().authority().ok_or(InvalidProxy(UNREADABLE))?.as_str();
        let host = rule.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        if host.is_empty() || authority.contains('@') {
            return Err(InvalidProxy(UNREADABLE));
        }
        let named = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        let port = match (rule.uri().port_u16(), &kind) {
            (Some(port), _) => port,
            (None, _) if named => return Err(InvalidProxy("its port is no number up to 65535")),
            (None, Kind::Http(_)) => 80,
            (None, Kind::Socks5(_)) => 1080,
        };
        Ok(Some(Arc::new(Self { host: host.to_owned(), port, kind })))
    }

    /// What is to be said to it so that it opens a tunnel to `target`.
    fn handshake(&self, target: &Origin) -> Result<Handshake, Refusal> {
        let target = (target.host(), target.port());
        match &self.kind {
            Kind::Http(authorization) => Ok(Handshake::connect(target, authorization.as_ref())),
            Kind::Socks5(login) => {
                let login = login.as_ref().map(|(user, password)| (&**user, &**password));
                Handshake::socks5(target, login)
            }
        }
    }
}

impl Kind {
    fn of(rule: &Intercept) -> Result<Self, InvalidProxy> {
        match rule.uri().scheme_str() {
            Some("http") => Ok(Self::Http(rule.basic_auth().cloned())),
            Some("socks5" | "socks5h") => {
                let login = rule.raw_auth().map(|(user, password)| (user.into(), password.into()));
                let fits = |text: &String| (1..=255).contains(&text.len());
                match login {
                    Some((user, password)) if !fits(&user) || !fits(&password) => {
                        Err(InvalidProxy("SOCKS5 takes a user and a password of 1 to 255 bytes"))
                    }
                    login => Ok(Self::Socks5(login)),
                }
            }
            Some("https") => Err(InvalidProxy(
                "TLS to the proxy itself is not supported; write http://, the tunnel to an https \
                 target is encrypted all the same",
            )),
            _ => Err(InvalidProxy("SOCKS4 is not supported; write socks5://")),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http(_) => "http",
            Kind::Socks5(_) => "socks5",
        };
        write!(f, "{scheme}://{}", handshake::authority(&self.host, self.port))
    }
}

const UNREADABLE: &str = "it is not the URL of a proxy; write http://host:port or \
                          socks5://host:port, with user:password@ before the host if it wants them, \
                          percent-encoded";

/// Why a text cannot be the URL of a proxy. It does not show the URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProxy(&'static str);

impl fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy: {}", self.0)
    }
}

impl std::error::Error for InvalidProxy {}

impl From<InvalidProxy> for baseten_core::Error {
    fn from(error: InvalidProxy) -> Self {
        Self::request(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use baseten_core::{Endpoint, Hosts, ModelId, Operation, Target};

    use super::*;

    fn origin(url: &str) -> Origin {
        let target = Target::model(ModelId::new("abc").unwrap());
        let hosts = Hosts::base_url(url).unwrap();
        Endpoint::new(&hosts, &target, &Operation::Predict).unwrap().origin().clone()
    }

    #[test]
    fn urls_of_proxies_are_read_or_refused() {
        //   written                          read as
        for (url, expect) in [
            ("", Ok(None)),
            ("  ", Ok(None)),
            ("http://proxy.example:3128", Ok(Some("http://proxy.example:3128"))),
            ("http://proxy.example:3128/", Ok(Some("http://proxy.example:3128"))),
            ("proxy.example:3128", Ok(Some("http://proxy.example:3128"))), // as curl
            (" http://proxy.example ", Ok(Some("http://proxy.example:80"))),
            ("socks5://proxy.example", Ok(Some("socks5://proxy.example:1080"))),
            ("socks5h://10.0.0.1:9050", Ok(Some("socks5://10.0.0.1:9050"))),
            ("http://[::1]:3128", Ok(Some("http://[::1]:3128"))),
            ("http://[::1]", Ok(Some("http://[::1]:80"))),
            ("http://s3:cr3t@proxy.example:1", Ok(Some("http://proxy.example:1"))),
            ("socks5://s3:cr3t@proxy.example:1", Ok(Some("socks5://proxy.example:1"))),
            ("s3:cr3t@proxy.example:1", Ok(Some("http://proxy.example:1"))),
            // Each of these the matcher alone would have ignored, or taken for another.
            ("https://s3:cr3t@proxy.example", Err("TLS to the proxy")),
            ("socks4://proxy.example", Err("SOCKS4")),
            ("socks4a://proxy.example", Err("SOCKS4")),
            ("socks://proxy.example", Err("is not the URL")),
            ("ftp://s3:cr3t@proxy.example", Err("is not the URL")),
            ("http://s3:cr3t/@proxy.example", Err("is not the URL")),
            ("http://s3:12/cr3t@proxy.example", Err("is not the URL")), // the proxy is not s3:12
            ("http://proxy.example?x", Err("is not the URL")),
            ("http://s3:cr3t@x@proxy.example", Err("is not the URL")),
            ("http://proxy.example:99999", Err("no number up to 65535")),
            ("http://:3128", Err("is not the URL")),
            ("http://", Err("is not the URL")),
            ("proxy.example:3128/x", Err("is not the URL")),
            ("http://a b", Err("is not the URL")),
            ("socks5://s3cr3t@proxy.example", Err("1 to 255 bytes")),
        ] {
            let read = Proxy::parse(url).map(|proxy| proxy.map(|proxy| proxy.to_string()));
            match (read, expect) {
                (Ok(read), Ok(expect)) => assert_eq!(read.as_deref(), expect, "{url}"),
                (Err(error), Err(expect)) => {
                    let told = format!("{error} {error:?}");
                    assert!(told.contains(expect) && !told.contains("cr3t"), "{url}: {told}");
                }
                (read, _) => panic!("{url}: {read:?}"),
            }
        }
    }

    #[test]
    fn a_target_has_the_proxy_of_its_scheme_unless_it_is_an_exception() {
        let both = Proxies::none().with_all("http://all:1").unwrap();
        let three = both.clone().with_http("http://http:2").unwrap();
        let three = three.with_https("http://https:3").unwrap();
        let list = "10.0.0.0/8, 192.0.2.7,internal.example, .corp.example,fd00::/8";
        let listed = both.clone().with_exceptions(list);
        //   rules       target                        proxy
        for (rules, target, expect) in [
            (&Proxies::none(), "https://model.example", None),
            (&both, "https://model.example", Some("http://all:1")),
            (&both, "http://model.example", Some("http://all:1")),
            (&three, "https://model.example", Some("http://https:3")),
            (&three, "http://model.example", Some("http://http:2")),
            (&both, "http://127.0.0.1:1", None), // this machine
            (&both, "http://[::1]:1", None),
            (&both, "https://model-abc.api.localhost", None),
            (&listed, "https://model.example", Some("http://all:1")),
            (&listed, "https://10.1.2.3:8443", None), // in a network
            (&listed, "https://11.1.2.3", Some("http://all:1")),
            (&listed, "https://192.0.2.7", None),
            (&listed, "https://[fd00::1]:9", None),
            (&listed, "https://[2001:db8::1]", Some("http://all:1")),
            (&listed, "https://internal.example", None),
            (&listed, "https://a.INTERNAL.example", None), // and below
            (&listed, "https://notinternal.example", Some("http://all:1")),
            (&listed, "https://corp.example", None),
            (&listed, "https://a.corp.example", None),
            (&both.clone().with_exceptions("*"), "https://model.example", None),
            (&both.clone().with_exceptions(""), "https://model.example", Some("http://all:1")),
        ] {
            let proxy = rules.on_the_way_to(&origin(target)).map(ToString::to_string);
            assert_eq!(proxy.as_deref(), expect, "{target}: {rules:?}");
        }
    }
}
