//! Whether to believe a delivery: the signature over the raw bytes, then the age. It keeps nothing
//! from one delivery to the next; that is the replay cache's.

use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::secret::Secret;
use crate::signature;
use crate::webhook::Webhook;

/// Verifies webhooks with one or more secrets.
///
/// Any secret may have made any of the header's signatures, so both sides can rotate: while Baseten
/// signs with two secrets (24 h after a rotation), a receiver that has either accepts; and one that
/// has both accepts whatever Baseten signs with. A value without state: clone it, share it, replace it.
///
/// ```
/// use std::time::Duration;
/// use baseten_webhook::{Error, Secret, Verifier, sign};
///
/// let (new, old) = (Secret::new("whsec_new")?, Secret::new("whsec_old")?);
/// let verifier =
///     Verifier::new(new).with_secret(old.clone()).with_tolerance(Duration::from_secs(60));
///
/// let header = sign([&old], b"{}");
/// assert_eq!(verifier.verify_signature([&header], b"{}"), Ok(()));
/// assert_eq!(verifier.verify_signature([&header], b"{ }"), Err(Error::WrongSignature));
/// assert_eq!(verifier.verify_signature(None::<&str>, b"{}"), Err(Error::NoSignature));
/// # Ok::<(), baseten_webhook::InvalidSecret>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    secrets: Vec<Secret>,
    tolerance: Duration,
}

impl Verifier {
    /// How far a webhook's `time` may be from now, into the past or the future: 300 s, as in
    /// Baseten's example.
    pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

    /// Verifies with this secret and the default tolerance.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self { secrets: vec![secret], tolerance: Self::DEFAULT_TOLERANCE }
    }

    /// Accepts this secret, too. Each one costs a pass over the body.
    #[must_use]
    pub fn with_secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// How far a webhook's `time` may be from now, both ways; exactly so far is accepted.
    ///
    /// Baseten's attempts carry the time at which each was sent, so the default needs no margin for
    /// its retries, only for clocks and queues on the way. `Duration::MAX` accepts any age.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The tolerance in use.
    #[must_use]
    pub fn tolerance(&self) -> Duration {
        self.tolerance
    }

    /// Verifies a delivery and reads it.
    ///
    /// `signatures` are the values of `X-BASETEN-SIGNATURE`: whatever a server has, an `Option` or
    /// the values of a repeated header. `body` is what was received, byte for byte: JSON that was
    /// read and written again does not match. `now` is the receiver's time.
    ///
    /// The signature is checked before anything in the body is read.
    ///
    /// # Errors
    /// [`Error`], whose variants are in the order of the checks.
    pub fn verify<V: AsRef<[u8]>>(
        &self,
        signatures: impl IntoIterator<Item = V>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Webhook, Error> {
        self.verify_signature(signatures, body)?;
        let webhook = Webhook::parse(body)?;
        self.check_age(webhook.time, now)?;
        Ok(webhook)
    }

    /// Verifies the signature alone, for bodies that are not of an async request: the billing
    /// webhooks of Baseten's Frontier Gateway are signed in the same way. It does not stop replays.
    ///
    /// Compares in constant time and goes through all secrets and signatures even after a match.
    ///
    /// # Errors
    /// The variants of [`Error`] for which [`Error::is_about_signature`] holds.
    pub fn verify_signature<V: AsRef<[u8]>>(
        &self,
        signatures: impl IntoIterator<Item = V>,
        body: &[u8],
    ) -> Result<(), Error> {
        let presented = signature::presented(signatures)?;
        let mut matched = false;
        for secret in &self.secrets {
            let expected = secret.signature(body);
            for signature in &presented {
                matched |= *signature == expected;
            }
        }
        if matched { Ok(()) } else { Err(Error::WrongSignature) }
    }

    fn check_age(&self, sent: SystemTime, now: SystemTime) -> Result<(), Error> {
        let tolerance = self.tolerance;
        match now.duration_since(sent) {
            Ok(age) if age > tolerance => Err(Error::TooOld { age, tolerance }),
            Err(ahead) if ahead.duration() > tolerance => {
                Err(Error::TooEarly { ahead: ahead.duration(), tolerance })
            }
            _ => Ok(()),
        }
    }
}
