//! The integral along the path: streamed in passes of bounded memory, over all cores.

use std::ops::Range;

use candle_core::{D, DType, Tensor};

use super::gradient::{Sample, check_finite};
use super::passes::{Passes, join_blocks};
use super::{Convergence, Expansion, Path, PathSettings, refine};
use crate::error::Result;

/// What integrating along the path gave.
pub(crate) struct Integral {
    pub(crate) values: Vec<Tensor>,
    pub(crate) convergence: Convergence,
}

/// What the integrand is.
pub(crate) struct Integrand<'a> {
    /// Multiplies the integral: the path's difference, or nothing.
    pub(crate) scale: Option<&'a [Tensor]>,
    /// What the attributions of each example must add up to, where that is known.
    pub(crate) difference: Option<Vec<f64>>,
}

/// The integral of `evaluate` along the path for every example, by the quadrature of the
/// settings or to their tolerance.
pub(crate) fn integrate(
    settings: &PathSettings,
    path: &Path,
    integrand: Integrand,
    evaluate: impl Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
) -> Result<Integral> {
    if settings.tolerance.is_some() {
        return refine(settings, path, integrand, super::Stieltjes::No, evaluate);
    }
    let nodes = settings.quadrature.nodes(settings.n_steps)?;
    let alphas: Vec<f64> = nodes.iter().map(|node| node.alpha).collect();
    let weights: Vec<f64> = nodes.iter().map(|node| node.weight).collect();
    let add = |sums: &mut Vec<Tensor>, steps: Range<usize>, sample: Sample, at: &Expansion| {
        for (index, value) in sample.values.iter().enumerate() {
            let weighted = weighted_sum(value, &weights[steps.clone()], at)?;
            match sums.get_mut(index) {
                None => sums.push(weighted),
                Some(sum) => *sum = (&*sum + weighted)?,
            }
        }
        Ok(())
    };
    let sums = walk(settings, path, &alphas, evaluate, add, |sums| sums)?;
    let values = match integrand.scale {
        None => sums,
        Some(scale) => sums.iter().zip(scale).map(|(sum, scale)| Ok((sum * scale)?)).collect::<Result<_>>()?,
    };
    Integral::new(values, integrand.difference, vec![settings.n_steps; path.batch_size()])
}

impl Integral {
    /// The result of a fixed number of steps, with its convergence delta.
    pub(crate) fn new(values: Vec<Tensor>, difference: Option<Vec<f64>>, steps: Vec<usize>) -> Result<Self> {
        check_finite(&values, "attribution")?;
        let delta = difference.as_ref().map(|difference| deltas(&values, difference)).transpose()?;
        Ok(Self { values, convergence: Convergence { delta, difference, steps, refinement: None } })
    }

    /// The mean over the baselines of a distribution.
    pub(crate) fn over_baselines(
        baselines: &[Vec<Tensor>],
        one: impl Fn(&[Tensor]) -> Result<Integral>,
    ) -> Result<Integral> {
        let mut integrals = baselines.iter().map(|baseline| one(baseline)).collect::<Result<Vec<_>>>()?;
        if integrals.len() == 1 {
            return Ok(integrals.remove(0));
        }
        let mean = |index: usize| -> Result<Tensor> {
            let of_each: Vec<&Tensor> = integrals.iter().map(|integral| &integral.values[index]).collect();
            Ok(Tensor::stack(&of_each, 0)?.mean(0)?)
        };
        let values = (0..integrals[0].values.len()).map(mean).collect::<Result<_>>()?;
        let convergence = Convergence::mean(integrals.into_iter().map(|integral| integral.convergence).collect());
        Ok(Integral { values, convergence })
    }
}

/// Sum of the attributions minus what they must add up to, for each example.
pub(crate) fn deltas(values: &[Tensor], difference: &[f64]) -> Result<Vec<f64>> {
    let mut sums = vec![0.; difference.len()];
    for value in values {
        let rows = value.reshape((difference.len(), ()))?.to_dtype(DType::F64)?.sum(D::Minus1)?.to_vec1::<f64>()?;
        sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum += row);
    }
    Ok(sums.iter().zip(difference).map(|(sum, difference)| sum - difference).collect())
}

/// Σₖ weightₖ · valueₖ over the points, `[rows, ...]` from `[points · rows, ...]`.
fn weighted_sum(value: &Tensor, weights: &[f64], at: &Expansion) -> Result<Tensor> {
    let mut shape = value.dims().to_vec();
    shape[0] = at.rows().len();
    let weights = Tensor::new(weights, value.device())?.to_dtype(value.dtype())?.unsqueeze(0)?;
    Ok(weights.matmul(&value.contiguous()?.reshape((at.copies(), ()))?)?.reshape(shape)?)
}

/// Evaluates every alpha for every example. Blocks of examples are independent and run on all
/// cores; within a block the passes follow one another with ascending alphas and are folded into
/// one state. How the work is cut depends on the sizes alone, never on the cores, so the numbers
/// do not either.
pub(crate) fn walk<S: Default + Send>(
    settings: &PathSettings,
    path: &Path,
    alphas: &[f64],
    evaluate: impl Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
    fold: impl Fn(&mut S, Range<usize>, Sample, &Expansion) -> Result<()> + Sync,
    finish: impl Fn(S) -> Vec<Tensor> + Sync,
) -> Result<Vec<Tensor>> {
    let batch = path.batch_size();
    let passes = Passes::plan(settings, |at| evaluate(path.points(at, &alphas[..1])?, at))?;
    let block = (passes.rows / alphas.len()).clamp(1, batch);
    let chunk = (passes.rows / block).clamp(1, alphas.len());
    let blocks = batch.div_ceil(block);
    let finished = passes.run(blocks, |index| {
        let rows: Vec<usize> = (index * block..batch.min((index + 1) * block)).collect();
        let mut state = S::default();
        for first in (0..alphas.len()).step_by(chunk) {
            let steps = first..alphas.len().min(first + chunk);
            let at = Expansion::new(rows.clone(), steps.len());
            let sample = evaluate(path.points(&at, &alphas[steps.clone()])?, &at)?;
            fold(&mut state, steps, sample, &at)?;
        }
        Ok(finish(state))
    })?;
    join_blocks(finished)
}
