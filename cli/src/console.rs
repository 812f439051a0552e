//! Messages of a command while it works.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Writes a line to standard error; the work goes on even if nobody reads it.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line that is written over again and again, if standard error is a terminal.
pub(crate) struct Progress {
    written: Mutex<Option<Instant>>,
    in_terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { written: Mutex::new(None), in_terminal: std::io::stderr().is_terminal() }
    }

    /// Writes the line, at most every 0.2 seconds.
    pub(crate) fn show(&self, line: impl Display) {
        if !self.in_terminal {
            return;
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_none_or(|last| last.elapsed() >= BETWEEN_LOOKS) {
            *written = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
        }
    }
}

impl Drop for Progress {
    /// Removes the line.
    fn drop(&mut self) {
        if self.written.get_mut().unwrap_or_else(PoisonError::into_inner).is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
