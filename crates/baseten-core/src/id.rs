//! Names that go into a URL, parsed once.
//!
//! An id that parsed can stand in a DNS label or a path segment as it is: nothing downstream checks
//! or encodes it again. The platform only says that ids are alphanumeric, so the rules here are the
//! widest ones that keep that promise.

use std::fmt;

/// Why a text cannot be an id. It names the kind of id, never the rest of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidId {
    what: &'static str,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Empty,
    TooLong { len: usize, max: usize },
    Byte { index: usize, found: char, allowed: &'static str },
    Edge,
}

impl InvalidId {
    pub(crate) fn too_long(what: &'static str, len: usize, max: usize) -> Self {
        Self { what, fault: Fault::TooLong { len, max } }
    }
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what;
        match &self.fault {
            Fault::Empty => write!(f, "{what} is empty"),
            Fault::TooLong { len, max } => {
                write!(f, "{what} is {len} bytes long, at most {max} fit")
            }
            Fault::Byte { index, found, allowed } => {
                write!(f, "{what} has {found:?} at byte {index}; allowed are {allowed}")
            }
            Fault::Edge => write!(f, "{what} starts or ends with '-', which no host name may"),
        }
    }
}

impl std::error::Error for InvalidId {}

/// Letters, digits and inner hyphens: what a DNS label takes.
pub(crate) fn parse_label(what: &'static str, text: &str, max: usize) -> Result<(), InvalidId> {
    let allowed = "ASCII letters, digits and '-'";
    parse(what, text, max, allowed, |c| c.is_ascii_alphanumeric() || c == '-')?;
    if text.starts_with('-') || text.ends_with('-') {
        return Err(InvalidId { what, fault: Fault::Edge });
    }
    Ok(())
}

/// Letters, digits, `-` and `_`: stands in a path segment unencoded, and is never `.` or `..`.
fn parse_segment(what: &'static str, text: &str, max: usize) -> Result<(), InvalidId> {
    let allowed = "ASCII letters, digits, '-' and '_'";
    parse(what, text, max, allowed, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Up to `max` bytes of characters that fit, and one at least.
pub(crate) fn parse(
    what: &'static str,
    text: &str,
    max: usize,
    allowed: &'static str,
    fits: impl Fn(char) -> bool,
) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId { what, fault: Fault::Empty });
    }
    if let Some((index, found)) = text.char_indices().find(|(_, c)| !fits(*c)) {
        return Err(InvalidId { what, fault: Fault::Byte { index, found, allowed } });
    }
    if text.len() > max {
        return Err(InvalidId::too_long(what, text.len(), max));
    }
    Ok(())
}

/// The longest DNS label, in bytes (RFC 1035).
pub(crate) const LABEL_MAX: usize = 63;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $parse:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses the id.
            ///
            /// # Errors
            /// [`InvalidId`] if it is empty, too long, or holds a byte that is not allowed.
            pub fn new(id: impl AsRef<str>) -> Result<Self, InvalidId> {
                let id = id.as_ref();
                $parse($what, id, $max)?;
                Ok(Self(id.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(id: &str) -> Result<Self, InvalidId> {
                Self::new(id)
            }
        }
    };
}

id! {
    /// The id of a model: the `abcd1234` of `model-abcd1234.api.baseten.co`.
    ///
    /// ASCII letters, digits and inner hyphens, at most 57 bytes, so that `model-` and the id fit
    /// into one DNS label.
    ///
    /// ```
    /// use baseten_core::ModelId;
    /// assert_eq!(ModelId::new("abcd1234")?.as_str(), "abcd1234");
    /// assert!(ModelId::new("abcd/../secret").is_err());
    /// # Ok::<(), baseten_core::InvalidId>(())
    /// ```
    ModelId, "model id", parse_label, LABEL_MAX - "model-".len()
}

id! {
    /// The id of a chain: the `abcd1234` of `chain-abcd1234.api.baseten.co`.
    ///
    /// The same rules as [`ModelId`].
    ChainId, "chain id", parse_label, LABEL_MAX - "chain-".len()
}

id! {
    /// The id of one deployment of a model or chain; at most 128 bytes of letters, digits, `-`, `_`.
    DeploymentId, "deployment id", parse_segment, 128
}

id! {
    /// The name of an environment; at most 128 bytes of letters, digits, `-`, `_`.
    EnvironmentName, "environment name", parse_segment, 128
}

id! {
    /// The id of an asynchronous request; at most 128 bytes of letters, digits, `-`, `_`.
    AsyncRequestId, "async request id", parse_segment, 128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_stand_in_a_label_is_a_model_id() {
        for good in ["a", "abcd1234", "A-b-3", &"x".repeat(57)] {
            assert_eq!(ModelId::new(good).unwrap().as_str(), good);
        }
        //   text                 what the message must name
        for (bad, expect) in [
            ("", "model id is empty"),
            ("a.b", "'.' at byte 1"), // would start another label
            ("a/b", "'/' at byte 1"), // would leave the host
            ("a@b", "'@' at byte 1"), // would become user info
            ("a:1", "':' at byte 1"), // would become a port
            ("a b", "' ' at byte 1"),
            ("a\n", "'\\n' at byte 1"),
            ("é", "'é' at byte 0"),
            ("a_b", "'_' at byte 1"), // not a host name
            ("-a", "starts or ends with '-'"),
            ("a-", "starts or ends with '-'"),
            (&"x".repeat(58), "58 bytes long, at most 57"),
        ] {
            let message = ModelId::new(bad).unwrap_err().to_string();
            assert!(message.contains(expect), "{bad:?}: {message}");
        }
    }

    #[test]
    fn a_path_segment_cannot_leave_its_place() {
        for good in ["staging", "us_east-1", "q3"] {
            assert!(EnvironmentName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a%2fb", "a?b", "a#b", "ü", "a b"] {
            assert!(EnvironmentName::new(bad).is_err(), "{bad}");
            assert!(DeploymentId::new(bad).is_err(), "{bad}");
            assert!(AsyncRequestId::new(bad).is_err(), "{bad}");
        }
    }
}
