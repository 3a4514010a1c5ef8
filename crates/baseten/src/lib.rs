//! Async client for models deployed on Baseten.
