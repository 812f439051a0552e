//! Inputs and what they are compared with, in one pass under DeepLift's rules.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use super::budget::Footprint;
use super::examination::Attributed;
use super::forward::take;
use super::gradient::gradients;
use super::gradient_passes::{input_vars, joined, one_above_another};
use super::host::{difference, host, product};
use super::passes::in_measured_passes;
use super::remarks::{Warning, is_noteworthy};
use super::rules::Rescale;
use super::totals::{Finished, Totals};
use super::{Baselines, Expansion, Lines, Numbers, Question};
use crate::error::{ErrorKind, Result, bail};
use crate::model::{Layers, Place, Tap};

/// How pairs are attributed.
#[derive(Clone, Copy)]
pub(crate) struct Pairing {
    /// Whether multipliers are multiplied by x − b.
    pub(crate) multiply: bool,
    /// Whether the baselines are a sample, so that their mean has a standard error.
    pub(crate) sampled: bool,
    /// Captum's own rules for softmax and the largest of a window, which look at the whole batch at once.
    pub(crate) captum: bool,
}

/// Some pairs as one batch: the rows of the inputs, followed by the rows that they are compared with.
struct Pairs {
    at: Expansion,
    tensors: Vec<Tensor>,
}

/// The results of a pass over some pairs.
struct Multipliers {
    /// `[pairs, ...]` for each attributed tensor.
    values: Vec<Tensor>,
    /// The attributed tensors themselves, both rows of each pair.
    points: Vec<Tensor>,
    /// F(x) − F(b).
    differences: Vec<f64>,
    footprint: Footprint,
}

impl Question<'_> {
    /// The multipliers of every line from its baseline, or their products with the attributed tensors' differences,
    /// averaged over the baselines.
    pub(crate) fn rescaled(&self, of: Attributed, baselines: &Baselines, how: Pairing) -> Result<Numbers> {
        if matches!(of, Attributed::Inputs) {
            self.require_float_inputs()?;
        }
        let lines = baselines.lines(self.inputs());
        let count = lines.count();
        let finished = |block: Range<usize>| {
            let pairs = self.pairs(baselines, lines, &block)?;
            let multipliers = self.multipliers(&pairs, of, how.captum)?;
            let numbers = if how.multiply { multipliers.products()? } else { multipliers.numbers()? };
            let Multipliers { values, differences, footprint, .. } = multipliers;
            let differences = how.multiply.then_some(differences);
            Ok((Finished::new(block, numbers, &values, differences), footprint))
        };
        self.plans(Some(2 * count));
        let mut totals = Totals::new(lines, 0);
        if how.sampled {
            totals = totals.with_spread();
        }
        if how.captum && !self.inputs().origins().is_empty() {
            bail!(
                Input,
                "captum_rules looks at the whole batch at once, so that classes have to be attributed one by one: call \
                 attribute for each, or leave captum_rules out"
            )
        }
        if how.captum {
            totals.add(finished(0..count)?.0)?;
        } else {
            in_measured_passes(&self.budget, count, finished, |finished| totals.add(finished))?;
        }
        let certainty = totals.certainty()?;
        let mut integral = totals.finish()?;
        integral.convergence.steps.clear();
        if let Some(example) = integral.convergence.beyond.iter().position(|beyond| *beyond) {
            let first = example * lines.baselines();
            self.warn(match how.captum {
                true => Warning::CaptumRules,
                false => self.where_the_sum_is_lost(&self.pairs(baselines, lines, &(first..first + 1))?, of)?,
            });
        }
        let numbers = Numbers::from(integral);
        Ok(match certainty {
            Some(certainty) => numbers.sampled(certainty),
            None => numbers,
        })
    }

    fn pairs(&self, baselines: &Baselines, lines: Lines, block: &Range<usize>) -> Result<Pairs> {
        let examples = lines.at(block, 1);
        let (ends, starts) = (self.input_points(&examples)?, baselines.starts(block)?);
        let joined = ends.iter().zip(&starts).map(|(end, start)| Ok(Tensor::cat(&[end, start], 0)?));
        let tensors = joined.collect::<Result<Vec<_>>>()?;
        let at = lines.at(block, 2).beginning_with_inputs().folded_in_pairs(self.inputs(), &tensors)?;
        Ok(Pairs { tensors, at })
    }

    fn multipliers(&self, pairs: &Pairs, of: Attributed, captum: bool) -> Result<Multipliers> {
        let count = pairs.count();
        let rule = Arc::new(Rescale::new(pairs.at.evaluations() / 2, captum));
        let mut vars = Vec::new();
        let mut tensors = pairs.at.fold_all(&pairs.tensors)?;
        if matches!(of, Attributed::Inputs) {
            vars = input_vars(&tensors)?;
            tensors = vars.iter().map(|(_, var)| var.as_tensor().clone()).collect();
        }
        // Cut there, layers side by side add up together.
        let taps = of.places().iter().map(|place| (place.clone(), Tap::Cut));
        let pass =
            self.scalars_under(Some(rule.clone()), &pairs.at.with_tensors(self.inputs(), tensors)?, taps, &pairs.at);
        let (scalars, mut layers) =
            pass.map_err(|e| e.at("a pass with an input and what it is compared with, row beside row"))?;
        for place in of.places() {
            vars.extend(take(&mut layers, place, &pairs.at)?.var.map(|var| (place.to_string(), var)));
        }
        let sample = match gradients((&scalars, layers.kept()), &vars, Vec::new(), &pairs.at) {
            Err(error) if error.kind() == ErrorKind::Gradient && of.places().len() > 1 => {
                for place in of.places() {
                    self.multipliers(pairs, Attributed::Replaced(std::slice::from_ref(place)), captum)?;
                }
                return Err(one_above_another(of.places()));
            }
            sample => sample?,
        };
        if layers.blocks() == 0 || (of.places().is_empty() && !rule.was_asked()) {
            bail!(
                Layer,
                "no block followed DeepLift's rules: they apply to what the model runs with layers.apply or layers.run; a \
                 closure or candle Module as a whole runs nothing so; for such a model take IntegratedGradients, which \
                 needs no blocks"
            )
        }
        drop(scalars);
        let upper = sample.gradients.iter().map(|value| Ok(value.narrow(0, 0, count)?.contiguous()?));
        let numbers = host(&sample.scalars)?;
        let differences = numbers[..count].iter().zip(&numbers[count..]).map(|(end, start)| end - start).collect();
        Ok(Multipliers {
            values: upper.collect::<Result<_>>()?,
            points: vars.iter().map(|(_, var)| pairs.at.unfold(var)).collect::<Result<_>>()?,
            differences,
            footprint: sample.footprint.under_rules(),
        })
    }

    /// Why a pair's multipliers do not add up: something is not computed in a block, between the layers that are named,
    /// or a part of the output does not go through the attributed layers.
    fn where_the_sum_is_lost(&self, pair: &Pairs, of: Attributed) -> Result<Warning> {
        let inputs = pair.at.with_tensors(self.inputs(), pair.tensors.clone())?;
        let rule = || Arc::new(Rescale::new(1, false));
        let (_, plain) = self.scalars(&inputs, [], &pair.at)?;
        let names = plain.names();
        let mut lost_below = None;
        for (index, name) in names.iter().enumerate().rev() {
            let place = Place::Output(name.clone());
            let tap = [(place.clone(), Tap::AddZero)];
            let (scalars, mut layers) = self.scalars_under(Some(rule()), &inputs, tap, &pair.at)?;
            if self.adds_up(&scalars, &mut layers, &place, &pair.at)? {
                lost_below = Some(index);
            }
        }
        let lowest = of.places().iter().filter_map(|place| names.iter().position(|name| name == place.layer())).min();
        let goes_past = match lowest {
            Some(lowest) if lost_below.is_some_and(|index| index < lowest) => true,
            Some(_) if self.require_float_inputs().is_ok() => {
                let multipliers = self.multipliers(pair, Attributed::Inputs, false)?;
                let (sum, wanted) = (multipliers.products()?.concat().iter().sum::<f64>(), multipliers.differences[0]);
                !is_noteworthy(sum - wanted, wanted)
            }
            _ => false,
        };
        Ok(match goes_past {
            true => Warning::GoesPast(joined(of.places())),
            false => {
                Warning::SumLost { below: lost_below.map(|index| names[index].clone()), layers: !names.is_empty() }
            }
        })
    }

    /// Whether the multipliers of a layer add up to F(x) − F(b) for the only pair.
    fn adds_up(&self, scalars: &Tensor, layers: &mut Layers, place: &Place, at: &Expansion) -> Result<bool> {
        let Some(caught) = layers.take(place) else { return Ok(false) };
        let Some(var) = caught.var else { return Ok(false) };
        let numbers = host(scalars)?;
        let Ok(sample) = gradients((scalars, 0), &[(place.to_string(), var)], Vec::new(), at) else { return Ok(false) };
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
}

impl Multipliers {
    fn numbers(&self) -> Result<Vec<Vec<f64>>> {
        self.values.iter().map(host).collect()
    }

    /// The multipliers times the differences of what they belong to.
    fn products(&self) -> Result<Vec<Vec<f64>>> {
        let mut numbers = self.numbers()?;
        for (numbers, point) in numbers.iter_mut().zip(&self.points) {
            let count = point.dims()[0] / 2;
            let starts = host(&point.narrow(0, count, count)?)?;
            let ends = host(&point.narrow(0, 0, count)?)?;
            let distances = ends.iter().zip(&starts).map(|(end, start)| difference(*end, *start));
            numbers.iter_mut().zip(distances).for_each(|(number, by)| *number = product(*number, by));
        }
        Ok(numbers)
    }
}
