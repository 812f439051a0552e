//! F where only some features are present.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use foldhash::{HashMap, HashMapExt};

use super::host::host_row;
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

/// F of each example with some features present and all others put to their baseline. With several baselines it is the
/// mean over them.
pub(crate) struct Coalitions<'q> {
    perturbed: Perturbed<'q>,
    baselines: Baselines,
    /// F at the inputs themselves.
    whole: Vec<f64>,
    /// The features of each example that equal every baseline: their absence changes nothing.
    equal: Vec<Bits>,
    known: Mutex<HashMap<(usize, Bits), f64>>,
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
        let equal = (0..whole.len()).map(|example| equal(&perturbed, &baselines, example));
        let equal = equal.collect::<Result<_>>()?;
        Ok(Self { perturbed, baselines, whole, equal, known: Mutex::new(HashMap::new()) })
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
        let features = u32::try_from(self.features()).unwrap_or(u32::MAX);
        let all = 1usize.checked_shl(features).map_or(usize::MAX, |all| all - 1);
        self.perturbed.plans(coalitions.min(all).saturating_mul(self.whole.len() * self.baselines.count()));
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
        let mut jobs = Jobs::default();
        for (column, coalition) in coalitions.iter().enumerate() {
            let coalition: Bits = coalition.iter().copied().collect();
            for (row, example) in examples.iter().enumerate() {
                let key = (*example, coalition.or(&self.equal[*example]));
                if key.1.len() == self.features() {
                    values[row][column] = self.whole[*example];
                } else if let Some(value) = self.known().get(&key) {
                    values[row][column] = *value;
                } else {
                    jobs.add(key, (row, column));
                    if jobs.keys.len() >= most {
                        self.run(std::mem::take(&mut jobs), &mut values)?;
                    }
                }
            }
        }
        self.run(jobs, &mut values)?;
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

    fn run(&self, jobs: Jobs, values: &mut [Vec<f64>]) -> Result<()> {
        let baselines = self.baselines.count();
        let mixture = |index: usize| {
            let (example, present) = &jobs.keys[index / baselines];
            Mixture { example: *example, donor: self.baselines.row(*example, index % baselines), present }
        };
        let evaluated = self.perturbed.evaluate(jobs.keys.len() * baselines, mixture)?;
        let means: Vec<f64> =
            evaluated.chunks(baselines).map(|chunk| chunk.iter().sum::<f64>() / baselines as f64).collect();
        for ((row, column), job) in jobs.wanted {
            values[row][column] = means[job];
        }
        let mut known = self.known();
        let room = KEPT_BYTES / (ENTRY_BYTES + Bits::bytes(self.features()));
        for (key, mean) in jobs.keys.into_iter().zip(means).take(room.saturating_sub(known.len())) {
            known.insert(key, mean);
        }
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(usize, Bits), f64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Coalitions that wait for their evaluation, each once.
#[derive(Default)]
struct Jobs {
    keys: Vec<(usize, Bits)>,
    numbers: HashMap<(usize, Bits), usize>,
    /// Where each job's value goes.
    wanted: Vec<((usize, usize), usize)>,
}

impl Jobs {
    fn add(&mut self, key: (usize, Bits), place: (usize, usize)) {
        let job = *self.numbers.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            self.keys.len() - 1
        });
        self.wanted.push((place, job));
    }
}

/// The features of an example that equal all of its baselines.
fn equal(perturbed: &Perturbed, baselines: &Baselines, example: usize) -> Result<Bits> {
    let row = |tensors: &[Tensor], row: usize| {
        let rows = tensors.iter().map(|tensor| tensor.narrow(0, row, 1)).collect::<candle_core::Result<Vec<_>>>()?;
        host_row(&rows)
    };
    let point = row(perturbed.points(), example)?;
    let mut differ = vec![false; point.len()];
    for baseline in 0..baselines.count() {
        let start = row(baselines.tensors(), baselines.row(example, baseline))?;
        differ.iter_mut().zip(point.iter().zip(&start)).for_each(|(differ, (one, other))| *differ |= one != other);
    }
    let starts = perturbed.points().iter().scan(0, |next, tensor| {
        let start = *next;
        *next += tensor.elem_count() / tensor.dims()[0];
        Some(start)
    });
    let starts: Vec<usize> = starts.collect();
    let features = perturbed.features();
    let differing = features.that_have(example, |tensor, position| differ[starts[tensor] + position]);
    Ok((0..features.count()).map(|feature| !differing.contains(feature)).collect())
}
