//! The one place of this program that writes to the terminal.
//!
//! A reader that has left (`| head`) is no failure of the check, so errors of writing are let go.

use std::io::{self, Write};

/// Writes one line, or several, of the report.
pub(crate) fn say(text: impl AsRef<str>) {
    let _ = writeln!(io::stdout(), "{}", text.as_ref());
}

/// Writes what is wrong.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}
