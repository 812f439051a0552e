//! Progress of long work, as whole lines, in notebooks only.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const BETWEEN_LINES: Duration = Duration::from_millis(700);

/// How many kinds of work report their progress now.
static REPORTING: AtomicUsize = AtomicUsize::new(0);

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
        REPORTING.fetch_add(1, Ordering::Relaxed);
        Self { what, total, started: now, printed: now, in_notebook: Self::in_notebook() }
    }

    /// Whether printed lines appear below a notebook cell.
    pub(crate) fn in_notebook() -> bool {
        std::env::var_os("EVCXR_IS_RUNTIME").is_some()
    }

    /// Whether some work reports its progress: what is a part of it stays quiet.
    pub(crate) fn is_shown() -> bool {
        REPORTING.load(Ordering::Relaxed) > 0
    }

    /// Reports how far the work is, at most every 0.7 seconds.
    pub(crate) fn step(&mut self, done: usize, state: impl FnOnce() -> String) {
        self.report(done, Some(self.total), || format!("{}, ", state()));
    }

    /// The same for work whose total is known only about, or not at all.
    pub(crate) fn step_of(&mut self, done: usize, total: Option<usize>) {
        self.report(done, total, String::new);
    }

    fn report(&mut self, done: usize, total: Option<usize>, state: impl FnOnce() -> String) {
        if !self.in_notebook || self.printed.elapsed() < BETWEEN_LINES || done == 0 {
            return;
        }
        self.printed = Instant::now();
        let line = line(self.what, done, total, &state(), self.started.elapsed());
        // Progress that cannot be shown must not stop the work.
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        REPORTING.fetch_sub(1, Ordering::Relaxed);
    }
}

fn line(what: &str, done: usize, total: Option<usize>, state: &str, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let Some(total) = total.filter(|total| *total >= done) else {
        return format!("{what} {done}, {state}{seconds:.0} s so far");
    };
    let left = seconds / done as f64 * (total - done) as f64;
    format!("{what} {done}/{total} ({}%), {state}{left:.0} s left", 100 * done / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_the_work_is() {
        let three = Duration::from_secs(3);
        assert_eq!(line("row", 30, Some(120), "", three), "row 30/120 (25%), 9 s left");
        assert_eq!(line("epoch", 1, Some(2), "loss 0.5, ", three), "epoch 1/2 (50%), loss 0.5, 3 s left");
        for total in [None, Some(20)] {
            assert_eq!(line("row", 30, total, "", three), "row 30, 3 s so far");
        }
    }
}
