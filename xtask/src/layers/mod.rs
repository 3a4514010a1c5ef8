//! `cargo xtask layers`: the arrows between our crates, and what may never be under them.
//!
//! The rules are data in [`rules`]; this file holds them against what cargo knows. It reads no
//! source text: what a crate may *say* is the business of its own `clippy.toml`.

mod rules;

use crate::graph::{Graph, Platform};
use crate::layers::rules::{BANS, Ban, Imports, LAYERS, Layer};
use crate::output::say;
use crate::workspace::{Dependency, DependencyKind, Package, Workspace};

/// Checks the workspace around the current folder.
///
/// # Errors
///
/// Every broken rule, one a line.
pub(crate) fn run() -> Result<(), String> {
    let workspace = Workspace::load()?;
    let mut faults = wrong_arrows(&workspace);
    let mut builds = 0;
    for ban in BANS {
        for build in ban.builds.iter().filter(|build| workspace.package(build.package).is_some()) {
            let graph = build.graph(Platform::Any)?;
            let title = format!("{} ({})", build.package, build.features.title());
            faults.extend(banned(&title, ban, &graph));
            builds += 1;
        }
    }
    if faults.is_empty() {
        let crates = workspace.packages.len();
        say(format!(
            "layers: {crates} crates follow their arrows, {builds} builds link nothing forbidden"
        ));
        return Ok(());
    }
    Err(format!("layers:\n  {}", faults.join("\n  ")))
}

/// Dependencies among our crates that no row allows.
fn wrong_arrows(workspace: &Workspace) -> Vec<String> {
    let mut faults = Vec::new();
    for package in &workspace.packages {
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == package.name) else {
            faults.push(format!("{}: no row in xtask/src/layers/rules.rs", package.name));
            continue;
        };
        let ours = |d: &&Dependency| workspace.package(&d.name).is_some();
        faults.extend(
            package.dependencies.iter().filter(ours).filter_map(|d| fault(package, layer, d)),
        );
    }
    faults
}

/// What is wrong with one dependency on a crate of ours.
fn fault(package: &Package, layer: &Layer, dependency: &Dependency) -> Option<String> {
    let (from, to) = (&package.name, &dependency.name);
    match dependency.kind {
        DependencyKind::Normal => (!layer.imports.allow(to))
            .then(|| format!("{from} -> {to}: {from} may import {}", list(layer.imports))),
        DependencyKind::Dev if !layer.tests_with.allow(to) && !layer.imports.allow(to) => {
            Some(format!("{from} -> {to} (dev): its tests may add {}", list(layer.tests_with)))
        }
        DependencyKind::Dev if dependency.req != "*" && !layer.imports.allow(to) => Some(format!(
            "{from} -> {to} (dev): by path only; with version {} publishing waits for it",
            dependency.req
        )),
        DependencyKind::Dev => None,
        DependencyKind::Build => Some(format!("{from} -> {to} (build): no build script needs us")),
    }
}

/// What is linked against the ban.
fn banned(title: &str, ban: &Ban, graph: &Graph) -> Vec<String> {
    let packages = ban.packages.iter().filter(|name| graph.links(name));
    let features = ban.features.iter().filter(|(name, feature)| graph.enables(name, feature));
    packages
        .map(|name| format!("{title} links {name}: {}", ban.why))
        .chain(features.map(|(name, f)| format!("{title} enables {name}/{f}: {}", ban.why)))
        .collect()
}

fn list(imports: Imports) -> String {
    match imports {
        Imports::These([]) => "none of our crates".to_owned(),
        Imports::These(names) => names.join(", "),
        Imports::Anything => "anything".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workspace(packages: Value) -> Workspace {
        let value = json!({"workspace_root": "/", "target_directory": "/", "packages": packages});
        serde_json::from_value(value).unwrap()
    }

    /// `from` with one dependency on `to`, which is in the workspace too.
    fn edge(from: &str, to: &str, kind: Value, req: &str) -> Workspace {
        workspace(json!([
            {"name": from, "version": "0.1.0", "dependencies": [{"name": to, "kind": kind, "req": req}]},
            {"name": to, "version": "0.1.0", "dependencies": []},
        ]))
    }

    #[test]
    fn every_kind_of_wrong_arrow_is_found() {
        let dev = || json!("dev");
        for (from, to, kind, req, expected) in [
            // allowed
            ("baseten", "baseten-transport", Value::Null, "^0.1.0", None),
            ("baseten-transport", "baseten-emulator", dev(), "*", None),
            ("baseten-openai", "baseten-core", dev(), "^0.1.0", None),
            ("xtask", "baseten-blocking", Value::Null, "*", None),
            // an arrow upwards, and one sideways
            (
                "baseten-core",
                "baseten-transport",
                Value::Null,
                "*",
                Some("baseten-core -> baseten-transport"),
            ),
            ("baseten", "baseten-blocking", Value::Null, "*", Some("baseten -> baseten-blocking")),
            (
                "baseten-emulator",
                "baseten-openai",
                Value::Null,
                "*",
                Some("baseten-emulator -> baseten-openai"),
            ),
            // two copies of core in its own tests
            ("baseten-core", "baseten-emulator", dev(), "*", Some("(dev): its tests may add none")),
            // a version would make publishing wait
            ("baseten", "baseten-emulator", dev(), "^0.1.0", Some("by path only")),
            // a test helper must not become part of the library
            ("baseten", "baseten-emulator", Value::Null, "*", Some("baseten -> baseten-emulator")),
            ("baseten", "baseten-core", json!("build"), "*", Some("(build)")),
            ("baseten-novelty", "baseten-core", Value::Null, "*", Some("no row")),
        ] {
            let faults = wrong_arrows(&edge(from, to, kind, req));
            match expected {
                None => assert_eq!(faults, [""; 0], "{from} -> {to}"),
                Some(text) => {
                    assert!(faults.iter().any(|f| f.contains(text)), "{from} -> {to}: {faults:?}");
                }
            }
        }
    }

    #[test]
    fn a_dependency_of_others_is_no_arrow() {
        let alone = workspace(json!([
            {"name": "baseten-core", "version": "0.1.0", "dependencies": [{"name": "http", "kind": null, "req": "^1"}]},
        ]));
        assert_eq!(wrong_arrows(&alone), [""; 0]);
    }

    #[test]
    fn every_row_names_crates_that_have_a_row() {
        let known = |name: &str| LAYERS.iter().any(|layer| layer.name == name);
        for layer in LAYERS {
            for imports in [layer.imports, layer.tests_with] {
                let Imports::These(names) = imports else { continue };
                assert!(names.iter().all(|name| known(name)), "{layer:?}");
            }
        }
        for build in BANS.iter().flat_map(|ban| ban.builds) {
            assert!(known(build.package), "{build:?}");
        }
    }
}
