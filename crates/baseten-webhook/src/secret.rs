//! The secret that a workspace shares with Baseten, kept so that it cannot be printed.

use std::fmt;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use crate::signature::Signature;

/// A webhook secret of a workspace.
///
/// All of it is the key, `whsec_` included, as it stands: unlike Standard Webhooks, nothing is
/// base64-decoded. Never printed: only the keyed hash is kept, not the text.
///
/// ```
/// use baseten_webhook::Secret;
/// let secret = Secret::new("whsec_0123456789abcdef\n")?; // a newline from a file is trimmed
/// assert_eq!(format!("{secret:?}"), "Secret(…)");
/// # Ok::<(), baseten_webhook::InvalidSecret>(())
/// ```
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// Takes the secret as Baseten showed it. White space around it is trimmed.
    ///
    /// # Errors
    /// [`InvalidSecret`] if it is empty or has a byte that is not visible ASCII. Without `whsec_` it
    /// is taken, but no webhook of Baseten's will match it.
    pub fn new(secret: &str) -> Result<Self, InvalidSecret> {
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(InvalidSecret(Fault::Empty));
        }
        if let Some(index) = secret.bytes().position(|byte| !byte.is_ascii_graphic()) {
            return Err(InvalidSecret(Fault::Byte { index }));
        }
        let keyed = Hmac::new_from_slice(secret.as_bytes());
        Ok(Self(keyed.expect("HMAC takes a key of any length")))
    }

    pub(crate) fn signature(&self, body: &[u8]) -> Signature {
        Signature::new(self.0.clone(), body)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a text cannot be a webhook secret. It never shows any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSecret(Fault);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Empty,
    Byte { index: usize },
}

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fault::Empty => f.write_str("the webhook secret is empty"),
            Fault::Byte { index } => write!(
                f,
                "the webhook secret has a byte at {index} that is not visible ASCII; give one secret \
                 as Baseten showed it, `whsec_` included"
            ),
        }
    }
}

impl std::error::Error for InvalidSecret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_secret_is_named_by_its_byte_and_not_shown() {
        for (secret, expect) in [
            ("", "is empty"),
            (" \r\n", "is empty"),
            ("whsec_c4nary whsec_c4nary", "byte at 12"), // two secrets in one variable
            ("whsec_c4nary\nwhsec_c4nary", "byte at 12"),
            ("whsec_c4nary\0", "byte at 12"),
            ("whsec_c4naryé", "byte at 12"),
        ] {
            let error = Secret::new(secret).unwrap_err();
            assert!(error.to_string().contains(expect), "{error}");
            assert!(!format!("{error} {error:?}").contains("c4nary"), "{error:?}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("whsec_c4nary").unwrap();
        let verifier = crate::Verifier::new(secret.clone()).with_secret(secret.clone());
        let printed = format!("{secret:?} {secret:#?} {verifier:?} {verifier:#?}");
        assert!(!printed.contains("c4nary") && printed.contains("Secret(…)"), "{printed}");
    }
}
