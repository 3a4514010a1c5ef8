//! Each row of the tables in `docs/openai.md` names the tests that show it, and they exist; each field of a
//! request or an answer is in one of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::fs;
use std::path::Path;

fn read(path: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).ok()
}

/// The last cells of all tables, below their heads.
fn last_cells(page: &str) -> Vec<&str> {
    let lines: Vec<&str> = page.lines().collect();
    let is_row = |line: &str| line.starts_with('|') && !line.starts_with("| ---");
    let heads = lines.windows(2).filter(|two| two[1].starts_with("| ---")).map(|two| two[0]);
    let heads: Vec<&str> = heads.collect();
    let rows = lines.into_iter().filter(|line| is_row(line) && !heads.contains(line));
    rows.map(|line| line.trim_end_matches('|').rsplit(" | ").next().unwrap().trim()).collect()
}

/// Whether `file::name` is a test of `baseten-openai`, or `crate/file::name` one of another crate.
fn is_test(named: &str) -> bool {
    let Some((file, name)) = named.split_once("::") else { return false };
    let (krate, file) = file.split_once('/').unwrap_or(("baseten-openai", file));
    let sources =
        ["tests", "src"].map(|folder| read(&format!("crates/{krate}/{folder}/{file}.rs")));
    sources.into_iter().flatten().any(|source| {
        source.split_once(&format!("fn {name}(")).is_some_and(|(before, _)| {
            let mut above = before.lines().rev().map(str::trim);
            above.find(|line| !line.is_empty() && *line != "#[rustfmt::skip]") == Some("#[test]")
                || before.contains("\nboth! {\n")
        })
    })
}

#[test]
fn every_row_names_tests_that_exist() {
    let page = read("docs/openai.md").unwrap();
    let cells = last_cells(&page);
    assert!(cells.len() > 60, "{} rows were looked at", cells.len());
    for cell in cells {
        let tests: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "a row without a test: {cell:?}");
        for test in tests {
            assert!(is_test(test), "there is no test {test}");
        }
    }
}

/// The fields of a type of `baseten-openai`, but for those that hold others.
fn fields(file: &str, name: &str) -> Vec<String> {
    let source = read(&format!("crates/baseten-openai/src/{file}.rs")).unwrap();
    let (_, rest) = source.split_once(&format!("pub struct {name} {{\n")).unwrap();
    let body = rest.split("\n}").next().unwrap();
    let public = body.lines().filter_map(|line| line.strip_prefix("    pub "));
    let names = public.map(|line| line.split(':').next().unwrap().to_owned());
    names.filter(|name| !["engine", "extra"].contains(&name.as_str())).collect()
}

/// What stands between backquotes in these lines; of `a.b` the last part.
fn quoted<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let words = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    words.map(|word| word.rsplit('.').next().unwrap()).collect()
}

#[test]
fn every_field_has_its_place() {
    let page = read("docs/openai.md").unwrap();
    let section = |title: &str| {
        let (_, rest) = page.split_once(&format!("\n## {title}\n")).unwrap();
        rest.split("\n## ").next().unwrap().lines()
    };
    let mut found = 0;
    for (title, file, name) in [
        ("Chat: request", "request", "ChatRequest"),
        ("Chat: request", "request", "EngineOptions"),
        ("Chat: answer", "response", "ChatResponse"),
        ("Other requests and answers", "completion", "CompletionRequest"),
        ("Other requests and answers", "completion", "CompletionResponse"),
        ("Other requests and answers", "completion", "CompletionChoice"),
        ("Other requests and answers", "embedding", "EmbeddingRequest"),
        ("Other requests and answers", "embedding", "EmbeddingResponse"),
        ("Other requests and answers", "rerank", "RerankRequest"),
        ("Other requests and answers", "rerank", "Rank"),
        ("Other requests and answers", "classify", "ClassifyRequest"),
        ("Other requests and answers", "classify", "Label"),
        ("Other requests and answers", "classify", "Entity"),
        ("Other requests and answers", "model", "ServedModel"),
    ] {
        // Its own row, if it has one.
        let row = format!("| `{name}` |");
        let own = quoted(section(title).filter(|line| line.starts_with(&row)));
        let words = if own.is_empty() { quoted(section(title)) } else { own };
        for field in fields(file, name) {
            // `choices[]` of an answer is a row for each of its members.
            let told = words.contains(&field.as_str())
                || section(title).any(|line| line.contains(&format!("`{field}[]")));
            assert!(told, "the page has no {field} of {name}");
            found += 1;
        }
    }
    assert!(found > 90, "{found} fields were looked for");
}

#[test]
fn the_check_finds_what_is_missing() {
    assert!(is_test("shapes::every_end_has_its_name"));
    assert!(!is_test("shapes::every_end"), "a part of a name");
    assert!(!is_test("shapes::run_cut"), "no test");
    assert!(is_test("baseten-core/api_error::every_shape_seen_in_the_wild"), "one with attributes");
    assert!(is_test("baseten/tools::a_run_that_failed_goes_on_where_it_was"));
    assert!(!is_test("nowhere::every_end_has_its_name"));
    let page =
        "| a | Test |\n| --- | --- |\n| b | `c::d` |\n\n| e | Test |\n| --- | --- |\n| f |  |\n";
    assert_eq!(last_cells(page), ["`c::d`", ""], "{page}");
    assert_eq!(fields("rerank", "Rank"), ["index", "score", "text"]);
    assert_eq!(quoted(["a `b`, `c.d` e"].into_iter()), ["b", "d"]);
}
