//! An encoder with a classification head.

use std::path::Path;

use candle_core::{DType, IndexOp, Module, Tensor};

use super::block::Block;
use super::checkpoint::Checkpoint;
use super::config::{Architecture, Config};
use super::embeddings::Embeddings;
use crate::error::{Result, bail};
use crate::model::{Inputs, Layers, Model};
use crate::nn::{Activation, Linear, softmax};

/// A text classifier of the BERT family: BERT, RoBERTa (PhoBERT and XLM-RoBERTa included) or
/// DistilBERT, from the folder of a Hugging Face checkpoint.
///
/// It takes token ids `[batch, tokens]`, and as an extra argument, if there is padding, a mask
/// `[batch, tokens]` of 1 for tokens and 0 for padding. It gives probabilities `[batch, labels]`:
/// softmax of the logits, or the sigmoid of a single one.
///
/// Layers: `embeddings.word_embeddings`, `embeddings.position_embeddings`,
/// `embeddings.token_type_embeddings`, `embeddings` (all of it), `encoder.layer.0` and on (in
/// DistilBERT `transformer.layer.0`), each one's `encoder.layer.0.attention.weights`
/// `[batch, heads, tokens, tokens]`, `logits`.
#[derive(Clone, Debug)]
pub struct SequenceClassifier {
    config: Config,
    embeddings: Embeddings,
    blocks: Vec<Block>,
    head: Head,
    output: ClassifierOutput,
}

/// What a [`SequenceClassifier`] gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassifierOutput {
    /// Softmax of several logits, the sigmoid of a single one.
    #[default]
    Probabilities,
    /// The logits themselves.
    Logits,
}

/// A dense layer with its nonlinearity on the first token, and the one that gives the logits.
#[derive(Clone, Debug)]
struct Head {
    dense: Linear,
    activation: Activation,
    logits: Linear,
}

impl SequenceClassifier {
    /// Reads a checkpoint: a folder with `config.json` and `model.safetensors`, its shards, or
    /// `pytorch_model.bin`. Weights in half precision are computed with in `f32`.
    ///
    /// An error names the file or the weight that is missing, truncated or of another shape.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        if !folder.is_dir() {
            bail!(File, "there is no folder {}: expected the folder of a checkpoint", folder.display())
        }
        let config = Config::read(&folder.join("config.json"))?;
        let checkpoint = Checkpoint::open(folder)?;
        let embeddings = Embeddings::load(&checkpoint, &config)?;
        let width = embeddings.width();
        let blocks = (0..config.layers).map(|index| Block::load(&checkpoint, &config, index, width));
        let (dense, activation, logits) = match config.architecture {
            Architecture::Bert => ("pooler.dense", Activation::Tanh, "classifier"),
            Architecture::Roberta => ("classifier.dense", Activation::Tanh, "classifier.out_proj"),
            Architecture::DistilBert => ("pre_classifier", Activation::Relu, "classifier"),
        };
        if !checkpoint.has(&format!("{logits}.weight")) {
            bail!(
                File,
                "{} has no classification head (\"{logits}.weight\"): it is a language model that was not trained to \
                 classify; fine-tune it first",
                folder.display()
            )
        }
        let logits = checkpoint.linear(logits, width, 0)?;
        let classes = logits.weight().dims()[0];
        if !config.labels.is_empty() && config.labels.len() != classes.max(2) && config.labels.len() != classes {
            bail!(
                File,
                "{}: id2label names {} classes, and the head gives {classes}",
                folder.display(),
                config.labels.len()
            )
        }
        Ok(Self {
            blocks: blocks.collect::<Result<_>>()?,
            head: Head { dense: checkpoint.linear(dense, width, width)?, activation, logits },
            output: ClassifierOutput::default(),
            embeddings,
            config,
        })
    }

    /// The same classifier with another output.
    pub fn output(&self, output: ClassifierOutput) -> Self {
        Self { output, ..self.clone() }
    }

    /// The same classifier computing in another type, `f64` for example.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Self {
            config: self.config.clone(),
            embeddings: self.embeddings.to_dtype(dtype)?,
            blocks: self.blocks.iter().map(|block| block.to_dtype(dtype)).collect::<Result<_>>()?,
            head: Head {
                dense: self.head.dense.to_dtype(dtype)?,
                activation: self.head.activation,
                logits: self.head.logits.to_dtype(dtype)?,
            },
            output: self.output,
        })
    }

    /// The name of each class: the configuration's, or `LABEL_0` and on.
    pub fn labels(&self) -> Vec<String> {
        let classes = self.head.logits.weight().dims()[0];
        match self.config.labels.as_slice() {
            [] => (0..classes).map(|class| format!("LABEL_{class}")).collect(),
            labels => labels.to_vec(),
        }
    }

    /// How many tokens a text may have, the special ones included.
    pub fn max_tokens(&self) -> usize {
        self.embeddings.capacity()
    }

    /// The id that fills up shorter texts, and stands for "no word" in a reference.
    pub fn pad_token_id(&self) -> u32 {
        self.config.pad_token_id
    }

    /// −∞, as near as the type comes, where there is padding: `[batch, 1, 1, tokens]`.
    fn attention_mask(&self, input: &Inputs) -> Result<Option<Tensor>> {
        let Some(mask) = input.args().first() else { return Ok(None) };
        let ids = input.first();
        if mask.dims() != ids.dims() {
            bail!(Input, "the attention mask has the shape {:?}, and the ids {:?}", mask.dims(), ids.dims())
        }
        let (batch, tokens) = mask.dims2()?;
        let mask = mask.to_dtype(self.embeddings.dtype())?.reshape((batch, 1, 1, tokens))?;
        let far = if mask.dtype() == DType::F16 { 1e4 } else { 1e30 };
        Ok(Some(((mask - 1.)? * far)?))
    }
}

impl Model for SequenceClassifier {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        input.require(1, 1)?;
        let mask = self.attention_mask(input)?;
        let mut x = self.embeddings.forward(input.first(), layers)?;
        for block in &self.blocks {
            x = block.forward(&x, mask.as_ref(), layers)?;
        }
        let first = x.i((.., 0))?.contiguous()?;
        let pooled = self.head.activation.forward(&self.head.dense.forward_frozen(&first)?)?;
        let logits = layers.visit("logits", self.head.logits.forward_frozen(&pooled)?)?;
        match self.output {
            ClassifierOutput::Logits => Ok(logits),
            ClassifierOutput::Probabilities if logits.dims()[1] == 1 => Ok(Activation::Sigmoid.forward(&logits)?),
            ClassifierOutput::Probabilities => Ok(softmax(&logits, 1)?),
        }
    }
}
