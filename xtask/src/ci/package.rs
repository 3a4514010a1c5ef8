//! What crates.io would be given, built from nothing but that.
//!
//! Cargo's own verification is left out: it unpacks our crates into the user's registry folder by
//! name and version, and takes what an earlier run left there for the source of this one.

use std::fs;
use std::process::Command;

use crate::workspace::{Package, Workspace, cargo, finish};

/// Packs every public crate, unpacks it elsewhere and checks it there with all features.
///
/// # Errors
///
/// What cannot be packed, or does not build without the rest of the repository.
pub(super) fn check(workspace: &Workspace) -> Result<(), String> {
    let folder = workspace.target.join("packed");
    let mut pack = cargo();
    pack.args(["package", "--workspace", "--quiet", "--no-verify", "--allow-dirty"]);
    for private in workspace.packages.iter().filter(|package| package.is_private()) {
        pack.args(["--exclude", &private.name]);
    }
    finish(&mut pack)?;
    let public: Vec<&Package> =
        workspace.packages.iter().filter(|package| !package.is_private()).collect();
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for package in &public {
        let archive = format!("{}-{}.crate", package.name, package.version);
        let archive = workspace.target.join("package").join(archive);
        finish(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&folder))?;
    }
    let manifest = folder.join("Cargo.toml");
    fs::copy(workspace.root.join("Cargo.lock"), folder.join("Cargo.lock"))
        .and_then(|_| fs::write(&manifest, manifest_of(&public)))
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut check = cargo();
    check.args(["check", "--workspace", "--all-features", "--manifest-path"]).arg(&manifest);
    // In our own target folder, where the dependencies are built already.
    finish(check.env("CARGO_TARGET_DIR", &workspace.target))
}

/// A workspace in which the crates find each other where crates.io would stand.
fn manifest_of(packages: &[&Package]) -> String {
    let (mut members, mut patches) = (String::new(), String::new());
    for Package { name, version, .. } in packages {
        members += &format!("'{name}-{version}', ");
        patches += &format!("{name} = {{ path = '{name}-{version}' }}\n");
    }
    format!("[workspace]\nresolver = '3'\nmembers = [{members}]\n[patch.crates-io]\n{patches}")
}
