//! The progress of long work: one bar, however many kinds of work are nested in it.

mod bar;
mod board;
mod outlet;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::outlet::Outlet;
use crate::error::Result;
use crate::interrupt;

static HIDDEN: AtomicBool = AtomicBool::new(false);

/// From now on this process shows no progress by itself: neither below the cell of a notebook nor on standard error if
/// that is a terminal. For programs that draw there themselves, and for servers. Observers of methods are told as before.
pub fn hide_progress() {
    HIDDEN.store(true, Ordering::Relaxed);
}

/// Whether printed lines appear below a notebook cell.
pub(crate) fn in_notebook() -> bool {
    std::env::var_os("EVCXR_IS_RUNTIME").is_some()
}

/// Whether the notebook's kernel is our own, which knows more marks than evcxr's.
pub(crate) fn kernel_is_ours() -> bool {
    Outlet::of_process() == Some(Outlet::Place)
}

/// Whether long work shows its progress.
pub(crate) fn is_shown() -> bool {
    outlet().is_some()
}

fn outlet() -> Option<Outlet> {
    Outlet::of_process().filter(|_| !HIDDEN.load(Ordering::Relaxed))
}

/// One kind of work. The outermost has the bar; what is nested in it moves the bar between the outer steps.
/// Every step looks whether the user has asked the cell to stop.
pub(crate) struct Progress {
    started: Instant,
    /// Its number on the board, if it is there.
    level: Option<usize>,
}

impl Progress {
    /// Work of `total` steps.
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        Self::of(what, (total > 0).then_some(total))
    }

    /// Work of so many steps, where that is known.
    pub(crate) fn of(what: &'static str, total: Option<usize>) -> Self {
        let level = outlet().map(|outlet| board::lock().enter(what, total, outlet));
        Self { started: Instant::now(), level }
    }

    /// A part of work that is shown already; without such work nothing is shown.
    pub(crate) fn part() -> Self {
        let level = outlet().and_then(|_| board::lock().enter_part());
        Self { started: Instant::now(), level }
    }

    /// So many steps are over, and `state` is what else there is to say.
    pub(crate) fn step(&self, done: usize, state: impl FnOnce() -> String) -> Result<()> {
        if let Some(level) = self.level {
            let state = state();
            board::lock().change(level, |level| {
                level.done = done;
                level.state = state;
            });
        }
        interrupt::check()
    }

    /// So many steps of so many are over; the total may not be known, or only about.
    pub(crate) fn step_of(&self, done: usize, total: Option<usize>) -> Result<()> {
        self.change(|level| (level.done, level.total) = (done, total));
        interrupt::check()
    }

    /// The next so many steps are under way: what is nested moves the bar that far.
    pub(crate) fn under_way(&self, steps: usize) {
        self.change(|level| level.under_way = steps as f64);
    }

    /// This share of the work is over, and about this share is under way, for work whose steps cannot be counted.
    pub(crate) fn reach(&self, share: f64, under_way: f64) -> Result<()> {
        self.change(|level| (level.share, level.under_way) = (Some(share), under_way));
        interrupt::check()
    }

    /// All is done, whatever was planned.
    pub(crate) fn complete(&self) {
        self.change(|level| level.complete = true);
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn change(&self, change: impl FnOnce(&mut board::Level)) {
        if let Some(level) = self.level {
            board::lock().change(level, change);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(level) = self.level {
            board::lock().leave(level);
        }
    }
}
