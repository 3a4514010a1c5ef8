//! Takes a call's own key out of what a server says. Some echo it: in the text of a 401, in a dump of the
//! request's headers, or in a header of the answer.
//!
//! It knows the one key of the call, and guesses at no other secret.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;
use serde_json::Value;

/// What a call shows for itself, to be found in texts and never printed.
#[derive(Clone)]
pub(crate) struct Secret {
    authorization: HeaderValue,
    /// Where the key begins in it.
    from: usize,
}

/// What stands in its place.
const REDACTED: &str = "[redacted]";

/// What is shorter is no secret, and would make holes in ordinary words.
const SHORTEST: usize = 8;

impl Secret {
    /// Of an `authorization` header: what stands behind the scheme.
    pub(crate) fn of(authorization: &HeaderValue) -> Self {
        let space = authorization.as_bytes().iter().rposition(|byte| *byte == b' ');
        Self { authorization: authorization.clone(), from: space.map_or(0, |space| space + 1) }
    }

    /// The key itself, if it is long enough to be looked for.
    fn key(&self) -> Option<&str> {
        std::str::from_utf8(self.key_bytes()?).ok()
    }

    fn key_bytes(&self) -> Option<&[u8]> {
        let key = &self.authorization.as_bytes()[self.from..];
        (key.len() >= SHORTEST).then_some(key)
    }

    /// The text without the key.
    pub(crate) fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.key() {
            Some(key) if text.contains(key) => text.replace(key, REDACTED).into(),
            _ => text.into(),
        }
    }

    /// The bytes without the key, which are the same bytes if it is not in them.
    pub(crate) fn hide_bytes(&self, bytes: Bytes) -> Bytes {
        let Some(key) = self.key_bytes() else { return bytes };
        let finder = memmem::Finder::new(key);
        let mut clean = Vec::new();
        let mut rest = &bytes[..];
        while let Some(at) = finder.find(rest) {
            clean.extend_from_slice(&rest[..at]);
            clean.extend_from_slice(REDACTED.as_bytes());
            rest = &rest[at + key.len()..];
        }
        if rest.len() == bytes.len() {
            return bytes;
        }
        clean.extend_from_slice(rest);
        clean.into()
    }

    /// Headers without the key in their values; `None` if it is in none of them.
    pub(crate) fn hide_in_headers(&self, headers: &HeaderMap) -> Option<HeaderMap> {
        let key = self.key_bytes()?;
        // Nearly all values are shorter than any key.
        let has_key = |value: &HeaderValue| {
            value.len() >= key.len() && memmem::find(value.as_bytes(), key).is_some()
        };
        if !headers.values().any(has_key) {
            return None;
        }
        let mut clean = headers.clone();
        for value in clean.values_mut().filter(|value| has_key(value)) {
            let hidden = self.hide_bytes(Bytes::copy_from_slice(value.as_bytes()));
            *value = HeaderValue::from_maybe_shared(hidden)
                .expect("a part of a value and ASCII make a value");
        }
        Some(clean)
    }

    /// The same for every text in a JSON value, names of members included.
    pub(crate) fn hide_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.hide(text) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(item)),
            Value::Object(members) => {
                let all = std::mem::take(members).into_iter();
                members.extend(all.map(|(name, mut value)| {
                    self.hide_in(&mut value);
                    (self.hide(&name).into_owned(), value)
                }));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_taken_out_wherever_it_stands() {
        let secret = Secret::of(&HeaderValue::from_static("Api-Key abcd.s3cret"));
        //   what a server says                  what is kept                     why
        for (text, expect) in [
            ("", ""),
            ("no key at all", "no key at all"),
            ("abcd.s3cret", "[redacted]"),
            ("key abcd.s3cret is wrong", "key [redacted] is wrong"),
            ("abcd.s3cretabcd.s3cret", "[redacted][redacted]"), // one after the other
            ("Api-Key abcd.s3cre", "Api-Key abcd.s3cre"),       // another one: not ours to judge
            ("é abcd.s3cret é", "é [redacted] é"),
        ] {
            assert_eq!(secret.hide(text), expect);
            assert_eq!(secret.hide_bytes(text.into()), expect, "{text}");
        }
        assert_eq!(
            secret.hide_bytes(Bytes::from_static(b"\xff abcd.s3cret")),
            &b"\xff [redacted]"[..]
        );
        assert!(!format!("{secret:?}").contains("s3cret"));
    }

    #[test]
    fn a_key_in_json_is_found_in_names_and_values() {
        let secret = Secret::of(&HeaderValue::from_static("Bearer abcd.s3cret"));
        let mut value =
            serde_json::json!({"abcd.s3cret": [1, null, {"a": "x abcd.s3cret"}], "b": 2});
        secret.hide_in(&mut value);
        let expect = serde_json::json!({"[redacted]": [1, null, {"a": "x [redacted]"}], "b": 2});
        assert_eq!(value, expect);
    }

    #[test]
    fn a_key_in_headers_is_found_in_every_value() {
        let secret = Secret::of(&HeaderValue::from_static("Bearer abcd.s3cret"));
        let mut headers = HeaderMap::new();
        //   what a server sends                what is kept
        let values: [(&[u8], &[u8]); 5] = [
            (b"abcd.s3cret", b"[redacted]"),
            (b"Bearer abcd.s3cret", b"Bearer [redacted]"),
            (b"\xff abcd.s3cret,abcd.s3cret", b"\xff [redacted],[redacted]"),
            (b"abcd.s3cre", b"abcd.s3cre"),
            (b"", b""),
        ];
        for (value, _) in values {
            headers.append("x-seen", HeaderValue::from_bytes(value).unwrap());
        }
        let clean = secret.hide_in_headers(&headers).unwrap();
        let kept: Vec<&[u8]> = clean.get_all("x-seen").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(kept, values.map(|(_, expect)| expect));
        assert!(secret.hide_in_headers(&clean).is_none(), "nothing to be done");
    }

    #[test]
    fn a_short_key_leaves_words_whole() {
        let secret = Secret::of(&HeaderValue::from_static("Bearer key"));
        assert_eq!(secret.hide("a wrong key"), "a wrong key");
    }
}
