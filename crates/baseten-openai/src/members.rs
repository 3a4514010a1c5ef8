//! Members without a field, put together from the parts of an answer. What comes to what is told at
//! [`ChatCollector`](crate::ChatCollector).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Extra;

/// What is known of the members of one object, besides what they have come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joined {
    /// The members that are text and have come twice.
    texts: BTreeMap<String, Text>,
    objects: BTreeMap<String, Self>,
}

#[derive(Clone, Copy, Debug)]
enum Text {
    /// The same the first two times: each part is told under it.
    Label,
    /// In pieces, of which two neighbours may be the same.
    Pieces,
}

impl Joined {
    /// Adds the members of a part.
    pub(crate) fn add(&mut self, members: &mut Extra, new: &Extra) {
        for (name, new) in new {
            match (members.get_mut(name), new) {
                (Some(_), Value::Null) => {}
                (Some(Value::Array(items)), Value::Array(new)) => items.extend_from_slice(new),
                (Some(Value::Object(inside)), Value::Object(new)) => {
                    self.objects.entry(name.clone()).or_default().add(inside, new);
                }
                (Some(Value::String(text)), Value::String(new)) => self.add_text(name, text, new),
                _ => {
                    members.insert(name.clone(), new.clone());
                }
            }
        }
    }

    fn add_text(&mut self, name: &str, text: &mut String, new: &str) {
        if new.is_empty() {
            return;
        }
        match self.texts.get(name) {
            _ if text.is_empty() => new.clone_into(text),
            Some(Text::Label) => new.clone_into(text),
            Some(Text::Pieces) => text.push_str(new),
            None if text == new => {
                self.texts.insert(name.into(), Text::Label);
            }
            None => {
                self.texts.insert(name.into(), Text::Pieces);
                text.push_str(new);
            }
        }
    }
}

/// Adds members of which lists go on, as those that have an item for each token, and all else is told
/// anew.
pub(crate) fn join_lists(members: &mut Extra, new: &Extra) {
    for (name, new) in new {
        match (members.get_mut(name), new) {
            (Some(_), Value::Null) => {}
            (Some(Value::Array(items)), Value::Array(new)) => items.extend_from_slice(new),
            _ => {
                members.insert(name.clone(), new.clone());
            }
        }
    }
}

/// Adds members of which the last counts.
pub(crate) fn keep_last(members: &mut Extra, new: &Extra) {
    for (name, new) in new {
        if !new.is_null() || !members.contains_key(name) {
            members.insert(name.clone(), new.clone());
        }
    }
}
