//! Development deployments that have scaled to zero: they answer 404 until they are woken, and not well at
//! once then. Other deployments park what comes to them instead, which an answer's delay shows as well.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::answer::Answer;
use crate::route::{Kind, Operation, Stage, Target};

/// Those that sleep, or have just been woken.
#[derive(Debug, Default)]
pub(crate) struct Sleepers(Mutex<HashMap<(Kind, String), Sleeper>>);

#[derive(Debug)]
struct Sleeper {
    woken: bool,
    /// How many requests come too early after it was woken.
    early: usize,
    /// How many of them have come.
    came: usize,
}

impl Sleepers {
    pub(crate) fn sleep(&self, kind: Kind, id: &str, early: usize) {
        self.lock().insert((kind, id.to_owned()), Sleeper { woken: false, early, came: 0 });
    }

    /// `POST …/wake` was answered with 202.
    pub(crate) fn wake(&self, target: &Target) {
        let mut sleepers = self.lock();
        if let Some(sleeper) = key(target).and_then(|key| sleepers.get_mut(&key)) {
            sleeper.woken = true;
        }
    }

    /// What a request gets that needs a replica where there is none; `None` where there is one.
    pub(crate) fn answer(&self, target: &Target, operation: &Operation) -> Option<Answer> {
        let key = key(target).filter(|_| needs_replica(operation))?;
        let mut sleepers = self.lock();
        let sleeper = sleepers.get_mut(&key)?;
        if !sleeper.woken {
            return Some(Answer::platform_error(404));
        }
        if sleeper.came == sleeper.early {
            sleepers.remove(&key);
            return None;
        }
        sleeper.came += 1;
        Some(if sleeper.came == 1 { Answer::platform_error(404) } else { Answer::not_ready() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Kind, String), Sleeper>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a development deployment.
fn key(target: &Target) -> Option<(Kind, String)> {
    let is_development = match &target.stage {
        Stage::Development => true,
        Stage::Environment(name) => name == "development",
        _ => false,
    };
    is_development.then(|| (target.kind, target.id.clone()))
}

/// Wake, jobs and queues are the platform's own.
fn needs_replica(operation: &Operation) -> bool {
    use Operation::{Predict, RunRemote, Sync, WebSocket};
    matches!(operation, Predict | RunRemote | Sync(_) | WebSocket)
}
