//! Any method's attributions of inputs with noise.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use super::host::host;
use super::moments::Statistic;
use super::observer::Meter;
use super::passes::blocks;
use super::remarks::Warning;
use super::{Attribute, Attributions, Expansion, Moments, Numbers, Observer, SamplingSettings, Stdevs, Target};
use crate::error::{Result, bail};
use crate::model::Inputs;

/// What a [`NoiseTunnel`](crate::attr::NoiseTunnel) gives of the attributions a of noisy inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoiseTunnelType {
    /// E\[a\], their mean (the default).
    #[default]
    SmoothGrad,
    /// E\[a²\], the mean of their squares.
    SmoothGradSq,
    /// Their variance, from n samples by Σ (a − ā)² / (n − 1), which is right on average.
    VarGrad,
    /// The same divided by n, as Captum does: with 5 samples, a fifth less than the variance on average.
    CaptumVarGrad,
}

impl NoiseTunnelType {
    fn statistic(self) -> Statistic {
        match self {
            NoiseTunnelType::SmoothGrad | NoiseTunnelType::SmoothGradSq => Statistic::Mean,
            NoiseTunnelType::VarGrad => Statistic::Variance,
            NoiseTunnelType::CaptumVarGrad => Statistic::BiasedVariance,
        }
    }
}

/// A method whose inputs get noise.
pub(crate) struct NoisyInputs<'a> {
    pub(crate) method: &'a dyn Attribute,
    pub(crate) nt_type: NoiseTunnelType,
    pub(crate) stdevs: &'a Stdevs,
    pub(crate) sampling: &'a SamplingSettings,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl NoisyInputs<'_> {
    pub(crate) fn attribute(&self, name: &'static str, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.sampling.check()?;
        let statistic = self.nt_type.statistic();
        if statistic != Statistic::Mean && self.sampling.tolerance.is_none() && self.sampling.n_samples < 2 {
            bail!(Input, "n_samples is 1: a variance takes at least 2")
        }
        let noise = self.stdevs.resolve(inputs)?;
        let meter = Meter::new("input", self.observer.clone());
        let call = |method: &dyn Attribute, inputs: &Inputs, target: &Target| {
            let Some(meter) = &meter else { return method.attribute_to(inputs, target) };
            meter.ask_to_go_on()?;
            meter.hands_over(inputs.batch_size()?);
            let result = method.attribute_to(inputs, target)?;
            meter.count(result.batch_size())?;
            Ok(result)
        };
        if let (Some(meter), Some(samples)) = (&meter, self.sampling.planned()) {
            meter.plans(inputs.batch_size()?.saturating_mul(1 + samples));
        }
        let clean = call(self.method, inputs, target)?;
        let width = clean.values().iter().map(|value| value.elem_count() / clean.batch_size().max(1)).sum();
        let reseeds = self.method.reseeded(self.sampling.seed).is_some();
        let compares = self.method.compares_examples();
        let (mut short, mut all) = (0, 0);
        let of_group = |group: Range<usize>| {
            let first = group.start;
            let moments = vec![Moments::of(statistic, width); group.len()];
            let scale =
                |_: usize, estimates: &[f64]| estimates.iter().fold(1., |most: f64, value| most.max(value.abs()));
            let sampled = self.sampling.draw_more_until_settled(moments, scale, |open, samples, moments| {
                let settled: Vec<usize> = match compares {
                    true => (0..moments.len()).filter(|example| open.binary_search(example).is_err()).collect(),
                    false => Vec::new(),
                };
                let mut open = [open, &settled].concat();
                open.sort_unstable();
                let rows = match reseeds || compares {
                    true => open.len(),
                    false => self.rows_at_once(inputs, width),
                };
                let (start, count) = (samples.start, open.len() * samples.len());
                for block in blocks(count, rows) {
                    let units: Vec<(usize, usize)> =
                        block.map(|unit| (open[unit % open.len()], start + unit / open.len())).collect();
                    let examples = units.iter().map(|(example, _)| first + example).collect();
                    let seed = |sample: usize| self.sampling.seed.child(sample);
                    let seeds: Vec<_> = units.iter().map(|(_, sample)| seed(*sample)).collect();
                    let at = Expansion::new(examples, 1);
                    let rows = inputs.tensors().iter().map(|tensor| at.expand(tensor)).collect::<Result<_>>()?;
                    let noisy = at.with_tensors(inputs, noise.added_to(rows, &seeds)?)?.taken_from(inputs, at.rows());
                    let target = fixed(&clean, &at);
                    let fresh = self.method.reseeded(seeds[0].child(inputs.tensors().len()));
                    let method: &dyn Attribute = match &fresh {
                        Some(fresh) => &**fresh,
                        None => self.method,
                    };
                    let result = call(method, &noisy, &target).map_err(|e| e.at("with noise on the inputs"))?;
                    let values = matching(&result, &clean, at.len())?;
                    let counts = |example: &usize| settled.binary_search(example).is_err();
                    for (row, (example, _)) in units.iter().enumerate().filter(|(_, (example, _))| counts(example)) {
                        let of_row = values.iter().flat_map(|values| {
                            let width = values.len() / at.len();
                            values[row * width..(row + 1) * width].iter().copied()
                        });
                        match self.nt_type {
                            NoiseTunnelType::SmoothGradSq => moments[*example].add(of_row.map(|value| value * value)),
                            _ => moments[*example].add(of_row),
                        }
                        short += usize::from(result.shortfall(row).is_some());
                        all += 1;
                    }
                }
                Ok(())
            })?;
            let like = clean.values().iter().map(|value| Ok(value.narrow(0, first, group.len())?));
            Numbers::of_samples(&sampled, &like.collect::<Result<Vec<_>>>()?, self.sampling)
        };
        let together = if compares { clean.batch_size() } else { self.sampling.examples_at_once(width) };
        let groups = blocks(clean.batch_size(), together);
        let numbers = Numbers::join(groups.map(of_group).collect::<Result<_>>()?)?;
        let mut result = clean.with_numbers(name, numbers);
        if short > 0 {
            result.warnings.push(Warning::NoisyShortfalls { short, all });
        }
        Ok(result)
    }

    /// How many rows the method attributes in one call.
    fn rows_at_once(&self, inputs: &Inputs, width: usize) -> usize {
        let row = |tensor: &Tensor| tensor.elem_count() / tensor.dims()[0].max(1);
        let numbers: usize = inputs.tensors().iter().chain(inputs.args()).map(row).sum();
        self.sampling.budget.rows.unwrap_or_else(|| self.sampling.budget.moments_at_once(numbers + width))
    }
}

/// The targets of some examples, as they are without noise.
fn fixed(clean: &Attributions, at: &Expansion) -> Target {
    match clean.targets() {
        [] => Target::None,
        targets => Target::PerExampleIndex(at.rows().iter().map(|example| targets[*example].clone()).collect()),
    }
}

/// The numbers of each attributed tensor, which must be of the same shapes with noise as without.
fn matching(result: &Attributions, clean: &Attributions, rows: usize) -> Result<Vec<Vec<f64>>> {
    let shapes = |result: &Attributions| -> Vec<Vec<usize>> {
        result.values().iter().map(|value| value.dims()[1..].to_vec()).collect()
    };
    let (with, without) = (shapes(result), shapes(clean));
    if with != without || result.batch_size() != rows {
        bail!(
            Input,
            "{} gives attributions of the shapes {without:?} without noise and {with:?} with it: a mean is taken only of \
             attributions of the same shape",
            clean.method()
        )
    }
    result.values().iter().map(host).collect()
}
