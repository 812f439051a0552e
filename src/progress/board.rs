//! The work that is under way in this process, and the thread that shows it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::bar::{Bar, Stage};
use super::outlet::Outlet;

static BOARD: Mutex<Board> = Mutex::new(Board { levels: Vec::new(), shown: None, numbers: 0, is_watched: false });
static BEGUN: Condvar = Condvar::new();

pub(super) fn lock() -> MutexGuard<'static, Board> {
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kinds of work, each nested in the one before. The first has the bar.
pub(super) struct Board {
    levels: Vec<Level>,
    shown: Option<Shown>,
    numbers: usize,
    /// Whether there is a thread that shows the bar.
    is_watched: bool,
}

pub(super) struct Level {
    number: usize,
    what: &'static str,
    pub(super) done: usize,
    pub(super) total: Option<usize>,
    pub(super) state: String,
    /// The share that is over, if steps cannot be counted.
    pub(super) share: Option<f64>,
    /// The steps that are under way, or their share.
    pub(super) under_way: f64,
    pub(super) complete: bool,
}

/// The bar, as it was shown last.
struct Shown {
    number: usize,
    outlet: Outlet,
    started: Instant,
    due: Instant,
    /// The furthest that it ever was.
    share: Option<f64>,
    last: Option<Bar>,
}

impl Level {
    fn new(number: usize, what: &'static str, total: Option<usize>) -> Self {
        Self { number, what, done: 0, total, state: String::new(), share: None, under_way: 0., complete: false }
    }

    /// The share that is over, given that of what is nested. Work that cannot tell is as far as what is nested in it.
    fn share(&self, nested: Option<f64>) -> Option<f64> {
        let (done, under_way) = match (self.share, self.total) {
            (Some(share), _) => (share, self.under_way),
            (None, Some(total)) if total > 0 => (self.done as f64 / total as f64, self.under_way / total as f64),
            _ => return nested,
        };
        Some((done + under_way * nested.unwrap_or(0.)).min(1.))
    }
}

impl Board {
    pub(super) fn enter(&mut self, what: &'static str, total: Option<usize>, outlet: Outlet) -> usize {
        if self.levels.is_empty() {
            let (number, now) = (self.numbers + 1, Instant::now());
            let due = now + outlet.patience();
            self.shown = Some(Shown { number, outlet, started: now, due, share: None, last: None });
            self.watch();
        }
        self.push(what, total)
    }

    pub(super) fn enter_part(&mut self) -> Option<usize> {
        (!self.levels.is_empty()).then(|| self.push("", None))
    }

    fn push(&mut self, what: &'static str, total: Option<usize>) -> usize {
        self.numbers += 1;
        self.levels.push(Level::new(self.numbers, what, total));
        self.numbers
    }

    pub(super) fn change(&mut self, number: usize, change: impl FnOnce(&mut Level)) {
        if let Some(level) = self.levels.iter_mut().rev().find(|level| level.number == number) {
            change(level);
        }
    }

    /// A kind of work ends; with the last of them, the bar.
    pub(super) fn leave(&mut self, number: usize) {
        let Some(index) = self.levels.iter().position(|level| level.number == number) else { return };
        if self.levels.len() == 1
            && let Some(shown) = self.shown.take()
            && shown.last.is_some()
        {
            let level = &self.levels[0];
            let done = level.complete || level.share(None).is_some_and(|share| share >= 1.);
            let stage = if done && !std::thread::panicking() { Stage::Done } else { Stage::Stopped };
            shown.outlet.show(shown.number, &Bar { stage, ..shown.bar(level, None) });
        }
        self.levels.remove(index);
    }

    /// Starts the thread that shows the bar, unless it is there. Without it nothing is shown.
    fn watch(&mut self) {
        if !self.is_watched {
            let thread = std::thread::Builder::new().name("progress".to_string());
            self.is_watched = thread.spawn(show_what_is_under_way).is_ok();
        }
        BEGUN.notify_one();
    }

    /// Shows the bar if it is time.
    fn show(&mut self) {
        let Self { levels, shown: Some(shown), .. } = self else { return };
        let now = Instant::now();
        let Some(first) = levels.first().filter(|_| now >= shown.due) else { return };
        shown.due = now + shown.outlet.interval();
        let nested = levels[1..].iter().rev().fold(None, |nested, level| level.share(nested));
        // A plan may grow; what was done is done.
        shown.share = first.share(nested).into_iter().chain(shown.share).reduce(f64::max);
        let bar = shown.bar(first, nested);
        if shown.outlet == Outlet::Lines && shown.last.as_ref().is_some_and(|last| last.is_as_far_as(&bar)) {
            return;
        }
        shown.outlet.show(shown.number, &bar);
        shown.last = Some(bar);
    }
}

impl Shown {
    /// The bar of the outermost work. Of the steps that are under way, as many are over as what is nested tells.
    fn bar(&self, level: &Level, nested: Option<f64>) -> Bar {
        let of_those = if level.share.is_none() { level.under_way * nested.unwrap_or(0.) } else { 0. };
        Bar {
            what: level.what,
            done: level.done + of_those as usize,
            total: level.total,
            state: level.state.clone(),
            share: self.share,
            elapsed: self.started.elapsed(),
            stage: Stage::Running,
        }
    }
}

impl Bar {
    fn is_as_far_as(&self, other: &Self) -> bool {
        (self.done, self.percent(), &self.state) == (other.done, other.percent(), &other.state)
    }
}

fn show_what_is_under_way() {
    let mut board = lock();
    loop {
        board.show();
        board = match &board.shown {
            None => BEGUN.wait(board).unwrap_or_else(PoisonError::into_inner),
            Some(shown) => {
                let until = shown.due.saturating_duration_since(Instant::now());
                BEGUN.wait_timeout(board, until).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}
