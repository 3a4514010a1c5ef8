//! Keys and tokens: kept so that they cannot be printed.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;

use crate::endpoint::Endpoint;
use crate::failure::{Cause, Failure, Source};
use crate::time;

/// What a client shows for itself: an API key, a token, what a closure says, or nothing.
///
/// A plain API key goes as `Authorization: Api-Key …` on an installation's own hosts, where every
/// host takes it, and as `Bearer` to a base URL that replaced them, since gateways and
/// OpenAI-compatible servers expect that. A token is always `Bearer`. Never printed: `Debug` shows
/// only the kind.
///
/// ```
/// use baseten_core::Credential;
/// let key = Credential::api_key("abcd1234.secret\n")?; // a newline from a file is trimmed
/// assert!(!format!("{key:?}").contains("secret"));
/// # Ok::<(), baseten_core::InvalidCredential>(())
/// ```
#[derive(Clone)]
pub struct Credential(Kind);

#[derive(Clone)]
enum Kind {
    None,
    /// Both spellings, built once and cloned by reference count.
    Key {
        api_key: HeaderValue,
        bearer: HeaderValue,
        scheme: Option<Scheme>,
    },
    Token {
        bearer: HeaderValue,
        /// When it is over.
        until: Option<SystemTime>,
    },
    Rotating {
        read: Arc<Read>,
        scheme: Option<Scheme>,
    },
}

/// What is asked for the credential of an attempt.
type Read = dyn Fn() -> Result<Credential, Source> + Send + Sync;

/// How an API key is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Api-Key …`.
    ApiKey,
    /// `Authorization: Bearer …`.
    Bearer,
}

impl Credential {
    /// An API key. White space around it is trimmed.
    ///
    /// # Errors
    /// [`InvalidCredential`] if it is empty or has a byte that is not visible ASCII.
    pub fn api_key(key: &str) -> Result<Self, InvalidCredential> {
        let key = parse("API key", key)?;
        let (api_key, bearer) = (header("Api-Key", key), header("Bearer", key));
        Ok(Self(Kind::Key { api_key, bearer, scheme: None }))
    }

    /// An OAuth access token, always sent as `Bearer`. White space around it is trimmed.
    ///
    /// # Errors
    /// [`InvalidCredential`] if it is empty or has a byte that is not visible ASCII.
    pub fn token(token: &str) -> Result<Self, InvalidCredential> {
        let bearer = header("Bearer", parse("token", token)?);
        Ok(Self(Kind::Token { bearer, until: None }))
    }

    /// An OAuth access token that is over at this time of day. Whoever sends it afterwards is told so
    /// ([`Cause::TokenExpired`]), and nothing is sent.
    ///
    /// # Errors
    /// As [`Credential::token`].
    pub fn token_until(token: &str, until: SystemTime) -> Result<Self, InvalidCredential> {
        let bearer = header("Bearer", parse("token", token)?);
        Ok(Self(Kind::Token { bearer, until: Some(until) }))
    }

    /// A credential that changes: `read` is asked before each attempt of each call, so that a retry
    /// already has the new one. It runs on the caller's thread, inside a future in async code: let it
    /// look into a cell, and let whatever gets new keys fill that cell. To read a file each time is fine
    /// for a program that sends little.
    ///
    /// A call whose `read` fails ends there, before anything is sent, with [`Cause::Credential`]; what
    /// `read` gave is the error's source, and so must not quote a key. It may give a key, a token or
    /// [`Credential::none`], but no closure again.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::sync::{Arc, PoisonError, RwLock};
    /// use baseten_core::Credential;
    ///
    /// let cell = Arc::new(RwLock::new(Credential::api_key("abcd1234.first")?));
    /// let read = cell.clone();
    /// let credential = Credential::rotating(move || {
    ///     Ok::<_, Infallible>(read.read().unwrap_or_else(PoisonError::into_inner).clone())
    /// });
    /// // Later, in a task or thread of your own:
    /// *cell.write().unwrap_or_else(PoisonError::into_inner) = Credential::api_key("abcd1234.second")?;
    /// # Ok::<(), baseten_core::InvalidCredential>(())
    /// ```
    #[must_use]
    pub fn rotating<F, E>(read: F) -> Self
    where
        F: Fn() -> Result<Self, E> + Send + Sync + 'static,
        E: Into<Source>,
    {
        Self(Kind::Rotating { read: Arc::new(move || read().map_err(Into::into)), scheme: None })
    }

    /// No `Authorization` header at all, for servers that ask for none.
    #[must_use]
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// Always presents an API key in this way, wherever it goes. A token stays `Bearer`.
    #[must_use]
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        match self.0 {
            Kind::Key { api_key, bearer, .. } => {
                Self(Kind::Key { api_key, bearer, scheme: Some(scheme) })
            }
            Kind::Rotating { read, .. } => Self(Kind::Rotating { read, scheme: Some(scheme) }),
            other => Self(other),
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }

    /// Whether it is the same for every attempt, at any time.
    pub(crate) fn is_fixed(&self) -> bool {
        !matches!(self.0, Kind::Token { until: Some(_), .. } | Kind::Rotating { .. })
    }

    /// The `Authorization` value for this endpoint, marked sensitive, of one that is fixed.
    pub(crate) fn header_for(&self, endpoint: &Endpoint) -> Option<&HeaderValue> {
        match &self.0 {
            Kind::None | Kind::Rotating { .. } => None,
            Kind::Token { bearer, .. } => Some(bearer),
            Kind::Key { api_key, bearer, scheme } => {
                let own =
                    if endpoint.takes_api_key_scheme() { Scheme::ApiKey } else { Scheme::Bearer };
                match scheme.unwrap_or(own) {
                    Scheme::ApiKey => Some(api_key),
                    Scheme::Bearer => Some(bearer),
                }
            }
        }
    }

    /// The `Authorization` value of an attempt that is made now, marked sensitive.
    pub(crate) fn header_at(
        &self,
        endpoint: &Endpoint,
        now: SystemTime,
    ) -> Result<Option<HeaderValue>, Failure> {
        let credential = self.read()?;
        match credential.0 {
            Kind::Token { until: Some(at), .. } if at <= now => {
                Err(Failure::before_sending(Cause::TokenExpired { at }, None))
            }
            _ => Ok(credential.header_for(endpoint).cloned()),
        }
    }

    /// What a closure says, or the credential itself.
    fn read(&self) -> Result<Self, Failure> {
        let Kind::Rotating { read, scheme } = &self.0 else { return Ok(self.clone()) };
        let unread = |source| Failure::before_sending(Cause::Credential, Some(source));
        let credential = read().map_err(unread)?;
        match (scheme, &credential.0) {
            (_, Kind::Rotating { .. }) => {
                Err(unread("it gave a closure instead of a key or token".into()))
            }
            (Some(scheme), _) => Ok(credential.with_scheme(*scheme)),
            (None, _) => Ok(credential),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::None => f.write_str("Credential(none)"),
            Kind::Key { .. } => f.write_str("Credential(API key)"),
            Kind::Token { until: None, .. } => f.write_str("Credential(token)"),
            Kind::Token { until: Some(at), .. } => {
                write!(f, "Credential(token until {})", time::told(*at))
            }
            Kind::Rotating { .. } => f.write_str("Credential(rotating)"),
        }
    }
}

fn parse<'a>(what: &'static str, secret: &'a str) -> Result<&'a str, InvalidCredential> {
    let secret = secret.trim();
    if secret.is_empty() {
        return Err(InvalidCredential { what, fault: Fault::Empty });
    }
    match secret.bytes().position(|byte| !byte.is_ascii_graphic()) {
        Some(index) => Err(InvalidCredential { what, fault: Fault::Byte { index } }),
        None => Ok(secret),
    }
}

fn header(scheme: &str, secret: &str) -> HeaderValue {
    let mut value = HeaderValue::try_from(format!("{scheme} {secret}"))
        .expect("the secret was checked to be visible ASCII");
    value.set_sensitive(true);
    value
}

/// Why a text cannot be a key or token. It never shows any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCredential {
    what: &'static str,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Empty,
    Byte { index: usize },
}

impl fmt::Display for InvalidCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Empty => write!(f, "{} is empty", self.what),
            Fault::Byte { index } => write!(
                f,
                "{} has a byte at {index} that is not visible ASCII and cannot stand in a header",
                self.what
            ),
        }
    }
}

impl std::error::Error for InvalidCredential {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hosts, ModelId, Operation, Target};

    fn sent(hosts: &Hosts, credential: &Credential) -> Option<String> {
        let target = Target::model(ModelId::new("abc").unwrap());
        let endpoint = Endpoint::new(hosts, &target, &Operation::Predict).unwrap();
        let header = credential.header_at(&endpoint, SystemTime::UNIX_EPOCH).unwrap();
        header.map(|value| value.to_str().unwrap().to_owned())
    }

    fn rotating(credential: Credential) -> Credential {
        Credential::rotating(move || Ok::<_, Source>(credential.clone()))
    }

    #[test]
    fn the_scheme_follows_the_host() {
        let own = Hosts::baseten();
        let gateway = Hosts::base_url("https://llm.example.com").unwrap();
        let bridged = Hosts::base_url("https://model-abc.api.baseten.co").unwrap();
        let key = || Credential::api_key(" k.1\r\n").unwrap();
        let token = || Credential::token("t.1").unwrap();
        for (hosts, credential, expect) in [
            (&own, key(), Some("Api-Key k.1")),
            (&gateway, key(), Some("Bearer k.1")),
            (&bridged, key(), Some("Api-Key k.1")), // Baseten's host, however it was given
            (&own, key().with_scheme(Scheme::Bearer), Some("Bearer k.1")),
            (&gateway, key().with_scheme(Scheme::ApiKey), Some("Api-Key k.1")),
            (&own, token(), Some("Bearer t.1")),
            (&own, token().with_scheme(Scheme::ApiKey), Some("Bearer t.1")),
            (&own, Credential::none(), None),
            (&own, rotating(key()), Some("Api-Key k.1")),
            (&own, rotating(key()).with_scheme(Scheme::Bearer), Some("Bearer k.1")),
            (&own, rotating(key().with_scheme(Scheme::Bearer)), Some("Bearer k.1")),
            (&gateway, rotating(key()), Some("Bearer k.1")),
            (&own, rotating(Credential::none()), None),
        ] {
            assert_eq!(sent(hosts, &credential).as_deref(), expect);
        }
    }

    #[test]
    fn a_bad_key_is_named_by_its_byte_and_not_shown() {
        for (key, expect) in [
            ("", "API key is empty"),
            (" \n", "API key is empty"),
            ("s3cret\nX-Evil: 1", "byte at 6"),
            ("s3cret\0", "byte at 6"),
            ("s3 cret", "byte at 2"),
            ("s3crét", "byte at 4"),
        ] {
            let error = Credential::api_key(key).unwrap_err();
            assert!(error.to_string().contains(expect), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3"), "{error:?}");
        }
    }
}
