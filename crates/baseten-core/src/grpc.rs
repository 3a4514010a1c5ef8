//! Where a model's own gRPC service is, and what a call to it must carry.
//!
//! It knows no gRPC: a program brings its own client, tonic for one, and the protocol of its model.

use std::time::SystemTime;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::access::Access;
use crate::credential::Credential;
use crate::delivery::Delivery;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::hosts::Origin;
use crate::request::KEY_IN_THE_CLEAR;
use crate::target::{Stage, Subject, Target};

/// The address of a model that speaks gRPC, and the metadata of each call to it.
///
/// Baseten has gRPC for models with a server of their own, not for chains and not for development
/// deployments: TLS on port 443 of a host of its own, and the protocol is the model's.
///
/// ```
/// use std::time::SystemTime;
/// use baseten_core::{Access, Credential, Hosts, ModelId, Target};
/// let access = Access::new(Hosts::baseten(), Credential::api_key("k.s3cret")?);
/// let grpc = access.grpc(&Target::model(ModelId::new("abcd1234")?))?;
/// assert_eq!(grpc.url(), "https://model-abcd1234.grpc.api.baseten.co:443");
///
/// // For each call, in an interceptor:
/// let metadata = grpc.metadata(SystemTime::now())?;
/// assert_eq!(metadata["baseten-authorization"], "Api-Key k.s3cret");
/// assert_eq!(metadata["baseten-model-id"], "model-abcd1234");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Grpc {
    endpoint: Endpoint,
    credential: Credential,
    /// What the key is sent as.
    key: HeaderName,
    /// All but the key.
    metadata: HeaderMap,
}

const AUTHORIZATION: HeaderName = HeaderName::from_static("baseten-authorization");
const MODEL_ID: HeaderName = HeaderName::from_static("baseten-model-id");
const ENVIRONMENT: HeaderName = HeaderName::from_static("x-baseten-environment");
const DEPLOYMENT: HeaderName = HeaderName::from_static("x-baseten-deployment");

impl Grpc {
    pub(crate) fn new(access: &Access, target: &Target) -> Result<Self, Error> {
        let refused = |why: &str| Error::request(format!("gRPC was asked of {why}"));
        let endpoint = Endpoint::grpc(access.hosts(), target)?;
        let Subject::Model(id) = &target.subject else {
            return Err(refused("a chain, only a model has it"));
        };
        let stage = match &target.stage {
            Stage::Production => Some((ENVIRONMENT, "production")),
            Stage::Environment(name) => Some((ENVIRONMENT, name.as_str())),
            Stage::Deployment(id) => Some((DEPLOYMENT, id.as_str())),
            // The host names it.
            Stage::Regional(_) => None,
            Stage::Development => {
                return Err(refused("a development deployment, which has none: publish the model"));
            }
        };
        if endpoint.path() != "/" {
            return Err(refused("a base URL with a path, which gRPC has no room for"));
        }
        let credential = access.credential().clone();
        if !credential.is_none() && !endpoint.key_may_be_sent() {
            return Err(Error::request(KEY_IN_THE_CLEAR));
        }
        let value = |text: &str| {
            HeaderValue::try_from(text).expect("ids and names of environments were checked: ASCII")
        };
        let mut metadata = access.headers().clone();
        let reserved = [AUTHORIZATION, MODEL_ID, ENVIRONMENT, DEPLOYMENT];
        if let Some(name) = reserved.iter().find(|name| metadata.contains_key(*name)) {
            let why =
                format!("metadata {name} is set by the client and cannot be given as a header");
            return Err(Error::request(why));
        }
        metadata.insert(MODEL_ID, value(&format!("model-{id}")));
        if let Some((name, text)) = stage {
            metadata.insert(name, value(text));
        }
        Ok(Self { endpoint, credential, key: AUTHORIZATION, metadata })
    }

    /// Sends the key as `authorization` in place of `baseten-authorization`: an older page of Baseten's
    /// has it so, and a proxy may know no other. By default it goes by the newer name.
    #[must_use]
    pub fn key_as_authorization(self) -> Self {
        Self { key: header::AUTHORIZATION, ..self }
    }

    /// Scheme, host and port to connect to.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.endpoint.origin()
    }

    /// The URL to connect to, its port always said, as in
    /// `https://model-abcd1234.grpc.api.baseten.co:443`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.origin().is_https() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// Host and port to connect to.
    #[must_use]
    pub fn authority(&self) -> String {
        let authority = self.origin().authority();
        let port = format!(":{}", self.origin().port());
        if authority.ends_with(&port) { authority } else { authority + &port }
    }

    /// What a call that is made now carries beside its own metadata: key, model, environment or
    /// deployment, and the headers that the client has for every call. Each name is there once. Names are in lower case, and the
    /// key is marked sensitive.
    ///
    /// # Errors
    /// What [`crate::Credential::rotating`] failed with, or that a token is over.
    pub fn metadata(&self, now: SystemTime) -> Result<HeaderMap, Error> {
        let key = self.credential.header_at(&self.endpoint, now);
        let key = key.map_err(|failure| Error::of(failure, Delivery::NotSent))?;
        let mut metadata = self.metadata.clone();
        if let Some(key) = key {
            metadata.insert(self.key.clone(), key);
        }
        Ok(metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChainId, DeploymentId, EnvironmentName, Hosts, ModelId, Scheme};

    fn model() -> Target {
        Target::model(ModelId::new("abc").unwrap())
    }

    fn name(name: &str) -> EnvironmentName {
        EnvironmentName::new(name).unwrap()
    }

    fn key() -> Credential {
        Credential::api_key("k.s3cret").unwrap()
    }

    fn lines(grpc: &Grpc, now: SystemTime) -> Vec<String> {
        let metadata = grpc.metadata(now).unwrap();
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        metadata.iter().map(line).collect()
    }

    #[test]
    #[rustfmt::skip]
    fn each_deployment_has_an_address_and_metadata() {
        let (own, other) = (Hosts::baseten(), Hosts::root("api.example.com:8443").unwrap());
        let local = Hosts::base_url("http://127.0.0.1:50051").unwrap();
        let region = Hosts::base_url("http://model-abc-eu.grpc.localhost:50051").unwrap();
        let deployment = DeploymentId::new("d1").unwrap();
        let model_id = "baseten-model-id: model-abc";
        let api_key = "baseten-authorization: Api-Key k.s3cret";
        //   hosts  target                        credential  URL                                       metadata
        for (hosts, target, credential, url, expect) in [
            (&own, model(), key(), "https://model-abc.grpc.api.baseten.co:443", vec![model_id, "x-baseten-environment: production", api_key]),
            (&own, model().environment(name("qa")), key(), "https://model-abc.grpc.api.baseten.co:443", vec![model_id, "x-baseten-environment: qa", api_key]),
            (&own, model().deployment(deployment), key(), "https://model-abc.grpc.api.baseten.co:443", vec![model_id, "x-baseten-deployment: d1", api_key]),
            (&own, model().regional(name("eu")).unwrap(), key(), "https://model-abc-eu.grpc.api.baseten.co:443", vec![model_id, api_key]),
            (&other, model().regional(name("eu")).unwrap(), Credential::none(), "https://model-abc-eu.grpc.api.example.com:8443", vec![model_id]),
            (&region, model().regional(name("eu")).unwrap(), key(), "http://model-abc-eu.grpc.localhost:50051", vec![model_id, "baseten-authorization: Bearer k.s3cret"]),
            (&region, model().regional(name("eu")).unwrap(), key().with_scheme(Scheme::ApiKey), "http://model-abc-eu.grpc.localhost:50051", vec![model_id, api_key]),
            (&local, model(), key(), "http://127.0.0.1:50051", vec![model_id, "x-baseten-environment: production", "baseten-authorization: Bearer k.s3cret"]),
        ] {
            let grpc = Access::new(hosts.clone(), credential).grpc(&target).unwrap();
            assert_eq!(grpc.url(), url);
            assert!(url.ends_with(&format!("//{}", grpc.authority())));
            assert_eq!(lines(&grpc, SystemTime::UNIX_EPOCH), expect, "{target:?}");
            assert!(!format!("{grpc:?} {:?}", grpc.metadata(SystemTime::UNIX_EPOCH)).contains("s3cret"));
        }
    }

    #[test]
    #[rustfmt::skip]
    fn what_has_no_grpc_is_told() {
        let chain = Target::chain(ChainId::new("c1").unwrap());
        let (own, path) = (Hosts::baseten(), Hosts::base_url("https://example.com/b10").unwrap());
        let plain = Hosts::base_url("http://example.com").unwrap();
        let local = Hosts::base_url("http://127.0.0.1:50051").unwrap();
        for (hosts, target, expect) in [
            (&own, chain, "gRPC was asked of a chain, only a model has it"),
            (&own, model().development(), "gRPC was asked of a development deployment, which has none: publish the model"),
            (&path, model(), "gRPC was asked of a base URL with a path, which gRPC has no room for"),
            (&local, model().regional(name("eu")).unwrap(), "regional environment \"eu\" was combined with a base URL or Host header at host \"127.0.0.1\", which does not name it: leave one of them out, or give model-abc-eu.… as the host"),
            (&plain, model(), "the key would go over plain HTTP; use https, or say Hosts::allow_plain_http"),
        ] {
            let error = Access::new(hosts.clone(), key()).grpc(&target).unwrap_err();
            assert_eq!(error.to_string(), expect);
        }
        assert!(Access::new(plain.allow_plain_http(), key()).grpc(&model()).is_ok());
    }

    #[test]
    fn the_key_goes_by_one_name_and_once() {
        for (older, credential, expect) in [
            (false, key(), Some("baseten-authorization: Api-Key k.s3cret")),
            (true, key(), Some("authorization: Api-Key k.s3cret")),
            (true, Credential::none(), None),
            (
                true,
                Credential::rotating(|| Credential::token("t.s3cret")),
                Some("authorization: Bearer t.s3cret"),
            ),
        ] {
            let access = Access::new(Hosts::baseten(), credential).header("x-own", "1").unwrap();
            let grpc = access.grpc(&model()).unwrap();
            let grpc = if older { grpc.key_as_authorization() } else { grpc };
            let mut told = vec!["x-own: 1", "baseten-model-id: model-abc"];
            told.push("x-baseten-environment: production");
            told.extend(expect);
            assert_eq!(lines(&grpc, SystemTime::UNIX_EPOCH), told);
        }
        for name in [
            "Baseten-Authorization",
            "baseten-model-id",
            "x-baseten-environment",
            "x-baseten-deployment",
        ] {
            let access = Access::new(Hosts::baseten(), key()).header(name, "s3cret").unwrap();
            let error = access.grpc(&model()).unwrap_err().to_string();
            let name = name.to_lowercase();
            assert_eq!(
                error,
                format!("metadata {name} is set by the client and cannot be given as a header")
            );
        }
    }

    #[test]
    fn a_key_that_changes_is_asked_for_with_each_call() {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_714_507_268);
        let token = Credential::token_until("t.s3cret", at).unwrap();
        let grpc = Access::new(Hosts::baseten(), token).grpc(&model()).unwrap();
        let before = lines(&grpc, SystemTime::UNIX_EPOCH);
        assert_eq!(before.last().unwrap(), "baseten-authorization: Bearer t.s3cret");
        let error = grpc.metadata(at).unwrap_err();
        assert!(
            error.to_string().starts_with("the access token expired at Tue, 30 Apr"),
            "{error}"
        );
        let sealed = Credential::rotating(|| Err("the vault is sealed"));
        let grpc = Access::new(Hosts::baseten(), sealed).grpc(&model()).unwrap();
        let error = grpc.metadata(at).unwrap_err();
        assert_eq!(error.to_string(), "the closure of the credential failed");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the vault is sealed");
    }
}
