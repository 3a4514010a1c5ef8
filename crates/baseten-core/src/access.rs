//! What a client holds: the hosts it calls and the key it shows them.

use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::credential::Credential;
use crate::endpoint::{Endpoint, Operation};
use crate::error::Error;
use crate::grpc::Grpc;
use crate::hosts::Hosts;
use crate::request::{self, Answer, Template};
use crate::request_builder::RequestBuilder;
use crate::route::Route;
use crate::target::Target;

/// Hosts and the credential that was given for them: what turns a target into requests. Cheap to
/// clone.
///
/// ```
/// use baseten_core::{Access, Answer, Credential, Hosts, ModelId, Operation, Target};
/// let access = Access::new(Hosts::baseten(), Credential::api_key("k.s3cret")?);
/// let target = Target::model(ModelId::new("abcd1234")?);
/// let predict = access.template(&target, &Operation::Predict, Answer::Json)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Access {
    hosts: Arc<Hosts>,
    credential: Credential,
    settings: Arc<Settings>,
}

/// What every request has, as far as it was checked before there was one.
#[derive(Clone, Debug, Default)]
struct Settings {
    headers: HeaderMap,
    query: Vec<(Box<str>, Box<str>)>,
    id: Option<Arc<str>>,
}

impl Access {
    /// A credential goes to these hosts and nowhere else.
    #[must_use]
    pub fn new(hosts: Hosts, credential: Credential) -> Self {
        Self { hosts: Arc::new(hosts), credential, settings: Arc::default() }
    }

    /// Adds or replaces a header of every request that is made from now on.
    ///
    /// # Errors
    /// As [`Template::header`].
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let (name, value) = request::parse_header(name, value).map_err(Error::request)?;
        Arc::make_mut(&mut self.settings).headers.insert(name, value);
        Ok(self)
    }

    /// Adds a name and a value to the query of every request that is made from now on, percent-encoded.
    /// A URL that gets too long by it is told with the request; see [`Template::query`].
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        Arc::make_mut(&mut self.settings).query.push((name.into(), value.into()));
        self
    }

    /// An id of the caller's own for every request that is made from now on.
    ///
    /// # Errors
    /// As [`Template::request_id`].
    pub fn request_id(mut self, id: &str) -> Result<Self, Error> {
        Arc::make_mut(&mut self.settings).id = Some(request::parse_id(id)?);
        Ok(self)
    }

    /// All of a request but its body.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if the target has no such operation, or the key would travel in
    /// the clear.
    pub fn template(
        &self,
        target: &Target,
        operation: &Operation,
        answer: Answer,
    ) -> Result<Template, Error> {
        self.at(Endpoint::new(&self.hosts, target, operation)?, answer)
    }

    /// All of a request to an OpenAI-compatible server but its body: the engine of a deployment
    /// (`…/sync/v1/{route}`), or without a target the Model APIs (`…/v1/{route}`).
    ///
    /// # Errors
    /// As [`Access::template`], and for a route that is none.
    pub fn openai(
        &self,
        target: Option<&Target>,
        method: Method,
        route: &str,
        answer: Answer,
    ) -> Result<Template, Error> {
        let route = Route::new(route)?;
        let Some(target) = target else {
            return self.at(Endpoint::model_apis(&self.hosts, method, &route), answer);
        };
        self.template(target, &Operation::Sync(method, route.below("v1")), answer)
    }

    /// A request to a route of the container's own server. What is wrong with it is told when it is
    /// built.
    #[must_use]
    pub fn sync(&self, target: &Target, method: Method, route: &str) -> RequestBuilder {
        let template = Route::new(route).map_err(Error::from).and_then(|route| {
            self.template(target, &Operation::Sync(method, route), Answer::Bytes)
        });
        RequestBuilder::new(template, Answer::Bytes)
    }

    /// A request for an operation, to be given settings of its own. `whole` is how its answer is taken
    /// unless it is streamed.
    #[must_use]
    pub fn request(&self, target: &Target, operation: &Operation, whole: Answer) -> RequestBuilder {
        RequestBuilder::new(self.template(target, operation, whole), whole)
    }

    /// A request to any route of an OpenAI-compatible server; see [`Access::openai`].
    #[must_use]
    pub fn openai_request(
        &self,
        target: Option<&Target>,
        method: Method,
        route: &str,
    ) -> RequestBuilder {
        RequestBuilder::new(self.openai(target, method, route, Answer::Bytes), Answer::Bytes)
    }

    /// Where the model's own gRPC service is, and what its calls carry.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] for a chain, a development deployment or a base URL with a path, if
    /// the key would travel in the clear, or if a header was given that the metadata has itself.
    pub fn grpc(&self, target: &Target) -> Result<Grpc, Error> {
        Grpc::new(self, target)
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.settings.headers
    }

    fn at(&self, endpoint: Endpoint, answer: Answer) -> Result<Template, Error> {
        let Settings { headers, query, id } = &*self.settings;
        let template = Template::new(endpoint, &self.credential, answer)?;
        let template = template.with_headers(headers).with_id(id.as_ref());
        query.iter().try_fold(template, |template, (name, value)| template.query(name, value))
    }
}
