//! Ids and regional environments that the emulator was told of, by which it reads the hosts of targets.
//!
//! `model-a-b.…` may be a model `a-b`, or a model `a` in the regional environment `b`: the host does not
//! say. The platform knows its models; the emulator knows what a test has named.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::route::Kind;

/// What was named so far.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    ids: BTreeSet<(Kind, String)>,
    environments: BTreeSet<String>,
}

impl Names {
    /// There is a model or chain with this id.
    pub(crate) fn id(&self, kind: Kind, id: &str) {
        self.lock().ids.insert((kind, id.to_owned()));
    }

    /// There is a regional environment of this name.
    pub(crate) fn environment(&self, name: &str) {
        self.lock().environments.insert(name.to_owned());
    }

    /// Id and regional environment in what follows `model-` or `chain-` in a host name, whose case does
    /// not count. See [`Emulator::regional`](crate::Emulator::regional) for the rule.
    pub(crate) fn split(&self, kind: Kind, label: &str) -> (String, Option<String>) {
        let told = self.lock();
        if let Some(id) = told.ids(kind).find(|id| id.eq_ignore_ascii_case(label)) {
            return (id.to_owned(), None);
        }
        let at = if told.environments.is_empty() {
            let known = told.ids(kind).filter(|id| begins(label, id)).map(str::len);
            known.max().or_else(|| label.find('-'))
        } else {
            let known = told.environments.iter().filter(|name| ends(label, name));
            known.map(|name| label.len() - name.len() - 1).min()
        };
        let Some(at) = at else { return (label.to_owned(), None) };
        let (id, name) = (&label[..at], &label[at + 1..]);
        let as_told = |id: &&str| id.eq_ignore_ascii_case(&label[..at]);
        let id = told.ids(kind).find(as_told).unwrap_or(id);
        let names = told.environments.iter().map(String::as_str);
        let name = names.into_iter().find(|told| told.eq_ignore_ascii_case(name)).unwrap_or(name);
        (id.to_owned(), Some(name.to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn ids(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.ids.iter().filter(move |(of, _)| *of == kind).map(|(_, id)| &**id)
    }
}

/// Whether a label is this id, a hyphen and an environment.
fn begins(label: &str, id: &str) -> bool {
    let cut = label.get(..id.len()).zip(label.get(id.len()..));
    cut.is_some_and(|(head, rest)| head.eq_ignore_ascii_case(id) && rest.starts_with('-'))
}

/// Whether a label is an id, a hyphen and this environment.
fn ends(label: &str, name: &str) -> bool {
    let at = label.len().checked_sub(name.len()).filter(|at| *at > 1);
    let cut = at.and_then(|at| label.get(..at).zip(label.get(at..)));
    cut.is_some_and(|(head, rest)| head.ends_with('-') && rest.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::{Kind, Names};

    #[test]
    fn what_was_told_decides_where_an_id_ends() {
        // (ids, environments, label, id, environment, reason)
        #[rustfmt::skip]
        let table = [
            (&[][..], &[][..], "abc", "abc", None, "nothing was told: no hyphen, no environment"),
            (&[], &[], "abc-eu-west", "abc", Some("eu-west"), "ids are alphanumeric by Baseten's word"),
            (&["a-b"], &[], "a-b", "a-b", None, "an id that is known"),
            (&["a-b"], &[], "A-B", "a-b", None, "hosts have no case"),
            (&["a-b"], &[], "a-b-eu", "a-b", Some("eu"), "a known id and what follows"),
            (&["a", "a-b"], &[], "a-b-eu", "a-b", Some("eu"), "the longest known id"),
            (&["a-b"], &[], "a-bc", "a", Some("bc"), "another id"),
            (&["a-b"], &["b"], "a-b", "a-b", None, "a known id before an environment"),
            (&[], &["eu"], "a-b-eu", "a-b", Some("eu"), "an environment that is known"),
            (&[], &["eu"], "a-b-EU", "a-b", Some("eu"), "hosts have no case"),
            (&["a"], &["eu"], "a-b-eu", "a-b", Some("eu"), "a known environment before a known id"),
            (&[], &["west", "eu-west"], "a-eu-west", "a", Some("eu-west"), "the longest environment"),
            (&[], &["eu"], "a-b", "a-b", None, "no other environments once one was told"),
            (&[], &["eu"], "-eu", "-eu", None, "an environment of nothing"),
            (&[], &["eu"], "eu", "eu", None, "an id by the name of one"),
        ];
        for (ids, environments, label, id, environment, reason) in table {
            let names = Names::default();
            ids.iter().for_each(|id| names.id(Kind::Model, id));
            environments.iter().for_each(|name| names.environment(name));
            let split = names.split(Kind::Model, label);
            assert_eq!((&*split.0, split.1.as_deref()), (id, environment), "{reason}");
        }
        let names = Names::default();
        names.id(Kind::Chain, "a-b");
        assert_eq!(names.split(Kind::Model, "a-b").0, "a", "a chain is no model");
    }
}
