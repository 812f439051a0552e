//! Passes over the model: of a size that fits the memory, on all cores.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Tensor;

use super::gradient::Sample;
use super::{Expansion, PathSettings};
use crate::error::Result;

/// Passes under way at once at most; the memory budget is divided by it.
const MOST_WORKERS: usize = 8;
/// What one pass should keep, so that its backward finds it in the processor's cache.
const CACHE_BYTES: usize = 2 << 20;
/// candle walks a graph recursively: room for chains of many thousand operations.
const STACK_BYTES: usize = 64 << 20;
/// A pass keeps its activations, their gradients and what is being computed.
const BYTES_PER_GRAPH_BYTE: usize = 3;

/// How many rows a pass takes, and how many passes may be under way.
pub(crate) struct Passes {
    pub(crate) rows: usize,
    workers: usize,
}

impl Passes {
    /// Measures what one row keeps in memory, unless the user has chosen the rows.
    pub(crate) fn plan(settings: &PathSettings, evaluate: impl Fn(&Expansion) -> Result<Sample>) -> Result<Self> {
        if let Some(rows) = settings.internal_batch_size {
            return Ok(Self { rows, workers: 1 });
        }
        // Tracked weights are in every graph once: the difference of two rows and one is a row's own.
        let [one, two] = [vec![0], vec![0, 0]].map(|rows| evaluate(&Expansion::new(rows, 1)));
        let row_bytes = (two?.graph_bytes.saturating_sub(one?.graph_bytes) * BYTES_PER_GRAPH_BYTE).max(1);
        let pass_bytes = CACHE_BYTES.min(settings.memory_budget / MOST_WORKERS);
        let rows = (pass_bytes / row_bytes).max(1);
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = (settings.memory_budget / (rows * row_bytes)).clamp(1, cores.min(MOST_WORKERS));
        Ok(Self { rows, workers })
    }

    /// Runs the jobs `0..count` on the workers; results come in the order of the jobs.
    pub(crate) fn run<T: Send>(&self, count: usize, job: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
        let workers = self.workers.min(count);
        if workers <= 1 {
            return (0..count).map(job).collect();
        }
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Option<Result<T>>>> = Mutex::new((0..count).map(|_| None).collect());
        let work = || loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let result = job(index);
            results.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[index] = Some(result);
        };
        std::thread::scope(|scope| {
            for _ in 1..workers {
                // A worker that cannot be started leaves its jobs to the others.
                let _ = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
            }
            work();
        });
        results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).into_iter().flatten().collect()
    }
}

/// What `evaluate` gives for every row of a batch, in passes of bounded memory.
pub(crate) fn for_every_row(
    batch: usize,
    evaluate: impl Fn(&Expansion) -> Result<Sample> + Sync,
) -> Result<Vec<Tensor>> {
    let passes = Passes::plan(&PathSettings::default(), &evaluate)?;
    let blocks = passes.run(batch.div_ceil(passes.rows), |index| {
        let first = index * passes.rows;
        Ok(evaluate(&Expansion::new((first..batch.min(first + passes.rows)).collect(), 1))?.values)
    })?;
    join_blocks(blocks)
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
