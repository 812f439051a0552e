//! The average of the weights over the last steps.

use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Tensor, Var};

use crate::device;
use crate::error::Result;
use crate::training::pair;

/// The moving average of weights: w̄ ← d·w̄ + (1 − d)·w. d grows to its limit, so that the first
/// steps are soon forgotten.
pub(super) struct Average {
    limit: f64,
    steps: usize,
    weights: Vec<(Var, Tensor)>,
}

impl Average {
    pub(super) fn new(weights: &[Var], limit: f64) -> Result<Self> {
        let copies = weights.iter().map(|weight| Ok((weight.clone(), weight.as_detached_tensor().copy()?)));
        Ok(Self { limit, steps: 0, weights: copies.collect::<Result<_>>()? })
    }

    /// Adds the current weights to the average.
    pub(super) fn add(&mut self) -> Result<()> {
        self.steps += 1;
        let decay = self.limit.min((1. + self.steps as f64) / (10. + self.steps as f64));
        for (weight, average) in &mut self.weights {
            if weight.dtype() == DType::F32 && device::is_cpu(weight.device()) && weight.is_contiguous() {
                average.inplace_op2(&weight.as_detached_tensor(), &Mixed { decay: decay as f32 })?;
            } else {
                *average = ((&*average * decay)? + (weight.as_detached_tensor() * (1. - decay))?)?;
            }
        }
        Ok(())
    }

    /// Replaces the weights by their average.
    pub(super) fn settle(self) -> Result<()> {
        self.weights.into_iter().try_for_each(|(weight, average)| Ok(weight.set(&average)?))
    }
}

/// decay · average + (1 − decay) · weights, in the place of the average.
struct Mixed {
    decay: f32,
}

impl InplaceOp2 for Mixed {
    fn name(&self) -> &'static str {
        "moving-average"
    }

    fn cpu_fwd(
        &self,
        average: &mut CpuStorage,
        of_average: &Layout,
        weights: &CpuStorage,
        of_weights: &Layout,
    ) -> candle_core::Result<()> {
        let (average, weights) = pair((average, of_average), (weights, of_weights))?;
        for (average, weight) in average.iter_mut().zip(weights) {
            *average = *average * self.decay + weight * (1. - self.decay);
        }
        Ok(())
    }
}
