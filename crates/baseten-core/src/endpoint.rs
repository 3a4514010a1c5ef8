//! Which URL a call goes to, and what is known about the call from its URL alone.
//!
//! One table ([`Operation::row`]) holds every path of the inference API. Nothing here looks at the
//! environment, opens a socket or holds a key.

use std::borrow::Cow;
use std::fmt;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::hosts::{Hosts, Location, Origin};
use crate::id::{AsyncRequestId, EnvironmentName};
use crate::route::Route;
use crate::target::{Stage, Subject, Target};

/// What is asked of a target.
///
/// Paths and methods are those of Baseten's OpenAPI description of inference (version 1.0.0), but
/// for `Sync`, which its documentation and own clients describe.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Run the model: `POST …/predict`.
    Predict,
    /// Run the chain: `POST …/run_remote`.
    RunRemote,
    /// Queue a run of the model: `POST …/async_predict`.
    AsyncPredict,
    /// Queue a run of the chain: `POST …/async_run_remote`.
    AsyncRunRemote,
    /// Start a replica: `POST …/wake`, answered at once with 202.
    Wake,
    /// How long the queue is: `GET …/async_queue_status`.
    QueueStatus,
    /// Open a WebSocket: `GET …/websocket`.
    WebSocket,
    /// A route of the container's own server: any method on `…/sync/{route}`.
    Sync(Method, Route),
    /// What became of a queued run: `GET /async_request/{id}`, without any prefix.
    AsyncStatus(AsyncRequestId),
    /// Take a queued run back: `DELETE /async_request/{id}`, without any prefix.
    AsyncCancel(AsyncRequestId),
}

/// One row of the table of paths.
struct Row<'a> {
    method: Method,
    path: Cow<'a, str>,
    /// Whether the deployment's prefix stands before the path.
    staged: bool,
    fits: Fits,
    answers: Answers,
}

#[derive(PartialEq, Eq)]
enum Fits {
    Model,
    Chain,
    Both,
}

/// Who answers, and what that means for clocks and retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// A replica, which a request may wait for while it starts.
    Replica,
    /// A replica, whose own routes we know nothing about.
    Container,
    /// The platform itself, and asking twice changes nothing.
    Platform,
}

impl Operation {
    fn row(&self) -> Row<'_> {
        use Answers::{Container, Platform, Replica};
        let row = |method, path: &'static str, staged, fits, answers| Row {
            method,
            path: path.into(),
            staged,
            fits,
            answers,
        };
        match self {
            Self::Predict => row(Method::POST, "/predict", true, Fits::Model, Replica),
            Self::RunRemote => row(Method::POST, "/run_remote", true, Fits::Chain, Replica),
            Self::AsyncPredict => row(Method::POST, "/async_predict", true, Fits::Model, Replica),
            Self::AsyncRunRemote => {
                row(Method::POST, "/async_run_remote", true, Fits::Chain, Replica)
            }
            Self::Wake => row(Method::POST, "/wake", true, Fits::Both, Platform),
            Self::QueueStatus => {
                row(Method::GET, "/async_queue_status", true, Fits::Both, Platform)
            }
            Self::WebSocket => row(Method::GET, "/websocket", true, Fits::Both, Container),
            Self::Sync(method, route) => Row {
                path: format!("/sync/{}", route.as_str()).into(),
                ..row(method.clone(), "", true, Fits::Both, Container)
            },
            Self::AsyncStatus(id) => Row {
                path: format!("/async_request/{id}").into(),
                ..row(Method::GET, "", false, Fits::Both, Platform)
            },
            Self::AsyncCancel(id) => Row {
                path: format!("/async_request/{id}").into(),
                ..row(Method::DELETE, "", false, Fits::Both, Platform)
            },
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::RunRemote => "run_remote",
            Self::AsyncPredict => "async_predict",
            Self::AsyncRunRemote => "async_run_remote",
            Self::Wake => "wake",
            Self::QueueStatus => "async_queue_status",
            Self::WebSocket => "websocket",
            Self::Sync(..) => "sync",
            Self::AsyncStatus(_) | Self::AsyncCancel(_) => "async_request",
        }
    }
}

/// What the wire needs to know of a call's address.
///
/// ```
/// use baseten_core::{Endpoint, Hosts, ModelId, Operation, Target};
/// let target = Target::model(ModelId::new("abcd1234")?);
/// let endpoint = Endpoint::new(&Hosts::baseten(), &target, &Operation::Predict)?;
/// assert_eq!(endpoint.url(), "https://model-abcd1234.api.baseten.co/environments/production/predict");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    method: Method,
    origin: Origin,
    uri: Uri,
    host: HeaderValue,
    answers: Answers,
    platform_host: bool,
    keys_may_go_plain: bool,
}

/// All but what RFC 3986 calls unreserved.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest path and query that `http` takes, in bytes.
pub(crate) const URI_MAX: usize = 65_534;

impl Endpoint {
    /// Where `operation` on `target` is.
    ///
    /// # Errors
    /// [`InvalidOperation`] if a chain is asked to predict or a model to run remotely, if the target has
    /// both a regional environment and another deployment, or if it has a regional environment that the
    /// hosts do not name, as a base URL does not.
    pub fn new(
        hosts: &Hosts,
        target: &Target,
        operation: &Operation,
    ) -> Result<Self, InvalidOperation> {
        let row = operation.row();
        let misfit = |has, takes| {
            let operation = operation.name();
            Err(InvalidOperation(Fault::Misfit { operation, has, takes }))
        };
        match (&target.subject, row.fits) {
            (Subject::Model(_), Fits::Chain) => return misfit("a model", "a chain"),
            (Subject::Chain(_), Fits::Model) => return misfit("a chain", "a model"),
            _ => {}
        }
        let location = hosts.locate(&target.host_label());
        let stage = if row.staged { target.path_prefix() } else { String::new() };
        let path = format!("{}{stage}{}", location.prefix, row.path);
        let endpoint = Self::at(hosts, location, row.method, &path, row.answers);
        InvalidOperation::check(target, &String::from_utf8_lossy(endpoint.host.as_bytes()))?;
        Ok(endpoint)
    }

    /// A route of the Model APIs, `chat/completions` for one: below `/v1` of their host, or of the
    /// base URL if [`Hosts::base_url`] gave one, whether or not that ends in `/v1` itself.
    #[must_use]
    pub fn model_apis(hosts: &Hosts, method: Method, route: &Route) -> Self {
        let location = hosts.model_apis();
        let base = location.prefix.strip_suffix("/v1").unwrap_or(&location.prefix);
        let path = format!("{base}/v1/{}", route.as_str());
        Self::at(hosts, location, method, &path, Answers::Container)
    }

    /// What a model's gRPC service is connected to. The path is the base URL's, or `/`.
    pub(crate) fn grpc(hosts: &Hosts, target: &Target) -> Result<Self, InvalidOperation> {
        let location = hosts.locate(&format!("{}.grpc", target.host_label()));
        let path = if location.prefix.is_empty() { "/".into() } else { location.prefix.clone() };
        let endpoint = Self::at(hosts, location, Method::POST, &path, Answers::Container);
        // Whoever calls it has its address from here, and no `Host` header.
        InvalidOperation::check(target, endpoint.origin.host())?;
        Ok(endpoint)
    }

    fn at(hosts: &Hosts, location: Location, method: Method, path: &str, answers: Answers) -> Self {
        let host = hosts.host_header().cloned().unwrap_or_else(|| {
            HeaderValue::try_from(location.origin.authority())
                .expect("an origin was parsed from a URI authority, which is visible ASCII")
        });
        let path = PathAndQuery::try_from(path)
            .expect("prefix, ids and routes were parsed or encoded for a path");
        Self {
            method,
            uri: path.into(),
            host,
            answers,
            platform_host: hosts.is_platform(),
            keys_may_go_plain: hosts.keys_may_go_plain() || location.origin.is_https(),
            origin: location.origin,
        }
    }

    /// The same with one more pair in the query.
    ///
    /// # Errors
    /// How long path and query would be, if that is more than [`URI_MAX`].
    pub(crate) fn with_query(&self, name: &str, value: &str) -> Result<Self, usize> {
        let pair = |text| utf8_percent_encode(text, QUERY).to_string();
        let mark = if self.uri.query().is_some() { '&' } else { '?' };
        let uri = format!("{}{mark}{}={}", self.uri, pair(name), pair(value));
        if uri.len() > URI_MAX {
            return Err(uri.len());
        }
        let uri = PathAndQuery::try_from(uri).expect("a path that was one, and an encoded query");
        Ok(Self { uri: uri.into(), ..self.clone() })
    }

    /// The HTTP method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Scheme, host and port to connect to.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The value of the `Host` header, which may differ from the origin.
    #[must_use]
    pub fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Path and query, as they stand in an HTTP/1.1 request line.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The path alone, as errors show it: a query may hold what should not be printed.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The whole URL, for another HTTP client.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.origin, self.uri)
    }

    /// Whether sending it twice is harmless by nature: GET, HEAD and OPTIONS, and what the platform
    /// itself answers (wake, status, cancel, queue status).
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
            || self.answers == Answers::Platform
    }

    /// Whether the platform holds the request back until a replica is ready, so that the first byte
    /// may take as long as a cold start.
    #[must_use]
    pub fn waits_for_replica(&self) -> bool {
        self.platform_host && self.answers != Answers::Platform
    }

    /// Whether a 429 or 503 is known to come from the platform, before any model saw the request.
    /// Through `sync`, or from another host, that is an assumption.
    #[must_use]
    pub fn refusals_are_the_platforms(&self) -> bool {
        self.platform_host && self.answers != Answers::Container
    }

    pub(crate) fn key_may_be_sent(&self) -> bool {
        self.keys_may_go_plain || self.origin.is_loopback()
    }

    pub(crate) fn takes_api_key_scheme(&self) -> bool {
        self.platform_host
    }
}

/// An operation that its target does not have, or a target that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOperation(Fault);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Misfit { operation: &'static str, has: &'static str, takes: &'static str },
    Mixed,
    Unnamed { environment: EnvironmentName, label: String, host: String },
}

impl InvalidOperation {
    /// A regional host takes bare paths alone, so the host has to say which one it is: the path does not.
    fn check(target: &Target, host: &str) -> Result<(), Self> {
        if target.mixed {
            return Err(Self(Fault::Mixed));
        }
        let Stage::Regional(environment) = &target.stage else { return Ok(()) };
        let label = target.host_label();
        if host.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(&label)) {
            return Ok(());
        }
        let (environment, host) = (environment.clone(), host.to_owned());
        Err(Self(Fault::Unnamed { environment, label, host }))
    }
}

impl fmt::Display for InvalidOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Misfit { operation, has, takes } => {
                write!(f, "{operation} was asked of {has}, only {takes} has it")
            }
            Fault::Mixed => f.write_str(
                "a regional environment was combined with another deployment, and its host has no \
                 other: name one of them",
            ),
            Fault::Unnamed { environment, label, host } => write!(
                f,
                "regional environment \"{environment}\" was combined with a base URL or Host header \
                 at host \"{host}\", which does not name it: leave one of them out, or give \
                 {label}.… as the host"
            ),
        }
    }
}

impl std::error::Error for InvalidOperation {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ChainId, DeploymentId, ModelId};

    fn model() -> Target {
        Target::model(ModelId::new("abc").unwrap())
    }

    fn chain() -> Target {
        Target::chain(ChainId::new("xyz").unwrap())
    }

    fn environment(name: &str) -> EnvironmentName {
        EnvironmentName::new(name).unwrap()
    }

    #[test]
    fn the_longest_parts_together_are_still_a_path() {
        let base = |length| Hosts::base_url(&format!("https://a/{}", "b".repeat(length)));
        assert!(base(8 * 1024).is_err());
        let hosts = base(8 * 1024 - 1).unwrap();
        let route = Route::new("r".repeat(48 * 1024)).unwrap();
        let name = EnvironmentName::new("e".repeat(40)).unwrap();
        let target = Target::model(ModelId::new("m").unwrap()).environment(name);
        let sync = Operation::Sync(Method::GET, route.clone());
        assert!(Endpoint::new(&hosts, &target, &sync).unwrap().path().len() > 56 * 1024);
        assert!(Endpoint::model_apis(&hosts, Method::GET, &route).path().len() > 56 * 1024);
    }

    #[test]
    #[rustfmt::skip]
    fn every_path_of_the_api_reference() {
        use Operation::*;
        let sync = |method, route| Sync(method, Route::new(route).unwrap());
        let id = || AsyncRequestId::new("req-1").unwrap();
        let deployment = || DeploymentId::new("d1").unwrap();
        //   target                                   operation       method    URL after https://
        for (target, operation, method, url) in [
            (model(), Predict, "POST", "model-abc.api.baseten.co/environments/production/predict"),
            (model().development(), Predict, "POST", "model-abc.api.baseten.co/development/predict"),
            (model().environment(environment("qa")), Predict, "POST", "model-abc.api.baseten.co/environments/qa/predict"),
            (model().deployment(deployment()), Predict, "POST", "model-abc.api.baseten.co/deployment/d1/predict"),
            (model().regional(environment("us")).unwrap(), Predict, "POST", "model-abc-us.api.baseten.co/predict"),
            (chain(), RunRemote, "POST", "chain-xyz.api.baseten.co/environments/production/run_remote"),
            (chain().regional(environment("us")).unwrap(), RunRemote, "POST", "chain-xyz-us.api.baseten.co/run_remote"),
            (model(), AsyncPredict, "POST", "model-abc.api.baseten.co/environments/production/async_predict"),
            (chain().development(), AsyncRunRemote, "POST", "chain-xyz.api.baseten.co/development/async_run_remote"),
            (model().deployment(deployment()), Wake, "POST", "model-abc.api.baseten.co/deployment/d1/wake"),
            (model(), QueueStatus, "GET", "model-abc.api.baseten.co/environments/production/async_queue_status"),
            (chain(), WebSocket, "GET", "chain-xyz.api.baseten.co/environments/production/websocket"),
            (model(), sync(Method::GET, "health"), "GET", "model-abc.api.baseten.co/environments/production/sync/health"),
            (model().development(), sync(Method::PUT, "/items/12?a=b c"), "PUT", "model-abc.api.baseten.co/development/sync/items/12?a=b%20c"),
            (model().regional(environment("us")).unwrap(), sync(Method::POST, "v1/embeddings"), "POST", "model-abc-us.api.baseten.co/sync/v1/embeddings"),
            (model().environment(environment("qa")), AsyncStatus(id()), "GET", "model-abc.api.baseten.co/async_request/req-1"),
            (chain(), AsyncCancel(id()), "DELETE", "chain-xyz.api.baseten.co/async_request/req-1"),
        ] {
            let endpoint = Endpoint::new(&Hosts::baseten(), &target, &operation).unwrap();
            assert_eq!(endpoint.url(), format!("https://{url}"));
            assert_eq!(endpoint.method().as_str(), method, "{url}");
        }
    }

    #[test]
    fn hosts_change_where_but_not_what() {
        //   hosts                                                       URL
        for (hosts, url, host) in [
            (
                Hosts::root("api.staging.baseten.co").unwrap(),
                "https://model-abc.api.staging.baseten.co/environments/production/predict",
                "model-abc.api.staging.baseten.co",
            ),
            (
                Hosts::root("http://api.localhost:9090").unwrap(),
                "http://model-abc.api.localhost:9090/environments/production/predict",
                "model-abc.api.localhost:9090",
            ),
            (
                Hosts::base_url("http://127.0.0.1:1/model/abc").unwrap(),
                "http://127.0.0.1:1/model/abc/environments/production/predict",
                "127.0.0.1:1",
            ),
            (
                Hosts::base_url("http://localhost:9090")
                    .unwrap()
                    .with_host_header("model-abc.api.dev.baseten.co")
                    .unwrap(),
                "http://localhost:9090/environments/production/predict",
                "model-abc.api.dev.baseten.co",
            ),
        ] {
            let endpoint = Endpoint::new(&hosts, &model(), &Operation::Predict).unwrap();
            assert_eq!(endpoint.url(), url);
            assert_eq!(endpoint.host(), host);
        }
    }

    #[test]
    #[rustfmt::skip]
    fn a_regional_environment_is_named_by_the_host_or_refused() {
        let base = |url| Hosts::base_url(url).unwrap();
        let headed = |hosts: Hosts, host| hosts.with_host_header(host).unwrap();
        let local = || base("http://localhost:9090");
        //   hosts                                                                    URL, or the host of the error
        for (hosts, expect) in [
            (Hosts::root("http://api.localhost:9090").unwrap(), Ok("http://model-abc-eu.api.localhost:9090/predict")),
            (base("https://model-abc-eu.api.baseten.co"), Ok("https://model-abc-eu.api.baseten.co/predict")),
            (headed(local(), "MODEL-abc-eu.api.baseten.co"), Ok("http://localhost:9090/predict")),
            (base("https://model-abc.api.baseten.co"), Err("model-abc.api.baseten.co")), // production, unsaid
            (base("https://model-abc-eu2.api.baseten.co"), Err("model-abc-eu2.api.baseten.co")),
            (base("https://eu.example.com/model-abc-eu"), Err("eu.example.com")), // who knows what it serves
            (local(), Err("localhost:9090")),
            (headed(local(), "model-abc.api.baseten.co"), Err("model-abc.api.baseten.co")),
            (headed(Hosts::baseten(), "model-abc.api.baseten.co"), Err("model-abc.api.baseten.co")),
        ] {
            let target = model().regional(environment("eu")).unwrap();
            for operation in [Operation::Predict, Operation::WebSocket, Operation::Wake] {
                let found = Endpoint::new(&hosts, &target, &operation).map(|endpoint| endpoint.url());
                match expect {
                    Ok(url) => assert_eq!(found.unwrap(), url.replace("predict", operation.name())),
                    Err(host) => assert_eq!(found.unwrap_err().to_string(), format!(
                        "regional environment \"eu\" was combined with a base URL or Host header at host \"{host}\", \
                         which does not name it: leave one of them out, or give model-abc-eu.… as the host"
                    )),
                }
            }
        }
    }

    #[test]
    fn model_apis_are_below_v1_once() {
        let gateway = |url| Hosts::base_url(url).unwrap();
        for (hosts, url) in [
            (Hosts::baseten(), "https://inference.baseten.co/v1/models"),
            (gateway("http://localhost:4000"), "http://localhost:4000/v1/models"),
            (gateway("http://localhost:4000/v1/"), "http://localhost:4000/v1/models"),
            (gateway("https://openrouter.ai/api/v1"), "https://openrouter.ai/api/v1/models"),
        ] {
            let route = Route::new("models").unwrap();
            assert_eq!(Endpoint::model_apis(&hosts, Method::GET, &route).url(), url);
        }
    }

    #[test]
    fn an_operation_must_fit_its_subject() {
        for (target, operation, expect) in [
            (chain(), Operation::Predict, "predict was asked of a chain, only a model has it"),
            (model(), Operation::RunRemote, "run_remote was asked of a model, only a chain has it"),
            (chain(), Operation::AsyncPredict, "async_predict was asked of a chain"),
        ] {
            let error = Endpoint::new(&Hosts::baseten(), &target, &operation).unwrap_err();
            assert!(error.to_string().starts_with(expect), "{error}");
        }
    }

    #[test]
    fn what_may_be_repeated_and_who_refuses() {
        use Operation::*;
        let sync = |method| Sync(method, Route::new("x").unwrap());
        let gateway = || Hosts::base_url("https://gateway.example.com").unwrap();
        //   hosts             operation           repeatable  platform's refusals
        for (hosts, operation, repeatable, platforms) in [
            (Hosts::baseten(), Predict, false, true),
            (Hosts::baseten(), Wake, true, true),
            (Hosts::baseten(), QueueStatus, true, true),
            (Hosts::baseten(), sync(Method::GET), true, false), // the container may have said it
            (Hosts::baseten(), sync(Method::POST), false, false),
            (Hosts::baseten(), sync(Method::PUT), false, false), // a job all the same
            (gateway(), Predict, false, false),                  // who knows what it means there
        ] {
            let endpoint = Endpoint::new(&hosts, &model(), &operation).unwrap();
            assert_eq!(endpoint.is_repeatable(), repeatable, "{}", endpoint.url());
            assert_eq!(endpoint.refusals_are_the_platforms(), platforms, "{}", endpoint.url());
        }
    }
}
