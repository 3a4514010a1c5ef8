//! The table in `docs/api.md` says what the code has: every operation and what stands beside them, methods
//! and tests that exist and have to do with each other, and routes that lead there in a fresh emulator.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[path = "table/arrive.rs"]
mod arrive;
#[path = "table/sources.rs"]
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use arrive::{arrives, request};
use baseten_emulator::{Emulator, Operation as Served};
use sources::{called, has_method, with_helpers};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A row of the table.
#[derive(Debug, PartialEq)]
struct Row<'a> {
    /// An operation in backquotes, or what is none.
    name: &'a str,
    route: &'a str,
    method: &'a str,
    emulator: &'a str,
    test: &'a str,
}

/// What stands between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The rows of the first table whose head begins with `Operation`.
fn rows(page: &str) -> Vec<Row<'_>> {
    let lines = page.lines().skip_while(|line| !line.starts_with("| Operation |")).skip(2);
    lines.take_while(|line| line.starts_with('|')).map(row).collect()
}

fn row(line: &str) -> Row<'_> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [name, route, method, emulator, test] = cells[..] else { panic!("not five cells: {line}") };
    Row { name, route, method, emulator, test }
}

impl<'a> Row<'a> {
    fn operation(&self) -> Option<&'a str> {
        quoted(self.name).next()
    }

    /// `Type::method`, each.
    fn methods(&self) -> impl Iterator<Item = &'a str> {
        quoted(self.method).filter(|name| name.contains("::"))
    }

    /// The crates that have all of them.
    fn crates(&self) -> Vec<&'a str> {
        let named: Vec<&str> =
            quoted(self.method).filter(|name| name.starts_with("baseten")).collect();
        match named.is_empty() {
            false => named,
            true if self.method.starts_with("async alone: ") => vec!["baseten"],
            true => vec!["baseten", "baseten-blocking"],
        }
    }

    /// Test files and what is in them.
    fn tests(&self) -> Vec<(&'a str, String)> {
        let path = |test: &str| match test.contains('/') {
            true => test.to_owned(),
            false => format!("crates/baseten/tests/{test}"),
        };
        quoted(self.test).map(|test| (test, read(&path(test)))).collect()
    }
}

/// What is wrong with what a row says of methods and tests: each file has tests, and calls at least one of
/// the methods; each method is called in one of the files.
fn faults(row: &Row<'_>, tests: &[(&str, String)]) -> Vec<String> {
    let methods: Vec<&str> = row.methods().collect();
    let mut faults = Vec::new();
    for of in row.crates() {
        let absent = methods.iter().filter(|method| !has_method(of, method));
        faults.extend(absent.map(|method| format!("{of} has no {method}")));
    }
    for (file, source) in tests {
        if !["#[test]", "#[tokio::test", "both! {"].iter().any(|mark| source.contains(mark)) {
            faults.push(format!("{file} tests nothing"));
        }
        if !methods.iter().any(|method| called(source, method)) {
            faults.push(format!("{file} calls none of {methods:?}"));
        }
    }
    let uncalled = methods.iter().filter(|m| !tests.iter().any(|(_, source)| called(source, m)));
    faults.extend(uncalled.map(|method| format!("no test calls {method}")));
    if methods.is_empty() || tests.is_empty() {
        faults.push(format!("{}: no method, or no test", row.name));
    }
    faults
}

/// The variants of `baseten_core::Operation`, from its declaration.
fn operations(source: &str) -> BTreeSet<String> {
    let body = source.split("pub enum Operation {").nth(1).unwrap().split("\n}").next().unwrap();
    let lines = body.lines().map(str::trim).filter(|line| line.starts_with(char::is_uppercase));
    lines.map(|line| line.split(['(', ',']).next().unwrap().to_owned()).collect()
}

#[test]
fn the_table_has_every_operation_once() {
    let page = read("docs/api.md");
    let rows = rows(&page);
    let named: Vec<&str> = rows.iter().filter_map(Row::operation).collect();
    let known = operations(&read("crates/baseten-core/src/endpoint.rs"));
    assert!(known.contains("Predict") && known.contains("AsyncCancel"), "{known:?}");
    assert_eq!(named.len(), known.len(), "{named:?}");
    assert_eq!(named.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), known);
    let others: Vec<&str> =
        rows.iter().filter(|row| row.operation().is_none()).map(|row| row.name).collect();
    assert_eq!(others, ["Model APIs", "Webhooks", "gRPC"]);
}

#[test]
fn the_table_names_methods_and_the_tests_that_call_them() {
    let page = read("docs/api.md");
    let module = |name: &str| {
        fs::read_to_string(root().join(format!("crates/baseten/tests/{name}/mod.rs"))).ok()
    };
    for row in rows(&page) {
        let tests = row.tests().into_iter();
        let tests: Vec<_> =
            tests.map(|(file, source)| (file, with_helpers(source, module))).collect();
        assert_eq!(faults(&row, &tests), [""; 0], "{}", row.name);
    }
}

#[test]
fn each_route_leads_there_in_a_fresh_emulator() {
    let page = read("docs/api.md");
    let mut asked = 0;
    for row in rows(&page).iter().filter(|row| !matches!(row.name, "Webhooks" | "gRPC")) {
        let emulator = Emulator::start().unwrap();
        let (request, served) = request(&emulator, row.operation().unwrap_or(row.name));
        arrives(&emulator, &request, &served, (row.route, row.emulator))
            .unwrap_or_else(|why| panic!("{}: {why}", row.name));
        asked += 1;
    }
    assert_eq!(asked, 11);
}

#[test]
fn a_route_that_leads_elsewhere_is_found() {
    let emulator = Emulator::start().unwrap();
    let (wake, served) = request(&emulator, "Wake");
    let check = |request: &str, served: &Served, route, answer| {
        arrives(&emulator, request, served, (route, answer)).unwrap_err()
    };
    let route = "`POST …/wake`";
    for (why, expect) in [
        (check(&wake.replace("/wake", "/awake"), &served, route, "`202`"), "404"),
        (check(&wake.replace("POST", "GET"), &served, route, "`202`"), "405"),
        (check(&wake.replace("dummy", "other"), &served, route, "`202`"), "403"),
        (check(&wake, &Served::Predict, route, "`202`"), "arrived as Some(Wake)"),
        (check(&wake, &served, "`GET …/wake`", "`202`"), "the table says GET …/wake"),
        (check(&wake, &served, "`POST …/walk`", "`202`"), "the table says POST …/walk"),
        (check(&wake, &served, "`POST /wake`", "`202`"), "the table says POST /wake"),
        (check(&wake, &served, route, "`200`, some say"), "answered with 202"),
        (check(&wake, &served, route, "it wakes"), "names no status"),
    ] {
        assert!(why.contains(expect), "{why}");
    }
    assert_eq!(arrives(&emulator, &wake, &served, (route, "`202`")), Ok(()));
}

#[test]
fn the_check_finds_what_is_missing() {
    let page = "| Operation | a |\n| --- | --- |\n| `X` | r | `Model::predict`, `Model::wake` | e | `t.rs` |\n\n| no | row |";
    let [row] = &rows(page)[..] else { panic!("one row") };
    assert_eq!(row.operation(), Some("X"));
    let source = |calls: &str| vec![("t.rs", format!("#[test]\nfn t() {{ {calls} }}"))];
    // (tests, what is wrong with them)
    for (tests, expect) in [
        (source("model.predict(1); model\n    .wake();"), vec![]),
        (source("model.predict::<_, u8>(1);"), vec!["no test calls Model::wake"]),
        (
            source("model.predicted(wake)"),
            vec![
                r#"t.rs calls none of ["Model::predict", "Model::wake"]"#,
                "no test calls Model::predict",
                "no test calls Model::wake",
            ],
        ),
        (vec![("t.rs", "model.predict().wake()".into())], vec!["t.rs tests nothing"]),
        (
            vec![],
            vec![
                "no test calls Model::predict",
                "no test calls Model::wake",
                "`X`: no method, or no test",
            ],
        ),
    ] {
        assert_eq!(faults(row, &tests), expect);
    }
    let absent = Row { method: "`Model::teleport`, `Chain::predict`", ..Row { ..*row } };
    let told = faults(&absent, &source("model.teleport().predict()"));
    assert_eq!(told.len(), 4, "neither facade has them, nor another type's method: {told:?}");
    let alone = Row { method: "async alone: `Model::teleport`", ..Row { ..*row } };
    assert_eq!(faults(&alone, &source("a.teleport()")), ["baseten has no Model::teleport"]);
    let other = Row { method: "`baseten-webhook`: `Webhook::parse`", ..Row { ..*row } };
    assert_eq!(faults(&other, &source("Webhook::parse(b)")), [""; 0]);

    let declared = "pub enum Operation {\n    /// A.\n    A,\n    B(C),\n}\n";
    assert_eq!(operations(declared), BTreeSet::from(["A".to_owned(), "B".to_owned()]));
}
