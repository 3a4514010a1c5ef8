//! A model: which deployment of it is called, and how.

use std::sync::Arc;

use baseten_core::{
    Answer, CallOptions, DeploymentId, EnvironmentName, Error, Operation, Response, Target,
    Template,
};
use baseten_transport::nonblocking::Body;
use bytes::Bytes;
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::Shared;
use crate::openai_client::OpenAi;
use crate::sync::SyncRequest;

/// One deployment of a model. Cheap to clone; keep it rather than making it for every call.
///
/// ```no_run
/// # async fn example(client: baseten::Client) -> Result<(), baseten::Error> {
/// #[derive(serde::Serialize)]
/// struct Input { prompt: String }
/// #[derive(serde::Deserialize)]
/// struct Output { text: String }
///
/// let model = client.model("abcd1234")?;
/// let answer = model.predict::<_, Output>(&Input { prompt: "hi".into() }).await?;
/// println!("{} after {:?}", answer.value.text, answer.meta.timings().total);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    client: Arc<Shared>,
    target: Target,
    options: CallOptions,
    predict: Template,
}

impl Model {
    pub(crate) fn new(
        client: Arc<Shared>,
        target: Target,
        options: CallOptions,
    ) -> Result<Self, Error> {
        let predict = client.access.template(&target, &Operation::Predict, Answer::Json)?;
        Ok(Self { client, target, options, predict })
    }

    /// The deployment that an environment points to.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the name cannot stand in a path.
    pub fn environment(self, name: impl AsRef<str>) -> Result<Self, Error> {
        let target = self.target.environment(EnvironmentName::new(name)?);
        Self::new(self.client, target, self.options)
    }

    /// One deployment by its id.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the id cannot stand in a path.
    pub fn deployment(self, id: impl AsRef<str>) -> Result<Self, Error> {
        let target = self.target.deployment(DeploymentId::new(id)?);
        Self::new(self.client, target, self.options)
    }

    /// The development deployment.
    ///
    /// # Errors
    /// None that [`crate::Client::model`] has not found before.
    pub fn development(self) -> Result<Self, Error> {
        Self::new(self.client, self.target.development(), self.options)
    }

    /// Clocks, retries and limits of calls made through this value.
    #[must_use]
    pub fn options(self, options: CallOptions) -> Self {
        Self { options, ..self }
    }

    /// Runs the model on any JSON input and reads its JSON output. A model that streams is asked for
    /// its output in one piece, which is then one JSON string.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the input does not serialize; otherwise whatever the
    /// call came to. An output that is no `O` is [`baseten_core::ErrorKind::Decode`], with the whole
    /// body in the error.
    pub async fn predict<I, O>(&self, input: &I) -> Result<Response<O>, Error>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        let request = self.predict.json(input)?;
        self.client.transport.fetch(&request, &self.options).await?.json()
    }

    /// Runs the model on bytes of any content type and takes its output as it is.
    ///
    /// # Errors
    /// [`baseten_core::ErrorKind::Request`] if the content type cannot stand in a header; otherwise
    /// whatever the call came to.
    pub async fn predict_bytes(
        &self,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<Bytes>, Error> {
        let template = self.predict.clone().answering(Answer::Bytes);
        let request = template.bytes(content_type, body)?;
        self.client.transport.fetch(&request, &self.options).await
    }

    /// Runs the model and hands out its output as it comes. Dropping the stream stops the call.
    ///
    /// # Errors
    /// As [`Model::predict`], up to the head of the answer.
    pub async fn predict_stream<I>(&self, input: &I) -> Result<Body, Error>
    where
        I: Serialize + ?Sized,
    {
        let request = self.predict.clone().answering(Answer::Stream).json(input)?;
        self.client.transport.send(&request, &self.options).await
    }

    /// The engine of this deployment, by OpenAI's protocol (`…/sync/v1`).
    ///
    /// # Errors
    /// None that [`crate::Client::model`] has not found before.
    pub fn openai(&self) -> Result<OpenAi, Error> {
        OpenAi::new(self.client.clone(), Some(self.target.clone()), self.options)
    }

    /// A request to a route of the container's own server (`…/sync/{route}`), query included.
    pub fn sync(&self, method: Method, route: impl AsRef<str>) -> SyncRequest {
        let request = self.client.access.sync(&self.target, method, route.as_ref());
        SyncRequest::new(self.client.transport.clone(), request, self.options)
    }
}
