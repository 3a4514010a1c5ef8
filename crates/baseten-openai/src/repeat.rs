//! The events of a stream repeat each other but for a few letters of text.
//!
//! [`Repeat`] remembers the bytes around the one text that an event was about. An event with the same
//! bytes around another text has the same JSON but for that text: it need not be parsed. This is a
//! proof, not a guess: between the quotes stands what cannot end a JSON string, or what is itself
//! parsed as one.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ChatChunk;

/// Which text of a chunk an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Content,
    ReasoningContent,
    Reasoning,
    /// The arguments of the only tool call.
    Arguments,
}

impl Slot {
    /// The text of a chunk that has one choice, and this text and no other.
    fn of(chunk: &ChatChunk) -> Option<Self> {
        let [choice] = &chunk.choices[..] else { return None };
        let delta = &choice.delta;
        let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if choice.logprobs.is_some() || !delta.extra.is_empty() || has(&delta.refusal) {
            return None; // those add up over events
        }
        let texts = [&delta.content, &delta.reasoning_content, &delta.reasoning].map(has);
        match (texts, &delta.tool_calls[..]) {
            ([true, false, false], []) => Some(Self::Content),
            ([false, true, false], []) => Some(Self::ReasoningContent),
            ([false, false, true], []) => Some(Self::Reasoning),
            ([false, false, false], [call]) if !call.function.arguments.is_empty() => {
                Some(Self::Arguments)
            }
            _ => None,
        }
    }

    fn text(self, chunk: &mut ChatChunk) -> Option<&mut String> {
        let delta = &mut chunk.choices.first_mut()?.delta;
        match self {
            Self::Content => delta.content.as_mut(),
            Self::ReasoningContent => delta.reasoning_content.as_mut(),
            Self::Reasoning => delta.reasoning.as_mut(),
            Self::Arguments => Some(&mut delta.tool_calls.first_mut()?.function.arguments),
        }
    }
}

/// What stood around the text of the last event that was parsed.
#[derive(Debug, Default)]
pub(crate) struct Repeat {
    /// Up to the text, with its opening quote.
    head: Vec<u8>,
    /// From the closing quote on.
    tail: Vec<u8>,
    slot: Option<Slot>,
    /// How often in a row something was learnt and never seen again.
    vain: u8,
}

/// Some streams never repeat: every event has its own counts or probabilities. After this many vain
/// tries they are not searched for texts any more.
const TRIES: u8 = 8;

impl Repeat {
    /// Puts the text of an event into `chunk`, which must be the last one, if the event repeats it.
    pub(crate) fn apply(&mut self, event: &[u8], chunk: &mut ChatChunk) -> Option<Slot> {
        let slot = self.slot?;
        let inside = event.strip_prefix(&self.head[..])?.strip_suffix(&self.tail[..])?;
        let text = slot.text(chunk)?;
        if inside.iter().all(|byte| !matches!(byte, b'"' | b'\\' | ..0x20)) {
            let new = str::from_utf8(inside).ok()?;
            text.clear();
            text.push_str(new);
        } else {
            let quoted = &event[self.head.len() - 1..self.head.len() + inside.len() + 1];
            *text = serde_json::from_slice(quoted).ok()?;
        }
        self.vain = 0;
        Some(slot)
    }

    /// Remembers what stands around the text of an event that was parsed into `chunk`.
    pub(crate) fn learn(&mut self, event: &[u8], chunk: &ChatChunk) {
        self.slot = None;
        if self.vain == TRIES {
            return;
        }
        let Some(slot) = Slot::of(chunk) else { return };
        let Ok(event) = str::from_utf8(event) else { return };
        let Some(text) = Places::find(event, slot) else { return };
        let start = text.as_ptr().addr() - event.as_ptr().addr(); // `text` is a part of `event`
        self.head.clear();
        self.head.extend_from_slice(&event.as_bytes()[..=start]);
        self.tail.clear();
        self.tail.extend_from_slice(&event.as_bytes()[start + text.len() - 1..]);
        self.slot = Some(slot);
        self.vain += 1;
    }
}

/// Where in an event its texts stand.
#[derive(Deserialize)]
struct Places<'a> {
    #[serde(borrow)]
    choices: [Choice<'a>; 1],
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    arguments: &'a RawValue,
}

impl<'a> Places<'a> {
    /// The text of a slot with its quotes, as a part of `event`.
    fn find(event: &'a str, slot: Slot) -> Option<&'a str> {
        let Self { choices: [Choice { delta }] } = serde_json::from_str(event).ok()?;
        let text = match slot {
            Slot::Content => delta.content,
            Slot::ReasoningContent => delta.reasoning_content,
            Slot::Reasoning => delta.reasoning,
            Slot::Arguments => delta.tool_calls?.first().map(|call| call.function.arguments),
        };
        text.map(RawValue::get).filter(|text| text.starts_with('"'))
    }
}
