//! The events of a streamed chat.

use crate::{
    ChatChunk, ChatCollector, ChatResponse, ChunkChoice, StreamErrorKind, decoder::Collect,
    document, repeat::Repeat,
};

/// The stream of a chat: [`ChatChunk`]s that come to a [`ChatResponse`].
#[derive(Debug, Default)]
pub struct ChatStream {
    collector: ChatCollector,
    repeat: Repeat,
}

impl Collect for ChatStream {
    type Chunk = ChatChunk;
    type Answer = ChatResponse;

    fn read(
        &mut self,
        event: &[u8],
        named: bool,
        chunk: &mut ChatChunk,
    ) -> Result<bool, StreamErrorKind> {
        if let Some(slot) = self.repeat.apply_text(event, chunk) {
            self.collector.push_repeat(chunk, slot);
            return Ok(true);
        }
        if self.repeat.apply_choices(event, chunk).is_some() {
            self.collector.push(chunk);
            return Ok(true);
        }
        match document::read::<ChatChunk>("an event of the stream", event) {
            Ok(new) if named && !document::is_chunk(&new, event) => return Ok(false),
            Ok(new) => *chunk = new,
            Err(StreamErrorKind::Undecodable(_)) if named => return Ok(false),
            Err(kind) => return Err(kind),
        }
        self.repeat.learn(event, chunk);
        self.collector.push(chunk);
        Ok(true)
    }

    fn read_document(&mut self, body: &[u8]) -> Result<ChatChunk, StreamErrorKind> {
        let response = document::chat(body)?;
        let chunk = document::as_chunk(&response);
        self.collector.replace(response);
        Ok(chunk)
    }

    fn is_written(chunk: &ChatChunk) -> bool {
        chunk.choices.iter().any(ChunkChoice::is_written)
    }

    fn text(chunk: &ChatChunk) -> &str {
        chunk.text()
    }

    fn has_reasons(&self, choices: usize) -> bool {
        let found = &self.answer().choices;
        found.len() >= choices && found.iter().all(|choice| choice.finish_reason.is_some())
    }

    fn answer(&self) -> &ChatResponse {
        self.collector.partial()
    }

    fn into_answer(self) -> ChatResponse {
        self.collector.into_response()
    }
}
