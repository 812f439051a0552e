//! An encoder with a classification head.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, IndexOp, Tensor, Var};

use super::checkpoint::Checkpoint;
use super::config::{Architecture, Config};
use super::encoder::{TransformerEncoder, open, weight_names};
use crate::error::{Result, bail};
use crate::file::{cannot_write, write_whole};
use crate::model::{Inputs, Layers, Model};
use crate::nn::{Activation, Linear, Softmax};

/// A text classifier of the BERT family: BERT, RoBERTa (PhoBERT and XLM-RoBERTa included) or
/// DistilBERT, from the folder of a Hugging Face checkpoint.
///
/// It takes token ids `[batch, tokens]`, and as extra arguments, if there is padding, a mask
/// `[batch, tokens]` of 1 for tokens and 0 for padding, and behind it, for pairs of texts, each token's type
/// `[batch, tokens]`, else 0. It gives probabilities `[batch, labels]`: softmax of the logits, or the sigmoid
/// of a single one.
///
/// Layers: `embeddings.word_embeddings`, `embeddings.position_embeddings`,
/// `embeddings.token_type_embeddings`, `embeddings` (all of it), `encoder.layer.0` and on (in
/// DistilBERT `transformer.layer.0`), each one's `encoder.layer.0.attention.weights`
/// `[batch, heads, tokens, tokens]`, `logits`.
#[derive(Clone, Debug)]
pub struct SequenceClassifier {
    encoder: TransformerEncoder,
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
    /// Reads a checkpoint: a folder with `config.json` and `model.safetensors` or `pytorch_model.bin`, whole or
    /// in shards. All weights are computed with in `f32`, or in `f64` if any of them is.
    ///
    /// An error names the file or the weight that is missing, truncated or of another shape.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        let (config, checkpoint) = open(folder.as_ref())?;
        Self::load(checkpoint, config)
    }

    pub(super) fn load(checkpoint: Checkpoint, config: Config) -> Result<Self> {
        let [dense, logits] = config.architecture.head();
        if !checkpoint.has(&format!("{logits}.weight")) {
            bail!(
                File,
                "{} has no classification head (\"{logits}.weight\"): it is a language model that was not trained to \
                 classify, or its weights have other names: there are {}",
                checkpoint.folder().display(),
                checkpoint.names()
            )
        }
        let head = [dense, logits].into_iter().flat_map(|name| ["weight", "bias"].map(|part| format!("{name}.{part}")));
        let checkpoint = checkpoint.require(&weight_names(&config).into_iter().chain(head).collect::<Vec<_>>())?;
        if let Some(kind @ ("multi_label_classification" | "regression")) = config.problem_type() {
            bail!(
                File,
                "{}: the problem_type is {kind}: expected single_label_classification, whose outputs are the \
                 probabilities of classes of which one is right",
                checkpoint.folder().display()
            )
        }
        let encoder = TransformerEncoder::load(&checkpoint, config)?;
        let width = encoder.width();
        let logits = checkpoint.linear(logits, width, 0)?;
        let (classes, named) = (logits.weight().dims()[0], encoder.config.labels.len());
        if named > 0 && named != classes.max(2) && named != classes {
            bail!(
                File,
                "{}: id2label names {named} classes, and the head gives {classes}",
                checkpoint.folder().display()
            )
        }
        if named == 0 {
            checkpoint.check_size(&encoder.config, "num_labels", classes)?;
        }
        let activation = encoder.config.architecture.head_activation();
        let head = Head { dense: checkpoint.linear(dense, width, width)?, activation, logits };
        Ok(Self { head, output: ClassifierOutput::default(), encoder })
    }

    /// The same classifier with another output.
    pub fn output(&self, output: ClassifierOutput) -> Self {
        Self { output, ..self.clone() }
    }

    /// Whether it gives probabilities rather than logits.
    pub(crate) fn gives_probabilities(&self) -> bool {
        self.output == ClassifierOutput::Probabilities
    }

    /// The same classifier computing in another type, `f64` for example.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Self {
            encoder: self.encoder.to_dtype(dtype)?,
            head: Head {
                dense: self.head.dense.to_dtype(dtype)?,
                activation: self.head.activation,
                logits: self.head.logits.to_dtype(dtype)?,
            },
            output: self.output,
        })
    }

    /// The encoder below the head.
    pub fn encoder(&self) -> &TransformerEncoder {
        &self.encoder
    }

    /// The name of each class: the configuration's, or `LABEL_0` and on. A single output is the
    /// probability of the second of two classes; if the configuration has one name, it is that one's.
    pub fn labels(&self) -> Vec<String> {
        let classes = self.head.logits.weight().dims()[0].max(2);
        match self.encoder.config.labels.as_slice() {
            [only] => vec![format!("not {only}"), only.clone()],
            [] => (0..classes).map(|class| format!("LABEL_{class}")).collect(),
            labels => labels.to_vec(),
        }
    }

    /// Whether the configuration names the classes.
    pub fn names_labels(&self) -> bool {
        let labels = &self.encoder.config.labels;
        labels.iter().enumerate().any(|(class, label)| *label != format!("LABEL_{class}"))
    }

    /// How many numbers the weights are.
    pub fn parameter_count(&self) -> usize {
        self.weights().iter().map(|(_, weight)| weight.elem_count()).sum()
    }

    /// How many tokens a text may have, the special ones included.
    pub fn max_tokens(&self) -> usize {
        self.encoder.max_tokens()
    }

    /// The id that fills up shorter texts, and stands for "no word" in a reference.
    pub fn pad_token_id(&self) -> u32 {
        self.encoder.pad_token_id()
    }

    /// The same with what the tokenizer fills texts up with.
    pub(crate) fn with_padding(self, padding: u32) -> Self {
        Self { encoder: self.encoder.with_padding(padding), ..self }
    }

    /// Writes `config.json` and `model.safetensors` into a folder, as `transformers` does: it can
    /// be read there and here. Each file is written whole or not at all.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|e| cannot_write(folder, e))?;
        let weights: HashMap<String, Tensor> =
            self.weights().into_iter().map(|(name, weight)| (name, weight.as_detached_tensor())).collect();
        write_whole(&folder.join("model.safetensors"), |path| {
            candle_core::safetensors::save(&weights, path).map_err(|e| cannot_write(path, e))
        })?;
        let config = self.encoder.config.to_text();
        write_whole(&folder.join("config.json"), |path| {
            std::fs::write(path, &config).map_err(|e| cannot_write(path, e))
        })
    }

    /// Every weight with its full name in the checkpoint.
    fn weights(&self) -> Vec<(String, Var)> {
        let architecture = self.encoder.config.architecture;
        let [dense, logits] = architecture.head();
        // BERT's pooler is a part of the encoder's module.
        let dense = if architecture == Architecture::Bert { format!("bert.{dense}") } else { dense.to_string() };
        let prefix = architecture.prefix();
        let encoder = self.encoder.weights().into_iter().map(|(name, weight)| (format!("{prefix}.{name}"), weight));
        encoder
            .chain(self.head.dense.named_parameters(&dense))
            .chain(self.head.logits.named_parameters(logits))
            .collect()
    }
}

/// The head makes no more tensors in a forward pass.
const MOST_TENSORS_OF_THE_HEAD: usize = 32;

impl Model for SequenceClassifier {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let hidden = self.encoder.forward(input, layers)?;
        let first = layers.dropout(hidden.i((.., 0))?.contiguous()?)?;
        let pooled = layers.run(&self.head.dense, &first)?;
        let pooled = layers.run(&self.head.activation, &pooled)?;
        let pooled = layers.dropout(pooled)?;
        let logits = layers.apply("logits", &self.head.logits, &pooled)?;
        match self.output {
            ClassifierOutput::Logits => Ok(logits),
            ClassifierOutput::Probabilities if logits.dims()[1] == 1 => layers.run(&Activation::Sigmoid, &logits),
            ClassifierOutput::Probabilities => layers.run(&Softmax { axis: 1 }, &logits),
        }
    }

    fn parameters(&self) -> Vec<Var> {
        self.weights().into_iter().map(|(_, weight)| weight).collect()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.weights()
    }

    fn known_operations(&self) -> Option<usize> {
        Some(self.encoder.known_operations()? + MOST_TENSORS_OF_THE_HEAD)
    }
}
