//! Passes over the model: of a size that fits the memory, on all cores.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use candle_core::Tensor;

use super::budget::{Budget, Footprint};
use crate::cores;
use crate::deep_stack;
use crate::error::{Result, error};
use crate::progress::Progress;

/// How many rows a pass takes, and how many passes may run at once.
#[derive(Clone, Copy)]
pub(crate) struct Passes {
    pub(crate) rows: usize,
    workers: usize,
}

impl Passes {
    /// Passes of this many rows, one after another.
    pub(crate) fn of(rows: usize) -> Self {
        Self { rows, workers: 1 }
    }

    /// Passes for `total` rows within a budget. `one` is what a pass of one row held; `two` returns what a pass of two
    /// rows holds, if the model takes two.
    pub(crate) fn plan(budget: &Budget, total: usize, one: Footprint, two: impl FnOnce() -> Option<Footprint>) -> Self {
        let (rows, workers) = budget.plan(total, one, two);
        Self { rows, workers }
    }

    /// Passes without a graph over rows of these tensors, on all cores.
    pub(crate) fn without_graph<'t>(budget: &Budget, tensors: impl Iterator<Item = &'t Tensor>) -> Self {
        Self { rows: budget.rows_of_several_passes(tensors), workers: budget.workers_without_graph() }
    }

    /// Passes of this many rows, as many at once as there are cores.
    pub(crate) fn on_all_cores(rows: usize) -> Self {
        Self { rows, workers: cores::all() }
    }

    /// The same with at most this many workers.
    pub(crate) fn with_workers(self, most: usize) -> Self {
        Self { workers: self.workers.min(most).max(1), ..self }
    }

    /// Those that run this many blocks, and those that run the passes of one: all workers are with the blocks or, where
    /// these are fewer than the workers and than the passes of each, with the passes.
    pub(crate) fn shared_by(self, blocks: usize, of_each: usize) -> (Self, Self) {
        let alone = Self::of(self.rows);
        if blocks < self.workers.min(of_each) { (alone, self) } else { (self, alone) }
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
        let part = Progress::part();
        part.under_way(1);
        let mut folded = 0;
        let mut fold = |result| {
            folded += 1;
            fold(result)?;
            part.step_of(folded, Some(count))
        };
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
        let cores = cores::free();
        std::thread::scope(|scope| {
            for _ in 1..workers {
                // If a worker cannot be started, the others do its jobs.
                let _ = deep_stack::spawn(scope, || cores::as_one_of(workers, cores, work));
            }
            cores::as_one_of(workers, cores, work);
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
    /// Waits until all earlier jobs are folded, then folds this job's result; false if this or an earlier job failed.
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

    /// Ends the waiting for a job that panicked.
    fn give_up(&self) {
        self.lock().outcome = Err(error!(Tensor, "a pass of the model panicked"));
        self.passed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Folding<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Folds what `evaluate` gives for `0..count`, with what it held, in order and in passes of bounded memory.
/// The first pass takes one row; if that is not enough to plan with, the next takes two. What they held decides the
/// size of the other passes.
pub(crate) fn in_measured_passes<T: Send>(
    budget: &Budget,
    count: usize,
    evaluate: impl Fn(Range<usize>) -> Result<(T, Footprint)> + Sync,
    mut fold: impl FnMut(T) -> Result<()> + Send,
) -> Result<()> {
    let (first, one) = evaluate(0..1)?;
    fold(first)?;
    let mut second = None;
    let next = 1..count.min(3);
    let passes = Passes::plan(budget, count - 1, one, || {
        let (result, footprint) = evaluate(next.clone()).ok()?;
        second = Some(result);
        (next.len() == 2).then_some(footprint)
    });
    let mut done = 1;
    if let Some(second) = second {
        fold(second)?;
        done = next.end;
    }
    in_passes(passes, done..count, |rows| Ok(evaluate(rows)?.0), fold)
}

/// Folds what `evaluate` gives for these rows, in order. If a pass of several rows fails, the rows after the last folded
/// one are taken one by one.
pub(crate) fn in_passes<T: Send>(
    passes: Passes,
    rows: Range<usize>,
    evaluate: impl Fn(Range<usize>) -> Result<T> + Sync,
    mut fold: impl FnMut(T) -> Result<()> + Send,
) -> Result<()> {
    let Range { start: mut done, end: count } = rows;
    allowing_single_rows(passes, |passes| {
        let start = done;
        let rows = |index: usize| start + index * passes.rows..count.min(start + (index + 1) * passes.rows);
        let job = |index: usize| Ok((evaluate(rows(index))?, rows(index).end));
        passes.run((count - start).div_ceil(passes.rows), job, |(result, end)| {
            fold(result)?;
            done = end;
            Ok(())
        })
    })
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

/// Runs with these passes. If that fails, runs with passes of one row, for models that take only one. If that
/// fails too, the number of rows was not the cause.
pub(crate) fn allowing_single_rows<T>(passes: Passes, mut run: impl FnMut(Passes) -> Result<T>) -> Result<T> {
    match run(passes) {
        Err(error) if passes.rows > 1 && error.may_be_of_rows() => run(Passes::of(1)).map_err(|_| error),
        result => result,
    }
}

/// `0..count` in blocks of `rows`, at least one.
pub(super) fn blocks(count: usize, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let rows = rows.max(1);
    (0..count).step_by(rows).map(move |first| first..count.min(first + rows))
}
