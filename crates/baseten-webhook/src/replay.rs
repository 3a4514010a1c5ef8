//! Which deliveries were seen before. Within one process, and without a clock: receivers that share
//! work keep the ids in their database instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::verifier::Verifier;
use crate::webhook::Webhook;

/// Remembers verified deliveries for as long as a copy of them would be accepted.
///
/// An id is kept until the webhook's `time` plus the verifier's tolerance has passed; after that the
/// verifier refuses a copy by its age. At most [`capacity`](Self::with_capacity) ids are kept, each in
/// at most 192 bytes however long it is: 12 MiB by default. One more than that, and the id that would
/// expire first is forgotten early.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use baseten_webhook::{Delivery, ReplayCache, Secret, Verifier, Webhook};
///
/// let mut seen = ReplayCache::new(&Verifier::new(Secret::new("whsec_1")?));
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_748_779_210);
/// let webhook = Webhook::new("35f4", now);
/// assert_eq!(seen.check(&webhook, now), Delivery::New);
/// assert_eq!(seen.check(&webhook, now), Delivery::Duplicate);
/// # Ok::<(), baseten_webhook::InvalidSecret>(())
/// ```
pub struct ReplayCache {
    tolerance: Duration,
    capacity: usize,
    // A tree, since a hash table doubles: its bound would be twice as high.
    expiry: BTreeMap<Id, Expiry>,
    /// The same, soonest first.
    order: BTreeSet<(Expiry, Id)>,
}

/// Half a SHA-256 of a request id: the same few bytes for any id.
type Id = [u8; 16];

/// Since 1970. The last moment at which the verifier accepts.
type Expiry = Duration;

/// Whether a delivery is the first for its request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is: act on it.
    New,
    /// It is not: answer 2xx and do nothing more.
    Duplicate,
}

impl ReplayCache {
    /// How many ids are kept at most, unless told otherwise: 65 536, five minutes at the 200 a second
    /// that Baseten takes from an organisation, and some.
    pub const DEFAULT_CAPACITY: usize = 65_536;

    /// An empty cache for what this verifier accepts. It fills as ids come.
    #[must_use]
    pub fn new(verifier: &Verifier) -> Self {
        Self {
            tolerance: verifier.tolerance(),
            capacity: Self::DEFAULT_CAPACITY,
            expiry: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// Keeps at most this many ids (at least one): deliveries a second times the tolerance.
    #[must_use]
    pub fn with_capacity(mut self, ids: usize) -> Self {
        self.capacity = ids.max(1);
        self
    }

    /// Says whether the webhook's id is new, and remembers it. Only for webhooks that the verifier
    /// has accepted; `now` is the time it was given.
    ///
    /// Baseten's own retries are duplicates, too, if the first attempt came through.
    pub fn check(&mut self, webhook: &Webhook, now: SystemTime) -> Delivery {
        self.forget_expired(since_1970(now));
        let id = fingerprint(&webhook.request_id);
        let expiry = since_1970(webhook.time).saturating_add(self.tolerance);
        if let Some(known) = self.expiry.get_mut(&id) {
            // A later attempt carries a later time, and its copies are accepted for longer.
            if *known < expiry {
                self.order.remove(&(*known, id));
                self.order.insert((expiry, id));
                *known = expiry;
            }
            return Delivery::Duplicate;
        }
        if self.expiry.len() >= self.capacity
            && let Some((_, first)) = self.order.pop_first()
        {
            self.expiry.remove(&first);
        }
        self.expiry.insert(id, expiry);
        self.order.insert((expiry, id));
        Delivery::New
    }

    /// Takes an id out again, so that Baseten's next attempt counts as new: before answering 503
    /// because the webhook could not be stored.
    pub fn forget(&mut self, webhook: &Webhook) {
        let id = fingerprint(&webhook.request_id);
        if let Some(expiry) = self.expiry.remove(&id) {
            self.order.remove(&(expiry, id));
        }
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expiry.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expiry.is_empty()
    }

    fn forget_expired(&mut self, now: Duration) {
        while let Some((expiry, id)) = self.order.first()
            && *expiry < now
        {
            self.expiry.remove(id);
            self.order.pop_first();
        }
    }
}

impl fmt::Debug for ReplayCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCache")
            .field("tolerance", &self.tolerance)
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn fingerprint(request_id: &str) -> Id {
    let hash = Sha256::digest(request_id);
    let mut id = Id::default();
    id.copy_from_slice(&hash[..16]);
    id
}

/// What was before counts as 1970.
fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
