//! `cargo xtask parity`: whoever knows one facade knows the other.
//!
//! Reads the sources of both, takes the waits out ([`strip`]) and compares what they offer
//! ([`surface`]) file by file. It compares names and types; that both *behave* alike is for the tests
//! that run one table against both.

mod strip;
mod surface;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::output::say;
use crate::parity::surface::Surface;
use crate::workspace::Workspace;

/// Two places that must offer the same: folders with the same files, or two files.
struct Pair {
    waiting: &'static str,
    blocking: &'static str,
}

/// A line that one side alone offers, on purpose.
#[derive(Debug)]
struct Exception {
    side: Side,
    /// As it is printed; an exception that is no longer needed is a fault.
    line: &'static str,
    why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Waiting,
    Blocking,
}

const PAIRS: &[Pair] = &[
    Pair { waiting: "crates/baseten/src", blocking: "crates/baseten-blocking/src" },
    Pair {
        waiting: "crates/baseten-transport/src/nonblocking.rs",
        blocking: "crates/baseten-transport/src/blocking.rs",
    },
    Pair {
        waiting: "crates/baseten-transport/src/nonblocking/local.rs",
        blocking: "crates/baseten-transport/src/blocking/local.rs",
    },
];

const EXCEPTIONS: &[Exception] = &[
    Exception {
        side: Side::Blocking,
        line: "impl Iterator for Body { type Item = Result<Bytes, Error>; }",
        why: "a blocking body is read with `for`; an async one with `while let` over `chunk()`",
    },
    async_alone("use upgrade::Upgrade"),
    async_alone("use upgrade::Upgraded"),
    async_alone("use baseten_transport::blocking::Upgrade"),
    async_alone("impl Model: fn websocket(&self) -> Result<Upgrade, Error>"),
    async_alone("impl Chain: fn websocket(&self) -> Result<Upgrade, Error>"),
];

/// Whoever talks both ways at once waits for two things, which takes two threads or none.
const fn async_alone(line: &'static str) -> Exception {
    Exception { side: Side::Waiting, line, why: "WebSockets are async alone" }
}

/// A side's files by name, each with its surface.
type Surfaces = BTreeMap<PathBuf, Surface>;

/// Compares every pair of the workspace around the current folder.
///
/// # Errors
///
/// The lines that differ, and exceptions that nothing needs any more.
pub(crate) fn run() -> Result<(), String> {
    let root = Workspace::load()?.root;
    let mut differences = Vec::new();
    let mut lines = 0;
    for pair in PAIRS {
        let (waiting, blocking) = (read(&root, pair.waiting)?, read(&root, pair.blocking)?);
        lines += waiting.values().map(BTreeSet::len).sum::<usize>();
        differences.extend(compare(pair, &waiting, &blocking));
    }
    let faults = unexcused(&differences, EXCEPTIONS);
    if faults.is_empty() {
        let count = EXCEPTIONS.len();
        say(format!("parity: {lines} public lines are the same in both waits, {count} excepted"));
        return Ok(());
    }
    Err(format!("parity:\n  {}", faults.join("\n  ")))
}

/// One line that the other side does not have.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    side: Side,
    file: PathBuf,
    line: String,
}

/// Reads one side. The file of a single-file pair gets an empty name, so that both compare.
fn read(root: &Path, place: &str) -> Result<Surfaces, String> {
    let place = root.join(place);
    let mut files = BTreeMap::new();
    for path in rust_files(&place)? {
        let source = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let file = surface::parse(&source).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.strip_prefix(&place).unwrap_or(&path).to_owned();
        files.insert(name, file);
    }
    let types: BTreeSet<String> = files.values().flat_map(surface::public_types).collect();
    Ok(files.iter().map(|(name, file)| (name.clone(), surface::surface(file, &types))).collect())
}

/// The file itself, or every `.rs` file below the folder.
fn rust_files(place: &Path) -> Result<Vec<PathBuf>, String> {
    if !place.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let mut found = Vec::new();
    let entries = fs::read_dir(place).map_err(|e| format!("{}: {e}", place.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| format!("{}: {e}", place.display()))?.path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(rust_files(&path)?);
        }
    }
    Ok(found)
}

/// Lines that one side has and the other has not, file by file.
fn compare(pair: &Pair, waiting: &Surfaces, blocking: &Surfaces) -> Vec<Difference> {
    let mut differences = one_sided(Side::Waiting, pair.waiting, waiting, blocking);
    differences.extend(one_sided(Side::Blocking, pair.blocking, blocking, waiting));
    differences
}

/// What is here and not there.
fn one_sided(side: Side, place: &str, here: &Surfaces, there: &Surfaces) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (name, lines) in here {
        // Through its components, or a single file's empty name would leave a slash.
        let file: PathBuf = Path::new(place).join(name).components().collect();
        let mut add = |line: &str| {
            differences.push(Difference { side, file: file.clone(), line: line.to_owned() });
        };
        match there.get(name) {
            Some(other) => lines.difference(other).for_each(|line| add(line)),
            None => add("the whole file"),
        }
    }
    differences
}

/// Differences that no exception covers, and exceptions that cover nothing.
fn unexcused(differences: &[Difference], exceptions: &[Exception]) -> Vec<String> {
    let covers = |e: &Exception, d: &Difference| e.side == d.side && e.line == d.line;
    let mut faults = Vec::new();
    for d in differences.iter().filter(|d| !exceptions.iter().any(|e| covers(e, d))) {
        faults.push(format!("{} only: {}", d.file.display(), d.line));
    }
    for e in exceptions.iter().filter(|e| !differences.iter().any(|d| covers(e, d))) {
        faults.push(format!("an exception that nothing needs: {} ({})", e.line, e.why));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a crate that is this one file.
    fn lines(source: &str) -> Surface {
        let file = surface::parse(source).unwrap();
        let types = surface::public_types(&file).collect();
        surface::surface(&file, &types)
    }

    /// Differences between two crates that are one file each.
    fn differences(waiting: &str, blocking: &str) -> Vec<Difference> {
        let pair = Pair { waiting: "a", blocking: "b" };
        let side = |source| Surfaces::from([(PathBuf::from("x.rs"), lines(source))]);
        compare(&pair, &side(waiting), &side(blocking))
    }

    #[test]
    fn a_wait_alone_is_no_difference() {
        for (waiting, blocking) in [
            ("pub async fn f(a: u8) -> u8 { a }", "pub fn f(mut a: u8) -> u8 { a }"),
            (
                "pub fn f(a: &str) -> impl Future<Output = Result<u8, E>> + Send + '_ {}",
                "pub fn f(a: &str) -> Result<u8, E> {}",
            ),
            (
                "pub use t::nonblocking::{Body as Stream, Pool};",
                "pub use t::blocking::Body as Stream; pub use t::blocking::Pool;",
            ),
            (
                "pub struct C(Async); impl C { pub async fn g<T>(&self) -> T where T: D {} }",
                "pub struct C(u8); impl C { pub fn g<T>(&self) -> T where T: D, {} }",
            ),
            ("pub fn f() -> baseten::Error {}", "pub fn f() -> baseten_blocking::Error {}"),
            (
                "#[derive(Clone, Debug)] pub struct C;",
                "#[derive(Clone)] pub struct C; impl std::fmt::Debug for C {}",
            ),
            ("pub(crate) fn f() {} fn g() {}", "mod tests { pub fn h() {} }"),
            ("struct Hidden; impl Hidden { pub fn f(&self) {} }", ""),
        ] {
            assert_eq!(differences(waiting, blocking), [], "{waiting}");
        }
    }

    #[test]
    fn every_other_difference_is_found() {
        for (waiting, blocking, expected) in [
            ("pub async fn f() {}", "", "fn f()"),
            ("pub fn f(a: u8) {}", "pub fn f(a: u16) {}", "fn f(a: u8)"),
            ("pub fn f(limit: u8) {}", "pub fn f(max: u8) {}", "fn f(limit: u8)"),
            ("pub async fn f() -> Option<u8> {}", "pub fn f() -> u8 {}", "fn f() -> Option<u8>"),
            (
                "pub struct C; impl C { pub async fn g(&mut self) {} }",
                "pub struct C; impl C { pub fn g(&self) {} }",
                "impl C: fn g(&mut self)",
            ),
            ("pub fn f<T: Send>(t: &T) {}", "pub fn f<T>(t: &T) {}", "fn f<T: Send>(t: &T)"),
            ("pub struct C { pub a: u8 }", "pub struct C { a: u8 }", "C.a: u8"),
            ("pub enum E { A, B(u8) }", "pub enum E { A }", "E::B(u8)"),
            ("#[non_exhaustive] pub enum E {}", "pub enum E {}", "#[non_exhaustive] enum E"),
            ("#[derive(Clone)] pub struct C;", "pub struct C;", "impl Clone for C {}"),
            (
                "pub struct C; impl Iterator for C { type Item = u8; }",
                "pub struct C;",
                "impl Iterator for C { type Item = u8; }",
            ),
            ("pub use core::{A, B};", "pub use core::A;", "use core::B"),
            ("pub const A: u8 = 1;", "pub const A: u16 = 1;", "const A: u8"),
            ("pub type A = B<u8>;", "", "type A = B<u8>"),
            ("pub trait T { fn f(&self); }", "pub trait T {}", "trait T { fn f(&self); }"),
            (
                "#[cfg(feature = \"tls\")] pub fn f() {}",
                "pub fn f() {}",
                "#[cfg(feature = \"tls\")] fn f()",
            ),
        ] {
            let found = differences(waiting, blocking);
            let line = |d: &Difference| d.side == Side::Waiting && d.line == expected;
            assert!(found.iter().any(line), "{expected}: {found:?}");
        }
    }

    #[test]
    fn a_file_that_one_side_lacks_is_a_difference() {
        let pair = Pair { waiting: "a", blocking: "b" };
        let file = Surfaces::from([(PathBuf::from("x.rs"), lines(""))]);
        let found = compare(&pair, &Surfaces::new(), &file);
        let faults = unexcused(&found, &[]);
        assert_eq!(faults, ["b/x.rs only: the whole file"]);
    }

    #[test]
    fn an_exception_covers_its_line_and_may_not_outlive_it() {
        let exception = || Exception { side: Side::Blocking, line: "fn f()", why: "because" };
        let needed = differences("", "pub fn f() {} pub fn g() {}");
        assert_eq!(unexcused(&needed, &[exception()]), ["b/x.rs only: fn g()"]);
        let other_side = differences("pub fn f() {}", "");
        assert_eq!(unexcused(&other_side, &[exception()]).len(), 2);
    }
}
