//! An encoder without a head.

use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};

use super::architecture::{Architecture, TokenTypes};
use super::attention::Shared;
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::convolution::Convolution;
use super::distances::Distances;
use super::embeddings::Embeddings;
use super::layer::{Layer, Read};
use super::masks::{self, Masks};
use super::part::{Dense, Norm, Part, made_of};
use crate::device;
use crate::error::{Result, bail};
use crate::model::{Inputs, Layers, Model};
use crate::nn::Precision;

/// An encoder without a head, from the folder of a Hugging Face checkpoint, of one of the families that
/// [`SequenceClassifier`](super::SequenceClassifier) has.
///
/// It takes token ids `[batch, tokens]` and gives the last hidden states `[batch, tokens, hidden]`. Extra arguments
/// are optional. The first is a mask `[batch, tokens]`, needed if there is padding: 1 for tokens and 0 for padding. The
/// second, for pairs of texts, is each token's type `[batch, tokens]`, else 0. The layers are those of
/// [`SequenceClassifier`](super::SequenceClassifier), without `logits`.
#[derive(Clone, Debug)]
pub struct TransformerEncoder {
    pub(super) config: Config,
    padding: u32,
    embeddings: Embeddings,
    projection: Option<Dense>,
    distances: Option<Distances>,
    layers: Vec<Layer>,
    convolution: Option<Convolution>,
    last_norm: Option<Norm>,
    /// The passes through the layers: each one's name, and which layer it goes through.
    passes: Vec<(String, usize)>,
    precision: Precision,
}

made_of!(TransformerEncoder: embeddings, projection, distances, layers, convolution, last_norm);

impl TransformerEncoder {
    /// Reads the encoder of a checkpoint: a folder with `config.json` and `model.safetensors` or
    /// `pytorch_model.bin`, whole or in shards. Weights of a head are ignored. The model computes in `f64` if any
    /// weight is of that type, else in `f32`.
    ///
    /// An error names the file or the weight that is missing, truncated or of another shape.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        let (config, checkpoint) = open(folder.as_ref())?;
        let expected = Checkpoint::names_of(config.spelling(), |rehearsal| Self::load(rehearsal, config.clone()))?;
        Self::load(&checkpoint.require(&expected)?, config)
    }

    pub(super) fn load(checkpoint: &Checkpoint, config: Config) -> Result<Self> {
        let Architecture { projection, distances, convolution, stack, last_norm, norms, .. } = &config.architecture;
        for (prefix, count) in &stack.counted {
            checkpoint.refuse_further_layers(prefix, *count)?;
        }
        let embeddings = Embeddings::load(checkpoint, &config)?;
        let widened = |name: &str| checkpoint.widened(&config, name, true, embeddings.width());
        let projection = projection.map(widened).transpose()?;
        let width = projection.as_ref().map_or(embeddings.width(), Dense::outputs);
        let mut loaded: Vec<&str> = Vec::new();
        let (mut layers, mut passes) = (Vec::new(), Vec::new());
        for pass in &stack.passes {
            let layer = match loaded.iter().position(|weights| *weights == pass.weights) {
                Some(layer) => layer,
                None => {
                    layers.push(Layer::load(checkpoint, &config, &pass.layer, &pass.weights, width)?);
                    loaded.push(&pass.weights);
                    loaded.len() - 1
                }
            };
            passes.push((pass.name.clone(), layer));
        }
        let load = |plan| Distances::load(checkpoint, &config, plan, width);
        let distances = distances.as_ref().map(load).transpose()?;
        let load = |plan| Convolution::load(checkpoint, plan, width, *norms);
        let convolution = convolution.as_ref().map(load).transpose()?;
        let last_norm = last_norm.map(|name| checkpoint.layer_norm(name, width, *norms)).transpose()?;
        let padding = config.pad_token_id;
        let precision = Precision::default();
        Ok(Self {
            embeddings,
            projection,
            distances,
            layers,
            convolution,
            last_norm,
            passes,
            precision,
            padding,
            config,
        })
    }

    /// The same encoder computing in another type, `f64` for example.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Part::converted(self, &|weight| weight.to_dtype(dtype))
    }

    /// The same encoder on another device, with weights of its own. Its inputs must be there as well: ids and masks by
    /// [`Inputs::to_device`].
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let model = TransformerEncoder::from_pretrained("data/sentiment-vi")?.to_device(&device)?;
    /// let ids = Tensor::new(&[[0u32, 5, 6, 2]], &device)?;
    /// assert!(model.predict(&ids)?.device().same_device(&device));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Part::converted(self, &|weight| weight.to_device(device))
    }

    /// The same encoder, which shares its weights, with dense products in another precision on the CPU:
    /// [`Precision::Bf16`] may take less time, and results of methods say how far their numbers are off. It then only
    /// predicts and gives gradients: rules such as DeepLift's, attention weights and training steps are errors.
    ///
    /// An error unless the processor has AVX-512 BF16, the weights are f32 on the CPU, and the layers are those of BERT: not
    /// DeBERTa's and ModernBERT's.
    pub fn precision(&self, precision: Precision) -> Result<Self> {
        precision.require()?;
        let changed = Self { precision, ..self.clone() };
        if precision != Precision::default() {
            let (dtype, device) = (self.embeddings.dtype(), self.device());
            if dtype != DType::F32 || !device::is_cpu(device) {
                bail!(
                    Input,
                    "precision(Precision::Bf16): expected f32 weights on the CPU, got {dtype:?} on {:?}: convert the model by \
                     to_dtype or to_device first",
                    device.location()
                )
            }
            if !self.layers.iter().all(Layer::may_be_one_operation) {
                bail!(
                    Input,
                    "precision(Precision::Bf16): expected layers like BERT's, and those of {} have gates, rotations or \
                     distances of their own: leave the precision at Precision::F32",
                    self.config.family.model_types.join(", ")
                )
            }
        }
        Ok(changed)
    }

    /// The device of its weights.
    pub(crate) fn device(&self) -> &Device {
        self.embeddings.device()
    }

    /// How many tokens a text may have, the special ones included.
    pub fn max_tokens(&self) -> usize {
        self.embeddings.capacity()
    }

    /// The id of padding, which also means "no word" in a reference.
    pub fn pad_token_id(&self) -> u32 {
        self.padding
    }

    /// How many tokens the vocabulary has.
    pub(crate) fn vocabulary_size(&self) -> usize {
        self.embeddings.vocabulary_size()
    }

    /// How many token types it distinguishes.
    pub(crate) fn type_count(&self) -> usize {
        self.embeddings.type_count()
    }

    /// Whether the encoder takes token types at all.
    pub(crate) fn takes_types(&self) -> bool {
        self.config.architecture.embeddings.token_types != TokenTypes::Refused
    }

    /// The id of padding in `config.json`, if there is one.
    pub(crate) fn told_padding(&self) -> Option<u32> {
        self.config.told_padding
    }

    /// The same with the tokenizer's id of padding.
    pub(super) fn with_padding(mut self, padding: u32) -> Self {
        self.padding = padding;
        self
    }

    /// How many layers there are above the embeddings; in ALBERT, how many passes through its layers.
    pub fn layer_count(&self) -> usize {
        self.passes.len()
    }

    /// The names of the layers above the embeddings, from the lowest.
    pub fn encoder_layers(&self) -> Vec<String> {
        self.passes.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether the configuration asks for texts that are segmented into Vietnamese words.
    pub fn wants_segmented_words(&self) -> bool {
        self.config.segments_vietnamese()
    }

    pub(super) fn width(&self) -> usize {
        self.projection.as_ref().map_or(self.embeddings.width(), Dense::outputs)
    }

    /// The mask, 1 for tokens and 0 for padding, `[batch, tokens]`, if the input has one.
    pub(super) fn mask(&self, input: &Inputs) -> Result<Option<Tensor>> {
        masks::tokens(input, self.embeddings.dtype())
    }
}

/// The most tensors that the embeddings or a layer make in a forward pass.
const MOST_TENSORS_OF_A_LAYER: usize = 160;

impl TransformerEncoder {
    /// The last hidden states `[batch, tokens, width]`; of the first token alone, `[batch, 1, width]`, where only it is
    /// `read` and that saves work.
    pub(super) fn states(&self, input: &Inputs, read: Read, layers: &mut Layers) -> Result<Tensor> {
        input.require(1, 2)?;
        for tensor in input.tensors().iter().chain(input.args()) {
            device::check_same("this encoder", self.device(), tensor.device())?;
        }
        let mask = self.mask(input)?;
        let embedded = self.embeddings.forward(input.get(0)?, input.args().get(1), mask.as_ref(), layers)?;
        let distances = self.distances.as_ref().map(|distances| distances.forward(embedded.dim(1)?, layers));
        let shared = Shared {
            masks: Masks::of(mask.as_ref(), &embedded, &self.config.architecture)?,
            distances: distances.transpose()?,
            precision: layers.precision(self.precision),
        };
        let mut x = match &self.projection {
            Some(projection) => layers.apply(&projection.name, &projection.linear, &embedded)?,
            None => embedded.clone(),
        };
        let mut convolution = self.convolution.as_ref();
        for (index, (pass, layer)) in self.passes.iter().enumerate() {
            let is_last = index + 1 == self.passes.len() && convolution.is_none() && self.last_norm.is_none();
            let read = if is_last { read } else { Read::All };
            x = self.layers[*layer].forward(&x, pass, &shared, read, layers)?;
            if let Some(convolution) = convolution.take() {
                x = convolution.forward(&embedded, &x, mask.as_ref(), layers)?;
            }
        }
        match &self.last_norm {
            Some(norm) => layers.apply(&norm.name, &norm.norm, &x),
            None => Ok(x),
        }
    }
}

impl Model for TransformerEncoder {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        self.states(input, Read::All, layers)
    }

    fn parameters(&self) -> Vec<Var> {
        self.weights().into_iter().map(|(_, weight)| weight).collect()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.weights()
    }

    fn known_operations(&self) -> Option<usize> {
        Some(MOST_TENSORS_OF_A_LAYER * (self.passes.len() + 1))
    }
}

/// The configuration and the weights of a folder.
pub(super) fn open(folder: &Path) -> Result<(Config, Checkpoint)> {
    if !folder.is_dir() {
        bail!(File, "there is no folder {}: expected the folder of a checkpoint", folder.display())
    }
    let config = Config::read(&folder.join("config.json"))?;
    let checkpoint = Checkpoint::open(folder, config.spelling())?;
    Ok((config, checkpoint))
}
