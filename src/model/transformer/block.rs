//! One layer of an encoder: self-attention and a feed-forward network, each with a residual.

use candle_core::{DType, Tensor, Var};

use super::checkpoint::Checkpoint;
use super::config::{Architecture, Config};
use super::nonlinearity::Nonlinearity;
use crate::error::{Result, bail};
use crate::model::Layers;
use crate::nn::{LayerNorm, Linear, MatMul, Softmax};

#[derive(Clone, Debug)]
pub(super) struct Block {
    name: String,
    parts: &'static [&'static str; 8],
    heads: usize,
    activation: Nonlinearity,
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

/// The names of a layer's parts below its own, in the order of [`Block`]'s fields.
static BERT_PARTS: [&str; 8] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
];
static DISTILBERT_PARTS: [&str; 8] = [
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
];

/// The name of a layer, and of its parts.
fn naming(architecture: Architecture, index: usize) -> (String, &'static [&'static str; 8]) {
    let parts = match architecture {
        Architecture::DistilBert => &DISTILBERT_PARTS,
        Architecture::Bert | Architecture::Roberta => &BERT_PARTS,
    };
    (format!("{}{index}", Block::all(architecture)), parts)
}

impl Block {
    /// What the names of all layers begin with.
    pub(super) fn all(architecture: Architecture) -> &'static str {
        match architecture {
            Architecture::DistilBert => "transformer.layer.",
            Architecture::Bert | Architecture::Roberta => "encoder.layer.",
        }
    }

    pub(super) fn load(checkpoint: &Checkpoint, config: &Config, index: usize, width: usize) -> Result<Self> {
        if !width.is_multiple_of(config.heads) {
            bail!(
                File,
                "{}: config.json tells of {} attention heads, which do not divide the width {width}",
                checkpoint.folder().display(),
                config.heads
            )
        }
        let (name, parts) = naming(config.architecture, index);
        let [query, key, value, attention_output, attention_norm, intermediate, output, output_norm] =
            std::array::from_fn(|part| format!("{name}.{}", parts[part]));
        let intermediate = checkpoint.linear(&intermediate, width, 0)?;
        let told = if config.architecture == Architecture::DistilBert { "hidden_dim" } else { "intermediate_size" };
        checkpoint.check_size(config, told, intermediate.weight().dims()[0])?;
        Ok(Self {
            heads: config.heads,
            activation: config.activation,
            query: checkpoint.linear(&query, width, width)?,
            key: checkpoint.linear(&key, width, width)?,
            value: checkpoint.linear(&value, width, width)?,
            attention_output: checkpoint.linear(&attention_output, width, width)?,
            attention_norm: checkpoint.layer_norm(&attention_norm, width, config.layer_norm_eps)?,
            output: checkpoint.linear(&output, intermediate.weight().dims()[0], width)?,
            intermediate,
            output_norm: checkpoint.layer_norm(&output_norm, width, config.layer_norm_eps)?,
            name,
            parts,
        })
    }

    /// The name of every weight of a layer in the checkpoint.
    pub(super) fn weight_names(architecture: Architecture, index: usize) -> Vec<String> {
        let (name, parts) = naming(architecture, index);
        parts.iter().flat_map(|part| ["weight", "bias"].map(|kind| format!("{name}.{part}.{kind}"))).collect()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Every weight with its name in the checkpoint.
    pub(super) fn weights(&self) -> Vec<(String, Var)> {
        let [query, key, value, attention_output, attention_norm, intermediate, output, output_norm]: [String; 8] =
            std::array::from_fn(|part| format!("{}.{}", self.name, self.parts[part]));
        let linear = [
            (query, &self.query),
            (key, &self.key),
            (value, &self.value),
            (attention_output, &self.attention_output),
            (intermediate, &self.intermediate),
            (output, &self.output),
        ];
        let norms = [(attention_norm, &self.attention_norm), (output_norm, &self.output_norm)];
        let linear = linear.into_iter().flat_map(|(name, layer)| layer.named_parameters(&name));
        linear.chain(norms.into_iter().flat_map(|(name, layer)| layer.named_parameters(&name))).collect()
    }

    pub(super) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Self {
            name: self.name.clone(),
            parts: self.parts,
            heads: self.heads,
            activation: self.activation,
            query: self.query.to_dtype(dtype)?,
            key: self.key.to_dtype(dtype)?,
            value: self.value.to_dtype(dtype)?,
            attention_output: self.attention_output.to_dtype(dtype)?,
            attention_norm: self.attention_norm.to_dtype(dtype)?,
            intermediate: self.intermediate.to_dtype(dtype)?,
            output: self.output.to_dtype(dtype)?,
            output_norm: self.output_norm.to_dtype(dtype)?,
        })
    }

    /// `[batch, tokens, width]` to the same; `mask` is added to the attention's logits.
    pub(super) fn forward(&self, x: &Tensor, mask: Option<&Tensor>, layers: &mut Layers) -> Result<Tensor> {
        let x = layers.visit_input(&self.name, x.clone())?;
        let (batch, tokens, width) = x.dims3()?;
        let mut split = |layer: &Linear| -> Result<Tensor> {
            let parts = layers.run(layer, &x)?.reshape((batch, tokens, self.heads, ()))?;
            Ok(parts.transpose(1, 2)?.contiguous()?)
        };
        let (query, key, value) = (split(&self.query)?, split(&self.key)?, split(&self.value)?);
        let scale = 1. / ((width / self.heads) as f64).sqrt();
        let mut logits = (layers.run(&MatMul, &[&query, &key.t()?])? * scale)?;
        if let Some(mask) = mask {
            logits = logits.broadcast_add(mask)?;
        }
        let weights = layers.run(&Softmax { axis: 3 }, &logits)?;
        let weights = layers.visit(&format!("{}.attention.weights", self.name), weights)?;
        let weights = layers.dropout(weights)?;
        let context = layers.run(&MatMul, &[&weights, &value])?;
        let context = context.transpose(1, 2)?.contiguous()?.reshape((batch, tokens, width))?;
        let attended = layers.run(&self.attention_output, &context)?;
        let attended = (layers.dropout(attended)? + &x)?;
        let attended = layers.run(&self.attention_norm, &attended)?;
        let hidden = layers.run(&self.intermediate, &attended)?;
        let hidden = layers.run(&self.activation, &hidden)?;
        let result = layers.run(&self.output, &hidden)?;
        let result = (layers.dropout(result)? + &attended)?;
        let result = layers.run(&self.output_norm, &result)?;
        layers.visit(&self.name, result)
    }
}
