//! The signature header: `v1=<64 lower-case hex digits>`, one entry for each active secret,
//! separated by commas. Reads and writes it; whether a signature is right is the verifier's to say.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use sha2::digest::CtOutput;

use crate::error::{Error, Fault, MalformedSignature};
use crate::secret::Secret;

/// The value of `X-BASETEN-SIGNATURE` for this body: one entry for each secret, in their order.
///
/// For tests, emulators and whoever forwards webhooks; Baseten does the same on its side. With no
/// secret the value is empty: then Baseten sends no such header.
///
/// ```
/// use baseten_webhook::{Secret, sign};
/// let (new, old) = (Secret::new("whsec_new")?, Secret::new("whsec_old")?);
/// let header = sign([&new, &old], b"{}");
/// assert!(header.starts_with("v1=") && header.contains(",v1="));
/// # Ok::<(), baseten_webhook::InvalidSecret>(())
/// ```
#[must_use]
pub fn sign<'a>(secrets: impl IntoIterator<Item = &'a Secret>, body: &[u8]) -> String {
    let entries: Vec<String> =
        secrets.into_iter().map(|secret| format!("v1={}", secret.signature(body))).collect();
    entries.join(",")
}

/// An HMAC-SHA256. Comparing two takes the same time wherever they differ.
#[derive(PartialEq)]
pub(crate) struct Signature(CtOutput<Hmac<Sha256>>);

impl Signature {
    pub(crate) fn new(keyed: Hmac<Sha256>, body: &[u8]) -> Self {
        Self(keyed.chain_update(body).finalize())
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The `v1` signatures in the values of the header; at least one.
///
/// Entries of other versions are passed over, empty ones too. One that cannot be read spoils the
/// whole header: a sender that garbles is not to be guessed at.
pub(crate) fn presented<V: AsRef<[u8]>>(
    values: impl IntoIterator<Item = V>,
) -> Result<Vec<Signature>, Error> {
    let mut signatures = Vec::new();
    let mut entries = 0;
    for value in values {
        for entry in value.as_ref().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if entry.is_empty() {
                continue;
            }
            entries += 1;
            match parse(entry) {
                Ok(signature) => signatures.extend(signature),
                Err(fault) => return Err(MalformedSignature { entry: entries, fault }.into()),
            }
        }
    }
    match (entries, signatures.is_empty()) {
        (0, _) => Err(Error::NoSignature),
        (_, true) => Err(Error::NoKnownVersion),
        (_, false) => Ok(signatures),
    }
}

/// `None` for an entry of another version.
fn parse(entry: &[u8]) -> Result<Option<Signature>, Fault> {
    let mut halves = entry.splitn(2, |byte| *byte == b'=');
    let (Some(version), Some(hex)) = (halves.next(), halves.next()) else {
        return Err(Fault::NoVersion);
    };
    if version == b"v1" {
        decode(hex).map(Some)
    } else if !version.is_empty() && version.iter().all(u8::is_ascii_alphanumeric) {
        Ok(None)
    } else {
        Err(Fault::Version)
    }
}

/// Upper case is refused: a signature has one spelling, so no changed header is ever accepted.
fn decode(hex: &[u8]) -> Result<Signature, Fault> {
    let mut bytes = [0; 32];
    if hex.len() != 2 * bytes.len() {
        return Err(Fault::Length { digits: hex.len() });
    }
    for (index, digit) in hex.iter().enumerate() {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(Fault::Digit { index }),
        };
        bytes[index / 2] = bytes[index / 2] << 4 | nibble;
    }
    Ok(Signature(CtOutput::new(bytes.into())))
}
