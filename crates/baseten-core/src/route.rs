//! The route behind `sync/`, percent-encoded.
//!
//! Whatever the caller writes stays below `sync/`: a route that would climb out is refused, and
//! everything that cannot stand in a path or query is encoded.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// A route inside a container, such as `v1/chat/completions` or `/items/12?verbose=1`.
///
/// A leading slash is optional. Spaces, unicode and other bytes that cannot stand in a URL are
/// percent-encoded; what is encoded already (`%2F`) is kept. What follows the first `?` is the query.
///
/// ```
/// use baseten_core::Route;
/// assert_eq!(Route::new("/café/a b?q=x y")?.as_str(), "caf%C3%A9/a%20b?q=x%20y");
/// assert!(Route::new("a/../../deployment/other").is_err());
/// # Ok::<(), baseten_core::InvalidRoute>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route(Box<str>);

/// Why a text cannot be a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRoute(Fault);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    DotSegment { segment: String },
    Control { index: usize, found: char },
    Fragment { index: usize },
    BadEscape { index: usize },
    TooLong { length: usize },
}

/// The longest route, in bytes as it is sent. Behind the longest base URL, `http` still takes it.
const MAX: usize = 48 * 1024;

/// Not allowed in a path or query by RFC 3986, besides controls and non-ASCII. `%` stays: it starts
/// an escape that has been checked.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'[')
    .add(b']');

impl Route {
    /// Parses and encodes a route.
    ///
    /// # Errors
    /// [`InvalidRoute`] for a `.` or `..` segment (encoded ones too), a control byte, a `#`, a `%` that
    /// is not followed by two hex digits, or more than 48 KiB once encoded.
    pub fn new(route: impl AsRef<str>) -> Result<Self, InvalidRoute> {
        let route = route.as_ref();
        let fault = |fault| Err(InvalidRoute(fault));
        if let Some((index, found)) = route.char_indices().find(|(_, c)| c.is_control()) {
            return fault(Fault::Control { index, found });
        }
        if let Some(index) = route.find('#') {
            return fault(Fault::Fragment { index });
        }
        if let Some(index) = bad_escape(route.as_bytes()) {
            return fault(Fault::BadEscape { index });
        }
        let path = route.split('?').next().unwrap_or(route);
        // Some servers read `\` and `%2F` as slashes: a dot segment between those climbs as well.
        let plain = path.replace("%2e", ".").replace("%2E", ".");
        let plain =
            plain.replace("%2f", "/").replace("%2F", "/").replace("%5c", "/").replace("%5C", "/");
        if let Some(segment) = plain.split(['/', '\\']).find(|s| matches!(*s, "." | "..")) {
            return fault(Fault::DotSegment { segment: segment.into() });
        }
        let route = route.strip_prefix('/').unwrap_or(route);
        let encoded = utf8_percent_encode(route, ENCODED).to_string();
        if encoded.len() > MAX {
            return fault(Fault::TooLong { length: encoded.len() });
        }
        Ok(Self(encoded.into()))
    }

    /// The same below a segment of ours.
    pub(crate) fn below(&self, segment: &str) -> Self {
        Self(format!("{segment}/{}", self.0).into())
    }

    /// The encoded route, without a leading slash, with its query if it has one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn bad_escape(route: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'%', route).find(|&at| {
        let digits = route.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

impl fmt::Display for InvalidRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::DotSegment { segment } => {
                write!(f, "route has the segment {segment:?}, which would leave its place")
            }
            Fault::Control { index, found } => {
                write!(f, "route has the control character {found:?} at byte {index}")
            }
            Fault::Fragment { index } => {
                write!(f, "route has '#' at byte {index}, which no request carries; write %23")
            }
            Fault::TooLong { length } => {
                write!(
                    f,
                    "route is {length} bytes once encoded, more than {MAX}; send it as a body"
                )
            }
            Fault::BadEscape { index } => {
                write!(f, "route has '%' at byte {index} without two hex digits; write %25")
            }
        }
    }
}

impl std::error::Error for InvalidRoute {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_encoded_and_stay_below_sync() {
        //   written                      on the wire
        for (route, wire) in [
            ("", ""),
            ("/", ""),
            ("v1/models", "v1/models"),
            ("/v1/models", "v1/models"),
            ("items/12?verbose=1&x=a b", "items/12?verbose=1&x=a%20b"),
            ("a//b/", "a//b/"), // empty segments are the server's business
            ("ünïcode/日本", "%C3%BCn%C3%AFcode/%E6%97%A5%E6%9C%AC"),
            ("a%2Fb", "a%2Fb"), // encoded already: not twice
            ("a{b}", "a%7Bb%7D"),
            ("search?q=..", "search?q=.."), // dots in a query climb nowhere
            ("a..b/...", "a..b/..."),
            ("a?b?c", "a?b?c"),
        ] {
            assert_eq!(Route::new(route).unwrap().as_str(), wire, "{route}");
        }
    }

    #[test]
    fn routes_that_would_leave_or_break_the_request_are_refused() {
        for (route, expect) in [
            ("..", "\"..\""),
            ("a/../b", "\"..\""),
            ("./a", "\".\""),
            ("a/%2e%2E/b", "\"..\""),
            ("a/%2e%2e%2fb", "\"..\""),
            ("a\\..\\b", "\"..\""),
            ("a\r\nX: y", "'\\r' at byte 1"),
            ("a\0", "'\\0' at byte 1"),
            ("a#b", "'#' at byte 1"),
            ("100%", "'%' at byte 3"),
            ("%zz", "'%' at byte 0"),
        ] {
            let message = Route::new(route).unwrap_err().to_string();
            assert!(message.contains(expect), "{route:?}: {message}");
        }
        let long = "é".repeat(MAX / 6 + 1);
        assert!(Route::new(long).unwrap_err().to_string().contains("49158 bytes"));
    }
}
