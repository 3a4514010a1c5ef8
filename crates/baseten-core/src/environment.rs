//! What variables say of a client, and where Baseten's own tools keep their files.
//!
//! It reads no environment and no file: whoever may read variables hands in how, and has text and paths
//! parsed.

use std::env::consts;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use crate::credential::Credential;
use crate::error::Error;
use crate::hosts::Hosts;

/// Variables, by a function that gives the value of a name. An empty one is as good as none, and errors
/// begin with the name of theirs.
///
/// ```
/// use baseten_core::Environment;
/// let environment = Environment::new(&|name| (name == "BASETEN_API_KEY").then(|| "k.s3cret\n".into()));
/// let (credential, hosts) = (environment.credential()?, environment.hosts()?);
/// # Ok::<(), baseten_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Environment<'v> {
    value: &'v dyn Fn(&str) -> Option<OsString>,
}

impl<'v> Environment<'v> {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(value: &'v dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { value }
    }

    /// The key in `BASETEN_API_KEY`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if it is not set, or is no key.
    pub fn credential(&self) -> Result<Credential, Error> {
        let key = self.text(&["BASETEN_API_KEY"], Credential::api_key)?;
        key.ok_or_else(|| Error::request("BASETEN_API_KEY is not set"))
    }

    /// The base URL in `BASETEN_BASE_URL`, or Baseten's own hosts.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if it is no base URL.
    pub fn hosts(&self) -> Result<Hosts, Error> {
        Ok(self.text(&["BASETEN_BASE_URL"], Hosts::base_url)?.unwrap_or_default())
    }

    /// A proxy of curl's, parsed: `of` is `http`, `https`, `all`, or `no` for what goes without. Lower
    /// case goes before capitals; `HTTP_PROXY` in capitals does not count in a CGI program (where
    /// `REQUEST_METHOD` is set), since a client can set it there by sending a header.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if it cannot be parsed.
    pub fn proxy<T, E: fmt::Display>(
        &self,
        of: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Error> {
        let lower = format!("{of}_proxy");
        let upper = lower.to_uppercase();
        let is_a_header = upper == "HTTP_PROXY" && (self.value)("REQUEST_METHOD").is_some();
        let names: &[&str] = if is_a_header { &[&lower] } else { &[&lower, &upper] };
        self.text(names, parse)
    }

    /// What stands in a variable, parsed, if it is set. It may be a path, in whatever encoding.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if it cannot be parsed.
    pub fn parse<T, E: fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&OsStr) -> Result<T, E>,
    ) -> Result<Option<T>, Error> {
        let wrong = |error| Error::request(format!("{name}: {error}"));
        self.get(name).map(|value| parse(&value).map_err(wrong)).transpose()
    }

    /// Where `truss` 0.18 keeps its remotes: `USER_TRUSSRC_PATH`, or `.trussrc` in the home folder.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if no home folder is set.
    pub fn trussrc(&self) -> Result<PathBuf, Error> {
        let path = self.get("USER_TRUSSRC_PATH").map_or_else(|| "~/.trussrc".into(), PathBuf::from);
        match path.strip_prefix("~") {
            Ok(below) => Ok(self.home(consts::OS)?.join(below)),
            Err(_) => Ok(path),
        }
    }

    /// Where Baseten's command line tool keeps its profiles: `auth.json` in `BASETEN_CONFIG_DIR`, or in
    /// `baseten` in the user's folder for settings, which is `~/.config` on Linux.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if neither is set.
    pub fn cli_auth(&self) -> Result<PathBuf, Error> {
        let folder = match self.get("BASETEN_CONFIG_DIR") {
            Some(folder) => folder.into(),
            None => self.settings(consts::OS)?.join("baseten"),
        };
        Ok(folder.join("auth.json"))
    }

    /// The profile that the command line tool takes unless told: `BASETEN_PROFILE`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if it is not UTF-8.
    pub fn cli_profile(&self) -> Result<Option<String>, Error> {
        self.text(&["BASETEN_PROFILE"], |name| Ok::<_, Error>(name.to_owned()))
    }

    fn get(&self, name: &str) -> Option<OsString> {
        (self.value)(name).filter(|value| !value.is_empty())
    }

    /// The first of these variables that is set, parsed.
    fn text<T, E: fmt::Display>(
        &self,
        names: &[&str],
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Error> {
        let Some(name) = names.iter().find(|name| self.get(name).is_some()) else {
            return Ok(None);
        };
        self.parse(name, |value| {
            let text = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned())?;
            parse(text).map_err(|error| error.to_string())
        })
    }

    fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let missing = || Error::request(format!("{name} is not set: name the path of the file"));
        self.get(name).map(PathBuf::from).ok_or_else(missing)
    }

    fn home(&self, system: &str) -> Result<PathBuf, Error> {
        self.folder(if system == "windows" { "USERPROFILE" } else { "HOME" })
    }

    /// As Go's `os.UserConfigDir`, by which the tool goes.
    fn settings(&self, system: &str) -> Result<PathBuf, Error> {
        match (system, self.get("XDG_CONFIG_HOME")) {
            ("windows", _) => self.folder("APPDATA"),
            ("macos", _) => Ok(self.home(system)?.join("Library/Application Support")),
            (_, Some(folder)) => Ok(folder.into()),
            (_, None) => Ok(self.home(system)?.join(".config")),
        }
    }
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls with an environment of these alone.
    fn with<T>(set: &[(&str, &str)], call: impl FnOnce(Environment<'_>) -> T) -> T {
        let value = |name: &str| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| OsString::from(*value))
        };
        call(Environment::new(&value))
    }

    #[test]
    fn a_variable_is_named_where_it_is_missing_or_wrong() {
        let key = |set: &[_]| with(set, |e| e.credential().map(|key| format!("{key:?}")));
        let hosts = |set: &[_]| {
            with(set, |e| e.hosts().map(|hosts| hosts.locate("model-abc").origin.to_string()))
        };
        let own = "https://model-abc.api.baseten.co";
        //   what is read                                          what comes of it
        for (found, expect) in [
            (key(&[("BASETEN_API_KEY", " k.s3cret\n")]), Ok("Credential(API key)")),
            (key(&[]), Err("BASETEN_API_KEY is not set")),
            (key(&[("BASETEN_API_KEY", "")]), Err("BASETEN_API_KEY is not set")),
            (key(&[("BASETEN_API_KEY", " \n")]), Err("BASETEN_API_KEY: API key is empty")),
            (
                key(&[("BASETEN_API_KEY", "s3cret\nx")]),
                Err("BASETEN_API_KEY: API key has a byte at 6"),
            ),
            (hosts(&[]), Ok(own)),
            (hosts(&[("BASETEN_BASE_URL", "")]), Ok(own)),
            (hosts(&[("BASETEN_BASE_URL", "http://a:1/b")]), Ok("http://a:1")),
            (
                hosts(&[("BASETEN_BASE_URL", "no-url?s3cret")]),
                Err("BASETEN_BASE_URL: base URL at host \"no-url\" is not"),
            ),
        ] {
            match (found, expect) {
                (Ok(found), Ok(expect)) => assert_eq!(found, expect),
                (Err(error), Err(expect)) => {
                    let told = error.to_string();
                    assert!(told.starts_with(expect) && !told.contains("s3cret"), "{told}");
                }
                (found, expect) => panic!("{expect:?} expected, found {found:?}"),
            }
        }
    }

    #[test]
    fn the_first_proxy_that_is_set_counts() {
        let cgi = ("REQUEST_METHOD", "GET");
        for (set, of, expect) in [
            (&[("http_proxy", "a"), ("HTTP_PROXY", "b")][..], "http", Some("a")),
            (&[("http_proxy", ""), ("HTTP_PROXY", "b")], "http", Some("b")),
            (&[("HTTP_PROXY", "b"), cgi], "http", None), // a header of whoever asks
            (&[("http_proxy", "a"), cgi], "http", Some("a")),
            (&[("HTTPS_PROXY", "b"), cgi], "https", Some("b")),
            (&[("NO_PROXY", "*")], "no", Some("*")),
            (&[("HTTPS_PROXY", "b")], "all", None),
        ] {
            let found = with(set, |e| e.proxy(of, |url| Ok::<_, Error>(url.to_owned()))).unwrap();
            assert_eq!(found.as_deref(), expect, "{set:?}");
        }
        let error = with(&[("ALL_PROXY", "x")], |e| e.proxy("all", |_| Err::<(), _>("no proxy")));
        assert_eq!(error.unwrap_err().to_string(), "ALL_PROXY: no proxy");
    }

    #[test]
    fn files_are_where_the_tools_keep_them() {
        let home = ("HOME", "/home/me");
        let missing = "is not set: name the path of the file";
        for (set, expect) in [
            (&[home][..], Ok("/home/me/.trussrc")),
            (&[home, ("USER_TRUSSRC_PATH", "")], Ok("/home/me/.trussrc")),
            (&[home, ("USER_TRUSSRC_PATH", "~/t/rc")], Ok("/home/me/t/rc")),
            (&[("USER_TRUSSRC_PATH", "/t/~/rc")], Ok("/t/~/rc")),
            (&[], Err("HOME")),
            (&[("HOME", "")], Err("HOME")),
        ] {
            let found = with(set, |e| e.trussrc()).map_err(|error| error.to_string());
            let expect = expect.map(PathBuf::from).map_err(|name| format!("{name} {missing}"));
            assert_eq!(found, expect, "{set:?}");
        }
        for (set, expect) in [
            (&[home][..], "/home/me/.config/baseten/auth.json"),
            (&[home, ("XDG_CONFIG_HOME", "/x")], "/x/baseten/auth.json"),
            (&[home, ("BASETEN_CONFIG_DIR", "/b")], "/b/auth.json"),
            (&[home, ("BASETEN_CONFIG_DIR", "")], "/home/me/.config/baseten/auth.json"),
        ] {
            assert_eq!(with(set, |e| e.cli_auth()).unwrap(), PathBuf::from(expect), "{set:?}");
        }
        let error = with(&[], |e| e.cli_auth()).unwrap_err().to_string();
        assert_eq!(error, format!("HOME {missing}"));
        let set = [home, ("XDG_CONFIG_HOME", "/x"), ("APPDATA", "/a"), ("USERPROFILE", "/u")];
        for (system, expect) in [
            ("linux", "/x"),
            ("freebsd", "/x"),
            ("macos", "/home/me/Library/Application Support"),
            ("windows", "/a"),
        ] {
            assert_eq!(with(&set, |e| e.settings(system)).unwrap(), PathBuf::from(expect));
        }
    }

    #[cfg(unix)]
    #[test]
    fn text_that_is_none_is_told_by_its_variable() {
        let value = |_: &str| Some(std::os::unix::ffi::OsStringExt::from_vec(b"\xff".to_vec()));
        let environment = Environment::new(&value);
        let error = environment.credential().unwrap_err().to_string();
        assert_eq!(error, "BASETEN_API_KEY: it is not UTF-8");
        let path = environment.parse("SSL_CERT_FILE", |path| Ok::<_, Error>(path.len())).unwrap();
        assert_eq!(path, Some(1), "a path need not be text");
    }
}
