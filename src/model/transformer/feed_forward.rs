//! The feed-forward network of a layer.

use std::sync::Arc;

use candle_core::{D, Tensor};

use super::architecture::FeedForwardPlan;
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::nonlinearity::Nonlinearity;
use super::part::{Dense, made_of};
use crate::error::Result;
use crate::model::Layers;
use crate::nn::{Multiply, TwoLayers};

#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    inner: Dense,
    activation: Nonlinearity,
    gated: bool,
    output: Dense,
}

made_of!(FeedForward: inner, output);

impl FeedForward {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &Config,
        plan: &FeedForwardPlan,
        layer: &str,
        width: usize,
    ) -> Result<Self> {
        let name = format!("{layer}.{}", plan.inner);
        let inner = checkpoint.dense(&name, plan.bias, width, 0)?;
        let parts = if plan.gated { 2 } else { 1 };
        checkpoint.ensure(inner.outputs().is_multiple_of(parts), || {
            format!("\"{name}.weight\" gives {} numbers, of which one half is the gate of the other", inner.outputs())
        })?;
        let between = inner.outputs() / parts;
        checkpoint.check_size(config, plan.width, between)?;
        let output = checkpoint.dense(&format!("{layer}.{}", plan.output), plan.bias, between, width)?;
        Ok(Self { inner, activation: plan.activation, gated: plan.gated, output })
    }

    /// Whether there is a gate.
    pub(super) fn is_gated(&self) -> bool {
        self.gated
    }

    /// What one operation for the whole layer needs; `None` if there is a gate.
    pub(super) fn parts(&self) -> Option<TwoLayers> {
        (!self.gated).then(|| TwoLayers {
            inner: self.inner.linear.clone(),
            activation: Arc::new(self.activation),
            outer: self.output.linear.clone(),
        })
    }

    /// `[batch, tokens, width]` to the same.
    pub(super) fn forward(&self, x: &Tensor, layers: &mut Layers) -> Result<Tensor> {
        let hidden = self.inner.run(layers, x)?;
        let hidden = if self.gated {
            let half = hidden.dim(D::Minus1)? / 2;
            let passed = layers.run(&self.activation, &hidden.narrow(D::Minus1, 0, half)?)?;
            layers.run(&Multiply, &[&passed, &hidden.narrow(D::Minus1, half, half)?])?
        } else {
            layers.run(&self.activation, &hidden)?
        };
        self.output.run(layers, &hidden)
    }
}
