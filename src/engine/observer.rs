//! Who is told how far a call is, and may end it between two passes.

use std::fmt::{Debug, Formatter};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::{Tensor, Var};

use crate::error::{Result, bail};
use crate::model::{Inputs, Layers, Model};
use crate::progress;

/// In a notebook, a call that takes longer than this shows how far it is.
const UNTIL_SHOWN: Duration = Duration::from_secs(1);

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

/// The observer of a notebook's cell: a line below it, now and then.
struct CellLine(Mutex<progress::Progress>);

impl Observer for CellLine {
    fn before_pass(&self, progress: &Progress) -> ControlFlow<()> {
        if progress.elapsed >= UNTIL_SHOWN {
            let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            line.step_of(progress.rows, progress.rows_planned);
        }
        ControlFlow::Continue(())
    }
}

/// The observer of a call that was given none: in a notebook a line, unless the work that it is a part of has one.
pub(super) fn of_notebook() -> Option<Arc<dyn Observer>> {
    let shown = progress::Progress::in_notebook() && !progress::Progress::is_shown();
    shown.then(|| Arc::new(CellLine(Mutex::new(progress::Progress::new("row", 0)))) as Arc<dyn Observer>)
}

/// What an observer is told of one call.
pub(crate) struct Meter {
    observer: Arc<dyn Observer>,
    started: Instant,
    rows: AtomicUsize,
    passes: AtomicUsize,
    /// 0 where it is not known.
    planned: AtomicUsize,
    cancelled: AtomicBool,
}

impl Meter {
    pub(super) fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            observer,
            started: Instant::now(),
            rows: AtomicUsize::new(0),
            passes: AtomicUsize::new(0),
            planned: AtomicUsize::new(0),
            cancelled: AtomicBool::new(false),
        }
    }

    /// So many rows are still to be evaluated.
    pub(super) fn plans(&self, rows: usize) {
        self.planned.store(self.rows.load(Ordering::Relaxed) + rows, Ordering::Relaxed);
    }

    /// Asks the observer before a pass.
    pub(super) fn ask_to_go_on(&self) -> Result<()> {
        let planned = self.planned.load(Ordering::Relaxed);
        let progress = Progress {
            rows: self.rows.load(Ordering::Relaxed),
            rows_planned: (planned > 0).then_some(planned),
            passes: self.passes.load(Ordering::Relaxed),
            elapsed: self.started.elapsed(),
        };
        // Once it is cancelled no pass runs, whoever asks for one.
        if self.cancelled.load(Ordering::Relaxed) || self.observer.before_pass(&progress).is_break() {
            self.cancelled.store(true, Ordering::Relaxed);
            let of = progress.rows_planned.map(|planned| format!(" of about {planned}")).unwrap_or_default();
            bail!(Cancelled, "the observer cancelled the call after {}{of} rows", progress.rows)
        }
        Ok(())
    }

    /// Counts a pass over so many rows.
    pub(super) fn count(&self, rows: usize) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.passes.fetch_add(1, Ordering::Relaxed);
    }
}

/// The model during one call, as its observer watches it.
pub(crate) struct Watched {
    model: Arc<dyn Model>,
    meter: Meter,
}

impl Watched {
    pub(super) fn new(model: Arc<dyn Model>, observer: Arc<dyn Observer>) -> Self {
        Self { model, meter: Meter::new(observer) }
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
        self.meter.count(input.first().dims().first().copied().unwrap_or(1));
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
