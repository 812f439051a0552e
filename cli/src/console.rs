//! What a command says while it works.

use std::fmt::Display;
use std::io::Write;

/// A line on the standard error stream; one that nobody reads must not stop the work.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
