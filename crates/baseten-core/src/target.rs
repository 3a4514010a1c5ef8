//! What a call is addressed to: a model or chain, and which of its deployments.
//!
//! A [`Target`] knows no host and no path: [`crate::Hosts`] turns it into an [`crate::Endpoint`].

use crate::id::{self, ChainId, DeploymentId, EnvironmentName, InvalidId, ModelId};

/// A model or a chain, and which deployment of it; production unless said otherwise.
///
/// ```
/// use baseten_core::{EnvironmentName, ModelId, Target};
/// let staging = Target::model(ModelId::new("abcd1234")?).environment(EnvironmentName::new("staging")?);
/// # Ok::<(), baseten_core::InvalidId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub(crate) subject: Subject,
    pub(crate) stage: Stage,
    /// A regional environment and another deployment were both asked for.
    pub(crate) mixed: bool,
}

/// What is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// One model.
    Model(ModelId),
    /// A chain of chainlets, called through its entry point.
    Chain(ChainId),
}

/// Which deployment of it is called. The last one set counts, but a regional environment excludes all
/// others: such a target has no [`crate::Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The environment named `production`.
    Production,
    /// The development deployment (`/development`).
    Development,
    /// A named environment (`/environments/{name}`).
    Environment(EnvironmentName),
    /// One deployment, whatever environment it is in (`/deployment/{id}`).
    Deployment(DeploymentId),
    /// A regional environment: its name is in the host, the path is bare.
    Regional(EnvironmentName),
}

impl Target {
    /// The production deployment of a model.
    #[must_use]
    pub fn model(id: ModelId) -> Self {
        Self { subject: Subject::Model(id), stage: Stage::Production, mixed: false }
    }

    /// The production deployment of a chain.
    #[must_use]
    pub fn chain(id: ChainId) -> Self {
        Self { subject: Subject::Chain(id), stage: Stage::Production, mixed: false }
    }

    /// The deployment that a named environment points to.
    #[must_use]
    pub fn environment(self, name: EnvironmentName) -> Self {
        self.at(Stage::Environment(name))
    }

    /// The development deployment.
    #[must_use]
    pub fn development(self) -> Self {
        self.at(Stage::Development)
    }

    /// One deployment by its id.
    #[must_use]
    pub fn deployment(self, id: DeploymentId) -> Self {
        self.at(Stage::Deployment(id))
    }

    /// A regional environment, reached on a host of its own (`model-{id}-{name}.api.baseten.co`).
    ///
    /// # Errors
    /// [`InvalidId`] if the name cannot be part of a host name, or id and name together are longer
    /// than a DNS label.
    pub fn regional(self, name: EnvironmentName) -> Result<Self, InvalidId> {
        let what = "regional environment name";
        id::parse_label(what, name.as_str(), id::LABEL_MAX)?;
        let target = self.at(Stage::Regional(name));
        let len = target.host_label().len();
        if len > id::LABEL_MAX {
            return Err(InvalidId::too_long(
                "host label of id and environment",
                len,
                id::LABEL_MAX,
            ));
        }
        Ok(target)
    }

    fn at(self, stage: Stage) -> Self {
        let is_regional = |stage: &Stage| matches!(stage, Stage::Regional(_));
        let differ = is_regional(&self.stage) != is_regional(&stage);
        Self { mixed: self.mixed || (differ && self.stage != Stage::Production), stage, ..self }
    }

    /// What is called.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Which deployment of it.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The first label of the host: `model-{id}`, with `-{name}` behind it for a regional one.
    pub(crate) fn host_label(&self) -> String {
        let mut label = match &self.subject {
            Subject::Model(id) => format!("model-{id}"),
            Subject::Chain(id) => format!("chain-{id}"),
        };
        if let Stage::Regional(name) = &self.stage {
            label.push('-');
            label.push_str(name.as_str());
        }
        label
    }

    /// The path before the operation. Production is spelled as an environment, since that is the
    /// only form the documentation gives for `sync` routes.
    pub(crate) fn path_prefix(&self) -> String {
        match &self.stage {
            Stage::Production => "/environments/production".into(),
            Stage::Development => "/development".into(),
            Stage::Environment(name) => format!("/environments/{name}"),
            Stage::Deployment(id) => format!("/deployment/{id}"),
            Stage::Regional(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regional_name_must_fit_into_the_host() {
        let model = || Target::model(ModelId::new("abc").unwrap());
        let name = |n: &str| EnvironmentName::new(n).unwrap();
        assert_eq!(model().regional(name("us")).unwrap().host_label(), "model-abc-us");
        assert!(model().regional(name("us_east")).is_err(), "an underscore is no host name");
        let error = model().regional(name(&"x".repeat(60))).unwrap_err();
        assert!(error.to_string().contains("70 bytes long, at most 63"), "{error}");
    }
}
