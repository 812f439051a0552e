//! A convolution over the embeddings that is added to the first layer's output.

use candle_core::{D, Tensor, Var};
use candle_nn::{Conv1d, Conv1dConfig};

use super::architecture::{ConvolutionPlan, Norms};
use super::checkpoint::Checkpoint;
use super::part::{Norm, Part};
use crate::error::Result;
use crate::model::Layers;
use crate::nn::{Conversion, converted};

#[derive(Clone, Debug)]
pub(super) struct Convolution {
    plan: ConvolutionPlan,
    weight: Var,
    bias: Var,
    norm: Norm,
}

impl Convolution {
    pub(super) fn load(checkpoint: &Checkpoint, plan: &ConvolutionPlan, width: usize, norms: Norms) -> Result<Self> {
        let ConvolutionPlan { name, kernel, groups, .. } = *plan;
        checkpoint.ensure(width.is_multiple_of(groups), || {
            format!("config.json says that conv_groups is {groups}, which does not divide the width {width}")
        })?;
        let tensor = |part: &str, shape: &[usize]| checkpoint.tensor(&format!("{name}.conv.{part}"), shape);
        Ok(Self {
            weight: Var::from_tensor(&tensor("weight", &[width, width / groups, kernel])?)?,
            bias: Var::from_tensor(&tensor("bias", &[width])?)?,
            norm: checkpoint.layer_norm(&format!("{name}.LayerNorm"), width, norms)?,
            plan: plan.clone(),
        })
    }

    /// The first layer's output `[batch, tokens, width]` plus what the embeddings add to it, both 0 at
    /// padding; `mask` is 1 for tokens and 0 for padding.
    pub(super) fn forward(
        &self,
        embedded: &Tensor,
        hidden: &Tensor,
        mask: Option<&Tensor>,
        layers: &mut Layers,
    ) -> Result<Tensor> {
        let unpadded = |x: Tensor| match mask {
            Some(mask) => x.broadcast_mul(&mask.unsqueeze(D::Minus1)?),
            None => Ok(x),
        };
        let padding = (self.plan.kernel - 1) / 2;
        let config = Conv1dConfig { padding, groups: self.plan.groups, ..Conv1dConfig::default() };
        let convolution = Conv1d::new(self.weight.as_tensor().clone(), Some(self.bias.as_tensor().clone()), config);
        let seen = layers.run(&convolution, &embedded.transpose(1, 2)?.contiguous()?)?;
        let seen = unpadded(seen.transpose(1, 2)?.contiguous()?)?;
        let seen = layers.dropout(seen)?;
        let seen = layers.run(&self.plan.activation, &seen)?;
        let sum = self.norm.run(layers, &(hidden + seen)?)?;
        layers.visit(self.plan.name, unpadded(sum)?)
    }
}

impl Part for Convolution {
    fn weights(&self) -> Vec<(String, Var)> {
        let name = |part: &str| format!("{}.conv.{part}", self.plan.name);
        let mut weights = vec![(name("weight"), self.weight.clone()), (name("bias"), self.bias.clone())];
        weights.extend(self.norm.weights());
        weights
    }

    fn converted(&self, by: Conversion) -> Result<Self> {
        Ok(Self {
            plan: self.plan.clone(),
            weight: converted(&self.weight, by)?,
            bias: converted(&self.bias, by)?,
            norm: self.norm.converted(by)?,
        })
    }
}
