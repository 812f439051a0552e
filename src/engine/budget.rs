//! How much a call may hold at once.

use candle_core::{Device, Tensor};

use crate::cores;
use crate::device;
use crate::error::{Result, bail};
use crate::model::Inputs;

/// At most this many passes run at once; the budget is divided by it.
const MOST_WORKERS: usize = 8;
/// How many bytes one pass should keep, so that its backward finds them in the processor's cache, and the next pass in
/// memory that the system need not give again.
const CACHE_BYTES: usize = 512 << 10;
/// A pass holds its activations, their gradients and intermediate results: this many times its graph.
const BYTES_PER_GRAPH_BYTE: usize = 3;
/// The rows for which a layer that keeps its own intermediate results reads its weights once, where they fit.
const ROWS_OF_LARGE_LAYERS: usize = 12;
/// The most rows that one pass without a graph evaluates.
const MOST_ROWS: usize = 256;
/// The most numbers or ids that one pass without a graph takes; an id becomes an embedding.
const MOST_NUMBERS: usize = 1 << 21;
const MOST_IDS: usize = 1 << 13;
/// A pass without a graph holds this many times its inputs, as a guess.
const BYTES_PER_INPUT_BYTE: usize = 32;
/// The bytes that an id becomes in an embedding, as a guess.
const BYTES_OF_AN_ID: usize = 1024;
/// The share of the memory of a device other than the CPU that a pass takes unless the user has chosen another.
const SHARE_OF_DEVICE: f64 = 0.5;
/// The largest graph of a pass there, so that candle's kernels, which count in 32 bits, reach all numbers of a tensor.
const LARGEST_GRAPH_ON_DEVICE: usize = 8 << 30;
/// The most rows that one pass without a graph evaluates there.
const MOST_ROWS_ON_DEVICE: usize = 1 << 12;
/// How many estimates of parts of a line are always kept, however large they are.
const FEWEST_PARTS: usize = 8;

/// The bytes that a pass with a graph holds until its backward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// The tensors of the graph.
    pub(crate) graph: usize,
    /// What operations keep for themselves.
    pub(crate) kept: usize,
}

impl Footprint {
    /// All that the pass holds at its peak.
    fn bytes(self) -> usize {
        self.graph.saturating_mul(BYTES_PER_GRAPH_BYTE).saturating_add(self.kept)
    }

    /// That of a pass whose blocks compute their gradients by rules, at both ends of a line: a third more.
    pub(super) fn under_rules(self) -> Self {
        Self { graph: self.graph * 4 / 3, ..self }
    }

    /// This many of it.
    pub(super) fn times(self, count: usize) -> Self {
        Self { graph: self.graph.saturating_mul(count), kept: self.kept.saturating_mul(count) }
    }

    /// That of two passes of which one follows the other while both graphs are held.
    pub(super) fn beside(self, other: Self) -> Self {
        Self { graph: self.graph + other.graph, kept: self.kept + other.kept }
    }

    /// The larger of each.
    pub(super) fn largest(self, other: Self) -> Self {
        Self { graph: self.graph.max(other.graph), kept: self.kept.max(other.kept) }
    }

    /// What is held beyond another.
    fn beyond(self, other: Self) -> Self {
        Self { graph: self.graph.saturating_sub(other.graph), kept: self.kept.saturating_sub(other.kept) }
    }
}

/// How much a call may hold at once, from which the size of its passes follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Bytes of activations that the passes under way hold together.
    pub(crate) bytes: usize,
    /// The same where layers keep intermediate results of their own.
    of_large_layers: usize,
    /// The rows of a pass, where the user has chosen them.
    pub(crate) rows: Option<usize>,
    /// The most passes that run at once; as many as there are cores unless the user has chosen.
    pub(crate) workers: Option<usize>,
    /// The share of its memory that a pass takes on a device other than the CPU.
    pub(crate) share_of_device: f64,
    /// The bytes that this comes to, if the passes run on such a device.
    on_device: Option<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            // Two passes of 256 tokens at BERT's size.
            of_large_layers: 384 << 20,
            rows: None,
            workers: None,
            share_of_device: SHARE_OF_DEVICE,
            on_device: None,
        }
    }
}

impl Budget {
    /// An error unless passes of at least one row run on a number of threads that there can be.
    pub(crate) fn check(&self) -> Result<()> {
        if self.rows == Some(0) {
            bail!(Input, "internal_batch_size is 0: expected at least 1, the rows that one pass evaluates")
        }
        if let Some(workers) = self.workers.filter(|workers| !(1..=MOST_WORKERS).contains(workers)) {
            bail!(Input, "workers is {workers}: expected 1 to {MOST_WORKERS} passes at once")
        }
        let share = self.share_of_device;
        if !(share > 0. && share <= 1.) {
            bail!(Input, "device_memory_share is {share}: expected a number above 0, up to 1, for all of the memory")
        }
        Ok(())
    }

    /// Has the passes under way hold this many bytes together.
    pub(crate) fn hold(&mut self, bytes: usize) {
        (self.bytes, self.of_large_layers) = (bytes, bytes);
    }

    /// The same for passes on this device.
    pub(super) fn on(self, device: &Device) -> Result<Self> {
        let of_share = |memory: usize| (memory as f64 * self.share_of_device) as usize;
        Ok(Self { on_device: device::memory(device)?.map(of_share), ..self })
    }

    /// How many rows a pass takes, and how many passes run at once, for `total` rows. `one` is what a pass of one row
    /// held; `two` returns what a pass of two rows holds, if the model takes two.
    pub(super) fn plan(&self, total: usize, one: Footprint, two: impl FnOnce() -> Option<Footprint>) -> (usize, usize) {
        if let Some(bytes) = self.on_device {
            return (self.rows.unwrap_or_else(|| rows_on_device(bytes, total, one, two)), 1);
        }
        if let Some(rows) = self.rows {
            return (rows, self.workers_of(one.times(rows)));
        }
        let pass_bytes = CACHE_BYTES.min(self.bytes / MOST_WORKERS);
        if total.saturating_mul(one.bytes()) <= pass_bytes {
            return (total.max(1), 1);
        }
        // Tracked weights are in every graph once: what two rows keep beyond one row is a row's own.
        let Some(two) = two() else { return (1, self.workers_of(one)) };
        let row = two.beyond(one);
        let rows = (pass_bytes / row.bytes().max(1)).max(1);
        if row.kept == 0 {
            return (rows, self.workers_of(row.times(rows)));
        }
        // Whatever the number of workers, so that it changes no bit; and an even number of passes, so that two workers
        // have as many.
        let rows = rows.max(ROWS_OF_LARGE_LAYERS.min(self.passes_at_once(row) / 2));
        let rows = total.div_ceil(total.div_ceil(rows).next_multiple_of(2)).max(1);
        (rows, self.workers_of(row.times(rows)))
    }

    /// How many passes that each hold so much fit.
    fn passes_at_once(&self, pass: Footprint) -> usize {
        (if pass.kept > 0 { self.of_large_layers } else { self.bytes }) / pass.bytes().max(1)
    }

    /// How many of them run at once.
    fn workers_of(&self, pass: Footprint) -> usize {
        self.passes_at_once(pass).clamp(1, self.most_workers())
    }

    /// How many things of this size fit.
    pub(super) fn at_once(&self, bytes: usize) -> usize {
        self.bytes / bytes.max(1)
    }

    /// How many rows of these inputs a pass without a graph takes.
    pub(super) fn rows_without_graph(&self, inputs: &Inputs) -> usize {
        if self.on_device.is_some() {
            return self.rows_of_several_passes(inputs.tensors().iter());
        }
        let rows = |tensor: &Tensor| {
            let most = if tensor.dtype().is_int() && tensor.rank() > 1 { MOST_IDS } else { MOST_NUMBERS };
            let row = tensor.elem_count() / tensor.dims()[0].max(1);
            (most / row.max(1)).clamp(1, MOST_ROWS)
        };
        let rows = inputs.tensors().iter().map(rows).min().unwrap_or(1);
        rows.min(self.rows.unwrap_or(MOST_ROWS)).max(1)
    }

    /// How many rows of these tensors a pass without a graph takes where several such passes run at once.
    pub(super) fn rows_of_several_passes<'t>(&self, tensors: impl Iterator<Item = &'t Tensor>) -> usize {
        if let Some(rows) = self.rows {
            return rows;
        }
        let bytes = |tensor: &Tensor| {
            let row = tensor.elem_count() / tensor.dims()[0].max(1);
            row * if tensor.dtype().is_int() && tensor.rank() > 1 {
                BYTES_OF_AN_ID
            } else {
                tensor.dtype().size_in_bytes()
            }
        };
        let row = tensors.map(bytes).max().unwrap_or(0).max(1);
        let (bytes, most) = match self.on_device {
            Some(bytes) => (bytes.min(LARGEST_GRAPH_ON_DEVICE), MOST_ROWS_ON_DEVICE),
            None => (self.bytes / MOST_WORKERS, MOST_ROWS),
        };
        (bytes / BYTES_PER_INPUT_BYTE / row).clamp(1, most)
    }

    /// How many passes without a graph run at once. One of rows that the user has chosen takes all cores by itself, as
    /// nothing tells what several hold.
    pub(super) fn workers_without_graph(&self) -> usize {
        if self.rows.is_some() { 1 } else { self.most_workers() }
    }

    /// The most passes that run at once. A device other than the CPU computes one after another.
    fn most_workers(&self) -> usize {
        match self.on_device {
            Some(_) => 1,
            None => self.workers.unwrap_or_else(cores::all).clamp(1, MOST_WORKERS),
        }
    }

    /// How many examples, each of `width` numbers, are sampled together: of each number four are kept.
    pub(super) fn moments_at_once(&self, width: usize) -> usize {
        self.at_once(4 * numbers(width)).max(1)
    }

    /// How many lines, each of `width` numbers, are refined together.
    pub(super) fn lines_at_once(&self, width: usize) -> usize {
        self.at_once(FEWEST_PARTS * numbers(width)).max(1)
    }

    /// The most estimates of parts that each of these lines keeps.
    pub(super) fn parts_of_a_line(&self, width: usize, lines: usize) -> usize {
        self.at_once(numbers(width) * lines).max(FEWEST_PARTS)
    }

    /// How many points, each of `width` numbers, are held together, with activations and gradients as tensors and as
    /// numbers.
    pub(super) fn points_at_once(&self, width: usize) -> usize {
        self.at_once(4 * numbers(width)).max(1)
    }
}

/// The rows of a pass on a device other than the CPU: as many as fit into these bytes, in passes of about the same size.
fn rows_on_device(bytes: usize, total: usize, one: Footprint, two: impl FnOnce() -> Option<Footprint>) -> usize {
    let fits = |footprint: Footprint| footprint.bytes() <= bytes && footprint.graph <= LARGEST_GRAPH_ON_DEVICE;
    if total.checked_mul(one.bytes()).is_some() && fits(one.times(total)) {
        return total.max(1);
    }
    let Some(two) = two() else { return 1 };
    let row = two.beyond(one);
    let rows = (bytes / row.bytes().max(1)).min(LARGEST_GRAPH_ON_DEVICE / row.graph.max(1)).max(1);
    total.div_ceil(total.div_ceil(rows).max(1)).max(1)
}

/// The bytes of this many numbers on the host.
fn numbers(width: usize) -> usize {
    size_of::<f64>() * width.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// A budget for a device with so much memory.
    fn budget_of(memory: usize, share: f64) -> Budget {
        let on_device = Some((memory as f64 * share) as usize);
        Budget { share_of_device: share, on_device, ..Budget::default() }
    }

    /// What so many rows hold, of 4 MiB each beside weights of 100.
    fn held(rows: usize) -> Footprint {
        Footprint { graph: (100 + 4 * rows) * MIB, kept: 0 }
    }

    #[test]
    fn on_a_device_one_pass_takes_what_fits_into_the_share_of_its_memory() {
        // A row holds 12 MiB.
        for (gib, share, fit) in [(16, 0.5, 682), (16, 1., 1365), (4, 0.25, 85)] {
            let budget = budget_of(gib << 30, share);
            for total in [1, 7, 500, 5000, 100_000] {
                let (rows, workers) = budget.plan(total, held(1), || Some(held(2)));
                assert_eq!(workers, 1);
                assert!(rows <= fit.min(total), "{rows} rows of {total}, where {fit} fit");
                assert_eq!(total.div_ceil(rows), total.div_ceil(fit), "{rows} rows of {total}, where {fit} fit");
            }
        }
    }

    #[test]
    fn no_tensor_on_a_device_has_more_numbers_than_32_bits_count() {
        let (rows, _) = budget_of(1 << 40, 1.).plan(1 << 20, held(1), || Some(held(2)));
        assert!(rows * 4 * MIB <= LARGEST_GRAPH_ON_DEVICE && rows > 1500, "{rows}");
    }

    #[test]
    fn a_row_at_least_is_taken_and_what_the_user_has_chosen() {
        let small = budget_of(MIB, 0.5);
        assert_eq!(small.plan(50, held(1), || Some(held(2))), (1, 1));
        assert_eq!(small.plan(50, held(1), || None), (1, 1));
        assert_eq!(small.plan(50, Footprint::default(), || Some(Footprint::default())), (50, 1));
        let chosen = Budget { rows: Some(3), ..small };
        assert_eq!(chosen.plan(50, held(1), || Some(held(2))), (3, 1));
    }

    #[test]
    fn passes_of_rows_that_the_user_has_chosen_run_beside_each_other_where_they_fit() {
        let row = Footprint { graph: MIB, kept: 97 * MIB };
        for (rows, bytes, workers) in
            [(1, None, 3), (2, None, 1), (3, None, 1), (1, Some(200 * MIB), 2), (1, Some(1), 1)]
        {
            let mut budget = Budget { rows: Some(rows), workers: Some(4), ..Budget::default() };
            bytes.into_iter().for_each(|bytes| budget.hold(bytes));
            assert_eq!(budget.plan(50, row, || None), (rows, workers), "{rows} rows, {bytes:?} bytes");
        }
        let all = Budget { rows: Some(usize::MAX), workers: Some(4), ..Budget::default() };
        assert_eq!(all.plan(50, row, || None), (usize::MAX, 1));
    }

    #[test]
    fn two_passes_of_large_layers_fit_whatever_the_number_of_workers() {
        let held = |rows: usize, kept: usize| Footprint { graph: 0, kept: rows * kept * MIB };
        // 32, 128 and 256 tokens at BERT's size.
        for (kept, rows) in [(14, 12), (63, 3), (143, 1)] {
            for workers in [2, 8] {
                let budget = Budget { workers: Some(workers), ..Budget::default() };
                assert_eq!(budget.plan(48, held(1, kept), || Some(held(2, kept))), (rows, 2));
            }
        }
    }

    #[test]
    fn the_cpu_has_no_share_and_a_share_is_a_part() {
        assert_eq!(Budget::default().on(&Device::Cpu).unwrap().on_device, None);
        for share in [0., -0.5, 1.5, f64::NAN] {
            let error = Budget { share_of_device: share, ..Budget::default() }.check().unwrap_err().to_string();
            assert!(error.contains("device_memory_share") && error.contains("up to 1"), "{error}");
        }
    }
}
