//! The events of a stream repeat each other but for a few letters.
//!
//! [`Repeat`] remembers the bytes around the `choices` of an event, and those around the one text that
//! it was about. An event with the same bytes around other choices, or around another text, has the
//! same JSON but for those: the rest need not be parsed. This is a proof, not a guess: what stands
//! between is parsed as the one value that it must be, or is a text that cannot end a JSON string.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{ChatChunk, ChunkChoice};

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
        if choice.logprobs.is_some() || has(&delta.refusal) {
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

/// What the last event had that the next one may have again.
#[derive(Debug, Default)]
pub(crate) struct Repeat {
    around_choices: Around,
    around_text: Around,
    /// Which text that is; `None` if the last event was about none, or about more.
    slot: Option<Slot>,
}

impl Repeat {
    /// Puts the text of an event into `chunk`, which must be the last one, if the event repeats all else.
    pub(crate) fn apply_text(&mut self, event: &[u8], chunk: &mut ChatChunk) -> Option<Slot> {
        let slot = self.slot?;
        let inside = self.around_text.inside(event)?;
        let text = slot.text(chunk)?;
        if inside.iter().all(|byte| !matches!(byte, b'"' | b'\\' | ..0x20)) {
            let new = str::from_utf8(inside).ok()?;
            text.clear();
            text.push_str(new);
        } else {
            let start = self.around_text.head.len();
            *text = serde_json::from_slice(&event[start - 1..=start + inside.len()]).ok()?;
        }
        (self.around_choices.vain, self.around_text.vain) = (0, 0);
        Some(slot)
    }

    /// Puts the choices of an event into `chunk`, which must be the last one, if the event repeats all
    /// else. Without choices it may be an error, which is for others to say.
    pub(crate) fn apply_choices(&mut self, event: &[u8], chunk: &mut ChatChunk) -> Option<()> {
        let inside = str::from_utf8(self.around_choices.inside(event)?).ok()?;
        let choices: Vec<ChunkChoice> = serde_json::from_str(inside).ok()?;
        if choices.is_empty() {
            return None;
        }
        chunk.choices = choices;
        self.around_choices.vain = 0;
        self.learn_text(event, inside, chunk);
        Some(())
    }

    /// Remembers what stands around the choices and the text of an event that was parsed into `chunk`.
    pub(crate) fn learn(&mut self, event: &[u8], chunk: &ChatChunk) {
        (self.slot, self.around_choices.known) = (None, false);
        if self.around_choices.vain == TRIES {
            return;
        }
        let Ok(text) = str::from_utf8(event) else { return };
        let Ok(Places { choices }) = serde_json::from_str(text) else { return };
        self.around_choices.learn(event, choices.get().as_bytes());
        self.learn_text(event, choices.get(), chunk);
    }

    fn learn_text(&mut self, event: &[u8], choices: &str, chunk: &ChatChunk) {
        self.slot = None;
        if self.around_text.vain == TRIES {
            return;
        }
        let Some(slot) = Slot::of(chunk) else { return };
        let Some(text) = Choice::find(choices, slot) else { return };
        self.around_text.learn(event, text.as_bytes());
        self.slot = Some(slot);
    }
}

/// The bytes around a part of an event.
#[derive(Debug, Default)]
struct Around {
    head: Vec<u8>,
    tail: Vec<u8>,
    known: bool,
    /// How often in a row something was learnt and never seen again.
    vain: u8,
}

/// Some streams never repeat: every event has its own counts or probabilities. After this many vain
/// tries they are not searched any more.
const TRIES: u8 = 8;

impl Around {
    /// What an event has between the same bytes.
    fn inside<'a>(&self, event: &'a [u8]) -> Option<&'a [u8]> {
        let inside = || event.strip_prefix(&self.head[..])?.strip_suffix(&self.tail[..]);
        self.known.then(inside)?
    }

    /// Remembers what stands around `part`, which must be a slice of `event`.
    fn learn(&mut self, event: &[u8], part: &[u8]) {
        let start = part.as_ptr().addr() - event.as_ptr().addr();
        self.head.clear();
        self.head.extend_from_slice(&event[..start]);
        self.tail.clear();
        self.tail.extend_from_slice(&event[start + part.len()..]);
        self.known = true;
        self.vain += 1;
    }
}

/// Where in an event its choices stand.
#[derive(Deserialize)]
struct Places<'a> {
    #[serde(borrow)]
    choices: &'a RawValue,
}

/// Where in its choices its texts stand.
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

impl<'a> Choice<'a> {
    /// The text of a slot without its quotes, as a part of `choices`.
    fn find(choices: &'a str, slot: Slot) -> Option<&'a str> {
        let [Self { delta }] = serde_json::from_str(choices).ok()?;
        let text = match slot {
            Slot::Content => delta.content,
            Slot::ReasoningContent => delta.reasoning_content,
            Slot::Reasoning => delta.reasoning,
            Slot::Arguments => delta.tool_calls?.first().map(|call| call.function.arguments),
        };
        text.map(RawValue::get)?.strip_prefix('"')?.strip_suffix('"')
    }
}
