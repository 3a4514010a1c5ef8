//! The emulator's own route table: which model or chain a request is for, and what it asks.
//!
//! Written from the platform's documentation and not from the client's table, so that a wrong URL
//! in a client cannot be matched by the same mistake here. It knows no answers.

use crate::names::Names;

/// What a request is addressed to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// Model or chain.
    pub kind: Kind,
    /// The id, percent-decoded.
    pub id: String,
    /// Which of its deployments.
    pub stage: Stage,
}

/// A model or a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `model-{id}.` hosts and `/model/{id}` prefixes.
    Model,
    /// `chain-{id}.` hosts and `/chain/{id}` prefixes.
    Chain,
    /// The Model APIs: `inference.` hosts, and `/v1/…` on an address. Their id is empty.
    ModelApis,
}

/// Which deployment of a model or chain a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// `/production/…`
    Production,
    /// `/development/…`
    Development,
    /// `/environments/{name}/…`
    Environment(String),
    /// `/deployment/{id}/…`
    Deployment(String),
    /// The environment stands in the host, `model-{id}-{name}.…`, and the path has no prefix.
    Regional(String),
    /// Neither: the form under a path prefix, and of `/async_request/{id}` everywhere.
    Bare,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// `POST …/predict` on a model.
    Predict,
    /// `POST …/run_remote` on a chain.
    RunRemote,
    /// Any method on `…/sync/{route}`; the route as sent, without its query.
    Sync(String),
    /// `POST …/wake`.
    Wake,
    /// `POST …/async_predict` on a model.
    AsyncPredict,
    /// `POST …/async_run_remote` on a chain.
    AsyncRunRemote,
    /// `GET …/async_queue_status`.
    AsyncQueueStatus,
    /// `GET …/websocket`, to be switched to a WebSocket.
    WebSocket,
    /// Any method on `/v1/{route}` of the Model APIs; the route with its `v1/`, without its query.
    ModelApis(String),
    /// `GET` (status) or `DELETE` (cancel) on `/async_request/{id}`; the id, percent-decoded.
    AsyncRequest(String),
}

/// Why no route matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    NotFound,
    MethodNotAllowed,
}

impl Operation {
    /// The key under which a test installs answers: the path after the stage.
    pub(crate) fn route(&self) -> String {
        match self {
            Self::Predict => "predict".into(),
            Self::RunRemote => "run_remote".into(),
            Self::Sync(route) => format!("sync/{route}"),
            Self::Wake => "wake".into(),
            Self::AsyncPredict => "async_predict".into(),
            Self::AsyncRunRemote => "async_run_remote".into(),
            Self::AsyncQueueStatus => "async_queue_status".into(),
            Self::WebSocket => "websocket".into(),
            Self::ModelApis(route) => route.clone(),
            Self::AsyncRequest(_) => "async_request".into(),
        }
    }
}

/// Finds target and operation from the `Host` header (first choice) or the path's prefix.
pub(crate) fn find(
    names: &Names,
    method: &str,
    host: Option<&str>,
    path_and_query: &str,
) -> Result<(Target, Operation), NoRoute> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let path = path.strip_prefix('/').ok_or(NoRoute::NotFound)?;
    if let Some((kind, id, environment)) = host.and_then(|host| from_host(names, host)) {
        let base = environment.map_or(Base::Host, Base::Regional);
        return under(kind, id, base, method, path);
    }
    let (first, rest) = path.split_once('/').ok_or(NoRoute::NotFound)?;
    let is_model_apis = host.and_then(|host| after("inference.", host)).is_some();
    if first == "v1" && !rest.is_empty() {
        let target = Target { kind: Kind::ModelApis, id: String::new(), stage: Stage::Bare };
        return Ok((target, Operation::ModelApis(path.into())));
    }
    let kind = match first {
        _ if is_model_apis => return Err(NoRoute::NotFound),
        "model" => Kind::Model,
        "chain" => Kind::Chain,
        _ => return Err(NoRoute::NotFound),
    };
    let (id, rest) = rest.split_once('/').ok_or(NoRoute::NotFound)?;
    under(kind, segment(id)?, Base::Prefix, method, rest)
}

/// How the id was given, which decides which prefixes the path may have.
enum Base {
    /// `model-{id}.root`: a stage prefix must follow.
    Host,
    /// `model-{id}-{environment}.root`: no stage prefix may follow.
    Regional(String),
    /// `/model/{id}`: a base URL of a test, so both forms are taken.
    Prefix,
}

/// `model-{id}.root`, `chain-{id}.root`, `model-{id}-{environment}.root`.
fn from_host(names: &Names, host: &str) -> Option<(Kind, String, Option<String>)> {
    let (label, root) = host.split_once('.')?;
    if root.is_empty() {
        return None;
    }
    let model = after("model-", label).map(|rest| (Kind::Model, rest));
    let (kind, rest) = model.or_else(|| Some((Kind::Chain, after("chain-", label)?)))?;
    let (id, environment) = names.split(kind, rest);
    let named = !id.is_empty() && environment.as_ref().is_none_or(|name| !name.is_empty());
    named.then_some((kind, id, environment))
}

/// What follows the beginning of a host name, whose case does not count.
fn after<'a>(beginning: &str, host: &'a str) -> Option<&'a str> {
    let (head, rest) = host.split_at_checked(beginning.len())?;
    head.eq_ignore_ascii_case(beginning).then_some(rest)
}

fn under(
    kind: Kind,
    id: String,
    base: Base,
    method: &str,
    path: &str,
) -> Result<(Target, Operation), NoRoute> {
    if let Some(request_id) = path.strip_prefix("async_request/") {
        let operation = Operation::AsyncRequest(segment(request_id)?);
        let stage = match base {
            Base::Regional(name) => Stage::Regional(name),
            Base::Host | Base::Prefix => Stage::Bare,
        };
        allow(matches!(method, "GET" | "DELETE"))?;
        return Ok((Target { kind, id, stage }, operation));
    }
    let (stage, rest) = match base {
        Base::Regional(name) => (Stage::Regional(name), path),
        Base::Host => staged(path)?.ok_or(NoRoute::NotFound)?,
        Base::Prefix => staged(path)?.unwrap_or((Stage::Bare, path)),
    };
    let operation = operation(kind, method, rest)?;
    Ok((Target { kind, id, stage }, operation))
}

/// Takes a stage prefix off a path; `None` when it has none.
fn staged(path: &str) -> Result<Option<(Stage, &str)>, NoRoute> {
    let Some((first, rest)) = path.split_once('/') else { return Ok(None) };
    Ok(Some(match first {
        "production" => (Stage::Production, rest),
        "development" => (Stage::Development, rest),
        "environments" | "deployment" => {
            let (name, rest) = rest.split_once('/').ok_or(NoRoute::NotFound)?;
            let name = segment(name)?;
            if first == "deployment" {
                (Stage::Deployment(name), rest)
            } else {
                (Stage::Environment(name), rest)
            }
        }
        _ => return Ok(None),
    }))
}

fn operation(kind: Kind, method: &str, path: &str) -> Result<Operation, NoRoute> {
    if let Some(route) = path.strip_prefix("sync/") {
        return Ok(Operation::Sync(route.to_owned()));
    }
    let (operation, verb) = match (kind, path) {
        (Kind::Model, "predict") => (Operation::Predict, "POST"),
        (Kind::Model, "async_predict") => (Operation::AsyncPredict, "POST"),
        (Kind::Chain, "run_remote") => (Operation::RunRemote, "POST"),
        (Kind::Chain, "async_run_remote") => (Operation::AsyncRunRemote, "POST"),
        (_, "wake") => (Operation::Wake, "POST"),
        (_, "async_queue_status") => (Operation::AsyncQueueStatus, "GET"),
        (_, "websocket") => (Operation::WebSocket, "GET"),
        _ => return Err(NoRoute::NotFound),
    };
    allow(method == verb)?;
    Ok(operation)
}

fn allow(allowed: bool) -> Result<(), NoRoute> {
    if allowed { Ok(()) } else { Err(NoRoute::MethodNotAllowed) }
}

/// One path segment, percent-decoded; empty, broken or nested ones match nothing.
fn segment(raw: &str) -> Result<String, NoRoute> {
    if raw.is_empty() || raw.contains('/') {
        return Err(NoRoute::NotFound);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return Err(NoRoute::NotFound) };
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(NoRoute::NotFound);
        let value = digit(*high)? * 16 + digit(*low)?;
        bytes.push(u8::try_from(value).map_err(|_| NoRoute::NotFound)?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| NoRoute::NotFound)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Names, NoRoute, Operation, Stage, find};

    #[test]
    fn finds_what_the_platform_documents() {
        let sync = |route: &str| Operation::Sync(route.into());
        let environment = |name: &str| Stage::Environment(name.into());
        let regional = |name: &str| Stage::Regional(name.into());
        // (method, host, path, kind, id, stage, operation)
        #[rustfmt::skip]
        let table = [
            ("POST", "model-abc.api.baseten.co", "/production/predict", Kind::Model, "abc", Stage::Production, Operation::Predict),
            ("POST", "model-abc.api.localhost:80", "/development/predict", Kind::Model, "abc", Stage::Development, Operation::Predict),
            ("POST", "model-abc.r", "/environments/staging/predict?x=1", Kind::Model, "abc", environment("staging"), Operation::Predict),
            ("POST", "model-abc.r", "/environments/a%20%C3%A9/predict", Kind::Model, "abc", environment("a é"), Operation::Predict),
            ("POST", "model-abc.r", "/deployment/xyz/wake", Kind::Model, "abc", Stage::Deployment("xyz".into()), Operation::Wake),
            ("POST", "model-abc-eu-west.r", "/predict", Kind::Model, "abc", regional("eu-west"), Operation::Predict),
            ("GET", "model-abc-eu.r", "/sync/health", Kind::Model, "abc", regional("eu"), sync("health")),
            ("POST", "chain-c1.r", "/production/run_remote", Kind::Chain, "c1", Stage::Production, Operation::RunRemote),
            ("POST", "chain-c1.r", "/production/async_run_remote", Kind::Chain, "c1", Stage::Production, Operation::AsyncRunRemote),
            ("PUT", "127.0.0.1:9", "/model/m/environments/production/sync/items/1%2F2?q=a/b", Kind::Model, "m", environment("production"), sync("items/1%2F2")),
            ("POST", "127.0.0.1:9", "/model/m/predict", Kind::Model, "m", Stage::Bare, Operation::Predict),
            ("GET", "127.0.0.1:9", "/chain/c/production/async_queue_status", Kind::Chain, "c", Stage::Production, Operation::AsyncQueueStatus),
            ("GET", "model-abc.r", "/environments/qa/websocket", Kind::Model, "abc", environment("qa"), Operation::WebSocket),
            ("GET", "chain-c1-eu.r", "/websocket", Kind::Chain, "c1", regional("eu"), Operation::WebSocket),
            ("GET", "model-abc.r", "/async_request/r1", Kind::Model, "abc", Stage::Bare, Operation::AsyncRequest("r1".into())),
            ("POST", "inference.localhost:80", "/v1/chat/completions", Kind::ModelApis, "", Stage::Bare, Operation::ModelApis("v1/chat/completions".into())),
            ("POST", "Inference.localhost:80", "/v1/messages", Kind::ModelApis, "", Stage::Bare, Operation::ModelApis("v1/messages".into())),
            ("POST", "MODEL-abc.R", "/production/predict", Kind::Model, "abc", Stage::Production, Operation::Predict),
            ("GET", "127.0.0.1:9", "/v1/models?x=1", Kind::ModelApis, "", Stage::Bare, Operation::ModelApis("v1/models".into())),
            ("DELETE", "model-abc-eu.r", "/async_request/r1", Kind::Model, "abc", regional("eu"), Operation::AsyncRequest("r1".into())),
        ];
        for (method, host, path, kind, id, stage, operation) in table {
            let (target, found) = find(&Names::default(), method, Some(host), path)
                .unwrap_or_else(|why| panic!("{method} {host} {path}: {why:?}"));
            assert_eq!((target.kind, &*target.id, target.stage), (kind, id, stage), "{path}");
            assert_eq!(found, operation, "{path}");
        }
    }

    #[test]
    fn refuses_what_the_platform_does_not_have() {
        // (method, host, path, answer, reason)
        #[rustfmt::skip]
        let table = [
            ("POST", "model-abc.r", "/predict", NoRoute::NotFound, "a stage is needed on a host that is not regional"),
            ("POST", "model-abc-eu.r", "/production/predict", NoRoute::NotFound, "regional hosts reject prefixes"),
            ("POST", "model-abc.r", "/production/run_remote", NoRoute::NotFound, "models have no run_remote"),
            ("POST", "chain-abc.r", "/production/predict", NoRoute::NotFound, "chains have no predict"),
            ("GET", "model-abc.r", "/production/predict", NoRoute::MethodNotAllowed, "predict is POST"),
            ("POST", "model-abc.r", "/async_request/r1", NoRoute::MethodNotAllowed, "status and cancel are GET and DELETE"),
            ("POST", "model-abc.r", "/production/predict/", NoRoute::NotFound, "trailing slash"),
            ("POST", "model-abc.r", "//production/predict", NoRoute::NotFound, "double slash"),
            ("POST", "model-abc.r", "/environments//predict", NoRoute::NotFound, "empty environment"),
            ("POST", "model-abc.r", "/environments/%ff/predict", NoRoute::NotFound, "not UTF-8"),
            ("POST", "model-abc.r", "/environments/%2/predict", NoRoute::NotFound, "broken escape"),
            ("POST", "model-.r", "/production/predict", NoRoute::NotFound, "no id"),
            ("POST", "model-abc-.r", "/predict", NoRoute::NotFound, "no environment"),
            ("POST", "model-abc", "/production/predict", NoRoute::NotFound, "no root"),
            ("POST", "127.0.0.1", "/production/predict", NoRoute::NotFound, "neither host nor prefix names a model"),
            ("POST", "inference.r", "/model/abc/predict", NoRoute::NotFound, "models have hosts of their own"),
            ("POST", "inference.r", "/v1/", NoRoute::NotFound, "no route"),
            ("POST", "model-abc.r", "/v1/chat/completions", NoRoute::NotFound, "a model's engine is below sync"),
            ("POST", "127.0.0.1", "/model//predict", NoRoute::NotFound, "no id"),
        ];
        for (method, host, path, answer, reason) in table {
            let found = find(&Names::default(), method, Some(host), path);
            assert_eq!(found, Err(answer), "{reason}");
        }
    }
}
