//! What comes before the walk: is the gradient right, how large is a point, where do the lines lie?

use std::ops::Range;

use candle_core::Tensor;

use super::examination::{Attributed, Evaluate};
use super::gradient::Sample;
use super::passes::Passes;
use super::{Baselines, Expansion, Lines, Path, PathSettings, Question};
use crate::error::Result;
use crate::model::Place;

/// A guess at the numbers that stand for an id.
const EMBEDDING: usize = 1024;

/// Where a model that takes the inputs may fail all the same.
const AT_BASELINE: &str = "at the baseline";

/// What a first pass told.
pub(crate) struct Survey {
    pub(crate) passes: Passes,
    /// How many numbers the sample of a point holds.
    pub(crate) width: usize,
}

impl Survey {
    fn new(settings: &PathSettings, total: usize, first: &Sample, two: impl FnOnce() -> Option<usize>) -> Self {
        let width = first.values.iter().map(Tensor::elem_count).sum();
        Self { passes: Passes::plan(settings, total, first.graph_bytes, two), width }
    }
}

impl Question<'_> {
    /// A pass over the first example: its gradient is compared with the function, at the point that `evaluate` gives
    /// beside its sample, and its size plans the passes over `total` points.
    pub(crate) fn survey(
        &self,
        settings: &PathSettings,
        total: usize,
        of: Attributed,
        evaluate: Evaluate,
    ) -> Result<Survey> {
        self.check_other_targets(of, evaluate)?;
        if !self.needs_check(of) {
            return self.plan(settings, total, |at| Ok(evaluate(self, at)?.1));
        }
        let (point, first) = evaluate(self, &Expansion::new(vec![0], 1))?;
        self.check_gradient(of, &point, &first, evaluate)?;
        let two = || Some(evaluate(self, &Expansion::new(vec![0, 0], 1)).ok()?.1.graph_bytes);
        Ok(Survey::new(settings, total, &first, two))
    }

    /// The survey of a method that takes the gradients of layers at points of the inputs.
    pub(crate) fn survey_of_layers(&self, settings: &PathSettings, total: usize, places: &[Place]) -> Result<Survey> {
        self.survey(settings, total, Attributed::Layers(places), &|question, at| {
            question.layers_with_gradients(places, at)
        })
    }

    /// The passes over `total` points, from the size of one; none is evaluated where the user has chosen them.
    pub(crate) fn plan(
        &self,
        settings: &PathSettings,
        total: usize,
        evaluate: impl Fn(&Expansion) -> Result<Sample>,
    ) -> Result<Survey> {
        if let Some(rows) = settings.internal_batch_size {
            let numbers = |input: &Tensor| {
                let row = input.elem_count() / self.batch_size();
                if input.dtype().is_int() { EMBEDDING * row } else { row }
            };
            let width = self.inputs().tensors().iter().map(numbers).sum();
            return Ok(Survey { passes: Passes::of(rows), width });
        }
        let first = evaluate(&Expansion::new(vec![0], 1))?;
        let two = || Some(evaluate(&Expansion::new(vec![0, 0], 1)).ok()?.graph_bytes);
        Ok(Survey::new(settings, total, &first, two))
    }

    /// The lines of a block from the baselines to the inputs, with F at their starts if attributions must add up.
    pub(crate) fn input_path(
        &self,
        baselines: &Baselines,
        lines: Lines,
        block: &Range<usize>,
        adds_up: bool,
        rows: usize,
    ) -> Result<Path> {
        let at = lines.at(block, 1);
        let from = baselines.starts(block)?;
        let starts = adds_up.then(|| self.values_at(&from, &at, rows)).transpose().map_err(|e| e.at(AT_BASELINE))?;
        Ok(Path::new(from, self.input_points(&at)?)?.with_starts(starts))
    }

    /// The same between what layers give for the baselines and for the inputs.
    pub(crate) fn layer_path(
        &self,
        places: &[Place],
        baselines: &Baselines,
        lines: Lines,
        block: &Range<usize>,
        adds_up: bool,
        rows: usize,
    ) -> Result<Path> {
        let at = lines.at(block, 1);
        let below = baselines.starts(block)?;
        let starts = adds_up.then(|| self.values_at(&below, &at, rows)).transpose().map_err(|e| e.at(AT_BASELINE))?;
        let from = self.activations_at(places, &below, &at, rows).map_err(|e| e.at(AT_BASELINE))?;
        let to = self.activations_at(places, &self.input_points(&at)?, &at, rows)?;
        Ok(Path::new(from, to)?.with_starts(starts))
    }
}
