//! Puts the events of a stream together into the answer they are parts of.

use serde_json::Value;

use crate::{
    ChatChunk, ChatResponse, Choice, ChunkChoice, Content, Delta, Message,
    calls::Calls,
    members::{Joined, join_lists, keep_last},
    repeat::Slot,
};

/// A whole answer out of the events of a stream.
///
/// Text is joined in the order it came; of `id`, `model` and the like the first counts, of `usage` the
/// last. Of members without a field, by where they stand:
///
/// - beside the choices: the last;
/// - in a choice or its probabilities: lists are joined, as tokens are, and of all else the last;
/// - in a delta or a part of a tool call: lists are joined, objects member by member, and texts, unless
///   one came the same twice to begin with. Then it is a label, such as `channel`, of which the last
///   counts. `null` and the empty text take nothing away.
///
/// Which tool call a part belongs to:
///
/// 1. An id that is known names its call, whatever the index says. Where several calls have that id, so
///    do a name or an index with it; and a part whose name is none of theirs, or that has a name and an
///    index not seen yet, begins another call with the same id.
/// 2. An index names the last call that came with it.
/// 3. Without either, a part belongs to the call before.
/// 4. A part that has a function's name begins a call if rules 2 and 3 name none, or name one that has
///    another id or another name. Without an id it begins one, too, if it begins with a brace and the
///    arguments before it are whole.
///
/// [`ChatDecoder`](crate::ChatDecoder) has one inside; this type is for chunks from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct ChatCollector {
    response: ChatResponse,
    /// Beside each choice of the response: how its parts go together.
    parts: Vec<Parts>,
}

#[derive(Clone, Debug, Default)]
struct Parts {
    calls: Calls,
    /// Members of its deltas that have no field.
    unknown: Joined,
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
            self.parts[at].add(&mut self.response.choices[at], choice);
        }
    }

    /// Adds an event that repeats the one before but for the text in this slot and the usage.
    pub(crate) fn push_repeat(&mut self, chunk: &ChatChunk, slot: Slot) {
        let [choice] = &chunk.choices[..] else { return self.push(chunk) };
        if adds_up(choice) {
            return self.push(chunk);
        }
        keep_last_option(&mut self.response.usage, &chunk.usage);
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
        self.parts = vec![Parts::default(); response.choices.len()];
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
                if choices.is_empty() {
                    // Mostly there is no other, and a choice is large.
                    choices.reserve_exact(1);
                    self.parts.reserve_exact(1);
                }
                choices.insert(at, Choice { index, ..Choice::default() });
                self.parts.insert(at, Parts::default());
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

/// Whether it has members without a field that come to something else when they come again.
fn adds_up(choice: &ChunkChoice) -> bool {
    let (beside, inside) = (&choice.extra, &choice.delta.extra);
    !beside.is_empty() && beside.values().any(Value::is_array)
        || !inside.is_empty() && inside.values().any(|value| !value.is_null())
}

impl Parts {
    fn add(&mut self, choice: &mut Choice, new: &ChunkChoice) {
        self.add_delta(&mut choice.message, &new.delta);
        keep_last_option(&mut choice.finish_reason, &new.finish_reason);
        keep_last_option(&mut choice.stop_reason, &new.stop_reason);
        if let Some(new) = &new.logprobs {
            let logprobs = choice.logprobs.get_or_insert_default();
            logprobs.content.extend_from_slice(&new.content);
            logprobs.refusal.extend_from_slice(&new.refusal);
            join_lists(&mut logprobs.extra, &new.extra);
        }
        join_lists(&mut choice.extra, &new.extra);
    }

    fn add_delta(&mut self, message: &mut Message, delta: &Delta) {
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
        self.unknown.add(&mut message.extra, &delta.extra);
        for part in &delta.tool_calls {
            self.calls.add(&mut message.tool_calls, part);
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

pub(crate) fn keep_first(text: &mut String, new: &str) {
    if text.is_empty() {
        text.push_str(new);
    }
}

pub(crate) fn keep_first_option(value: &mut Option<String>, new: &Option<String>) {
    if value.is_none() {
        value.clone_from(new);
    }
}

pub(crate) fn keep_last_option<T: Clone>(value: &mut Option<T>, new: &Option<T>) {
    if new.is_some() {
        value.clone_from(new);
    }
}
