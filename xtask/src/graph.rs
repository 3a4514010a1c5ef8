//! Everything a crate links in one set of features, as `cargo tree` resolves it.
//!
//! Normal edges only, proc-macros counted; what is needed for tests or build scripts is not here.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::{Workspace, run_cargo};

/// One crate with one set of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) package: &'static str,
    pub(crate) features: Features,
}

/// Which features are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Features {
    /// No default features, and these.
    Only(&'static [&'static str]),
    /// What a plain dependency line gives.
    Default,
    /// All of them.
    All,
}

/// The platform whose dependencies are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    /// This machine's.
    Host,
    /// Every platform at once.
    Any,
}

/// Names of the linked packages, each with its enabled features.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Build {
    /// Lets cargo resolve the build.
    pub(crate) fn graph(&self, platform: Platform) -> Result<Graph, String> {
        let mut line = vec!["tree", "--package", self.package, "--edges", "normal"];
        line.extend(["--prefix", "none", "--format", "{p}\t{f}"]);
        let list;
        match self.features {
            Features::Only([]) => line.push("--no-default-features"),
            Features::Only(names) => {
                list = names.join(",");
                line.extend(["--no-default-features", "--features", &list]);
            }
            Features::Default => {}
            Features::All => line.push("--all-features"),
        }
        if platform == Platform::Any {
            line.extend(["--target", "all"]);
        }
        run_cargo(&line).map(|tree| Graph::parse(&tree))
    }
}

impl Features {
    /// The features named that `declared` does not have.
    pub(crate) fn missing_from(&self, declared: &BTreeMap<String, Vec<String>>) -> Vec<&str> {
        let Self::Only(names) = self else { return Vec::new() };
        names.iter().copied().filter(|name| !declared.contains_key(*name)).collect()
    }

    /// For a table: `bare`, `default`, `all` or the names.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Only([]) => "bare".to_owned(),
            Self::Only(names) => names.join(" + "),
            Self::Default => "default".to_owned(),
            Self::All => "all".to_owned(),
        }
    }
}

impl Graph {
    /// Reads lines of `name vX.Y.Z (note)<TAB>feature,feature (*)`.
    fn parse(tree: &str) -> Self {
        let mut packages = BTreeMap::<_, BTreeSet<_>>::new();
        for line in tree.lines() {
            let line = line.trim_end_matches(" (*)");
            let (package, features) = line.split_once('\t').unwrap_or((line, ""));
            let Some(name) = package.split_whitespace().next() else { continue };
            packages
                .entry(name.to_owned())
                .or_default()
                .extend(features.split(',').filter(|f| !f.is_empty()).map(str::to_owned));
        }
        Self(packages)
    }

    /// Whether a package of this name is linked.
    pub(crate) fn links(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether the package is linked with this feature on.
    pub(crate) fn enables(&self, name: &str, feature: &str) -> bool {
        self.0.get(name).is_some_and(|features| features.contains(feature))
    }

    /// How many packages are linked that the workspace does not own.
    pub(crate) fn others(&self, workspace: &Workspace) -> usize {
        self.0.keys().filter(|name| workspace.package(name).is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_with_notes_marks_and_missing_features() {
        let graph = Graph::parse(
            "ours v0.1.0 (/some where/ours)\tdefault,tls\n\
             tokio v1.54.1\trt\n\
             serde_derive v1.0.0 (proc-macro)\tdefault (*)\n\
             itoa v1.0.0\t\n\
             \n\
             tokio v1.54.1\tnet (*)\n",
        );
        assert!(graph.enables("ours", "tls"));
        assert!(graph.enables("serde_derive", "default"));
        assert!(graph.links("itoa"));
        assert!(!graph.enables("itoa", ""));
        assert!(graph.enables("tokio", "net") && graph.enables("tokio", "rt"));
        assert!(!graph.links("(proc-macro)"));
    }
}
