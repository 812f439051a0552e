//! Progress of long work, as whole lines, in notebooks only.

use std::io::Write;
use std::time::{Duration, Instant};

const BETWEEN_LINES: Duration = Duration::from_millis(700);

/// Reports the progress of `total` steps. A notebook cell shows whole lines as they come;
/// outside a notebook nothing is printed.
pub(crate) struct Progress {
    what: &'static str,
    total: usize,
    started: Instant,
    printed: Instant,
    in_notebook: bool,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        let now = Instant::now();
        Self { what, total, started: now, printed: now, in_notebook: Self::in_notebook() }
    }

    /// Whether printed lines appear below a notebook cell.
    pub(crate) fn in_notebook() -> bool {
        std::env::var_os("EVCXR_IS_RUNTIME").is_some()
    }

    /// Reports how far the work is, at most every 0.7 seconds.
    pub(crate) fn step(&mut self, done: usize, state: impl FnOnce() -> String) {
        if !self.in_notebook || self.printed.elapsed() < BETWEEN_LINES || done == 0 {
            return;
        }
        self.printed = Instant::now();
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = elapsed / done as f64 * (self.total - done) as f64;
        let percent = 100 * done / self.total;
        let (what, total) = (self.what, self.total);
        // Progress that cannot be shown must not stop the work.
        let _ = writeln!(std::io::stdout(), "{what} {done}/{total} ({percent}%), {}, {left:.0} s left", state());
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
