//! OpenAI-shaped JSON and stream decoding for Baseten engines and compatible servers, without any I/O.
//!
//! Requests are values to serialize, answers are read from the bytes of a body. Nothing here opens a
//! socket, knows a URL or a key, retries or keeps time: send the bytes with `baseten`,
//! `baseten-blocking` or any HTTP client.
//!
//! | | ask | read |
//! | --- | --- | --- |
//! | chat | [`ChatRequest`] | [`ChatResponse`], or [`ChatChunk`]s from a [`ChatDecoder`] |
//! | completions | [`CompletionRequest`] | [`CompletionResponse`], or a [`CompletionDecoder`] |
//! | embeddings | [`EmbeddingRequest`] | [`EmbeddingResponse`]: one flat list of `f32` |
//! | rerank, classes, entities | [`RerankRequest`], [`ClassifyRequest`] | [`Rank`], [`Label`], [`Entity`] |
//! | models | | [`ServedModel`] |
//! | tools called and answered | [`ToolSet`] | [`ToolRun`] |
//!
//! Servers differ from each other and from the documents, so types here are open: unknown members are
//! kept in `extra` and written back, enums have an `Other`, what is missing, `null` or oddly spelled is
//! read as what it means. Codes that may be words or numbers are kept as they came
//! ([`FinishReason::Code`], [`StopReason::Token`]). Not kept apart are a member that is `null` and one that
//! is missing, and an id that is a number is written back as text: it is only ever compared with itself.
//!
//! ```
//! use baseten_openai::{ChatRequest, ChatResponse, Message};
//!
//! let request = ChatRequest::new("org/model", [Message::user("Hello!")]).max_tokens(100);
//! let body = serde_json::to_vec(&request)?; // POST it to …/v1/chat/completions
//! # drop(body);
//!
//! let answer = br#"{"choices":[{"message":{"content":"Hi!","reasoning":"Greet."},"finish_reason":"stop"}]}"#;
//! let response = ChatResponse::decode(answer)?;
//! assert_eq!(response.text(), "Hi!");
//! assert_eq!(response.reasoning(), Some("Greet."));
//!
//! // The answer goes back into the chat as it came.
//! let message = response.choices.into_iter().next().map(|choice| choice.message);
//! let next = request.message(message.unwrap_or_default()).message(Message::user("And now?"));
//! # drop(next);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Feature `schemars`: tools and answer formats from Rust types (`Tool::of`, `ToolSet::function`,
//! `ResponseFormat::of`). Feature `tracing`: [`ModelSpan`] tells of calls.

mod answer;
mod calls;
mod chat_stream;
mod chunk;
mod classify;
mod collector;
mod completion;
mod completion_stream;
mod cursor;
mod decoder;
mod document;
mod embedding;
mod error;
mod extra;
mod format;
mod lenient;
mod members;
mod message;
mod model;
mod number;
mod open_enum;
mod reader;
mod repeat;
mod request;
mod rerank;
mod response;
mod schema;
mod structured;
mod summary;
mod tool;
mod tool_set;
#[cfg(feature = "tracing")]
mod trace;
#[cfg(not(feature = "tracing"))]
#[path = "no_trace.rs"]
mod trace;
mod usage;
mod vectors;

pub use baseten_core::sse::Event;

pub use answer::{StreamEvent, StreamReader, StreamTimings, read};
pub use chat_stream::ChatStream;
pub use chunk::{ChatChunk, ChunkChoice, Delta, FunctionDelta, ToolCallDelta};
pub use classify::{Aggregation, ClassifyRequest, Entity, Label};
pub use collector::ChatCollector;
pub use completion::{CompletionChoice, CompletionRequest, CompletionResponse};
pub use completion_stream::CompletionStream;
pub use decoder::{ChatDecoder, Collect, CompletionDecoder, Progress, StreamDecoder, StreamEnd};
pub use embedding::{EmbeddingRequest, EmbeddingResponse, EncodingFormat, Input};
pub use error::{DecodeError, StreamError, StreamErrorKind};
pub use extra::Extra;
pub use format::{Format, JsonSchema, ResponseFormat};
pub use message::{Content, File, ImageUrl, InputAudio, Message, Part, Role};
pub use model::ServedModel;
pub use request::{ChatRequest, EngineOptions, ReasoningEffort, StreamOptions};
pub use rerank::{Rank, RerankRequest};
pub use response::{ChatResponse, Choice, FinishReason, Logprobs, StopReason, TokenLogprob};
pub use schema::{NotStrict, strict_schema};
pub use structured::{ParseError, ParseErrorKind};
pub use summary::Summary;
pub use tool::{Function, FunctionCall, Tool, ToolCall, ToolChoice};
pub use tool_set::{Called, ToolEnd, ToolFault, ToolRun, ToolSet};
pub use trace::ModelSpan;
pub use usage::{CompletionTokensDetails, PromptTokensDetails, Usage};
