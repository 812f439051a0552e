//! The integral along the lines: streamed in passes of bounded memory, over all cores.

use std::ops::Range;

use candle_core::Tensor;

use super::gradient::Sample;
use super::host::{host, product};
use super::passes::{Passes, allowing_single_rows};
use super::refinement::{Integrand, refine};
use super::totals::{Finished, Totals};
use super::{Convergence, Expansion, Lines, Path, PathSettings};
use crate::error::{ErrorKind, Result};

/// Added to an error: at the ends of the path a gradient may be infinite although it is finite in between.
const AT_THE_ENDS: &str =
    "with a quadrature that evaluates the ends of the path (GaussLegendre and RiemannMiddle do not)";

/// The result of integrating along the lines.
pub(crate) struct Integral {
    pub(crate) values: Vec<Tensor>,
    pub(crate) convergence: Convergence,
}

/// How a method integrates from its baselines to its inputs.
pub(crate) struct Walk<'a, P, E> {
    pub(crate) settings: &'a PathSettings,
    pub(crate) lines: Lines,
    pub(crate) passes: Passes,
    /// F at the end of each example's lines, where attributions must add up to F's difference.
    pub(crate) ends: Option<&'a [f64]>,
    /// Whether the integral is multiplied by the line's difference.
    pub(crate) scaled: bool,
    /// How many numbers a point of a line has.
    pub(crate) width: usize,
    /// Makes the path of some lines; evaluates the model on a given number of rows at once.
    pub(crate) prepare: P,
    /// The pass over some points of them.
    pub(crate) evaluate: E,
}

/// Folds the points of a block of lines, α ascending.
pub(crate) trait Fold: Send {
    /// Whether activations are read as well as gradients.
    const READS_ACTIVATIONS: bool = false;

    /// Takes the numbers of every line at one point, for each attributed tensor; no activations where they are not
    /// read.
    fn add(&mut self, step: usize, activations: &[&[f64]], gradients: &[&[f64]]);

    /// The integrals of the lines, for each attributed tensor.
    fn finish(self) -> Vec<Vec<f64>>;
}

impl<P, E> Walk<'_, P, E>
where
    P: Fn(&Range<usize>, usize) -> Result<Path> + Sync,
    E: Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
{
    /// The integral of the gradients by the quadrature of the settings, or to their tolerance.
    pub(crate) fn integrate(&self) -> Result<Integral> {
        if self.settings.tolerance.is_some() {
            return allowing_single_rows(self.passes, |passes| refine(self, passes, Integrand::Gradient));
        }
        let nodes = self.settings.quadrature.nodes(self.settings.n_steps)?;
        let alphas: Vec<f64> = nodes.iter().map(|node| node.alpha).collect();
        let weights: Vec<f64> = nodes.iter().map(|node| node.weight).collect();
        self.fold(&alphas, || WeightedSum { weights: &weights, sums: Vec::new() })
    }

    /// The integral of G dY over activations Y and gradients G, to the tolerance of the settings.
    pub(crate) fn integrate_product(&self) -> Result<Integral> {
        allowing_single_rows(self.passes, |passes| refine(self, passes, Integrand::GradientTimesSlope))
    }

    /// Evaluates every alpha on every line. Blocks of lines are independent and run on all cores; where they are fewer than
    /// these, the passes of a block do. These are folded into one state in the order of ascending alpha. Sums are
    /// taken in f64, point after point, so that neither the size of the passes nor the number of cores changes a number.
    pub(crate) fn fold<S: Fold>(&self, alphas: &[f64], start: impl Fn() -> S + Sync) -> Result<Integral> {
        allowing_single_rows(self.passes, |passes| {
            let count = self.lines.count();
            let (block, chunk) = self.lines.blocks(passes.rows, alphas.len());
            let mut totals = Totals::new(self.lines, alphas.len());
            let (of_blocks, within) = passes.shared_by(count.div_ceil(block), alphas.len().div_ceil(chunk));
            let job = |index: usize| {
                let lines = index * block..count.min((index + 1) * block);
                self.walk(lines, alphas, chunk, start(), within)
            };
            of_blocks.run(count.div_ceil(block), job, |finished| totals.add(finished))?;
            totals.finish()
        })
        .map_err(|error| match (alphas, error.kind()) {
            ([0., ..] | [.., 1.], ErrorKind::NotFinite) => error.at(AT_THE_ENDS),
            _ => error,
        })
    }

    fn walk<S: Fold>(
        &self,
        lines: Range<usize>,
        alphas: &[f64],
        chunk: usize,
        mut state: S,
        passes: Passes,
    ) -> Result<Finished> {
        let path = (self.prepare)(&lines, passes.rows)?;
        let points = |index: usize| index * chunk..alphas.len().min((index + 1) * chunk);
        let evaluate = |index: usize| {
            let alphas = &alphas[points(index)];
            let sample = (self.evaluate)(path.points(alphas)?, &self.lines.at(&lines, alphas.len()))?;
            let (read, form) = (if S::READS_ACTIVATIONS { sample.activations } else { Vec::new() }, sample.gradients);
            let activations = read.iter().map(host).collect::<Result<Vec<_>>>()?;
            let gradients = form.iter().map(host).collect::<Result<Vec<_>>>()?;
            Ok((points(index), activations, gradients, form))
        };
        let mut like = Vec::new();
        passes.run(alphas.len().div_ceil(chunk), evaluate, |(points, activations, gradients, form)| {
            for (copy, point) in points.clone().enumerate() {
                let activations = of_point(&activations, copy, points.len());
                let gradients = of_point(&gradients, copy, points.len());
                state.add(point, &activations, &gradients);
            }
            if like.is_empty() {
                like = form;
            }
            Ok(())
        })?;
        let mut values = state.finish();
        if self.scaled {
            for (values, differences) in values.iter_mut().zip(path.differences()?) {
                values.iter_mut().zip(differences).for_each(|(value, by)| *value = product(*value, by));
            }
        }
        let differences = self.line_differences(&lines, &path);
        Ok(Finished::new(lines, values, &like, differences))
    }

    /// F's difference along each line, where attributions must add up to it.
    pub(super) fn line_differences(&self, lines: &Range<usize>, path: &Path) -> Option<Vec<f64>> {
        Some(self.line_ends(lines, path)?.into_iter().map(|(start, end)| end - start).collect())
    }

    /// F at both ends of each line, where attributions must add up to its difference.
    pub(super) fn line_ends(&self, lines: &Range<usize>, path: &Path) -> Option<Vec<(f64, f64)>> {
        let (ends, starts) = (self.ends?, path.starts()?);
        Some(lines.clone().zip(starts).map(|(line, start)| (*start, ends[self.lines.example(line)])).collect())
    }
}

/// The numbers of one of several points, for each tensor.
fn of_point(numbers: &[Vec<f64>], point: usize, points: usize) -> Vec<&[f64]> {
    let width = |numbers: &[f64]| numbers.len() / points;
    numbers.iter().map(|numbers| &numbers[point * width(numbers)..(point + 1) * width(numbers)]).collect()
}

/// Σₖ weightₖ · valueₖ over the points.
struct WeightedSum<'a> {
    weights: &'a [f64],
    sums: Vec<Vec<f64>>,
}

impl Fold for WeightedSum<'_> {
    fn add(&mut self, step: usize, _activations: &[&[f64]], gradients: &[&[f64]]) {
        self.sums.resize_with(gradients.len(), Vec::new);
        for (sum, values) in self.sums.iter_mut().zip(gradients) {
            sum.resize(values.len(), 0.);
            sum.iter_mut().zip(*values).for_each(|(sum, value)| *sum += self.weights[step] * value);
        }
    }

    fn finish(self) -> Vec<Vec<f64>> {
        self.sums
    }
}
