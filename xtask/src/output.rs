//! The one place of this program that writes to the terminal.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports to a person"
)]

/// Writes one line, or several, of the report.
pub(crate) fn say(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// Writes what is wrong, after which the program ends with a failure.
pub(crate) fn complain(text: &str) {
    eprintln!("{}", text.trim_end());
}
