//! Puts the events of a stream together into the answer they are parts of.

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{
    ChatChunk, ChatResponse, Choice, ChunkChoice, Content, Delta, Extra, Message, ToolCall,
    ToolCallDelta, repeat::Slot,
};

/// A whole answer out of the events of a stream.
///
/// Text is joined in the order it came; of `id`, `model` and the like the first counts, of `usage` and
/// unknown members the last. Which tool call a part belongs to:
///
/// 1. An id that is known names its call, whatever the index says.
/// 2. An index names the last call that came with it.
/// 3. Without either, a part belongs to the call before.
/// 4. A part that has a function's name begins a call if rules 1 to 3 name none, or name one that has
///    another id or another name, or one without an id whose arguments are whole already.
///
/// [`ChatDecoder`](crate::ChatDecoder) has one inside; this type is for chunks from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct ChatCollector {
    response: ChatResponse,
    /// Beside each choice of the response: how parts of its calls are named.
    calls: Vec<Calls>,
}

impl ChatCollector {
    /// Nothing collected yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event.
    pub fn push(&mut self, chunk: &ChatChunk) {
        let response = &mut self.response;
        if response.object.is_empty() {
            response.object = "chat.completion".into();
        }
        keep_first(&mut response.id, &chunk.id);
        keep_first(&mut response.model, &chunk.model);
        response.created = response.created.or(chunk.created);
        keep_first_option(&mut response.system_fingerprint, &chunk.system_fingerprint);
        keep_first_option(&mut response.service_tier, &chunk.service_tier);
        keep_last_option(&mut response.usage, &chunk.usage);
        keep_last(&mut response.extra, &chunk.extra);
        for choice in &chunk.choices {
            let at = self.position(choice.index);
            add_choice(&mut self.response.choices[at], choice);
            let message = &mut self.response.choices[at].message;
            for part in &choice.delta.tool_calls {
                self.calls[at].add(&mut message.tool_calls, part);
            }
        }
    }

    /// Adds an event that repeats the one before but for the text in this slot.
    pub(crate) fn push_repeat(&mut self, chunk: &ChatChunk, slot: Slot) {
        let [choice] = &chunk.choices[..] else { return self.push(chunk) };
        let at = self.position(choice.index);
        let message = &mut self.response.choices[at].message;
        match slot {
            Slot::Content => add_content(&mut message.content, &choice.delta.content),
            Slot::ReasoningContent => {
                add_text(&mut message.reasoning_content, &choice.delta.reasoning_content)
            }
            Slot::Reasoning => add_text(&mut message.reasoning, &choice.delta.reasoning),
            Slot::Arguments => self.push(chunk), // which finds their call
        }
    }

    /// Takes an answer that came whole.
    pub(crate) fn replace(&mut self, response: ChatResponse) {
        self.calls = vec![Calls::default(); response.choices.len()];
        self.response = response;
    }

    /// What there is so far.
    #[must_use]
    pub fn partial(&self) -> &ChatResponse {
        &self.response
    }

    /// The answer, as far as it came.
    #[must_use]
    pub fn into_response(self) -> ChatResponse {
        self.response
    }

    /// The place of a choice; makes one if it is new. Choices are kept in the order of their index.
    fn position(&mut self, index: u32) -> usize {
        let choices = &mut self.response.choices;
        match choices.iter().position(|choice| choice.index >= index) {
            Some(at) if choices[at].index == index => at,
            at => {
                let at = at.unwrap_or(choices.len());
                choices.insert(at, Choice { index, ..Choice::default() });
                self.calls.insert(at, Calls::default());
                at
            }
        }
    }
}

impl<'a> Extend<&'a ChatChunk> for ChatCollector {
    fn extend<I: IntoIterator<Item = &'a ChatChunk>>(&mut self, chunks: I) {
        chunks.into_iter().for_each(|chunk| self.push(chunk));
    }
}

fn add_choice(choice: &mut Choice, new: &ChunkChoice) {
    add_delta(&mut choice.message, &new.delta);
    keep_last_option(&mut choice.finish_reason, &new.finish_reason);
    keep_last_option(&mut choice.stop_reason, &new.stop_reason);
    if let Some(new) = &new.logprobs {
        let logprobs = choice.logprobs.get_or_insert_default();
        logprobs.content.extend_from_slice(&new.content);
        logprobs.refusal.extend_from_slice(&new.refusal);
        keep_last(&mut logprobs.extra, &new.extra);
    }
    keep_last(&mut choice.extra, &new.extra);
}

fn add_delta(message: &mut Message, delta: &Delta) {
    if let Some(role) = &delta.role
        && !role.as_str().is_empty()
    {
        message.role.clone_from(role);
    }
    add_content(&mut message.content, &delta.content);
    for (text, new) in [
        (&mut message.reasoning_content, &delta.reasoning_content),
        (&mut message.reasoning, &delta.reasoning),
        (&mut message.refusal, &delta.refusal),
    ] {
        add_text(text, new);
    }
    for (name, new) in &delta.extra {
        match (message.extra.get_mut(name), new) {
            (Some(Value::String(text)), Value::String(new)) => text.push_str(new),
            (Some(Value::Array(items)), Value::Array(new)) => items.extend_from_slice(new),
            _ => {
                message.extra.insert(name.clone(), new.clone());
            }
        }
    }
}

fn add_content(content: &mut Option<Content>, new: &Option<String>) {
    let Some(new) = new.as_deref().filter(|new| !new.is_empty()) else { return };
    match content {
        Some(Content::Text(text)) => text.push_str(new),
        _ => *content = Some(Content::Text(new.into())),
    }
}

fn add_text(text: &mut Option<String>, new: &Option<String>) {
    if let Some(new) = new.as_deref().filter(|new| !new.is_empty()) {
        text.get_or_insert_default().push_str(new);
    }
}

fn keep_first(text: &mut String, new: &str) {
    if text.is_empty() {
        text.push_str(new);
    }
}

fn keep_first_option(value: &mut Option<String>, new: &Option<String>) {
    if value.is_none() {
        value.clone_from(new);
    }
}

pub(crate) fn keep_last_option<T: Clone>(value: &mut Option<T>, new: &Option<T>) {
    if new.is_some() {
        value.clone_from(new);
    }
}

fn keep_last(extra: &mut Extra, new: &Extra) {
    for (name, value) in new {
        extra.insert(name.clone(), value.clone());
    }
}

/// How parts of tool calls are named, call by call.
#[derive(Clone, Debug, Default)]
struct Calls {
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
}

impl Calls {
    fn add(&mut self, calls: &mut Vec<ToolCall>, part: &ToolCallDelta) {
        let at = self.find(calls, part).unwrap_or_else(|| {
            let taken = part.index.is_some_and(|index| self.by_index(index).is_some());
            self.names.push(Name { index: part.index, taken });
            calls.push(ToolCall::default());
            calls.len() - 1
        });
        self.current = at;
        let call = &mut calls[at];
        keep_first(&mut call.id, part.id.as_deref().unwrap_or_default());
        if let Some(kind) = part.kind.as_deref().filter(|kind| !kind.is_empty()) {
            kind.clone_into(&mut call.kind);
        }
        let function = &mut call.function;
        keep_first(&mut function.name, part.function.name.as_deref().unwrap_or_default());
        function.arguments.push_str(&part.function.arguments);
        keep_last(&mut function.extra, &part.function.extra);
        keep_last(&mut call.extra, &part.extra);
    }

    /// The call that a part continues.
    fn find(&self, calls: &[ToolCall], part: &ToolCallDelta) -> Option<usize> {
        let id = part.id.as_deref().unwrap_or_default();
        if !id.is_empty()
            && let Some(at) = calls.iter().position(|call| call.id == id)
        {
            return Some(at);
        }
        let at = match part.index {
            Some(index) => self.by_index(index)?,
            None if calls.is_empty() => return None,
            None => self.current,
        };
        (!begins_another(&calls[at], part)).then_some(at)
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
    let id = part.id.as_deref().unwrap_or_default();
    let name = part.function.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        return false;
    }
    let other_id = !id.is_empty() && !call.id.is_empty();
    let other_name = !call.function.name.is_empty() && call.function.name != name;
    let next = || id.is_empty() && !part.function.arguments.is_empty() && is_whole(call);
    other_id || other_name || next()
}

fn is_whole(call: &ToolCall) -> bool {
    serde_json::from_str::<IgnoredAny>(&call.function.arguments).is_ok()
}
