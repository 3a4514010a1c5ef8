//! The answers that a test has installed, by model or chain and route.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::answer::Answer;
use crate::route::Kind;
use crate::seen::Arrival;

/// Stands for every id or every route.
const ANY: &str = "*";

/// Where answers are installed for one route of one model or chain; `predict` of a model and
/// `run_remote` of a chain to begin with. See [`Emulator::model`](crate::Emulator::model).
///
/// A request takes the first of: the queue of [`then`](Self::then), the standing answer, the same
/// for [`every route`](Self::every_route), the same for
/// [`any model`](crate::Emulator::any_model), the emulator's own behaviour.
#[derive(Clone)]
pub struct Route {
    desk: Arc<Desk>,
    key: Key,
}

/// What a closure answer is.
pub(crate) type Answering = Arc<dyn Fn(&Arrival) -> Answer + Send + Sync>;

/// What is to be done with a request.
pub(crate) enum Plan {
    Value(Box<Answer>),
    Call(Answering),
}

type Key = (Kind, String, String);

#[derive(Default)]
pub(crate) struct Desk {
    slots: Mutex<HashMap<Key, Slot>>,
}

#[derive(Default)]
struct Slot {
    queue: VecDeque<Answer>,
    standing: Option<Standing>,
}

#[derive(Clone)]
enum Standing {
    Value(Answer),
    Call(Answering),
}

impl Route {
    pub(crate) fn new(desk: Arc<Desk>, kind: Kind, id: &str) -> Self {
        let route = match kind {
            Kind::Model => "predict",
            Kind::Chain => "run_remote",
            Kind::ModelApis => "v1/chat/completions",
        };
        Self { desk, key: (kind, id.into(), route.into()) }
    }

    pub(crate) fn any(desk: Arc<Desk>, kind: Kind) -> Self {
        Self::new(desk, kind, ANY)
    }

    /// Another route of the same model or chain: the path after the stage and without its query,
    /// `sync/v1/chat/completions`, `wake`, `async_predict`; as sent, so percent-encoded.
    pub fn at(&self, route: &str) -> Self {
        let (kind, id, _) = self.key.clone();
        Self { desk: Arc::clone(&self.desk), key: (kind, id, route.into()) }
    }

    /// All routes that have no answer of their own.
    pub fn every_route(&self) -> Self {
        self.at(ANY)
    }

    /// Installs the standing answer.
    pub fn answer(&self, answer: Answer) -> &Self {
        self.slot(|slot| slot.standing = Some(Standing::Value(answer)))
    }

    /// Installs a standing answer that depends on the request. It runs on the emulator's thread,
    /// must not block, and sees the body only up to [`Builder::keep_body`](crate::Builder::keep_body).
    /// A panic in it closes the connection.
    pub fn answer_with(
        &self,
        answering: impl Fn(&Arrival) -> Answer + Send + Sync + 'static,
    ) -> &Self {
        self.slot(|slot| slot.standing = Some(Standing::Call(Arc::new(answering))))
    }

    /// Queues an answer for one request; queued answers come before the standing one.
    pub fn then(&self, answer: Answer) -> &Self {
        self.slot(|slot| slot.queue.push_back(answer))
    }

    /// Forgets the queue and the standing answer of this route.
    pub fn clear(&self) -> &Self {
        self.slot(|slot| *slot = Slot::default())
    }

    fn slot(&self, change: impl FnOnce(&mut Slot)) -> &Self {
        change(self.desk.lock().entry(self.key.clone()).or_default());
        self
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Desk {
    /// Takes the answer for a request; `None` leaves it to the emulator's own behaviour.
    pub(crate) fn take(&self, kind: Kind, id: &str, route: &str) -> Option<Plan> {
        let mut slots = self.lock();
        if slots.is_empty() {
            return None;
        }
        [(id, route), (id, ANY), (ANY, route), (ANY, ANY)].into_iter().find_map(|(id, route)| {
            let slot = slots.get_mut(&(kind, id.to_owned(), route.to_owned()))?;
            let queued = slot.queue.pop_front().map(Standing::Value);
            Some(match queued.or_else(|| slot.standing.clone())? {
                Standing::Value(answer) => Plan::Value(Box::new(answer)),
                Standing::Call(answering) => Plan::Call(answering),
            })
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
