//! Self-attention.

use candle_core::Tensor;

use super::architecture::{AttentionPlan, Relation};
use super::checkpoint::Checkpoint;
use super::disentangled::Disentangled;
use super::masks::Masks;
use super::part::{Dense, made_of};
use super::projections::Projections;
use super::rotary::Rotation;
use crate::error::{Result, bail};
use crate::model::Layers;
use crate::nn::{MatMul, Precision, SelfAttention, Softmax};

/// What all layers of an encoder share in a pass.
pub(super) struct Shared {
    pub(super) masks: Masks,
    /// The distances of tokens: biases of the logits, or a vector for each distance.
    pub(super) distances: Option<Tensor>,
    /// Of the dense products.
    pub(super) precision: Precision,
}

#[derive(Clone, Debug)]
pub(super) struct Attention {
    plan: AttentionPlan,
    heads: usize,
    projections: Projections,
    disentangled: Option<Disentangled>,
    output: Dense,
}

made_of!(Attention: projections, disentangled, output);

impl Attention {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        plan: &AttentionPlan,
        heads: usize,
        layer: &str,
        width: usize,
    ) -> Result<Self> {
        checkpoint.ensure(width.is_multiple_of(heads), || {
            format!("config.json tells of {heads} attention heads, which do not divide the width {width}")
        })?;
        let turned = matches!(plan.relation, Relation::Rotary(_));
        checkpoint.ensure(!turned || (width / heads).is_multiple_of(2), || {
            format!(
                "{heads} attention heads over a width of {width}: expected heads of an even size, which can be turned"
            )
        })?;
        let disentangled = match plan.relation {
            Relation::Disentangled(plan) => Some(Disentangled::load(checkpoint, plan, layer, width)?),
            _ => None,
        };
        Ok(Self {
            heads,
            projections: Projections::load(checkpoint, plan.projections, plan.bias, layer, width)?,
            disentangled,
            output: checkpoint.dense(&format!("{layer}.{}", plan.output), plan.bias, width, width)?,
            plan: plan.clone(),
        })
    }

    /// The name of the layer that tells what each token attends to.
    pub(super) fn layer_of_weights(layer: &str) -> String {
        format!("{layer}.attention.weights")
    }

    /// Whether queries and keys are made as one operation for the whole layer makes them.
    pub(super) fn is_plain(&self) -> bool {
        self.plan.terms == 1 && matches!(self.plan.relation, Relation::None | Relation::Biased)
    }

    /// What one operation for the whole layer needs; `None` if queries and keys are made in a way of their own.
    pub(super) fn parts(&self, shared: &Shared) -> Option<SelfAttention> {
        if !self.is_plain() {
            return None;
        }
        let distances = match self.plan.relation {
            Relation::Biased => shared.distances.as_ref(),
            _ => None,
        };
        Some(SelfAttention {
            heads: self.heads,
            projections: self.projections.linears(),
            output: self.output.linear.clone(),
            additions: distances.into_iter().chain(shared.masks.get(self.plan.near)).cloned().collect(),
        })
    }

    /// `[batch, tokens, width]` to the same; `layer` is the name of the pass.
    pub(super) fn forward(&self, x: &Tensor, layer: &str, shared: &Shared, layers: &mut Layers) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        let size = width / self.heads;
        let [queries, keys, values] = self.project(x, layers)?;
        let scale = 1. / ((size * self.plan.terms) as f64).sqrt();
        let mut logits = (layers.run(&MatMul, &[&queries, &keys.t()?])? * scale)?;
        if let Some(distances) = self.distances([&queries, &keys], scale, shared, layers)? {
            logits = logits.broadcast_add(&distances)?;
        }
        if let Some(mask) = shared.masks.get(self.plan.near) {
            logits = logits.broadcast_add(mask)?;
        }
        let weights = layers.run(&Softmax { axis: 3 }, &logits)?;
        let weights = layers.visit(&Self::layer_of_weights(layer), weights)?;
        let weights = layers.dropout(weights)?;
        let context = layers.run(&MatMul, &[&weights, &values])?;
        let context = context.transpose(1, 2)?.contiguous()?.reshape((batch, tokens, width))?;
        self.output.run(layers, &context)
    }

    /// Queries, keys and values, `[batch, heads, tokens, size]`.
    fn project(&self, x: &Tensor, layers: &mut Layers) -> Result<[Tensor; 3]> {
        let (batch, tokens, width) = x.dims3()?;
        let split =
            |projected: &Tensor| projected.reshape((batch, tokens, self.heads, ()))?.transpose(1, 2)?.contiguous();
        let [queries, keys, values] = self.projections.forward(x, layers)?;
        let (queries, keys, values) = (split(&queries)?, split(&keys)?, split(&values)?);
        let Relation::Rotary(base) = self.plan.relation else { return Ok([queries, keys, values]) };
        let rotation = Rotation::of(base, tokens, width / self.heads, x)?;
        Ok([rotation.turn(&queries)?, rotation.turn(&keys)?, values])
    }

    /// What distances add to the logits.
    fn distances(
        &self,
        queries_and_keys: [&Tensor; 2],
        scale: f64,
        shared: &Shared,
        layers: &Layers,
    ) -> Result<Option<Tensor>> {
        if matches!(self.plan.relation, Relation::None | Relation::Rotary(_)) {
            return Ok(None);
        }
        let Some(distances) = &shared.distances else {
            bail!(
                Layer,
                "attention asks for distances, and its encoder has none: a fault of the crate, please report it"
            )
        };
        let Some(disentangled) = &self.disentangled else { return Ok(Some(distances.clone())) };
        let met = disentangled.forward(queries_and_keys, distances, &self.projections, layers)?;
        Ok(met.map(|met| met * scale).transpose()?)
    }
}
