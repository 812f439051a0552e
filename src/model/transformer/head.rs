//! The classification head.

use candle_core::{D, IndexOp, Tensor};

use super::architecture::Pooling;
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::layer::Read;
use super::nonlinearity::Nonlinearity;
use super::part::{Dense, Norm, made_of};
use crate::error::Result;
use crate::model::Layers;

/// A dense layer with its nonlinearity, a norm in some families, and the dense layer that gives the logits.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pooling: Pooling,
    dense: Dense,
    activation: Nonlinearity,
    norm: Option<Norm>,
    logits: Dense,
}

made_of!(Head: dense, norm, logits);

impl Head {
    pub(super) fn load(checkpoint: &Checkpoint, config: &Config, width: usize) -> Result<Self> {
        let plan = config.architecture.head;
        let norm = |name| checkpoint.layer_norm(name, width, config.architecture.norms);
        Ok(Self {
            pooling: plan.pooling,
            dense: checkpoint.dense(plan.dense, plan.dense_bias, width, width)?,
            activation: plan.activation,
            norm: plan.norm.map(norm).transpose()?,
            logits: checkpoint.dense(plan.logits, true, width, 0)?,
        })
    }

    /// How many logits it gives.
    pub(super) fn outputs(&self) -> usize {
        self.logits.outputs()
    }

    /// Which hidden states it reads.
    pub(super) fn read(&self) -> Read {
        match self.pooling {
            Pooling::First => Read::First,
            Pooling::Mean => Read::All,
        }
    }

    /// Logits of hidden states `[batch, tokens, width]`; `mask` is 1 for tokens and 0 for padding.
    pub(super) fn forward(&self, hidden: &Tensor, mask: Option<&Tensor>, layers: &mut Layers) -> Result<Tensor> {
        let pooled = self.pool(hidden, mask)?;
        let pooled = layers.dropout(pooled)?;
        let pooled = self.dense.run(layers, &pooled)?;
        let mut pooled = layers.run(&self.activation, &pooled)?;
        if let Some(norm) = &self.norm {
            pooled = norm.run(layers, &pooled)?;
        }
        let pooled = layers.dropout(pooled)?;
        layers.apply("logits", &self.logits.linear, &pooled)
    }

    fn pool(&self, hidden: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        Ok(match (self.pooling, mask) {
            (Pooling::First, _) => hidden.i((.., 0))?.contiguous()?,
            (Pooling::Mean, None) => hidden.mean(1)?,
            (Pooling::Mean, Some(mask)) => {
                let sum = hidden.broadcast_mul(&mask.unsqueeze(D::Minus1)?)?.sum(1)?;
                sum.broadcast_div(&mask.sum_keepdim(1)?)?
            }
        })
    }
}
