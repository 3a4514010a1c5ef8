//! What whole answers have in common: what traces and bills are made of.

use crate::{ChatResponse, CompletionResponse, EmbeddingResponse, Usage};

/// What an answer says about itself.
pub trait Summary {
    /// The server's name for it; empty if it gave none.
    fn id(&self) -> &str;

    /// The model that answered; empty if the server did not say.
    fn model(&self) -> &str;

    /// How many tokens it took.
    fn usage(&self) -> Option<&Usage>;

    /// Why each choice ended, as far as it is known.
    fn finish_reasons(&self) -> Vec<&str>;
}

macro_rules! summary {
    ($answer:ty) => {
        impl Summary for $answer {
            fn id(&self) -> &str {
                &self.id
            }

            fn model(&self) -> &str {
                &self.model
            }

            fn usage(&self) -> Option<&Usage> {
                self.usage.as_ref()
            }

            fn finish_reasons(&self) -> Vec<&str> {
                let reasons =
                    self.choices.iter().filter_map(|choice| choice.finish_reason.as_ref());
                reasons.map(|reason| reason.as_str()).collect()
            }
        }
    };
}

summary!(ChatResponse);
summary!(CompletionResponse);

impl Summary for EmbeddingResponse {
    fn id(&self) -> &str {
        ""
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    fn finish_reasons(&self) -> Vec<&str> {
        Vec::new()
    }
}
