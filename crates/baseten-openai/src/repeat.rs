//! The events of a stream repeat each other but for a few letters.
//!
//! [`Repeat`] remembers the bytes around the `choices` of an event, and those around the one text that
//! it was about; the value of `usage` behind either may be another each time, too. An event with the same
//! bytes around other choices, or around another text, has the same JSON but for those: the rest need not
//! be parsed. This is a proof, not a guess: what stands between is parsed as the one value that it must be,
//! or is a text up to where a JSON string ends.

use serde::Deserialize;
use serde_json::{Deserializer, value::RawValue};

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
    /// Puts the text of an event into `chunk`, which must be the last one, if the event repeats all else
    /// but the value of `usage`.
    pub(crate) fn apply_text(&mut self, event: &[u8], chunk: &mut ChatChunk) -> Option<Slot> {
        let slot = self.slot?;
        let from = self.around_text.from(event)?;
        let (length, plain) = text_at(from)?;
        let usage = self.around_text.usage_behind(&from[length..])?;
        if plain {
            let new = str::from_utf8(&from[..length]).ok()?;
            usage.put(chunk)?;
            let text = slot.text(chunk)?;
            text.clear();
            text.push_str(new);
        } else {
            let start = self.around_text.head.len();
            let new = serde_json::from_slice(&event[start - 1..=start + length]).ok()?;
            usage.put(chunk)?;
            *slot.text(chunk)? = new;
        }
        (self.around_choices.vain, self.around_text.vain) = (0, 0);
        Some(slot)
    }

    /// Puts the choices of an event into `chunk`, which must be the last one, if the event repeats all
    /// else but the value of `usage`. Without choices it may be an error, which is for others to say.
    pub(crate) fn apply_choices(&mut self, event: &[u8], chunk: &mut ChatChunk) -> Option<()> {
        let from = str::from_utf8(self.around_choices.from(event)?).ok()?;
        let mut values = Deserializer::from_str(from).into_iter::<Vec<ChunkChoice>>();
        let mut choices = values.next()?.ok()?;
        let (inside, rest) = from.split_at(values.byte_offset());
        let usage = self.around_choices.usage_behind(rest.as_bytes())?;
        if choices.is_empty() {
            return None;
        }
        usage.put(chunk)?;
        // Into the list that is kept: the new one has room for four.
        chunk.choices.clear();
        chunk.choices.append(&mut choices);
        self.around_choices.vain = 0;
        self.learn_text(event, inside, usage, chunk);
        Some(())
    }

    /// Remembers what stands around the choices and the text of an event that was parsed into `chunk`.
    pub(crate) fn learn(&mut self, event: &[u8], chunk: &ChatChunk) {
        (self.slot, self.around_choices.known) = (None, false);
        if self.around_choices.vain == TRIES {
            return;
        }
        let Ok(text) = str::from_utf8(event) else { return };
        let Ok(Places { choices, usage }) = serde_json::from_str(text) else { return };
        let usage = Told(usage.map(|usage| usage.get().as_bytes()));
        self.around_choices.learn(event, choices.get().as_bytes(), usage);
        self.learn_text(event, choices.get(), usage, chunk);
    }

    fn learn_text(&mut self, event: &[u8], choices: &str, usage: Told<'_>, chunk: &ChatChunk) {
        self.slot = None;
        if self.around_text.vain == TRIES {
            return;
        }
        let Some(slot) = Slot::of(chunk) else { return };
        let Some(text) = Choice::find(choices, slot) else { return };
        self.around_text.learn(event, text.as_bytes(), usage);
        self.slot = Some(slot);
    }
}

/// The value of `usage` in an event, where it is looked at: an object behind the choices.
#[derive(Clone, Copy, Debug)]
struct Told<'a>(Option<&'a [u8]>);

impl Told<'_> {
    /// Puts it into a chunk; `None` if it is none.
    fn put(self, chunk: &mut ChatChunk) -> Option<()> {
        if let Self(Some(told)) = self {
            chunk.usage = Some(serde_json::from_slice(told).ok()?);
        }
        Some(())
    }
}

/// How long the text of a JSON string is that begins here, and whether it says what it means: no escapes,
/// and nothing that must be one.
fn text_at(from: &[u8]) -> Option<(usize, bool)> {
    let plain = from.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
    let (mut at, mut escaped) = (plain, false);
    while escaped || *from.get(at)? != b'"' {
        escaped = !escaped && from[at] == b'\\';
        at += 1;
    }
    Some((at, at == plain))
}

/// The bytes around a part of an event, and around the value of `usage` behind it.
#[derive(Debug, Default)]
struct Around {
    head: Vec<u8>,
    /// Behind the part: up to the value of `usage`, or to the end.
    middle: Vec<u8>,
    /// Behind the value of `usage`.
    tail: Vec<u8>,
    has_usage: bool,
    known: bool,
    /// How often in a row something was learnt and never seen again.
    vain: u8,
}

/// Some streams never repeat: every event has an id or a time of its own. After this many vain tries they
/// are not searched any more.
const TRIES: u8 = 8;

impl Around {
    /// What an event has behind the same head.
    fn from<'a>(&self, event: &'a [u8]) -> Option<&'a [u8]> {
        let from = || event.strip_prefix(&self.head[..]);
        self.known.then(from)?
    }

    /// The usage in what an event has behind the part, if that is the same but for it.
    fn usage_behind<'a>(&self, rest: &'a [u8]) -> Option<Told<'a>> {
        if !self.has_usage {
            return (rest == self.middle).then_some(Told(None));
        }
        let usage = rest.strip_prefix(&self.middle[..])?.strip_suffix(&self.tail[..])?;
        Some(Told(Some(usage)))
    }

    /// Remembers what stands around `part` and around the usage, which must be slices of `event`.
    fn learn(&mut self, event: &[u8], part: &[u8], Told(usage): Told<'_>) {
        let place = |part: &[u8]| part.as_ptr().addr() - event.as_ptr().addr();
        let start = place(part);
        let end = start + part.len();
        let usage = usage.filter(|usage| usage.starts_with(b"{") && place(usage) >= end);
        let until = usage.map_or(event.len(), place);
        let behind = until + usage.map_or(0, <[u8]>::len);
        for (kept, new) in [
            (&mut self.head, &event[..start]),
            (&mut self.middle, &event[end..until]),
            (&mut self.tail, &event[behind..]),
        ] {
            kept.clear();
            kept.extend_from_slice(new);
        }
        (self.has_usage, self.known) = (usage.is_some(), true);
        self.vain += 1;
    }
}

/// Where in an event its choices stand, and the usage.
#[derive(Deserialize)]
struct Places<'a> {
    #[serde(borrow)]
    choices: &'a RawValue,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
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
