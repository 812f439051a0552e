//! Inputs and what they are compared with, in one pass under DeepLift's rules.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Tensor, Var};

use super::gradient::gradients;
use super::gradient_passes::input_vars;
use super::host::{host, product};
use super::passes::in_measured_passes;
use super::remarks::{Warning, is_noteworthy};
use super::rules::Rescale;
use super::totals::{Finished, Totals};
use super::{Baselines, Expansion, Integral, Lines, Question};
use crate::error::Result;
use crate::model::{Layers, Place, Tap};

/// How pairs are attributed.
#[derive(Clone, Copy)]
pub(crate) struct Pairing {
    /// Whether multipliers are multiplied by x − b.
    pub(crate) multiply: bool,
    /// Captum's own rules for softmax and the largest of a window, which look at the whole batch at once.
    pub(crate) captum: bool,
}

/// Some pairs as one batch: the rows of the inputs, followed by the rows that they are compared with.
struct Pairs {
    at: Expansion,
    points: Vec<(String, Var)>,
}

/// The results of a pass over some pairs.
struct Multipliers {
    /// `[pairs, ...]` for each input.
    values: Vec<Tensor>,
    /// F(x) − F(b).
    differences: Vec<f64>,
    graph_bytes: usize,
}

impl Question<'_> {
    /// The multipliers of every line from its baseline, or their products with x − b, averaged over the baselines.
    pub(crate) fn rescaled(&self, baselines: &Baselines, how: Pairing) -> Result<Integral> {
        self.require_float_inputs()?;
        let lines = baselines.lines(self.batch_size());
        let count = lines.count();
        let finished = |block: Range<usize>| {
            let pairs = self.pairs(baselines, lines, &block)?;
            let Multipliers { values, differences, graph_bytes } = self.multipliers(&pairs, how)?;
            let mut numbers = values.iter().map(host).collect::<Result<Vec<_>>>()?;
            if how.multiply {
                pairs.multiply_by_distances(&mut numbers)?;
            }
            let differences = how.multiply.then_some(differences);
            Ok((Finished::new(block, numbers, &values, differences), graph_bytes))
        };
        let mut totals = Totals::new(lines, 0);
        if how.captum {
            totals.add(finished(0..count)?.0)?;
        } else {
            in_measured_passes(&self.budget, count, finished, |finished| totals.add(finished))?;
        }
        let mut integral = totals.finish()?;
        integral.convergence.steps.clear();
        if let Some(example) = integral.convergence.beyond.iter().position(|beyond| *beyond) {
            let first = example * lines.baselines();
            self.warn(match how.captum {
                true => Warning::CaptumRules,
                false => self.where_the_sum_is_lost(&self.pairs(baselines, lines, &(first..first + 1))?)?,
            });
        }
        Ok(integral)
    }

    fn pairs(&self, baselines: &Baselines, lines: Lines, block: &Range<usize>) -> Result<Pairs> {
        let examples = lines.at(block, 1);
        let (ends, starts) = (self.input_points(&examples)?, baselines.starts(block)?);
        let joined = ends.iter().zip(&starts).map(|(end, start)| Ok(Tensor::cat(&[end, start], 0)?));
        let points = input_vars(&joined.collect::<Result<Vec<_>>>()?)?;
        Ok(Pairs { points, at: lines.at(block, 2).beginning_with_inputs() })
    }

    fn multipliers(&self, pairs: &Pairs, how: Pairing) -> Result<Multipliers> {
        let count = pairs.count();
        let rule = Arc::new(Rescale::new(count, how.captum));
        let inputs = pairs.at.with_tensors(self.inputs(), pairs.tensors())?;
        let pass = self.scalars_under(Some(rule), &inputs, [], &pairs.at);
        let (scalars, _) =
            pass.map_err(|e| e.at("a pass with an input and what it is compared with, row beside row"))?;
        let sample = gradients(&scalars, &pairs.points, pairs.tensors())?;
        drop(scalars);
        let upper = sample.gradients.iter().map(|value| Ok(value.narrow(0, 0, count)?.contiguous()?));
        let numbers = host(&sample.scalars)?;
        let differences = numbers[..count].iter().zip(&numbers[count..]).map(|(end, start)| end - start).collect();
        Ok(Multipliers { values: upper.collect::<Result<_>>()?, differences, graph_bytes: sample.graph_bytes })
    }

    /// The warning that names the layers between which a pair's multipliers stop adding up: something there is not
    /// computed in a block.
    fn where_the_sum_is_lost(&self, pair: &Pairs) -> Result<Warning> {
        let inputs = pair.at.with_tensors(self.inputs(), pair.tensors())?;
        let rule = || Arc::new(Rescale::new(1, false));
        let (_, plain) = self.scalars(&inputs, [], &pair.at)?;
        let names = plain.names();
        let mut lost_below = None;
        for name in names.iter().rev() {
            let place = Place::Output(name.clone());
            let tap = [(place.clone(), Tap::AddZero)];
            let (scalars, mut layers) = self.scalars_under(Some(rule()), &inputs, tap, &pair.at)?;
            if self.adds_up(&scalars, &mut layers, &place)? {
                lost_below = Some(name.clone());
            }
        }
        Ok(Warning::SumLost { below: lost_below, layers: !names.is_empty() })
    }

    /// Whether the multipliers of a layer add up to F(x) − F(b) for the only pair.
    fn adds_up(&self, scalars: &Tensor, layers: &mut Layers, place: &Place) -> Result<bool> {
        let Some(caught) = layers.take(place) else { return Ok(false) };
        let Some(var) = caught.var else { return Ok(false) };
        let numbers = host(scalars)?;
        let Ok(sample) = gradients(scalars, &[(place.to_string(), var)], Vec::new()) else { return Ok(false) };
        let (multipliers, activation) = (host(&sample.gradients[0])?, host(&caught.activation)?);
        let half = activation.len() / 2;
        let sum: f64 = (0..half).map(|index| multipliers[index] * (activation[index] - activation[half + index])).sum();
        let wanted = numbers[0] - numbers[1];
        Ok(!is_noteworthy(sum - wanted, wanted))
    }
}

impl Pairs {
    fn count(&self) -> usize {
        self.at.len() / 2
    }

    fn tensors(&self) -> Vec<Tensor> {
        self.points.iter().map(|(_, var)| var.as_tensor().clone()).collect()
    }

    /// Multiplies each input's numbers by x − b.
    fn multiply_by_distances(&self, numbers: &mut [Vec<f64>]) -> Result<()> {
        for (numbers, (_, point)) in numbers.iter_mut().zip(&self.points) {
            let starts = host(&point.narrow(0, self.count(), self.count())?)?;
            let ends = host(&point.narrow(0, 0, self.count())?)?;
            let distances = ends.iter().zip(&starts).map(|(end, start)| end - start);
            numbers.iter_mut().zip(distances).for_each(|(number, by)| *number = product(*number, by));
        }
        Ok(())
    }
}
