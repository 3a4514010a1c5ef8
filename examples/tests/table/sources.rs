//! What is in source files: which methods are public, which are called.

use std::fs;

/// Whether `Type::method` is public in this crate.
pub(crate) fn has_method(of: &str, name: &str) -> bool {
    let (class, method) = name.split_once("::").unwrap();
    let sources = fs::read_dir(crate::root().join("crates").join(of).join("src")).unwrap();
    let files = sources.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| fs::read_to_string(path).unwrap()).any(|source| {
        let begin = format!("\nimpl {class} {{");
        let mut blocks = source.split(&begin).skip(1).map(|rest| rest.split("\n}").next().unwrap());
        let signature = [format!(" fn {method}("), format!(" fn {method}<")];
        blocks.any(|block| {
            let mut public = block.lines().filter(|line| line.trim_start().starts_with("pub "));
            public.any(|line| signature.iter().any(|found| line.contains(found)))
        })
    })
}

/// Whether a source calls `Type::method`, on whatever it is, or by that name.
pub(crate) fn called(source: &str, name: &str) -> bool {
    let method = name.split_once("::").unwrap().1;
    [format!(".{method}("), format!(".{method}::<"), format!("{name}(")]
        .iter()
        .any(|call| source.contains(call))
}

/// A test's source, and the functions of the modules beside it that it calls, directly or not.
pub(crate) fn with_helpers(source: String, module: impl Fn(&str) -> Option<String>) -> String {
    let declared = |text: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        names.filter_map(&module).collect()
    };
    let modules = declared(&source);
    let mut helpers: Vec<(&str, &str)> = modules.iter().flat_map(|text| functions(text)).collect();
    let mut all = source;
    loop {
        let (called, others): (Vec<_>, Vec<_>) =
            helpers.into_iter().partition(|(name, _)| names_call(&all, name));
        if called.is_empty() {
            return all;
        }
        called.iter().for_each(|(_, body)| all.push_str(body));
        helpers = others;
    }
}

/// Name and text of each function that others may call.
fn functions(source: &str) -> Vec<(&str, &str)> {
    let begin = "pub(crate) fn ";
    let starts = source.match_indices(begin);
    let function = |(at, _): (usize, &str)| {
        let indent = at - source[..at].rfind('\n').map_or(0, |line| line + 1);
        let text = &source[at + begin.len()..];
        let end = text.find(&format!("\n{}}}\n", " ".repeat(indent)));
        let text = &text[..end.unwrap_or(text.len())];
        let name = text.split(['(', '<']).next().unwrap();
        (name, &text[name.len()..])
    };
    starts.map(function).collect()
}

fn names_call(source: &str, name: &str) -> bool {
    source.match_indices(&format!("{name}(")).any(|(at, _)| {
        let before = source[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn only_helpers_that_are_called_count() {
    let helpers = "impl F {\n    pub(crate) fn chat(&self) {\n        model.openai()\n    }\n\n    pub(crate) fn stream(&self) {\n        model.predict_stream()\n    }\n}\n\npub(crate) fn call(f: F) {\n    f.stream()\n}\n";
    let module = |name: &str| (name == "facades").then(|| helpers.to_owned());
    let with = |source: &str| with_helpers(source.into(), module);
    assert!(called(&with("mod facades;\nf.chat()"), "Model::openai"));
    assert!(!called(&with("mod facades;\nf.chat()"), "Model::predict_stream"));
    assert!(called(&with("mod facades;\ncall(f)"), "Model::predict_stream"), "by way of another");
    assert!(!called(&with("mod facades;\nrecall(f)"), "Model::predict_stream"));
    assert!(!called(&with("f.chat()"), "Model::openai"), "another `chat`");
}
