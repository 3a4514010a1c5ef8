//! The table in `docs/api.md` says what the code has: every operation, and only methods and tests that
//! exist.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The rows of the first table whose head begins with `Operation`, as cells.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().skip_while(|line| !line.starts_with("| Operation |")).skip(2);
    lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The variants of `baseten_core::Operation`, from its declaration.
fn operations(source: &str) -> BTreeSet<String> {
    let body = source.split("pub enum Operation {").nth(1).unwrap().split("\n}").next().unwrap();
    let lines = body.lines().map(str::trim).filter(|line| line.starts_with(char::is_uppercase));
    lines.map(|line| line.split(['(', ',']).next().unwrap().to_owned()).collect()
}

/// Whether `Type::method` is public in this facade.
fn has_method(facade: &str, name: &str) -> bool {
    let (of, method) = name.split_once("::").unwrap();
    let sources = fs::read_dir(root().join("crates").join(facade).join("src")).unwrap();
    sources.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).any(|source| {
        let begin = format!("\nimpl {of} {{");
        let mut blocks = source.split(&begin).skip(1).map(|rest| rest.split("\n}").next().unwrap());
        let signature = [format!(" fn {method}("), format!(" fn {method}<")];
        blocks.any(|block| {
            let mut public = block.lines().filter(|line| line.trim_start().starts_with("pub "));
            public.any(|line| signature.iter().any(|found| line.contains(found)))
        })
    })
}

#[test]
fn the_table_has_every_operation_once() {
    let page = read("docs/api.md");
    let named: Vec<&str> = rows(&page).iter().map(|row| quoted(row[0]).next().unwrap()).collect();
    let known = operations(&read("crates/baseten-core/src/endpoint.rs"));
    assert!(known.contains("Predict") && known.contains("AsyncCancel"), "{known:?}");
    assert_eq!(named.len(), known.len(), "{named:?}");
    assert_eq!(named.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), known);
}

#[test]
fn the_table_names_what_exists() {
    let page = read("docs/api.md");
    let mut methods = 0;
    for row in rows(&page) {
        let facades = ["baseten", "baseten-blocking"];
        let facades = if row[2].starts_with("async alone: ") { &facades[..1] } else { &facades };
        for method in quoted(row[2]) {
            for facade in facades {
                assert!(has_method(facade, method), "{facade} has no {method}");
            }
            methods += 1;
        }
        for test in quoted(row[4]) {
            let source = read(&format!("crates/baseten/tests/{test}"));
            assert!(
                ["#[test]", "#[tokio::test]", "both! {"].iter().any(|mark| source.contains(mark)),
                "{test} tests nothing"
            );
        }
        let offered = quoted(row[2]).next().is_some();
        assert_eq!(offered, quoted(row[4]).next().is_some(), "{}: no test", row[0]);
    }
    assert!(methods > 15, "{methods} methods were looked for");
}

#[test]
fn the_check_finds_what_is_missing() {
    assert!(!has_method("baseten", "Model::teleport"));
    assert!(!has_method("baseten", "Chain::predict"), "another type's method");
    assert_eq!(
        rows("| Operation | a |\n| --- | --- |\n| `X` | `Y::z` |\n\n| no | row |"),
        [["`X`", "`Y::z`"]]
    );
    let declared = "pub enum Operation {\n    /// A.\n    A,\n    B(C),\n}\n";
    assert_eq!(operations(declared), BTreeSet::from(["A".to_owned(), "B".to_owned()]));
}
