//! One layer of an encoder: self-attention and a feed-forward network, each with a residual.

use candle_core::Tensor;

use super::architecture::LayerPlan;
use super::attention::{Attention, Shared};
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::feed_forward::FeedForward;
use super::part::{Norm, made_of};
use crate::error::{Result, bail};
use crate::model::Layers;
use crate::nn::{EncoderLayer, Precision, sum};

/// Which tokens of the last hidden states are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    All,
    First,
}

#[derive(Clone, Debug)]
pub(super) struct Layer {
    norms_first: bool,
    attention: Attention,
    attention_norm: Option<Norm>,
    feed_forward: FeedForward,
    output_norm: Norm,
}

made_of!(Layer: attention, attention_norm, feed_forward, output_norm);

impl Layer {
    /// The layer whose weights begin with `name`.
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &Config,
        plan: &LayerPlan,
        name: &str,
        width: usize,
    ) -> Result<Self> {
        let norms = config.architecture.norms;
        let norm = |part: &str| checkpoint.layer_norm(&format!("{name}.{part}"), width, norms);
        Ok(Self {
            norms_first: plan.norms_first,
            attention: Attention::load(checkpoint, &plan.attention, config.architecture.heads, name, width)?,
            attention_norm: plan.attention_norm.map(norm).transpose()?,
            feed_forward: FeedForward::load(checkpoint, config, &plan.feed_forward, name, width)?,
            output_norm: norm(plan.output_norm)?,
        })
    }

    /// Whether it has the parts of one operation.
    pub(super) fn may_be_one_operation(&self) -> bool {
        self.attention.is_plain() && !self.feed_forward.is_gated()
    }

    /// `[batch, tokens, width]` to the same, in the pass of this name; or to `[batch, 1, width]`, the first token, if no
    /// other is `read` and the layer is one operation.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        pass: &str,
        shared: &Shared,
        read: Read,
        layers: &mut Layers,
    ) -> Result<Tensor> {
        let x = layers.visit_input(pass, x.clone())?;
        let first_only = read == Read::First && layers.may_fuse(&[pass]);
        let result = match self.fused(&x, pass, shared, first_only, layers)? {
            Some(result) if first_only => {
                layers.pass_by(pass, x.dims().to_vec())?;
                return Ok(result);
            }
            Some(result) => result,
            None if shared.precision != Precision::default() => bail!(
                Input,
                "{pass} is to be computed in {:?}, which takes the layer as a whole, f32 weights on the CPU, and a pass that \
                 neither trains, nor follows rules (DeepLift, LRP, ...), nor looks at \"{}\": give the model \
                 precision(Precision::F32)",
                shared.precision,
                Attention::layer_of_weights(pass)
            ),
            None if self.norms_first => self.behind_norms(&x, pass, shared, layers)?,
            None => self.before_norms(&x, pass, shared, layers)?,
        };
        layers.visit(pass, result)
    }

    /// The layer as one operation, if it has the parts for it and nobody looks inside.
    fn fused(
        &self,
        x: &Tensor,
        pass: &str,
        shared: &Shared,
        first_only: bool,
        layers: &mut Layers,
    ) -> Result<Option<Tensor>> {
        let weights = Attention::layer_of_weights(pass);
        if !layers.may_fuse(&[&weights]) {
            return Ok(None);
        }
        let (Some(attention), Some(feed_forward)) = (self.attention.parts(shared), self.feed_forward.parts()) else {
            return Ok(None);
        };
        let layer = EncoderLayer {
            norms_first: self.norms_first,
            attention,
            attention_norm: self.attention_norm.as_ref().map(|norm| norm.norm.clone()),
            feed_forward,
            output_norm: self.output_norm.norm.clone(),
            first_only,
            precision: shared.precision,
        };
        if !layer.takes(x) {
            return Ok(None);
        }
        layers.pass_by(&weights, layer.shape_of_weights(x)?)?;
        let (result, kept) = layer.forward(x)?;
        layers.keep(kept);
        Ok(Some(result))
    }

    fn behind_norms(&self, x: &Tensor, pass: &str, shared: &Shared, layers: &mut Layers) -> Result<Tensor> {
        let normal = self.norm_attention(x, layers)?;
        let attended = self.attention.forward(&normal, pass, shared, layers)?;
        let attended = sum(&layers.dropout(attended)?, x)?;
        let normal = self.output_norm.run(layers, &attended)?;
        let result = self.feed_forward.forward(&normal, layers)?;
        Ok(sum(&layers.dropout(result)?, &attended)?)
    }

    fn before_norms(&self, x: &Tensor, pass: &str, shared: &Shared, layers: &mut Layers) -> Result<Tensor> {
        let attended = self.attention.forward(x, pass, shared, layers)?;
        let attended = sum(&layers.dropout(attended)?, x)?;
        let attended = self.norm_attention(&attended, layers)?;
        let result = self.feed_forward.forward(&attended, layers)?;
        let result = sum(&layers.dropout(result)?, &attended)?;
        self.output_norm.run(layers, &result)
    }

    fn norm_attention(&self, x: &Tensor, layers: &mut Layers) -> Result<Tensor> {
        self.attention_norm.as_ref().map_or(Ok(x.clone()), |norm| norm.run(layers, x))
    }
}
