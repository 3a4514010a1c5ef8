//! Routes of Baseten's embedding engine (BEI) beside OpenAI's: rank, classify, find entities.

use baseten_core::{Error, Response};
use baseten_openai::{ClassifyRequest, Entity, Label, Rank, RerankRequest, read};
use http::Method;

use crate::model::Model;

impl Model {
    /// Ranks texts by how well they answer a query (`…/sync/rerank`), the best first.
    ///
    /// # Errors
    /// Whatever the call came to; [`baseten_core::ErrorKind::Decode`] for an answer that is none, with
    /// its body in the error.
    pub fn rerank(&self, request: &RerankRequest) -> Result<Response<Vec<Rank>>, Error> {
        read(self.sync(Method::POST, "rerank").json(request).send()?, Rank::decode)
    }

    /// Classifies texts (`…/sync/predict`): for each the labels with their scores.
    ///
    /// # Errors
    /// As [`Model::rerank`].
    pub fn classify(&self, request: &ClassifyRequest) -> Result<Response<Vec<Vec<Label>>>, Error> {
        read(self.sync(Method::POST, "predict").json(request).send()?, Label::decode)
    }

    /// Finds named entities in texts (`…/sync/predict_tokens`): for each its tokens with scores.
    ///
    /// # Errors
    /// As [`Model::rerank`].
    pub fn entities(&self, request: &ClassifyRequest) -> Result<Response<Vec<Vec<Entity>>>, Error> {
        read(self.sync(Method::POST, "predict_tokens").json(request).send()?, Entity::decode)
    }
}
