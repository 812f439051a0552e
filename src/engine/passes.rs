//! Passes over the model: of a size that fits the memory, on all cores.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use candle_core::Tensor;

use super::gradient::Sample;
use super::{Expansion, PathSettings, Question};
use crate::deep_stack;
use crate::error::{Result, error};

/// Passes under way at once at most; the memory budget is divided by it.
const MOST_WORKERS: usize = 8;
/// What one pass should keep, so that its backward finds it in the processor's cache.
const CACHE_BYTES: usize = 2 << 20;
/// A pass keeps its activations, their gradients and what is being computed.
const BYTES_PER_GRAPH_BYTE: usize = 3;

/// How many rows a pass takes, and how many passes may be under way.
#[derive(Clone, Copy)]
pub(crate) struct Passes {
    pub(crate) rows: usize,
    workers: usize,
}

impl Passes {
    /// Passes of so many rows, one after another.
    pub(crate) fn of(rows: usize) -> Self {
        Self { rows, workers: 1 }
    }

    /// Passes for `total` rows, unless the user has chosen their size. A pass of one row has kept `one` bytes;
    /// `two` tells what a pass of two rows keeps, if the model takes two.
    pub(crate) fn plan(settings: &PathSettings, total: usize, one: usize, two: impl FnOnce() -> Option<usize>) -> Self {
        if let Some(rows) = settings.internal_batch_size {
            return Self::of(rows);
        }
        let pass_bytes = CACHE_BYTES.min(settings.memory_budget / MOST_WORKERS);
        if total.saturating_mul(one * BYTES_PER_GRAPH_BYTE) <= pass_bytes {
            return Self::of(total.max(1));
        }
        // Tracked weights are in every graph once: the difference of two rows and one is a row's own.
        let two = two();
        let row_bytes = two.map_or(one, |two| two.saturating_sub(one)).max(1) * BYTES_PER_GRAPH_BYTE;
        let rows = if two.is_some() { (pass_bytes / row_bytes).max(1) } else { 1 };
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = (settings.memory_budget / (rows * row_bytes)).clamp(1, cores.min(MOST_WORKERS));
        Self { rows, workers }
    }

    /// The same with so few workers that jobs that hold this much each stay in the memory budget.
    pub(crate) fn holding(self, bytes: usize, settings: &PathSettings) -> Self {
        Self { workers: (settings.memory_budget / bytes.max(1)).clamp(1, self.workers), ..self }
    }

    /// Runs the jobs `0..count` on the workers, and folds their results in the order of the jobs. A worker
    /// waits until its result has been folded, so no more results are held than there are workers.
    pub(crate) fn run<T: Send>(
        &self,
        count: usize,
        job: impl Fn(usize) -> Result<T> + Sync,
        mut fold: impl FnMut(T) -> Result<()> + Send,
    ) -> Result<()> {
        let workers = self.workers.min(count);
        if workers <= 1 {
            return (0..count).try_for_each(|index| fold(job(index)?));
        }
        let next = AtomicUsize::new(0);
        let turn = Turn { state: Mutex::new(Folding { index: 0, outcome: Ok(()), fold }), passed: Condvar::new() };
        let work = || loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let result = catch_unwind(AssertUnwindSafe(|| job(index))).unwrap_or_else(|panic| {
                turn.give_up();
                resume_unwind(panic)
            });
            if !turn.take(index, result) {
                break;
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..workers {
                // A worker that cannot be started leaves its jobs to the others.
                let _ = deep_stack::spawn(scope, work);
            }
            work();
        });
        turn.state.into_inner().unwrap_or_else(PoisonError::into_inner).outcome
    }
}

/// Whose result is folded next.
struct Turn<F> {
    state: Mutex<Folding<F>>,
    passed: Condvar,
}

struct Folding<F> {
    index: usize,
    outcome: Result<()>,
    fold: F,
}

impl<F> Turn<F> {
    /// Folds the result of a job when those before it are folded; false if one of them failed, or this.
    fn take<T>(&self, index: usize, result: Result<T>) -> bool
    where
        F: FnMut(T) -> Result<()>,
    {
        let mut state = self.lock();
        while state.index != index && state.outcome.is_ok() {
            state = self.passed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.outcome.is_ok() {
            state.outcome = result.and_then(|result| (state.fold)(result));
            state.index += 1;
        }
        self.passed.notify_all();
        state.outcome.is_ok()
    }

    /// Lets nobody wait for a job that ended in a panic.
    fn give_up(&self) {
        self.lock().outcome = Err(error!(Tensor, "a pass of the model panicked"));
        self.passed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Folding<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `evaluate` gives for every example at the inputs themselves, in passes of bounded memory: one for the
/// first example, which `examine` sees, one for the next two, and the rest in passes of the size that the
/// first two suggest.
pub(crate) fn for_every_row(
    question: &Question,
    evaluate: impl Fn(&Expansion) -> Result<Sample> + Sync,
    examine: impl FnOnce(&Sample) -> Result<()>,
) -> Result<Vec<Tensor>> {
    let batch = question.batch_size();
    let rows = |first: usize, count: usize| Expansion::new((first..batch.min(first + count)).collect(), 1);
    let first = evaluate(&rows(0, 1))?;
    examine(&first)?;
    let mut second = None;
    let passes = Passes::plan(&PathSettings::default(), batch - 1, first.graph_bytes, || {
        second = Some(evaluate(&rows(1, 2)).ok()?);
        second.as_ref().filter(|_| batch > 2).map(|sample| sample.graph_bytes)
    });
    let mut parts = vec![first.values];
    let mut done = 1;
    if let Some(second) = second {
        done += second.scalars.elem_count();
        parts.push(second.values);
    }
    let start = parts.len();
    let mut run = |passes: Passes| {
        parts.truncate(start);
        let count = (batch - done).div_ceil(passes.rows);
        let evaluate = |index: usize| Ok(evaluate(&rows(done + index * passes.rows, passes.rows))?.values);
        passes.run(count, evaluate, |values| {
            parts.push(values);
            Ok(())
        })
    };
    allowing_single_rows(passes, &mut run)?;
    join_blocks(parts)
}

/// Tensors of consecutive rows, each joined along the batch.
pub(crate) fn join_blocks(blocks: Vec<Vec<Tensor>>) -> Result<Vec<Tensor>> {
    let tensors = blocks.first().map_or(0, Vec::len);
    let join = |tensor: usize| {
        let parts: Vec<&Tensor> = blocks.iter().map(|block| &block[tensor]).collect();
        Ok(if let [only] = parts.as_slice() { (*only).clone() } else { Tensor::cat(&parts, 0)? })
    };
    (0..tensors).map(join).collect()
}

/// Runs with these passes; where that fails, with passes of one row, for models that take no more. If that
/// fails too, it was not for the rows.
pub(crate) fn allowing_single_rows<T>(passes: Passes, mut run: impl FnMut(Passes) -> Result<T>) -> Result<T> {
    match run(passes) {
        Err(error) if passes.rows > 1 => run(Passes::of(1)).map_err(|_| error),
        result => result,
    }
}
