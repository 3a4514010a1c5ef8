//! What a caller may give a request: headers and an id, checked before there is one.

use std::fmt;
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};

use crate::id::{self, InvalidId};

/// The longest id of a request, in bytes: it goes into logs.
const ID_MAX: usize = 256;

/// An id of a request that a caller may give.
pub(crate) fn parse_id(text: &str) -> Result<Arc<str>, InvalidId> {
    let allowed = "visible ASCII characters";
    id::parse("request id", text, ID_MAX, allowed, |c| c.is_ascii_graphic())?;
    Ok(text.into())
}

/// A header that a caller may give.
pub(crate) fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let shown = name.escape_debug();
    let name: HeaderName =
        name.parse().map_err(|_| format!("header name \"{shown}\" is not a token"))?;
    if RESERVED.contains(&name) {
        return Err(format!("header {name} is set by the client and cannot be given"));
    }
    let mut value = parse_value(format_args!("the value of header {name}"), value)?;
    // Nobody here knows which of them are secrets.
    value.set_sensitive(name != header::ACCEPT);
    Ok((name, value))
}

/// A media type that a caller may give, of `what`.
pub(crate) fn parse_content_type(
    what: impl fmt::Display,
    value: &str,
) -> Result<HeaderValue, String> {
    if value.trim().is_empty() {
        return Err(format!("{what} is empty"));
    }
    parse_value(what, value)
}

/// The value of a header. Of one that cannot be sent no more than a place is told: it may be a secret.
fn parse_value(what: impl fmt::Display, value: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(value).map_err(|_| {
        let is_control = |byte: u8| byte.is_ascii_control() && byte != b'\t';
        let index = value.bytes().position(is_control).unwrap_or_default();
        format!("{what} has a control byte at {index} and cannot stand in a header")
    })
}

/// What the client sets itself: two of any of these would let a request be read in two ways.
const RESERVED: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::EXPECT,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_ACCEPT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_told_by_its_fault() {
        let long = "x".repeat(257);
        for (id, expect) in [
            ("", "request id is empty"),
            ("a b", "request id has ' ' at byte 1; allowed are visible ASCII characters"),
            ("ab\r\nx: y", "request id has '\\r' at byte 2; allowed are visible ASCII characters"),
            ("jöb", "request id has 'ö' at byte 1; allowed are visible ASCII characters"),
            (&long, "request id is 257 bytes long, at most 256 fit"),
        ] {
            assert_eq!(parse_id(id).unwrap_err().to_string(), expect);
        }
        assert_eq!(&*parse_id(&long[1..]).unwrap(), &long[1..]);
    }

    #[test]
    fn a_value_is_told_by_the_place_of_its_fault_and_not_shown() {
        let control = |at| format!("X has a control byte at {at} and cannot stand in a header");
        for (value, expect) in [
            ("s3cret\r\nx: y", control(6)),
            ("s3cret\0", control(6)),
            ("\u{7f}s3cret", control(0)),
            ("é\n", control(2)),
            ("", "X is empty".into()),
            (" ", "X is empty".into()),
        ] {
            assert_eq!(parse_content_type("X", value).unwrap_err(), expect);
        }
        for good in ["audio/wav", "text/plain;\tcharset=utf-8", "té/xt"] {
            assert_eq!(parse_content_type("X", good).unwrap().as_bytes(), good.as_bytes());
        }
        assert_eq!(parse_header("x-a", "").unwrap().1, "", "a header may be empty");
    }
}
