//! Who is told how far a call is, and may end it between two passes.

use std::fmt::{Debug, Formatter};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use candle_core::{Tensor, Var};

use crate::error::{Result, bail};
use crate::interrupt;
use crate::model::{Inputs, Layers, Model};
use crate::progress;

/// How far a call is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    rows: usize,
    rows_planned: Option<usize>,
    passes: usize,
    elapsed: Duration,
}

impl Progress {
    /// How many rows the model has evaluated.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how many rows it will have evaluated at the end, where the method knows it: not with a tolerance.
    pub fn rows_planned(&self) -> Option<usize> {
        self.rows_planned
    }

    /// How many passes of the model are over.
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// The time since the first pass.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

/// Whoever follows the calls of a method, set by the method's `observer`. A closure is one:
///
/// ```
/// use std::ops::ControlFlow;
/// use std::time::Duration;
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let a_minute = |progress: &Progress| match progress.elapsed() < Duration::from_secs(60) {
///     true => ControlFlow::Continue(()),
///     false => ControlFlow::Break(()),
/// };
/// IntegratedGradients::new(&net).observer(a_minute).attribute(&x, 1)?;
/// # Ok::<(), Error>(())
/// ```
pub trait Observer: Send + Sync {
    /// Called before each pass of the model, on the thread that runs it; passes may run at once. After `Break` no more
    /// passes run, and the call ends with an error of the kind [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    fn before_pass(&self, progress: &Progress) -> ControlFlow<()>;
}

impl<F> Observer for F
where
    F: Fn(&Progress) -> ControlFlow<()> + Send + Sync,
{
    fn before_pass(&self, progress: &Progress) -> ControlFlow<()> {
        self(progress)
    }
}

impl Debug for dyn Observer {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("an observer")
    }
}

/// Counts what one call has done: for its observer, or for the bar of a call that has none.
pub(crate) struct Meter {
    observer: Option<Arc<dyn Observer>>,
    bar: Option<progress::Progress>,
    started: Instant,
    rows: AtomicUsize,
    passes: AtomicUsize,
    /// 0 where it is not known.
    planned: AtomicUsize,
    cancelled: AtomicBool,
}

impl Meter {
    /// Nothing if nobody looks: neither an observer, nor the reader of a bar, nor a kernel that may end the call.
    pub(super) fn new(what: &'static str, observer: Option<Arc<dyn Observer>>) -> Option<Self> {
        let shows = observer.is_none() && progress::is_shown();
        if observer.is_none() && !shows && !interrupt::may_come() {
            return None;
        }
        Some(Self {
            observer,
            bar: shows.then(|| progress::Progress::of(what, None)),
            started: Instant::now(),
            rows: AtomicUsize::new(0),
            passes: AtomicUsize::new(0),
            planned: AtomicUsize::new(0),
            cancelled: AtomicBool::new(false),
        })
    }

    /// So many rows are still to be evaluated.
    pub(super) fn plans(&self, rows: usize) {
        self.planned.store(self.rows.load(Ordering::Relaxed) + rows, Ordering::Relaxed);
    }

    /// Asks before a pass whether the call goes on.
    pub(super) fn ask_to_go_on(&self) -> Result<()> {
        interrupt::check()?;
        let Some(observer) = &self.observer else { return Ok(()) };
        let progress = Progress {
            rows: self.rows.load(Ordering::Relaxed),
            rows_planned: self.planned(),
            passes: self.passes.load(Ordering::Relaxed),
            elapsed: self.started.elapsed(),
        };
        // Once it is cancelled no pass runs, whoever asks for one.
        if self.cancelled.load(Ordering::Relaxed) || observer.before_pass(&progress).is_break() {
            self.cancelled.store(true, Ordering::Relaxed);
            let of = progress.rows_planned.map(|planned| format!(" of about {planned}")).unwrap_or_default();
            bail!(Cancelled, "the observer cancelled the call after {}{of} rows", progress.rows)
        }
        Ok(())
    }

    fn planned(&self) -> Option<usize> {
        Some(self.planned.load(Ordering::Relaxed)).filter(|planned| *planned > 0)
    }

    /// Counts a pass over so many rows.
    pub(super) fn count(&self, rows: usize) -> Result<()> {
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        self.passes.fetch_add(1, Ordering::Relaxed);
        self.bar.as_ref().map_or(Ok(()), |bar| bar.step_of(rows, self.planned()))
    }

    /// The next so many rows are evaluated by calls that show how far they are.
    pub(super) fn hands_over(&self, rows: usize) {
        self.bar.iter().for_each(|bar| bar.under_way(rows));
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.as_ref().filter(|_| interrupt::check().is_ok()) {
            bar.complete();
        }
    }
}

/// The model during one call, as it is watched.
pub(crate) struct Watched {
    model: Arc<dyn Model>,
    meter: Meter,
}

impl Watched {
    /// Nothing if nobody watches.
    pub(super) fn new(model: &Arc<dyn Model>, observer: Option<Arc<dyn Observer>>) -> Option<Self> {
        Some(Self { meter: Meter::new("row", observer)?, model: model.clone() })
    }

    /// So many rows are still to be evaluated.
    pub(super) fn plans(&self, rows: usize) {
        self.meter.plans(rows);
    }
}

impl Model for Watched {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        self.meter.ask_to_go_on()?;
        let output = self.model.forward(input, layers);
        self.meter.count(input.first().dims().first().copied().unwrap_or(1))?;
        output
    }

    fn parameters(&self) -> Vec<Var> {
        self.model.parameters()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.model.named_parameters()
    }

    fn known_operations(&self) -> Option<usize> {
        self.model.known_operations()
    }
}
