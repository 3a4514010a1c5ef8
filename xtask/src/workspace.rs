//! The workspace that the current folder lies in, as `cargo metadata` tells it.
//!
//! It holds what the manifests say. What cargo makes of them, with features resolved, is in
//! [`crate::graph`].

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::iter;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

/// The manifests of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One manifest.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// The registries it may go to: `None` for any, an empty list for `publish = false`.
    #[serde(default)]
    publish: Option<Vec<String>>,
}

/// One line of a dependency table.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The package's own name, whatever it is renamed to.
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) kind: DependencyKind,
    /// The version asked for; `*` if there is only a path.
    pub(crate) req: String,
}

/// Which table a dependency stands in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    #[default]
    Normal,
    Dev,
    Build,
}

impl Workspace {
    /// Asks cargo about the workspace around the current folder.
    pub(crate) fn load() -> Result<Self, String> {
        let json = run_cargo(&["metadata", "--no-deps", "--format-version", "1"])?;
        serde_json::from_str(&json).map_err(|e| format!("cannot read cargo's metadata: {e}"))
    }

    /// The package called `name`, if the workspace has it.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

impl Package {
    /// Whether its manifest says `publish = false`.
    pub(crate) fn is_private(&self) -> bool {
        self.publish.as_ref().is_some_and(Vec::is_empty)
    }
}

impl<'de> Deserialize<'de> for DependencyKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)?.as_deref() {
            None | Some("normal") => Ok(Self::Normal),
            Some("dev") => Ok(Self::Dev),
            Some("build") => Ok(Self::Build),
            Some(other) => {
                Err(serde::de::Error::unknown_variant(other, &["normal", "dev", "build"]))
            }
        }
    }
}

/// A cargo command: the cargo that runs this program, if one does.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// What cargo printed, or its complaint.
pub(crate) fn run_cargo(arguments: &[&str]) -> Result<String, String> {
    let line = arguments.join(" ");
    let output =
        cargo().args(arguments).output().map_err(|e| format!("cannot run cargo {line}: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo {line}:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|e| format!("cargo {line}: {e}"))
}

/// Runs a command whose output goes where ours goes.
pub(crate) fn finish(command: &mut Command) -> Result<(), String> {
    let words = || -> Vec<_> {
        iter::once(command.get_program())
            .chain(command.get_args())
            .map(OsStr::to_string_lossy)
            .collect()
    };
    let line = words().join(" ");
    let status = command.status().map_err(|e| format!("{line}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{line}: {status}")) }
}
