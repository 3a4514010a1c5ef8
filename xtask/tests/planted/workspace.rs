//! A workspace that breaks a rule on purpose, for the checks to find.
//!
//! The planted crates depend on nothing but each other, so no registry is asked.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A workspace of empty crates in a folder of its own.
pub(crate) struct Planted(PathBuf);

impl Planted {
    /// Starts from nothing, whatever an earlier run left.
    pub(crate) fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&root);
        let planted = Self(root);
        planted.write(
            "Cargo.toml",
            "[workspace]\nresolver = '3'\nmembers = ['crates/*']\nexclude = ['others']\n",
        );
        planted
    }

    /// A member of the workspace.
    pub(crate) fn package(&self, name: &str, tables: &str) {
        self.manifest("crates", name, tables);
    }

    /// A crate that the workspace does not own.
    pub(crate) fn outside(&self, name: &str, tables: &str) {
        self.manifest("others", name, tables);
    }

    fn manifest(&self, folder: &str, name: &str, tables: &str) {
        let package = format!("[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2024'\n");
        self.write(&format!("{folder}/{name}/Cargo.toml"), &format!("{package}{tables}\n"));
        self.write(&format!("{folder}/{name}/src/lib.rs"), "");
    }

    /// Puts a file below the workspace.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs one check inside the planted workspace.
    pub(crate) fn xtask(&self, name: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg(name)
            .current_dir(&self.0)
            .env("CARGO_NET_OFFLINE", "true")
            .output()
            .unwrap()
    }
}

/// What the command complained about.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
