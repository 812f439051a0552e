//! What is found out before the walk: whether the gradient is right, how large a point is, where the lines are.

use std::ops::Range;

use candle_core::Tensor;

use super::examination::{Attributed, Evaluate};
use super::gradient::Sample;
use super::passes::Passes;
use super::{Baselines, Expansion, Lines, Path, PathSettings, Question, Walk};
use crate::error::Result;
use crate::model::Place;

/// The place in an error where a model may fail although it takes the inputs.
const AT_BASELINE: &str = "at the baseline";

/// What the first passes showed.
pub(crate) struct Survey {
    pub(crate) passes: Passes,
    /// How many numbers a point has.
    pub(crate) width: usize,
    /// The attributed number of each example.
    pub(crate) ends: Vec<f64>,
}

/// What the sums along a line are.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    /// Whether they must add up to F's difference.
    pub(crate) add_up: bool,
    /// Whether they are multiplied by the line's difference.
    pub(crate) scaled: bool,
}

impl Question<'_> {
    /// Computes every example's number, compares the gradient of `evaluate` with the function, and plans the passes
    /// over `points` points of each line.
    pub(crate) fn survey(
        &self,
        baselines: &Baselines,
        points: usize,
        of: Attributed,
        evaluate: Evaluate,
    ) -> Result<Survey> {
        let survey = self.plan(baselines, points, Some(of), evaluate)?;
        self.check_other_targets(of, evaluate)?;
        Ok(survey)
    }

    /// The same without comparing gradients.
    pub(crate) fn survey_unchecked(&self, baselines: &Baselines, points: usize, evaluate: Evaluate) -> Result<Survey> {
        self.plan(baselines, points, None, evaluate)
    }

    fn plan(&self, baselines: &Baselines, points: usize, of: Option<Attributed>, evaluate: Evaluate) -> Result<Survey> {
        let lines = baselines.lines(self.inputs());
        let first = Expansion::of_inputs(vec![0]);
        let of = of.filter(|_| self.subject.checks_gradients());
        let sample = match of {
            Some(_) => evaluate(self, &first)?,
            None => self.measuring(|question| evaluate(question, &first))?,
        };
        if let Some(of) = of {
            self.check_gradient(of, &sample, evaluate)?;
        }
        if self.rounds() {
            // Where nothing was checked, the sample has no gradients.
            let own = if of.is_none() { Some(evaluate(self, &first)?) } else { None };
            self.compare_precisions(own.as_ref().unwrap_or(&sample), evaluate)?;
        }
        let ends = self.values()?;
        let width = sample.gradients.iter().map(Tensor::elem_count).sum();
        // Two rows are measured at the start of the lines: the inputs were computed already. A model of known operations
        // tracks none of its weights, so each further row holds as much as the first.
        let two = || {
            if self.model().known_operations().is_some() {
                return Some(sample.footprint.times(2));
            }
            let at = Expansion::new(vec![0, 0], 1);
            let starts = [baselines.starts(&(0..1)).ok()?, baselines.starts(&(0..1)).ok()?];
            let pair = starts[0].iter().zip(&starts[1]).map(|(one, two)| Tensor::cat(&[one, two], 0));
            let elsewhere = self.elsewhere(pair.collect::<candle_core::Result<_>>().ok()?, &at).ok()?;
            Some(evaluate(&elsewhere, &Expansion::new(vec![0, 1], 1)).ok()?.footprint)
        };
        let passes = Passes::plan(&self.budget, lines.count() * points, sample.footprint, two);
        Ok(Survey { passes, width, ends })
    }

    /// The walk from the baselines to the inputs.
    pub(crate) fn input_walk<'w, E>(
        &'w self,
        settings: &'w PathSettings,
        baselines: &'w Baselines,
        survey: &'w Survey,
        sums: Sums,
        evaluate: E,
    ) -> Walk<'w, impl Fn(&Range<usize>, usize) -> Result<Path> + Sync, E>
    where
        E: Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
    {
        let lines = baselines.lines(self.inputs());
        self.plans(settings.points_of(lines));
        Walk {
            settings,
            lines,
            passes: survey.passes,
            width: survey.width,
            ends: sums.add_up.then_some(&survey.ends),
            scaled: sums.scaled,
            prepare: move |block: &Range<usize>, rows| self.input_path(baselines, lines, block, sums.add_up, rows),
            evaluate,
        }
    }

    /// The lines of a block from the baselines to the inputs, with F at their starts if attributions must add up.
    fn input_path(
        &self,
        baselines: &Baselines,
        lines: Lines,
        block: &Range<usize>,
        adds_up: bool,
        rows: usize,
    ) -> Result<Path> {
        let at = lines.at(block, 1);
        let from = baselines.starts(block)?;
        let starts = adds_up.then(|| self.values_at_starts(&from, &at, rows)).transpose()?;
        Ok(Path::new(from, self.input_points(&at)?)?.with_starts(starts))
    }

    /// F where lines start.
    pub(super) fn values_at_starts(&self, from: &[Tensor], at: &Expansion, rows: usize) -> Result<Vec<f64>> {
        self.values_at(from, at, rows).map_err(|e| e.at(AT_BASELINE))
    }

    /// The same between the outputs of layers for the baselines and for the inputs.
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
        let starts = adds_up.then(|| self.values_at_starts(&below, &at, rows)).transpose()?;
        let from = self.activations_at(places, &below, &at, rows).map_err(|e| e.at(AT_BASELINE))?;
        let to = self.activations_at(places, &self.input_points(&at)?, &at, rows)?;
        Ok(Path::new(from, to)?.with_starts(starts).within_model())
    }
}
