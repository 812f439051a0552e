//! Affine blocks with other weights, for rules that look at weights.

use candle_core::{Device, Tensor};

use super::Block;
use crate::error::Result;

/// What [`Block::reweighted`] makes of a block's weights.
pub struct Reweighting<'a> {
    change: &'a dyn Fn(&Tensor) -> candle_core::Result<Tensor>,
    keeps_bias: bool,
}

impl<'a> Reweighting<'a> {
    pub(crate) fn new(change: &'a dyn Fn(&Tensor) -> candle_core::Result<Tensor>, keeps_bias: bool) -> Self {
        Self { change, keeps_bias }
    }

    /// The weight and the bias to compute with instead of these.
    pub fn weights(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
        Ok(((self.change)(&weight.detach())?, bias.filter(|_| self.keeps_bias).map(Tensor::detach)))
    }
}

/// A block whose fixed weights are at least 0, without a bias: all of its weights change as 1 does.
pub(super) fn of_fixed_weights<B: Block + 'static>(block: B, by: &Reweighting) -> Result<Option<Box<dyn Block>>> {
    let one = Tensor::new(1f64, &Device::Cpu)?;
    let factor = by.weights(&one, None)?.0.to_scalar::<f64>()?;
    Ok(Some(Box::new(Scaled { block, factor })))
}

struct Scaled<B> {
    block: B,
    factor: f64,
}

impl<B: Block> Block for Scaled<B> {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok((self.block.compute(inputs)? * self.factor)?)
    }
}
