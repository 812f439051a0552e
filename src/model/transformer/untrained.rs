//! A RoBERTa classifier with untrained weights.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::SequenceClassifier;
use super::checkpoint::Checkpoint;
use super::config::Config;
use crate::error::{Result, bail};
use crate::seed::Seed;

/// The standard deviation of the initial weights, as in RoBERTa.
const DEVIATION: f64 = 0.02;
const EPS: f64 = 1e-5;
const PADDING: usize = 1;

/// The sizes of a RoBERTa classifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobertaShape {
    /// How many tokens the vocabulary has; padding is number 1.
    pub vocabulary: usize,
    /// The width of the hidden states.
    pub hidden: usize,
    /// How many layers the encoder has.
    pub layers: usize,
    /// How many attention heads a layer has.
    pub heads: usize,
    /// The width of the feed-forward networks.
    pub intermediate: usize,
    /// The most tokens that a text may have.
    pub tokens: usize,
    /// The names of the classes, at least two.
    pub labels: Vec<String>,
    /// Whether texts should be segmented into Vietnamese words.
    pub segmented_words: bool,
}

impl SequenceClassifier {
    /// A RoBERTa classifier with weights drawn from a normal distribution of deviation 0.02, ready to
    /// be trained; the same seed gives the same weights.
    pub fn untrained(shape: &RobertaShape, seed: Seed) -> Result<Self> {
        let sizes = [shape.vocabulary, shape.hidden, shape.layers, shape.heads, shape.intermediate, shape.tokens];
        if sizes.contains(&0) || shape.labels.len() < 2 || !shape.hidden.is_multiple_of(shape.heads) {
            bail!(
                Input,
                "{shape:?}: expected sizes of at least 1, at least two labels, and a hidden size that the heads divide"
            )
        }
        let config = Config::from_json(&config(shape))?;
        Self::load(Checkpoint::from_weights(weights(shape, seed)?, config.spelling()), config)
    }
}

fn config(shape: &RobertaShape) -> Value {
    let id2label: BTreeMap<String, &String> =
        shape.labels.iter().enumerate().map(|(id, label)| (id.to_string(), label)).collect();
    let label2id: BTreeMap<&String, usize> = shape.labels.iter().zip(0..).collect();
    let mut config = json!({
        "architectures": ["RobertaForSequenceClassification"],
        "model_type": "roberta",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": shape.tokens + PADDING + 1,
        "type_vocab_size": 1,
        "layer_norm_eps": EPS,
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "bos_token_id": 0,
        "pad_token_id": PADDING,
        "eos_token_id": 2,
        "id2label": id2label,
        "label2id": label2id,
    });
    if shape.segmented_words {
        config["word_segmentation"] = json!("vietnamese");
    }
    config
}

fn weights(shape: &RobertaShape, seed: Seed) -> Result<BTreeMap<String, Tensor>> {
    let (width, wide) = (shape.hidden, shape.intermediate);
    let mut weights = BTreeMap::new();
    let mut drawn = 0;
    let mut draw = |name: String, rows: usize, columns: usize| -> Result<()> {
        drawn += 1;
        let mut values: Vec<f32> =
            seed.child(drawn).normal(DEVIATION).take(rows * columns).map(|value| value as f32).collect();
        if name.contains("word_embeddings") || name.contains("position_embeddings") {
            values[PADDING * columns..(PADDING + 1) * columns].fill(0.);
        }
        weights.insert(format!("{name}.weight"), Tensor::from_vec(values, (rows, columns), &Device::Cpu)?);
        Ok(())
    };
    let mut dense = Vec::new();
    let mut norms = vec![("embeddings.LayerNorm".to_string(), width)];
    draw("embeddings.word_embeddings".to_string(), shape.vocabulary.max(PADDING + 1), width)?;
    draw("embeddings.position_embeddings".to_string(), shape.tokens + PADDING + 1, width)?;
    draw("embeddings.token_type_embeddings".to_string(), 1, width)?;
    for layer in 0..shape.layers {
        let part = |name: &str| format!("encoder.layer.{layer}.{name}");
        for name in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] {
            dense.push((part(name), width, width));
        }
        dense.push((part("intermediate.dense"), wide, width));
        dense.push((part("output.dense"), width, wide));
        norms.extend(["attention.output.LayerNorm", "output.LayerNorm"].map(|name| (part(name), width)));
    }
    dense.push(("classifier.dense".to_string(), width, width));
    dense.push(("classifier.out_proj".to_string(), shape.labels.len(), width));
    for (name, outputs, inputs) in &dense {
        draw(name.clone(), *outputs, *inputs)?;
    }
    for (name, outputs, _) in dense {
        weights.insert(format!("{name}.bias"), zeros(outputs)?);
    }
    for (name, width) in norms {
        weights.insert(format!("{name}.weight"), (zeros(width)? + 1.)?);
        weights.insert(format!("{name}.bias"), zeros(width)?);
    }
    Ok(weights)
}

fn zeros(width: usize) -> candle_core::Result<Tensor> {
    Tensor::zeros(width, candle_core::DType::F32, &Device::Cpu)
}
