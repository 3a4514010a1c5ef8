//! One deployment of a model or a chain: what both can be asked, and how it is sent.

use std::sync::Arc;

use baseten_core::{
    Answer, CallOptions, DeploymentId, EnvironmentName, Error, Meta, Operation, Request, Response,
    Target, Template,
};
use baseten_transport::nonblocking::Body;
use bytes::Bytes;
use http::Method;

use crate::client::Shared;
use crate::sync::SyncRequest;

#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) client: Arc<Shared>,
    pub(crate) target: Target,
    pub(crate) options: CallOptions,
}

impl Deployment {
    /// With the client's own options.
    pub(crate) fn new(client: &Arc<Shared>, target: Target) -> Self {
        Self { client: client.clone(), target, options: client.options }
    }

    pub(crate) fn environment(self, name: &str) -> Result<Self, Error> {
        let target = self.target.environment(EnvironmentName::new(name)?);
        Ok(Self { target, ..self })
    }

    pub(crate) fn deployment(self, id: &str) -> Result<Self, Error> {
        let target = self.target.deployment(DeploymentId::new(id)?);
        Ok(Self { target, ..self })
    }

    pub(crate) fn development(self) -> Self {
        Self { target: self.target.development(), ..self }
    }

    pub(crate) fn regional(self, name: &str) -> Result<Self, Error> {
        let target = self.target.regional(EnvironmentName::new(name)?)?;
        Ok(Self { target, ..self })
    }

    pub(crate) fn template(
        &self,
        operation: &Operation,
        answer: Answer,
    ) -> Result<Template, Error> {
        self.client.access.template(&self.target, operation, answer)
    }

    /// Sends and takes the whole answer.
    pub(crate) async fn fetch(&self, request: &Request) -> Result<Response<Bytes>, Error> {
        self.client.transport.fetch(request, &self.options).await
    }

    /// Sends and takes the answer as it comes.
    pub(crate) async fn stream(&self, request: &Request) -> Result<Body, Error> {
        self.client.transport.send(request, &self.options).await
    }

    pub(crate) async fn wake(&self) -> Result<Meta, Error> {
        let request = self.template(&Operation::Wake, Answer::Bytes)?.empty();
        Ok(self.fetch(&request).await?.meta)
    }

    pub(crate) fn sync(&self, method: Method, route: &str) -> SyncRequest {
        let request = self.client.access.sync(&self.target, method, route);
        SyncRequest::new(self.client.transport.clone(), request, self.options)
    }
}
