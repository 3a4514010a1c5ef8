//! One deployment of a model or a chain: what both can be asked, and how it is sent.

use std::sync::Arc;
use std::time::Duration;

use baseten_core::{
    Access, Answer, AsyncRequest, AsyncRequestId, CallOptions, DeploymentId, EnvironmentName,
    Error, Grpc, Meta, Operation, QueueStatus, Request, Response, Route, StartStep, StartWait,
    Submitted, Target, Template,
};
use baseten_transport::blocking::Body;
use bytes::Bytes;
use http::Method;
use serde::Serialize;

use crate::client::Shared;
use crate::job::Job;
use crate::request::RequestBuilder;

#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) client: Arc<Shared>,
    pub(crate) access: Access,
    pub(crate) target: Target,
    pub(crate) options: CallOptions,
}

impl Deployment {
    /// With the client's own options and headers.
    pub(crate) fn new(client: &Arc<Shared>, target: Target) -> Self {
        let (access, options) = (client.access.clone(), client.options.clone());
        Self { client: client.clone(), access, target, options }
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

    pub(crate) fn header(self, name: &str, value: &str) -> Result<Self, Error> {
        Ok(Self { access: self.access.header(name, value)?, ..self })
    }

    pub(crate) fn query(self, name: &str, value: &str) -> Self {
        Self { access: self.access.query(name, value), ..self }
    }

    pub(crate) fn request_id(self, id: &str) -> Result<Self, Error> {
        Ok(Self { access: self.access.request_id(id)?, ..self })
    }

    pub(crate) fn template(
        &self,
        operation: &Operation,
        answer: Answer,
    ) -> Result<Template, Error> {
        self.access.template(&self.target, operation, answer)
    }

    /// Sends and takes the whole answer.
    pub(crate) fn fetch(&self, request: &Request) -> Result<Response<Bytes>, Error> {
        self.client.transport.fetch(request, &self.options)
    }

    /// Sends and takes the answer as it comes.
    pub(crate) fn stream(&self, request: &Request) -> Result<Body, Error> {
        self.client.transport.send(request, &self.options)
    }

    pub(crate) fn wake(&self) -> Result<Meta, Error> {
        let request = self.template(&Operation::Wake, Answer::Bytes)?.empty();
        Ok(self.fetch(&request)?.meta)
    }

    pub(crate) fn wait_until_ready(&self, route: &str, limit: Duration) -> Result<bool, Error> {
        let (client, transport) = (&self.client, &self.client.transport);
        let wake = self.template(&Operation::Wake, Answer::Bytes)?.empty();
        let ask = Operation::Sync(Method::GET, Route::new(route)?);
        let ask = self.template(&ask, Answer::Bytes)?.empty();
        let key = ask.endpoint().url();
        let mut wait = StartWait::new(&client.starts, &key, &self.options, client.now(), limit);
        loop {
            match wait.step(client.now()) {
                StartStep::Wait(pause) => client.pause(pause, &self.options)?,
                StartStep::Wake(options) => {
                    let answer = transport.fetch(&wake, &options);
                    wait.on_wake(client.now(), answer);
                }
                StartStep::Ask(options) => {
                    let answer = transport.fetch(&ask, &options);
                    wait.on_answer(client.now(), answer);
                }
                StartStep::Over(outcome) => return outcome,
            }
        }
    }

    pub(crate) fn submit<I: Serialize>(
        &self,
        request: &AsyncRequest<I>,
    ) -> Result<Response<Job>, Error> {
        let request = request.to_request(&self.access, &self.target)?;
        let submitted = self.fetch(&request)?.json::<Submitted>()?;
        Ok(submitted.map(|submitted| Job::new(self.clone(), submitted.request_id)))
    }

    pub(crate) fn job(&self, id: &str) -> Result<Job, Error> {
        Ok(Job::new(self.clone(), AsyncRequestId::new(id)?))
    }

    pub(crate) fn queue_status(&self) -> Result<Response<QueueStatus>, Error> {
        self.ask(&Operation::QueueStatus)?.json()
    }

    /// Asks the platform something that it counts, each time that it is sent at this client's pace.
    pub(crate) fn ask(&self, operation: &Operation) -> Result<Response<Bytes>, Error> {
        let request = self.template(operation, Answer::Json)?.empty();
        let request = request.in_turn(&self.client.pacer, self.client.now());
        self.fetch(&request)
    }

    pub(crate) fn grpc(&self) -> Result<Grpc, Error> {
        self.access.grpc(&self.target)
    }

    pub(crate) fn request(&self, operation: &Operation) -> RequestBuilder {
        let request = self.access.request(&self.target, operation, Answer::Json);
        RequestBuilder::new(self.client.transport.clone(), request, self.options.clone())
    }

    pub(crate) fn sync(&self, method: Method, route: &str) -> RequestBuilder {
        let request = self.access.sync(&self.target, method, route);
        RequestBuilder::new(self.client.transport.clone(), request, self.options.clone())
    }
}
