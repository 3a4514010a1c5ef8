//! The programs that are measured, and how they are built.

use std::path::PathBuf;

use crate::output::say;
use crate::workspace::{Workspace, cargo, run_cargo};

/// One client of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Async,
    Blocking,
    Hyper,
    Ureq,
    Reqwest,
}

impl Client {
    pub(super) const ALL: [Self; 5] =
        [Self::Async, Self::Blocking, Self::Hyper, Self::Ureq, Self::Reqwest];

    pub(super) fn title(self) -> &'static str {
        self.package().trim_start_matches("bench-")
    }

    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Async => "bench-baseten",
            Self::Blocking => "bench-baseten-blocking",
            Self::Hyper => "bench-hyper",
            Self::Ureq => "bench-ureq",
            Self::Reqwest => "bench-reqwest",
        }
    }
}

/// The workspace of the programs.
pub(super) struct Benches {
    repository: PathBuf,
    /// Where they are built.
    pub(super) target: PathBuf,
}

impl Benches {
    /// The one of this repository.
    pub(super) fn of(workspace: &Workspace) -> Self {
        Self { repository: workspace.root.clone(), target: workspace.target.join("benches") }
    }

    /// Builds one program, alone: built together they would share each other's features.
    pub(super) fn build(&self, package: &str) -> Result<PathBuf, String> {
        say(format!("build {package}"));
        let status = cargo()
            .args(["build", "--quiet", "--release", "--package", package])
            .arg("--target-dir")
            .arg(&self.target)
            .current_dir(self.root())
            .status()
            .map_err(|e| format!("cannot run cargo: {e}"))?;
        if !status.success() {
            return Err(format!("cargo build of {package}: {status}"));
        }
        Ok(self.target.join("release").join(package))
    }

    /// Builds the program that reads a stream by this client, and gives that.
    pub(super) fn build_stream(&self, reader: &str) -> Result<PathBuf, String> {
        let built = self.build(&format!("bench-{reader}"))?;
        Ok(built.with_file_name(format!("bench-{reader}-stream")))
    }

    /// How many crates a program links that are not in this repository, as `sizes` counts them.
    pub(super) fn crates(&self, package: &str) -> Result<usize, String> {
        let manifest = self.root().join("Cargo.toml");
        let manifest = manifest.to_str().ok_or("the path of `benches` is not UTF-8")?;
        let line = ["tree", "--manifest-path", manifest, "--package", package];
        let format = ["--edges", "normal", "--prefix", "none", "--format", "{p}"];
        let tree = run_cargo(&[&line[..], &format].concat())?;
        Ok(count(&tree, &self.repository.display().to_string()))
    }

    fn root(&self) -> PathBuf {
        self.repository.join("benches")
    }
}

/// Unique names in lines of `name vX.Y.Z (path or note) (*)`, without those that lie in `repository`.
fn count(tree: &str, repository: &str) -> usize {
    let ours = format!("({repository}/");
    let mut names: Vec<&str> = tree
        .lines()
        .filter(|line| !line.contains(&ours))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_counted_once_and_ours_never() {
        let tree = "bench-x v0.0.0 (/repo/benches/clients/x)\n\
                    baseten v0.1.0 (/repo/crates/baseten)\n\
                    serde v1.0.0\n\
                    serde_derive v1.0.0 (proc-macro)\n\
                    serde v1.0.0 (*)\n\
                    baseten v0.1.0 (/repo/crates/baseten) (*)\n";
        assert_eq!(count(tree, "/repo"), 2);
    }
}
