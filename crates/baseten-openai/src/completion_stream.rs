//! The events of a streamed completion.

use serde_json::Value;

use crate::{
    CompletionChoice, CompletionResponse, Extra, StreamErrorKind,
    collector::{keep_first, keep_first_option, keep_last_option},
    decoder::Collect,
    document::{self, Document},
    members::{join_lists, keep_last},
};

/// The stream of a completion: parts of a [`CompletionResponse`] that come to a whole one.
#[derive(Debug, Default)]
pub struct CompletionStream {
    answer: CompletionResponse,
}

impl Collect for CompletionStream {
    type Chunk = CompletionResponse;
    type Answer = CompletionResponse;

    fn read(
        &mut self,
        event: &[u8],
        named: bool,
        chunk: &mut CompletionResponse,
    ) -> Result<bool, StreamErrorKind> {
        match document::read::<CompletionResponse>("an event of the stream", event) {
            Ok(new) if named && !document::is_chunk(&new, event) => return Ok(false),
            Ok(new) => *chunk = new,
            Err(StreamErrorKind::Undecodable(_)) if named => return Ok(false),
            Err(kind) => return Err(kind),
        }
        self.push(chunk);
        Ok(true)
    }

    fn read_document(&mut self, body: &[u8]) -> Result<CompletionResponse, StreamErrorKind> {
        self.answer = read_whole(body)?;
        Ok(self.answer.clone())
    }

    fn is_written(chunk: &CompletionResponse) -> bool {
        chunk.choices.iter().any(|choice| !choice.text.is_empty() || choice.logprobs.is_some())
    }

    fn text(chunk: &CompletionResponse) -> &str {
        chunk.choices.iter().find(|choice| choice.index == 0).map_or("", |choice| &choice.text)
    }

    fn has_reasons(&self, choices: usize) -> bool {
        let found = &self.answer.choices;
        found.len() >= choices && found.iter().all(|choice| choice.finish_reason.is_some())
    }

    fn answer(&self) -> &CompletionResponse {
        &self.answer
    }

    fn into_answer(self) -> CompletionResponse {
        self.answer
    }
}

impl CompletionStream {
    fn push(&mut self, chunk: &CompletionResponse) {
        let answer = &mut self.answer;
        keep_first(&mut answer.id, &chunk.id);
        keep_first(&mut answer.object, &chunk.object);
        keep_first(&mut answer.model, &chunk.model);
        answer.created = answer.created.or(chunk.created);
        keep_first_option(&mut answer.system_fingerprint, &chunk.system_fingerprint);
        keep_last_option(&mut answer.usage, &chunk.usage);
        keep_last(&mut answer.extra, &chunk.extra);
        for new in &chunk.choices {
            let choices = &mut answer.choices;
            let at = choices.partition_point(|choice| choice.index < new.index);
            if choices.get(at).is_none_or(|choice| choice.index != new.index) {
                let index = new.index;
                choices.insert(at, CompletionChoice { index, ..CompletionChoice::default() });
            }
            let choice = &mut choices[at];
            choice.text.push_str(&new.text);
            keep_last_option(&mut choice.finish_reason, &new.finish_reason);
            keep_last_option(&mut choice.stop_reason, &new.stop_reason);
            match (&mut choice.logprobs, &new.logprobs) {
                // Lists beside each other: of tokens, of their logarithms, of their places.
                (Some(Value::Object(logprobs)), Some(Value::Object(new))) => {
                    join_lists(logprobs, new);
                }
                (logprobs, new) => keep_last_option(logprobs, new),
            }
            join_lists(&mut choice.extra, &new.extra);
        }
    }
}

pub(crate) fn read_whole(body: &[u8]) -> Result<CompletionResponse, StreamErrorKind> {
    document::whole(body)
}

impl Document for CompletionResponse {
    fn object(&self) -> &str {
        &self.object
    }

    fn extra(&self) -> &Extra {
        &self.extra
    }

    fn has_content(&self) -> bool {
        !self.choices.is_empty()
    }

    fn has_usage(&self) -> bool {
        self.usage.is_some()
    }
}
