//! F where only some features are present.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use foldhash::HashMap;

use super::host::{host_row, host_rows};
use super::passes::blocks;
use super::perturbed::{Mixture, Perturbed};
use super::{Baseline, Baselines, Bits, FeatureMask, Features, Question};
use crate::error::Result;
use crate::model::Place;

/// The bytes of values that are kept for coalitions asked for again.
const KEPT_BYTES: usize = 32 << 20;
/// The bytes of coalitions that are evaluated together.
const JOB_BYTES: usize = 16 << 20;
/// The most passes whose evaluations are gathered before they run.
const PASSES_TOGETHER: usize = 64;
/// What a kept value takes beside its coalition.
const ENTRY_BYTES: usize = 48;
/// The numbers of the inputs that are compared with their baselines at once.
const COMPARED_TOGETHER: usize = 1 << 16;

/// F of each example with some features present and all others put to their baseline. With several baselines it is the
/// mean over them.
pub(crate) struct Coalitions<'q> {
    perturbed: Perturbed<'q>,
    baselines: Baselines,
    /// F at the inputs themselves.
    whole: Vec<f64>,
    /// The features of each example that equal every baseline: their absence changes nothing.
    equal: Vec<Bits>,
    evaluated: Mutex<Evaluated>,
}

impl<'q> Question<'q> {
    /// Coalitions of the features of the inputs.
    pub(crate) fn coalitions(&'q self, mask: &FeatureMask, baseline: &Baseline) -> Result<Coalitions<'q>> {
        self.warn_of_ids_against(baseline);
        let features = self.features(mask)?;
        let baselines = baseline.resolve(self.inputs())?;
        let perturbed = Perturbed::new(self, &[], self.inputs().tensors(), baselines.tensors(), features)?;
        Coalitions::new(self, perturbed, baselines)
    }

    /// Coalitions of the features of layers, whose activations for the inputs are given.
    pub(crate) fn layer_coalitions(
        &'q self,
        places: &[Place],
        activations: &[Tensor],
        mask: &FeatureMask,
        baseline: &Baseline,
    ) -> Result<Coalitions<'q>> {
        let activations = self.inputs().replaced(activations.to_vec(), Vec::new());
        let features = self.layer_features(mask, activations.tensors())?;
        let baselines = baseline.resolve(&activations).map_err(|e| e.at("at the layer"))?;
        let perturbed = Perturbed::new(self, places, activations.tensors(), baselines.tensors(), features)?;
        Coalitions::new(self, perturbed, baselines)
    }
}

impl<'q> Coalitions<'q> {
    fn new(question: &'q Question<'q>, perturbed: Perturbed<'q>, baselines: Baselines) -> Result<Self> {
        let whole = question.values()?;
        let equal = equal(&perturbed, &baselines)?;
        Ok(Self { perturbed, baselines, whole, equal, evaluated: Mutex::default() })
    }

    /// How many features there are.
    pub(crate) fn features(&self) -> usize {
        self.perturbed.features().count()
    }

    /// F at the inputs themselves, where every feature is present.
    pub(crate) fn whole(&self) -> &[f64] {
        &self.whole
    }

    /// How many baselines each example is compared with.
    pub(crate) fn baselines(&self) -> usize {
        self.baselines.count()
    }

    /// Tells the observer that about so many coalitions of each example are still to be evaluated, or all that there are.
    pub(super) fn plans(&self, coalitions: usize) {
        let of_example = |equal: &Bits| {
            let differing = u32::try_from(self.features() - equal.len()).unwrap_or(u32::MAX);
            coalitions.min(1usize.checked_shl(differing).map_or(usize::MAX, |all| all - 1))
        };
        let all = self.equal.iter().map(of_example).fold(0, usize::saturating_add);
        self.perturbed.plans(all.saturating_mul(self.baselines.count()));
    }

    /// The features of an example that differ from a baseline.
    pub(super) fn differing(&self, example: usize) -> Vec<usize> {
        (0..self.features()).filter(|feature| !self.equal[example].contains(*feature)).collect()
    }

    /// What is perturbed, `[batch, ...]` each.
    pub(super) fn points(&self) -> &[Tensor] {
        self.perturbed.points()
    }

    /// Where each baseline of an example is: the tensors, and the row in them.
    pub(super) fn starts(&self, example: usize) -> Vec<(&[Tensor], usize)> {
        let row = |baseline: usize| (self.baselines.tensors(), self.baselines.row(example, baseline));
        (0..self.baselines.count()).map(row).collect()
    }

    pub(super) fn feature_ids(&self) -> &Features {
        self.perturbed.features()
    }

    /// `0..count` coalitions in blocks that should be asked for at once: larger ones are not faster, and take memory.
    pub(crate) fn blocks(&self, count: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let most = (JOB_BYTES / self.features().max(1)).clamp(1, PASSES_TOGETHER * self.perturbed.rows());
        blocks(count, most)
    }

    /// F for each of these examples in each of these coalitions, which say for each feature whether it is present.
    ///
    /// What is the same for an example is evaluated once: equal coalitions, and those that differ in features that
    /// equal their baseline.
    pub(crate) fn values(&self, examples: &[usize], coalitions: &[Vec<bool>]) -> Result<Vec<Vec<f64>>> {
        let mut values = vec![vec![0.; coalitions.len()]; examples.len()];
        let most = (PASSES_TOGETHER * self.perturbed.rows())
            .min(JOB_BYTES / (2 * Bits::bytes(self.features())))
            .max(self.perturbed.rows());
        let mut evaluated = self.evaluated.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = Vec::new();
        for (column, coalition) in coalitions.iter().enumerate() {
            let coalition: Bits = coalition.iter().copied().collect();
            for (row, example) in examples.iter().enumerate() {
                let present = coalition.or(&self.equal[*example]);
                if present.len() == self.features() {
                    values[row][column] = self.whole[*example];
                    continue;
                }
                wanted.push(((row, column), evaluated.number(*example, present)));
                if evaluated.waiting.len() >= most {
                    self.run(&mut evaluated, std::mem::take(&mut wanted), &mut values)?;
                }
            }
        }
        self.run(&mut evaluated, wanted, &mut values)?;
        Ok(values)
    }

    /// One number for each feature of each example, in the shapes of what is perturbed.
    pub(crate) fn in_shape(&self, values: &[Vec<f64>]) -> Result<Vec<Tensor>> {
        self.perturbed.in_shape(values)
    }

    /// One number for each feature of an example, as one for each element, one tensor after another.
    pub(crate) fn spread(&self, example: usize, values: &[f64]) -> Vec<f64> {
        self.perturbed.features().spread(example, values)
    }

    /// Evaluates what waits, and writes the values that are wanted to their places.
    fn run(
        &self,
        evaluated: &mut Evaluated,
        wanted: Vec<((usize, usize), usize)>,
        values: &mut [Vec<f64>],
    ) -> Result<()> {
        let baselines = self.baselines.count();
        let waiting = std::mem::take(&mut evaluated.waiting);
        let mixture = |index: usize| {
            let (example, present) = &waiting[index / baselines];
            Mixture { example: *example, donor: self.baselines.row(*example, index % baselines), present }
        };
        let new = self.perturbed.evaluate(waiting.len() * baselines, mixture);
        let new = new.inspect_err(|_| *evaluated = Evaluated::default())?;
        evaluated.values.extend(new.chunks(baselines).map(|chunk| chunk.iter().sum::<f64>() / baselines as f64));
        for ((row, column), number) in wanted {
            values[row][column] = evaluated.values[number];
        }
        if evaluated.values.len() > KEPT_BYTES / (ENTRY_BYTES + Bits::bytes(self.features())) {
            *evaluated = Evaluated::default();
        }
        Ok(())
    }
}

/// The coalitions of examples that were asked for, each once, in their order.
#[derive(Default)]
struct Evaluated {
    numbers: HashMap<(usize, Bits), usize>,
    /// F of each, but for those that wait.
    values: Vec<f64>,
    /// The last ones, which are not evaluated yet.
    waiting: Vec<(usize, Bits)>,
}

impl Evaluated {
    /// The number of a coalition of an example. It waits for its evaluation if it was not asked for before.
    fn number(&mut self, example: usize, present: Bits) -> usize {
        *self.numbers.entry((example, present)).or_insert_with_key(|key| {
            self.waiting.push(key.clone());
            self.values.len() + self.waiting.len() - 1
        })
    }
}

/// The features of each example that equal all of its baselines.
fn equal(perturbed: &Perturbed, baselines: &Baselines) -> Result<Vec<Bits>> {
    let points = perturbed.points();
    let starts = points.iter().scan(0, |next, tensor| {
        let start = *next;
        *next += tensor.elem_count() / tensor.dims()[0];
        Some(start)
    });
    let starts: Vec<usize> = starts.collect();
    let (batch, width) = (points[0].dims()[0], points.iter().map(|p| p.elem_count() / p.dims()[0]).sum::<usize>());
    let features = perturbed.features();
    let rows_of = |tensors: &[Tensor], rows: Range<usize>| {
        tensors.iter().map(|tensor| tensor.narrow(0, rows.start, rows.len())).collect::<candle_core::Result<Vec<_>>>()
    };
    let mut equal = Vec::with_capacity(batch);
    for block in blocks(batch, COMPARED_TOGETHER / width.max(1)) {
        let rows = host_rows(&rows_of(points, block.clone())?)?;
        let mut differ = vec![vec![false; width]; block.len()];
        let mut compared = None;
        for baseline in 0..baselines.count() {
            for (example, (row, differ)) in block.clone().zip(rows.iter().zip(&mut differ)) {
                let at = baselines.row(example, baseline);
                let (_, start) = match compared.take_if(|(row, _)| *row == at) {
                    Some(same) => compared.insert(same),
                    None => compared.insert((at, host_row(&rows_of(baselines.tensors(), at..at + 1)?)?)),
                };
                differ
                    .iter_mut()
                    .zip(row.iter().zip(&*start))
                    .for_each(|(differ, (one, other))| *differ |= one != other);
            }
        }
        equal.extend(block.zip(&differ).map(|(example, differ)| {
            let differing = features.that_have(example, |tensor, position| differ[starts[tensor] + position]);
            (0..features.count()).map(|feature| !differing.contains(feature)).collect()
        }));
    }
    Ok(equal)
}
