//! Messages of a command while it works.

use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard error; the work goes on even if nobody reads it.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
