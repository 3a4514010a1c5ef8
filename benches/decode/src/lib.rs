//! Streams of chat and vectors of embeddings, and those who read them: ours, and what others take.
//!
//! It makes and it reads. It must not count or time: that is for `cargo xtask bench` and for `benches`.

pub mod chat;
pub mod embeddings;
