//! `cargo xtask sizes`: how much a user takes on, beside the ceilings we promised.
//!
//! Counts are exact and gate. Bytes and seconds belong to one machine and toolchain: they are
//! printed beside their goal.

mod binary;

use crate::graph::{Build, Features, Platform};
use crate::output::say;
use crate::workspace::Workspace;

/// A build and the most crates of others it may link.
struct Row {
    build: Build,
    /// `None`: only reported.
    ceiling: Option<usize>,
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("baseten-core",      Features::Default,                  Some(17)),
    row("baseten-openai",    Features::Default,                  None),
    row("baseten-openai",    Features::All,                      None),
    row("baseten-webhook",   Features::Default,                  None),
    row("baseten-transport", Features::Only(&[]),                None),
    row("baseten-transport", Features::Only(&["tls"]),           None),
    row("baseten-transport", Features::Only(&["tokio"]),         None),
    row("baseten-blocking",  Features::Only(&[]),                Some(34)),
    row("baseten-blocking",  Features::Only(&["tls"]),           Some(47)),
    row("baseten-blocking",  Features::Only(&["tls", "proxy"]),  Some(57)),
    row("baseten-blocking",  Features::All,                      Some(66)),
    row("baseten",           Features::Only(&[]),                None),
    row("baseten",           Features::Only(&["tls"]),           Some(48)),
    row("baseten",           Features::Only(&["tls", "proxy"]),  Some(57)),
    row("baseten",           Features::All,                      Some(66)),
    row("baseten-websocket", Features::Default,                  None),
    row("baseten-emulator",  Features::Default,                  None),
];

/// Counts the crates of every row.
///
/// # Errors
///
/// The rows over their ceiling, after the whole table was printed.
pub(crate) fn run() -> Result<(), String> {
    count(&Workspace::load()?)
}

/// Counts the crates, then builds and weighs programs.
///
/// # Errors
///
/// The rows over their ceiling, or a program that does not build.
pub(crate) fn run_with_binaries() -> Result<(), String> {
    let workspace = Workspace::load()?;
    count(&workspace)?;
    binary::run(&workspace)
}

fn count(workspace: &Workspace) -> Result<(), String> {
    say("crates of others (unique names, normal edges, proc-macros counted)");
    let mut over = Vec::new();
    for row in ROWS {
        let features = row.build.features;
        let title = format!("{:<18} {:<12}", row.build.package, features.title());
        if let Some(missing) = not_there_yet(&row.build, workspace) {
            say(format!("  {title}   –  (no {missing} yet)"));
            continue;
        }
        let count = row.build.graph(Platform::Host)?.others(workspace);
        say(format!("  {title} {count:>3}{}", verdict(count, row.ceiling)));
        if row.ceiling.is_some_and(|ceiling| count > ceiling) {
            over.push(title.trim_end().to_owned());
        }
    }
    if over.is_empty() {
        Ok(())
    } else {
        Err(format!("sizes: over the ceiling: {}", over.join("; ")))
    }
}

/// What of the build the workspace does not have: the crate or features.
fn not_there_yet(build: &Build, workspace: &Workspace) -> Option<String> {
    let Some(package) = workspace.package(build.package) else {
        return Some("such crate".to_owned());
    };
    let missing = build.features.missing_from(&package.features);
    (!missing.is_empty()).then(|| format!("feature {}", missing.join(", ")))
}

/// The rest of a row: its ceiling, and how it stands to it.
fn verdict(count: usize, ceiling: Option<usize>) -> String {
    match ceiling {
        None => String::new(),
        Some(ceiling) if count > ceiling => format!("  of {ceiling}  OVER by {}", count - ceiling),
        Some(ceiling) => format!("  of {ceiling}"),
    }
}

const fn row(package: &'static str, features: Features, ceiling: Option<usize>) -> Row {
    Row { build: Build { package, features }, ceiling }
}
