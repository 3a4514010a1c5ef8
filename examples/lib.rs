//! Shared by the examples: where the model is.
