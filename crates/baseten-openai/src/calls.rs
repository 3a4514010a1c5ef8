//! Which tool call a part of one belongs to. The rules are told at [`ChatCollector`](crate::ChatCollector).

use serde::de::IgnoredAny;

use crate::{ToolCall, ToolCallDelta, collector::keep_first, members::Joined};

/// How parts of tool calls are named, call by call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    names: Vec<Name>,
    /// The call that the last part belonged to.
    current: usize,
}

#[derive(Clone, Debug)]
struct Name {
    index: Option<u32>,
    /// Its index was another call's already, so its place may stand for it as well: a server was seen
    /// to send the first part of a second call with index 0 and the rest with index 1.
    taken: bool,
    /// Members without a field, of the call and of its function.
    unknown: [Joined; 2],
}

impl Calls {
    /// Adds a part to its call, which it may begin.
    pub(crate) fn add(&mut self, calls: &mut Vec<ToolCall>, part: &ToolCallDelta) {
        let at = self.find(calls, part).unwrap_or_else(|| {
            let taken = part.index.is_some_and(|index| self.by_index(index).is_some());
            self.names.push(Name { index: part.index, taken, unknown: Default::default() });
            calls.push(ToolCall::default());
            calls.len() - 1
        });
        self.current = at;
        let call = &mut calls[at];
        keep_first(&mut call.id, id(part));
        if let Some(kind) = part.kind.as_deref().filter(|kind| !kind.is_empty()) {
            kind.clone_into(&mut call.kind);
        }
        let function = &mut call.function;
        keep_first(&mut function.name, name(part));
        function.arguments.push_str(&part.function.arguments);
        let [of_call, of_function] = &mut self.names[at].unknown;
        of_function.add(&mut function.extra, &part.function.extra);
        of_call.add(&mut call.extra, &part.extra);
    }

    /// The call that a part continues.
    fn find(&self, calls: &[ToolCall], part: &ToolCallDelta) -> Option<usize> {
        if !id(part).is_empty() && calls.iter().any(|call| call.id == id(part)) {
            return self.by_id(calls, part);
        }
        let at = match part.index {
            Some(index) => self.by_index(index)?,
            None if calls.is_empty() => return None,
            None => self.current,
        };
        (!begins_another(&calls[at], part)).then_some(at)
    }

    /// The call that a part with a known id continues. DeepSeek and GLM were seen to give one id to
    /// several calls, of several functions, or with several indexes.
    fn by_id(&self, calls: &[ToolCall], part: &ToolCallDelta) -> Option<usize> {
        let same = |name: &str, other: &str| [name, other].contains(&"") || name == other;
        let fits = |call: &ToolCall| call.id == id(part) && same(&call.function.name, name(part));
        let mut found = (0..calls.len()).rev().filter(|&at| fits(&calls[at]));
        if let Some(at) = found.clone().find(|&at| self.names[at].index == part.index) {
            return Some(at);
        }
        let at = found.next()?;
        let new = |index| self.names[at].index.is_some() && self.by_index(index).is_none();
        (name(part).is_empty() || !part.index.is_some_and(new)).then_some(at)
    }

    fn by_index(&self, index: u32) -> Option<usize> {
        let names = self.names.iter().enumerate();
        let place = |at: usize| u32::try_from(at) == Ok(index);
        names
            .clone()
            .rposition(|(_, name)| name.index == Some(index))
            .or_else(|| names.clone().rposition(|(at, name)| name.taken && place(at)))
    }
}

/// Whether a part with an unknown id or none, that would belong to `call`, begins the next one.
fn begins_another(call: &ToolCall, part: &ToolCallDelta) -> bool {
    if name(part).is_empty() {
        return false;
    }
    let other_id = !id(part).is_empty() && !call.id.is_empty();
    let other_name = !call.function.name.is_empty() && call.function.name != name(part);
    let next = || id(part).is_empty() && begins(part) && is_whole(call);
    other_id || other_name || next()
}

/// Whether a part has what arguments begin with. Most parts have not, so that only few calls are looked
/// at whole.
fn begins(part: &ToolCallDelta) -> bool {
    part.function.arguments.trim_start().starts_with(['{', '['])
}

fn is_whole(call: &ToolCall) -> bool {
    let arguments = call.function.arguments.trim_end();
    arguments.ends_with(['}', ']']) && serde_json::from_str::<IgnoredAny>(arguments).is_ok()
}

fn id(part: &ToolCallDelta) -> &str {
    part.id.as_deref().unwrap_or_default()
}

fn name(part: &ToolCallDelta) -> &str {
    part.function.name.as_deref().unwrap_or_default()
}
