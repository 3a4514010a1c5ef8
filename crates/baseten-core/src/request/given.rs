//! What a caller may give a request: headers and an id, checked before there is one.

use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};

use crate::error::Error;

/// The longest id of a request, in bytes: it goes into logs.
const ID_MAX: usize = 256;

/// An id of a request that a caller may give.
pub(crate) fn parse_id(id: &str) -> Result<Arc<str>, Error> {
    if (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(id.into());
    }
    Err(Error::request(format!("the request id is not 1 to {ID_MAX} bytes of visible ASCII")))
}

/// A header that a caller may give.
pub(crate) fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let shown = name.escape_debug();
    let name: HeaderName =
        name.parse().map_err(|_| format!("header name \"{shown}\" is not a token"))?;
    if RESERVED.contains(&name) {
        return Err(format!("header {name} is set by the client and cannot be given"));
    }
    match HeaderValue::from_str(value) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(format!("the value of header {name} has a control byte")),
    }
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
