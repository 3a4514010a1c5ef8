//! OpenAI-shaped JSON and stream decoding for Baseten engines and compatible servers, without any I/O.

mod chunk;
mod collector;
mod cursor;
mod decoder;
mod document;
mod embedding;
mod error;
mod extra;
mod format;
mod lenient;
mod message;
mod number;
mod open_enum;
mod reader;
mod repeat;
mod request;
mod response;
mod tool;
mod usage;
mod vectors;

pub use chunk::{ChatChunk, ChunkChoice, Delta, FunctionDelta, ToolCallDelta};
pub use collector::ChatCollector;
pub use decoder::{ChatDecoder, Progress, StreamEnd};
pub use embedding::{EmbeddingRequest, EmbeddingResponse, EncodingFormat, Input};
pub use error::{DecodeError, StreamError, StreamErrorKind};
pub use extra::Extra;
pub use format::{JsonSchema, ResponseFormat};
pub use message::{Content, File, ImageUrl, InputAudio, Message, Part, Role};
pub use request::{ChatRequest, EngineOptions, ReasoningEffort, StreamOptions};
pub use response::{ChatResponse, Choice, FinishReason, Logprobs, StopReason, TokenLogprob};
pub use tool::{Function, FunctionCall, Tool, ToolCall, ToolChoice};
pub use usage::{CompletionTokensDetails, PromptTokensDetails, Usage};
