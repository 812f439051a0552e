//! An encoder with a classification head.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};

use super::checkpoint::Checkpoint;
use super::config::Config;
use super::encoder::{TransformerEncoder, open};
use super::head::Head;
use super::part::{Part, made_of};
use crate::error::{Result, bail};
use crate::file::{cannot_write, write_whole};
use crate::model::{Inputs, Layers, Model};
use crate::nn::{Activation, Precision, Softmax};

/// A text classifier from the folder of a Hugging Face checkpoint: an encoder with a classification head of one of
/// the families BERT, RoBERTa (PhoBERT, XLM-RoBERTa, CamemBERT and RoBERTa-PreLayerNorm included), Data2VecText,
/// DistilBERT, ELECTRA, ALBERT, DeBERTa-v2 (v3 included), MPNet and ModernBERT.
///
/// It takes token ids `[batch, tokens]` and gives probabilities `[batch, labels]`: softmax of the logits, or the
/// sigmoid of a single logit. Extra arguments are optional. The first is a mask `[batch, tokens]`, needed if there is
/// padding: 1 for tokens and 0 for padding. The second, for pairs of texts, is each token's type `[batch, tokens]`,
/// else 0.
///
/// Layers have their names in the checkpoint. Which there are depends on the family;
/// [`Model::layer_names`] lists them:
///
/// | Layer | What it gives |
/// |---|---|
/// | `embeddings.word_embeddings`, in ModernBERT `embeddings.tok_embeddings` | a vector for each word |
/// | `embeddings.position_embeddings`, `embeddings.token_type_embeddings` | a vector for each place, and type |
/// | `embeddings` | all of it |
/// | `embeddings_project` (ELECTRA), `encoder.embedding_hidden_mapping_in` (ALBERT) | the same, as wide as the layers |
/// | `encoder.layer.0` and on, in DistilBERT `transformer.layer.0`, in ModernBERT `layers.0` | hidden states |
/// | `encoder.layer.0.attention.weights` and so on | `[batch, heads, tokens, tokens]` |
/// | `encoder.conv` (DeBERTa-v2 with a convolution) | the first hidden states and what it adds to them |
/// | `final_norm` (ModernBERT), `LayerNorm` (RoBERTa-PreLayerNorm) | the last hidden states |
/// | `logits` | `[batch, labels]` |
///
/// ALBERT passes through one layer many times. Each pass has a name of its own, so `encoder.layer.0` to
/// `encoder.layer.11` are its twelve passes from the lowest, whichever weights they go through.
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

made_of!(SequenceClassifier: encoder, head);

impl SequenceClassifier {
    /// Reads a checkpoint: a folder with `config.json` and `model.safetensors` or `pytorch_model.bin`, whole or
    /// in shards. The model computes in `f64` if any weight is of that type, else in `f32`.
    ///
    /// An error names the file or the weight that is missing, truncated or of another shape.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        let (config, checkpoint) = open(folder.as_ref())?;
        Self::load(checkpoint, config)
    }

    pub(super) fn load(checkpoint: Checkpoint, config: Config) -> Result<Self> {
        config.require_classifier_of_texts()?;
        let logits = config.architecture.head.logits;
        if !checkpoint.has(&format!("{logits}.weight")) {
            bail!(
                File,
                "{} has no classification head (\"{logits}.weight\"): it is a language model that was not trained to \
                 classify, or its weights have other names: there are {}",
                checkpoint.folder().display(),
                checkpoint.names()
            )
        }
        let parts = |checkpoint: &Checkpoint| -> Result<Self> {
            let encoder = TransformerEncoder::load(checkpoint, config.clone())?;
            let head = Head::load(checkpoint, &config, encoder.width())?;
            Ok(Self { encoder, head, output: ClassifierOutput::default() })
        };
        let checkpoint = checkpoint.require(&Checkpoint::names_of(config.spelling(), parts)?)?;
        if let Some(kind @ ("multi_label_classification" | "regression")) = config.problem_type() {
            bail!(
                File,
                "{}: the problem_type is {kind}: expected single_label_classification, whose outputs are the \
                 probabilities of classes of which one is right",
                checkpoint.folder().display()
            )
        }
        let classifier = parts(&checkpoint)?;
        let (classes, named) = (classifier.head.outputs(), config.labels.len());
        if named > 0 && named != classes.max(2) && named != classes {
            bail!(
                File,
                "{}: id2label names {named} classes, and the head gives {classes}",
                checkpoint.folder().display()
            )
        }
        if named == 0 {
            checkpoint.check_size(&config, "num_labels", classes)?;
        }
        Ok(classifier)
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
        Part::converted(self, &|weight| weight.to_dtype(dtype))
    }

    /// The same classifier on another device, with weights of its own. Its inputs must be there as well: ids and masks by
    /// [`Inputs::to_device`].
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let model = SequenceClassifier::from_pretrained("data/sentiment-vi")?.to_device(&device)?;
    /// let ids = Tensor::new(&[[0u32, 5, 6, 2]], &device)?;
    /// assert!(model.predict(&ids)?.device().same_device(&device));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Part::converted(self, &|weight| weight.to_device(device))
    }

    /// The same classifier, which shares its weights, with dense products in another precision on the CPU; see
    /// [`TransformerEncoder::precision`].
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let model = SequenceClassifier::from_pretrained("data/sentiment-vi")?;
    /// match model.precision(Precision::Bf16) {
    ///     Ok(faster) => assert_eq!(faster.parameter_count(), model.parameter_count()),
    ///     Err(error) => assert!(error.to_string().contains("AVX-512 BF16")),
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn precision(&self, precision: Precision) -> Result<Self> {
        Ok(Self { encoder: self.encoder.precision(precision)?, ..self.clone() })
    }

    /// The encoder below the head.
    pub fn encoder(&self) -> &TransformerEncoder {
        &self.encoder
    }

    /// The name of each class: the configuration's, or `LABEL_0` and on. A single output is the
    /// probability of the second of two classes or, if the configuration has only one name, of that class.
    pub fn labels(&self) -> Vec<String> {
        let classes = self.head.outputs().max(2);
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

    /// How many numbers the weights have.
    pub fn parameter_count(&self) -> usize {
        Part::weights(self).iter().map(|(_, weight)| weight.elem_count()).sum()
    }

    /// How many tokens a text may have, the special ones included.
    pub fn max_tokens(&self) -> usize {
        self.encoder.max_tokens()
    }

    /// The id of padding, which also means "no word" in a reference.
    pub fn pad_token_id(&self) -> u32 {
        self.encoder.pad_token_id()
    }

    /// The same with the tokenizer's id of padding.
    pub(crate) fn with_padding(self, padding: u32) -> Self {
        Self { encoder: self.encoder.with_padding(padding), ..self }
    }

    /// Writes `config.json` and `model.safetensors` into a folder, as `transformers` does; both
    /// `transformers` and this crate can read it. Each file is written whole or not at all.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|e| cannot_write(folder, e))?;
        let weights: HashMap<String, Tensor> =
            self.full_names().into_iter().map(|(name, weight)| (name, weight.as_detached_tensor())).collect();
        write_whole(&folder.join("model.safetensors"), |path| {
            candle_core::safetensors::save(&weights, path).map_err(|e| cannot_write(path, e))
        })?;
        let config = self.encoder.config.to_text();
        write_whole(&folder.join("config.json"), |path| {
            std::fs::write(path, &config).map_err(|e| cannot_write(path, e))
        })
    }

    /// Every weight with its full name in the checkpoint.
    fn full_names(&self) -> Vec<(String, Var)> {
        let prefix = self.encoder.config.family.prefix;
        let encoder = Part::weights(&self.encoder).into_iter();
        encoder.map(|(name, weight)| (format!("{prefix}.{name}"), weight)).chain(self.head.weights()).collect()
    }
}

/// The most tensors that the head makes in a forward pass.
const MOST_TENSORS_OF_THE_HEAD: usize = 32;

impl Model for SequenceClassifier {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let hidden = self.encoder.states(input, self.head.read(), layers)?;
        let logits = self.head.forward(&hidden, self.encoder.mask(input)?.as_ref(), layers)?;
        match self.output {
            ClassifierOutput::Logits => Ok(logits),
            ClassifierOutput::Probabilities if logits.dims()[1] == 1 => layers.run(&Activation::Sigmoid, &logits),
            ClassifierOutput::Probabilities => layers.run(&Softmax { axis: 1 }, &logits),
        }
    }

    fn parameters(&self) -> Vec<Var> {
        self.full_names().into_iter().map(|(_, weight)| weight).collect()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.full_names()
    }

    fn known_operations(&self) -> Option<usize> {
        Some(self.encoder.known_operations()? + MOST_TENSORS_OF_THE_HEAD)
    }
}
