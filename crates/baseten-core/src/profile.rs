//! Credentials out of the files that Baseten's own tools keep: text in, credential out.
//!
//! It reads no file and no keyring, and no error of it shows anything of a file but names.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::credential::Credential;
use crate::error::Error;
use crate::time;

/// Where Baseten itself is managed. Other installations have hosts that their address does not tell.
const BASETEN: &str = "https://app.baseten.co";

impl Credential {
    /// That of a remote in a `.trussrc`, as `truss` 0.18 writes it: a section for each remote, with an
    /// `api_key` or an `oauth_access_token`. Without a name there may be only one. A token is good until
    /// `oauth_expires_at`, as [`Credential::token_until`]; `truss` puts a new one into the file when it
    /// needs one, and [`Credential::rotating`] can read it there.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`]: no such remote, more than one to choose from, one of another
    /// installation than Baseten's, or one whose secret is in the system's keyring.
    pub fn from_trussrc(text: &str, remote: Option<&str>) -> Result<Self, Error> {
        let mut remotes = sections(text)?;
        let shared = remotes.remove("DEFAULT").unwrap_or_default();
        let (name, remote) = choose("remote", &remotes, remote)?;
        let value = |key| remote.get(key).or_else(|| shared.get(key)).copied();
        check_url("remote", name, value("remote_url"))?;
        match (value("api_key"), value("oauth_access_token")) {
            (Some(key), _) => Ok(Self::api_key(key)?),
            (None, Some(token)) => token_of(token, value("oauth_expires_at").and_then(when)),
            (None, None) => Err(keyring("remote", name, "baseten-truss")),
        }
    }

    /// That of a profile in the `auth.json` of Baseten's command line tool. Without a name it is the
    /// current one. A token is good until its `expiry`, as [`Credential::token_until`]; the tool puts a
    /// new one into the file when it needs one, and [`Credential::rotating`] can read it there.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`]: not such a file, no such profile, one of another installation than
    /// Baseten's, or one whose secret is in the system's keyring, where the tool puts it if it can.
    pub fn from_cli_auth(text: &str, profile: Option<&str>) -> Result<Self, Error> {
        // Its own words may quote a secret.
        let file: CliAuth = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::request(format!("auth.json cannot be read at line {line}, column {column}"))
        })?;
        let profiles = file.profiles.iter().map(|(name, profile)| (name.as_str(), profile));
        let wanted = profile.or(file.current.as_deref());
        let profiles: BTreeMap<&str, &Profile> = profiles.collect();
        let (name, profile) = choose("profile", &profiles, wanted)?;
        check_url("profile", name, profile.remote_url.as_deref())?;
        match (&profile.api_key, &profile.oauth_credential) {
            (Some(key), _) => Ok(Self::api_key(key)?),
            (None, Some(oauth)) => {
                let until = match &oauth.expiry {
                    Some(Expiry::Text(text)) => when(text),
                    Some(Expiry::Seconds(seconds)) => since_1970(*seconds),
                    Some(Expiry::Other(_)) | None => None,
                };
                token_of(&oauth.access_token, until)
            }
            (None, None) => Err(keyring("profile", name, "baseten-profile")),
        }
    }
}

#[derive(Deserialize)]
struct CliAuth {
    current: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

#[derive(Deserialize)]
struct Profile {
    remote_url: Option<String>,
    api_key: Option<String>,
    oauth_credential: Option<OAuth>,
}

#[derive(Deserialize)]
struct OAuth {
    access_token: String,
    expiry: Option<Expiry>,
}

/// Its form is not documented.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expiry {
    Text(String),
    Seconds(u64),
    Other(IgnoredAny),
}

/// Of a token whose end cannot be read the server is the judge.
fn token_of(token: &str, until: Option<SystemTime>) -> Result<Credential, Error> {
    Ok(match until {
        Some(until) => Credential::token_until(token, until)?,
        None => Credential::token(token)?,
    })
}

/// A time as `truss` writes it, in seconds since 1970, or as Go does, in RFC 3339.
fn when(text: &str) -> Option<SystemTime> {
    text.parse().ok().and_then(since_1970).or_else(|| time::parse(text))
}

fn since_1970(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

type Sections<'t> = BTreeMap<&'t str, BTreeMap<String, &'t str>>;

/// As Python's `ConfigParser` reads: comments have lines of their own, names of keys have no case.
fn sections(text: &str) -> Result<Sections<'_>, Error> {
    let mut sections = Sections::new();
    let mut section = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let fault = || Error::request(format!(".trussrc cannot be read at line {}", index + 1));
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(fault)?;
            section = Some(sections.entry(name).or_default());
        } else {
            let (key, value) = line.split_once(['=', ':']).ok_or_else(fault)?;
            let section = section.as_mut().ok_or_else(fault)?;
            section.insert(key.trim().to_lowercase(), value.trim());
        }
    }
    Ok(sections)
}

/// The one of this name, or the only one.
fn choose<'m, 't, T>(
    what: &str,
    all: &'m BTreeMap<&'t str, T>,
    wanted: Option<&str>,
) -> Result<(&'t str, &'m T), Error> {
    let names = || all.keys().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let found = match wanted {
        Some(wanted) => all.get_key_value(wanted),
        None if all.len() > 1 => {
            return Err(Error::request(format!("name one {what}: there are {}", names())));
        }
        None => all.first_key_value(),
    };
    let missing = || match wanted {
        Some(wanted) => format!("there is no {what} {wanted:?}, only: {}", names()),
        None => format!("there is no {what}"),
    };
    found.map(|(name, found)| (*name, found)).ok_or_else(|| Error::request(missing()))
}

/// A key goes nowhere but where it belongs.
fn check_url(what: &str, name: &str, url: Option<&str>) -> Result<(), Error> {
    match url.map(|url| url.trim_end_matches('/')) {
        None | Some(BASETEN) => Ok(()),
        Some(_) => Err(Error::request(format!(
            "{what} {name:?} is not of {BASETEN}: give its hosts and its credential yourself"
        ))),
    }
}

fn keyring(what: &str, name: &str, service: &str) -> Error {
    Error::request(format!(
        "the secret of {what} {name:?} is in the system's keyring (service {service}, account \
         {name}), which is not read here: give it as a credential"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trussrc_is_read() {
        let one = "; mine\n[baseten]\nremote_provider = baseten\nAPI_Key = k.s3cret\nremote_url = https://app.baseten.co\n";
        let two = "[a]\napi_key: k.s3cret\n[b]\nauth_type = oauth\noauth_access_token = t.s3cret\n";
        let ends = "[a]\noauth_access_token = t.s3cret\noauth_expires_at = 1714507268\n";
        let kept = "[a]\nauth_type = api_key\n";
        let other = "[a]\napi_key = k.s3cret\nremote_url = https://app.example.com\n";
        let shared = "[DEFAULT]\nremote_url = https://app.baseten.co/\n[a]\napi_key = k.s3cret\n";
        for (text, remote, expect) in [
            (one, None, Ok("Credential(API key)")),
            (one, Some("baseten"), Ok("Credential(API key)")),
            (shared, None, Ok("Credential(API key)")),
            (two, Some("b"), Ok("Credential(token)")),
            (ends, None, Ok("Credential(token until Tue, 30 Apr 2024 20:01:08 GMT)")),
            (two, None, Err("name one remote: there are \"a\", \"b\"")),
            (two, Some("c"), Err("there is no remote \"c\", only: \"a\", \"b\"")),
            ("", None, Err("there is no remote")),
            (kept, None, Err("keyring (service baseten-truss, account a)")),
            (other, None, Err("remote \"a\" is not of https://app.baseten.co")),
            ("k.s3cret\n", None, Err(".trussrc cannot be read at line 1")),
            ("[a\n", None, Err(".trussrc cannot be read at line 1")),
            ("[a]\napi_key =\n", None, Err("API key is empty")),
        ] {
            check(Credential::from_trussrc(text, remote), expect);
        }
    }

    #[test]
    fn a_cli_auth_is_read() {
        let file = r#"{"version":1,"current":"b","profiles":{
            "a":{"remote_url":"https://app.baseten.co","auth_type":"api_key","api_key":"k.s3cret"},
            "b":{"auth_type":"oauth","oauth_credential":{"access_token":"t.s3cret","expiry":"x"}},
            "c":{"auth_type":"api_key"},
            "d":{"remote_url":"https://app.example.com","api_key":"k.s3cret"},
            "e":{"oauth_credential":{"access_token":"t.s3cret","expiry":"2024-04-30T22:01:08.5+02:00"}},
            "f":{"oauth_credential":{"access_token":"t.s3cret","expiry":1714507268}},
            "g":{"oauth_credential":{"access_token":"t.s3cret","expiry":"0001-01-01T00:00:00Z"}},
            "h":{"oauth_credential":{"access_token":"t.s3cret","expiry":{"s3cret":1}}}}}"#;
        let until = "Credential(token until Tue, 30 Apr 2024 20:01:08 GMT)";
        for (text, profile, expect) in [
            (file, None, Ok("Credential(token)")), // the current one
            (file, Some("a"), Ok("Credential(API key)")),
            (file, Some("c"), Err("keyring (service baseten-profile, account c)")),
            (file, Some("d"), Err("profile \"d\" is not of https://app.baseten.co")),
            (file, Some("e"), Ok(until)),
            (file, Some("f"), Ok(until)),
            (file, Some("g"), Ok("Credential(token)")), // Go's word for never
            (file, Some("h"), Ok("Credential(token)")), // a form of its own
            (file, Some("x"), Err("there is no profile \"x\", only: \"a\", \"b\", \"c\", \"d\"")),
            (r#"{"profiles":{}}"#, None, Err("there is no profile")),
            (r#""s3cret""#, None, Err("auth.json cannot be read at line 1")),
            (r#"{"profiles":{"a":"s3cret"}}"#, None, Err("auth.json cannot be read at line 1")),
        ] {
            check(Credential::from_cli_auth(text, profile), expect);
        }
    }

    fn check(found: Result<Credential, Error>, expect: Result<&str, &str>) {
        match (found, expect) {
            (Ok(found), Ok(expect)) => assert_eq!(format!("{found:?}"), expect),
            (Err(error), Err(expect)) => {
                assert!(error.to_string().contains(expect), "{error}");
                assert!(!format!("{error} {error:#?}").contains("s3cret"), "{error:#?}");
            }
            (found, expect) => panic!("{expect:?} expected, found {found:?}"),
        }
    }
}
