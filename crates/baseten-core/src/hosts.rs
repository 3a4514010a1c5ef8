//! Where Baseten is: the hosts that targets are reached on.
//!
//! [`Hosts`] is a client's setting. Together with a [`crate::Target`] it gives the [`Origin`] of a
//! call; nothing here resolves a name or opens a socket.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderValue, Uri};

/// Scheme, host and port: what a connection and a key belong to.
///
/// Cheap to clone. Host names are kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    https: bool,
    host: Arc<str>,
    port: u16,
}

impl Origin {
    /// `true` for `https`, `false` for `http`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host name or IP address, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 443 or 80 where the URL named none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether this can only be this machine: `localhost`, `*.localhost` (RFC 6761) or a loopback
    /// address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Whether the host is `localhost` or below it: such a name is this machine, without DNS.
    #[must_use]
    pub fn is_localhost_name(&self) -> bool {
        is_localhost_name(&self.host)
    }

    /// What stands in a `Host` header: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let host: &str = &self.host;
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        if self.port == default_port(self.https) {
            return bracketed;
        }
        format!("{bracketed}:{}", self.port)
    }

    fn parse(scheme: &str, authority: &Authority) -> Result<Self, &'static str> {
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err("has a scheme that is neither http nor https"),
        };
        if authority.as_str().contains('@') {
            return Err("has user info before the host; give the key as a credential");
        }
        let host = unbracketed(authority.host())?.to_ascii_lowercase();
        if host.is_empty() {
            return Err("has no host");
        }
        let colon = authority.as_str().rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        let port = match authority.port_u16() {
            Some(port @ 1..) => port,
            None if !colon => default_port(https),
            _ => return Err("has a port that is no number from 1 to 65535"),
        };
        Ok(Self { https, host: host.into(), port })
    }
}

/// A host as it is connected to. `http` lets brackets pass anywhere.
fn unbracketed(host: &str) -> Result<&str, &'static str> {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match address {
        Some(address) if address.parse::<Ipv6Addr>().is_ok() => Ok(address),
        None if !host.contains(['[', ']']) => Ok(host),
        _ => Err("has brackets in its host that hold no IPv6 address"),
    }
}

/// Whether a host, an IPv6 address without its brackets, can only be this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    is_localhost_name(host) || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_localhost_name(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    last.eq_ignore_ascii_case("localhost")
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// The hosts of one Baseten installation, or one base URL in their place.
///
/// ```
/// use baseten_core::Hosts;
/// let baseten = Hosts::baseten();                                 // *.api.baseten.co
/// let staging = Hosts::root("api.staging.baseten.co")?;           // another root
/// let gateway = Hosts::base_url("https://llm.example.com/b10")?;  // one URL for everything
/// # Ok::<(), baseten_core::InvalidUrl>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hosts {
    base: Base,
    model_apis: Location,
    host_header: Option<HeaderValue>,
    plain_http: bool,
}

#[derive(Clone, Debug)]
enum Base {
    /// `{label}.{origin}`.
    Root(Location),
    /// The same location for every target.
    Fixed(Location),
}

/// An origin and the path that everything on it starts with (no trailing slash).
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) origin: Origin,
    pub(crate) prefix: Box<str>,
}

impl Hosts {
    /// Baseten's own hosts: `model-{id}.api.baseten.co`, and `inference.baseten.co` for Model APIs.
    #[must_use]
    pub fn baseten() -> Self {
        let https = |host: &str| Location {
            origin: Origin { https: true, host: host.into(), port: 443 },
            prefix: "".into(),
        };
        Self {
            base: Base::Root(https("api.baseten.co")),
            model_apis: https("inference.baseten.co"),
            host_header: None,
            plain_http: false,
        }
    }

    /// Another root in place of `api.baseten.co`: a host, `host:port`, or a URL without a path.
    /// Models are then at `model-{id}.{root}`, and the Model APIs at `inference.` in the place of the
    /// root's `api.`, or before a root that has none. Without a scheme it is `https`.
    ///
    /// # Errors
    /// [`InvalidUrl`] if it is no host, or an IP address, or has a path or query.
    pub fn root(root: &str) -> Result<Self, InvalidUrl> {
        let url = if root.contains("://") { root.into() } else { format!("https://{root}") };
        let location = parse_location("root", &url)?;
        if !location.prefix.is_empty() {
            return Err(InvalidUrl::new("root", &url, "has a path; use a base URL for that"));
        }
        let host: &str = &location.origin.host;
        if host.parse::<IpAddr>().is_ok() {
            let why = "is an IP address, before which no name can stand; use a base URL for that";
            return Err(InvalidUrl::new("root", &url, why));
        }
        let host = format!("inference.{}", host.strip_prefix("api.").unwrap_or(host));
        let origin = Origin { host: host.into(), ..location.origin.clone() };
        let model_apis = Location { origin, prefix: location.prefix.clone() };
        Ok(Self { base: Base::Root(location), model_apis, ..Self::baseten() })
    }

    /// One base URL for everything: a gateway, an emulator, a server of your own. Targets keep their
    /// path (`{base}/environments/production/predict`), their id no longer shows in the URL. A regional
    /// environment shows nowhere but in the host: it needs a base URL, or [`Hosts::with_host_header`], whose
    /// first label is its own (`model-{id}-{name}`).
    ///
    /// # Errors
    /// [`InvalidUrl`] if it is no absolute `http` or `https` URL, or has user info, a query, a
    /// fragment, a character that must be percent-encoded or a path of more than 8 KiB.
    pub fn base_url(url: &str) -> Result<Self, InvalidUrl> {
        let location = parse_location("base URL", url)?;
        Ok(Self { base: Base::Fixed(location.clone()), model_apis: location, ..Self::baseten() })
    }

    /// Sends this `Host` header whatever address is connected to (for a local router that tells
    /// models apart by it). TLS still verifies the name that is connected to, unless the `Tls` of the transport
    /// has a server name of its own.
    ///
    /// # Errors
    /// [`InvalidUrl`] if it is no host name with an optional port.
    pub fn with_host_header(self, host: &str) -> Result<Self, InvalidUrl> {
        let fault = |why| InvalidUrl::new("Host header", host, why);
        let unread = "is no host name with an optional port";
        let authority: Authority = host.parse().map_err(|_| fault(unread))?;
        Origin::parse("https", &authority).map_err(fault)?;
        let value = HeaderValue::from_str(host).map_err(|_| fault(unread))?;
        Ok(Self { host_header: Some(value), ..self })
    }

    /// Allows a key over plain HTTP to a host that is not loopback. Off by default: anybody on the
    /// way could read it.
    #[must_use]
    pub fn allow_plain_http(self) -> Self {
        Self { plain_http: true, ..self }
    }

    pub(crate) fn keys_may_go_plain(&self) -> bool {
        self.plain_http
    }

    pub(crate) fn host_header(&self) -> Option<&HeaderValue> {
        self.host_header.as_ref()
    }

    /// Whether these are an installation's own hosts, where a plain key goes as `Api-Key` and where
    /// it is the platform itself that answers.
    pub(crate) fn is_platform(&self) -> bool {
        match &self.base {
            Base::Root(_) => true,
            Base::Fixed(location) => {
                &*location.origin.host == "baseten.co"
                    || location.origin.host.ends_with(".baseten.co")
            }
        }
    }

    /// Where a target with this host label is.
    pub(crate) fn locate(&self, label: &str) -> Location {
        match &self.base {
            Base::Fixed(location) => location.clone(),
            Base::Root(root) => {
                let host = format!("{}.{}", label.to_ascii_lowercase(), root.origin.host);
                let origin = Origin { host: host.into(), ..root.origin.clone() };
                Location { origin, prefix: root.prefix.clone() }
            }
        }
    }

    /// Where the Model APIs are.
    pub(crate) fn model_apis(&self) -> Location {
        self.model_apis.clone()
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Self::baseten()
    }
}

/// The longest path of a base URL, in bytes: with ids and the longest route behind it, there is still
/// room for it in the 65,534 bytes that `http` takes.
const PREFIX_MAX: usize = 8 * 1024;

fn parse_location(what: &'static str, url: &str) -> Result<Location, InvalidUrl> {
    let fault = |why| InvalidUrl::new(what, url, why);
    if url.contains('#') {
        return Err(fault("has a fragment (#…), which no request carries"));
    }
    // Also behind a `/` or `?` of the password, where a parser takes what is before it for the host:
    // the key would go there.
    if url.contains('@') {
        return Err(fault(
            "has '@' in it; a user or password is no part of it (write %40 in a path)",
        ));
    }
    // `http` lets what is not ASCII pass in a path; a URL has it encoded.
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(fault("has a space, a control or a non-ASCII character; percent-encode it"));
    }
    let uri: Uri = url.parse().map_err(|_| fault("is not a URL"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(fault("is not absolute; write it with https://"));
    };
    if uri.query().is_some() {
        return Err(fault("has a query (?…), which would end up in the middle of every URL"));
    }
    let origin = Origin::parse(scheme, authority).map_err(fault)?;
    let prefix = uri.path().trim_end_matches('/');
    if prefix.len() > PREFIX_MAX {
        let why = format!("has a path of {} bytes, at most {PREFIX_MAX} fit", prefix.len());
        return Err(InvalidUrl::new(what, url, why));
    }
    let climbs = prefix.split('/').any(|segment| matches!(segment, "." | ".."));
    if climbs || prefix.contains("//") {
        return Err(fault("has an empty, '.' or '..' segment in its path"));
    }
    Ok(Location { origin, prefix: prefix.into() })
}

/// Why a text cannot be a base URL, root or host header. It shows the host at most: a URL may hold
/// a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUrl {
    what: &'static str,
    shown: Box<str>,
    why: Cow<'static, str>,
}

impl InvalidUrl {
    fn new(what: &'static str, url: &str, why: impl Into<Cow<'static, str>>) -> Self {
        // The host alone: path and query may hold secrets. With an `@` anywhere, nobody can tell where
        // a password ends, so nothing is shown.
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = if url.contains('@') { "" } else { host };
        Self { what, shown: host.escape_debug().to_string().into(), why: why.into() }
    }
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at host \"{}\" {}", self.what, self.shown, self.why)
    }
}

impl std::error::Error for InvalidUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_an_origin_and_a_path() {
        //   given                                origin                        prefix
        for (url, origin, prefix) in [
            ("https://api.example.com", "https://api.example.com", ""),
            ("https://API.example.com:443/", "https://api.example.com", ""),
            ("http://127.0.0.1:8080/model/abc/", "http://127.0.0.1:8080", "/model/abc"),
            ("http://[::1]:9000/x", "http://[::1]:9000", "/x"),
            ("http://[::1]", "http://[::1]", ""),
        ] {
            let location = parse_location("base URL", url).unwrap();
            assert_eq!((location.origin.to_string().as_str(), &*location.prefix), (origin, prefix));
        }
    }

    #[test]
    fn a_url_that_would_mislead_is_refused_without_showing_secrets() {
        for (url, expect) in [
            ("", "is not a URL"),
            ("api.example.com", "is not absolute"),
            ("ftp://example.com", "neither http nor https"),
            ("https://example.com/v1?key=s3cret", "has a query"),
            ("https://example.com/#s3cret", "has a fragment"),
            ("https://user:s3cret@example.com/", "has '@' in it"),
            ("https://user:s3/cret@example.com/", "has '@' in it"), // a password with a slash
            ("https://s3cret:12/x@example.com/v1", "has '@' in it"), // else host `s3cret`, port 12
            ("https://s3cret?x@example.com/", "has '@' in it"),
            ("https://s3cret#x@example.com/", "has a fragment"),
            ("https://example.com:99999/", "a port that is no number from 1 to 65535"),
            ("https://example.com:0/", "a port that is no number from 1 to 65535"),
            ("https://example.com:/", "a port that is no number from 1 to 65535"),
            ("https://example.com/a/../b", "'..' segment"),
            ("https://exa mple.com", "has a space, a control or a non-ASCII character"),
            ("https://m:8443/b10\u{84}/v1/", "has a space, a control or a non-ASCII character"),
            ("https://example.com/caf\u{e9}", "has a space, a control or a non-ASCII character"),
            ("https://exa<mple.com", "is not a URL"),
            // `http` takes those for hosts, and no connection would.
            ("https://eu-west[DONE]", "brackets in its host"),
            ("https://[example.com]", "brackets in its host"),
            ("https://[[::1]]", "is not a URL"),
        ] {
            let message = Hosts::base_url(url).unwrap_err().to_string();
            assert!(message.contains(expect), "{url:?}: {message}");
            assert!(!message.contains("s3"), "{message}");
        }
        let path = Hosts::base_url(&format!("https://example.com/{}", "x".repeat(8192)));
        let told = path.unwrap_err().to_string();
        assert!(told.ends_with("has a path of 8193 bytes, at most 8192 fit"), "{told}");
    }

    #[test]
    fn a_root_and_a_host_header_are_names() {
        let address = "is an IP address, before which no name can stand; use a base URL for that";
        let no_name = "is no host name with an optional port";
        let port = "has a port that is no number from 1 to 65535";
        let headed = |host| Hosts::baseten().with_host_header(host);
        for (found, expect) in [
            (Hosts::root("api.example.com/v1"), "has a path; use a base URL for that"),
            (Hosts::root("[::1]"), address),
            (Hosts::root("http://127.0.0.1:8080"), address), // else `model-abc.127.0.0.1`
            (Hosts::root("api.example.com:0"), port),
            (headed("a b"), no_name),
            (headed("a\r\nb"), no_name),
            (headed(""), no_name),
            (headed("a:99999"), port),
            (headed("a:b"), port),
            (headed("a:"), port),
            (headed(":80"), "has no host"),
            (headed("[x]"), "has brackets in its host that hold no IPv6 address"),
            (headed("u@a"), "has user info before the host; give the key as a credential"),
        ] {
            let told = found.unwrap_err().to_string();
            assert!(told.ends_with(expect), "{told}");
        }
        for host in ["a.example.com", "a:8080", "[::1]:80", "127.0.0.1"] {
            assert_eq!(headed(host).unwrap().host_header().unwrap(), host);
        }
    }

    #[test]
    fn the_model_apis_are_of_the_same_installation_as_the_root() {
        for (root, expect) in [
            ("api.baseten.co", "https://inference.baseten.co"),
            ("api.staging.example.com:8443", "https://inference.staging.example.com:8443"),
            ("http://api.localhost:9000", "http://inference.localhost:9000"),
            ("b10.example.com", "https://inference.b10.example.com"),
        ] {
            let model_apis = Hosts::root(root).unwrap().model_apis();
            assert_eq!(model_apis.origin.to_string(), expect);
        }
    }

    #[test]
    fn loopback_is_told_by_name_and_by_address() {
        for (url, loopback) in [
            ("http://localhost:1", true),
            ("http://model-abc.api.localhost:1", true),
            ("http://127.8.9.1", true),
            ("http://[::1]:1", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("http://notlocalhost", false),
        ] {
            let location = parse_location("base URL", url).unwrap();
            assert_eq!(location.origin.is_loopback(), loopback, "{url}");
        }
    }
}
