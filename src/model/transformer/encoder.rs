//! An encoder without a head.

use std::path::Path;

use candle_core::{DType, Tensor, Var};

use super::block::Block;
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::embeddings::Embeddings;
use crate::error::{Result, bail};
use crate::model::{Inputs, Layers, Model};

/// An encoder of the BERT family without a head: BERT, RoBERTa (PhoBERT and XLM-RoBERTa
/// included) or DistilBERT, from the folder of a Hugging Face checkpoint.
///
/// It takes token ids `[batch, tokens]`, and as extra arguments, if there is padding, a mask
/// `[batch, tokens]` of 1 for tokens and 0 for padding, and behind it, for pairs of texts, each token's type
/// `[batch, tokens]`, else 0. It gives the last hidden states `[batch, tokens, hidden]`. Its layers are those of
/// [`SequenceClassifier`](super::SequenceClassifier), without `logits`.
#[derive(Clone, Debug)]
pub struct TransformerEncoder {
    pub(super) config: Config,
    padding: u32,
    embeddings: Embeddings,
    blocks: Vec<Block>,
}

impl TransformerEncoder {
    /// Reads the encoder of a checkpoint: a folder with `config.json` and `model.safetensors` or
    /// `pytorch_model.bin`, whole or in shards. Weights of a head, if there are any, are left alone; the others
    /// are computed with in `f32`, or in `f64` if any of them is.
    ///
    /// An error names the file or the weight that is missing, truncated or of another shape.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        let (config, checkpoint) = open(folder.as_ref())?;
        let checkpoint = checkpoint.require(&weight_names(&config))?;
        Self::load(&checkpoint, config)
    }

    pub(super) fn load(checkpoint: &Checkpoint, config: Config) -> Result<Self> {
        checkpoint.refuse_further_layers(Block::all(config.architecture), config.layers)?;
        let embeddings = Embeddings::load(checkpoint, &config)?;
        let blocks = (0..config.layers).map(|index| Block::load(checkpoint, &config, index, embeddings.width()));
        Ok(Self { blocks: blocks.collect::<Result<_>>()?, embeddings, padding: config.pad_token_id, config })
    }

    /// The same encoder computing in another type, `f64` for example.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Self {
            config: self.config.clone(),
            padding: self.padding,
            embeddings: self.embeddings.to_dtype(dtype)?,
            blocks: self.blocks.iter().map(|block| block.to_dtype(dtype)).collect::<Result<_>>()?,
        })
    }

    /// How many tokens a text may have, the special ones included.
    pub fn max_tokens(&self) -> usize {
        self.embeddings.capacity()
    }

    /// The id that fills up shorter texts, and stands for "no word" in a reference.
    pub fn pad_token_id(&self) -> u32 {
        self.padding
    }

    /// How many tokens the vocabulary has.
    pub(crate) fn vocabulary_size(&self) -> usize {
        self.embeddings.vocabulary_size()
    }

    /// How many types of tokens it tells apart.
    pub(crate) fn type_count(&self) -> usize {
        self.embeddings.type_count()
    }

    /// The id of padding in `config.json`, if it tells.
    pub(crate) fn told_padding(&self) -> Option<u32> {
        self.config.told_padding
    }

    /// The same with what the tokenizer fills texts up with.
    pub(super) fn with_padding(mut self, padding: u32) -> Self {
        self.padding = padding;
        self
    }

    /// How many layers there are above the embeddings.
    pub fn layer_count(&self) -> usize {
        self.blocks.len()
    }

    /// The names of the layers above the embeddings, from the lowest.
    pub fn encoder_layers(&self) -> Vec<String> {
        self.blocks.iter().map(|block| block.name().to_string()).collect()
    }

    /// Whether the configuration asks for texts that are segmented into Vietnamese words.
    pub fn wants_segmented_words(&self) -> bool {
        self.config.segments_vietnamese()
    }

    pub(super) fn width(&self) -> usize {
        self.embeddings.width()
    }

    /// Every weight with its name in the checkpoint, without the model's prefix.
    pub(super) fn weights(&self) -> Vec<(String, Var)> {
        self.embeddings.weights().into_iter().chain(self.blocks.iter().flat_map(Block::weights)).collect()
    }

    /// −∞, as near as the type comes, where there is padding: `[batch, 1, 1, tokens]`.
    fn attention_mask(&self, input: &Inputs) -> Result<Option<Tensor>> {
        let Some(mask) = input.args().first() else { return Ok(None) };
        let ids = input.get(0)?;
        if mask.dims() != ids.dims() {
            bail!(Input, "the attention mask has the shape {:?}, and the ids {:?}", mask.dims(), ids.dims())
        }
        let (batch, tokens) = mask.dims2()?;
        let mask = mask.to_dtype(self.embeddings.dtype())?.reshape((batch, 1, 1, tokens))?;
        let far = if mask.dtype() == DType::F16 { 1e4 } else { 1e30 };
        Ok(Some(((mask - 1.)? * far)?))
    }
}

/// Neither the embeddings nor a block make more tensors in a forward pass.
const MOST_TENSORS_OF_A_BLOCK: usize = 96;

impl Model for TransformerEncoder {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        input.require(1, 2)?;
        let mask = self.attention_mask(input)?;
        let mut x = self.embeddings.forward(input.get(0)?, input.args().get(1), layers)?;
        for block in &self.blocks {
            x = block.forward(&x, mask.as_ref(), layers)?;
        }
        Ok(x)
    }

    fn parameters(&self) -> Vec<Var> {
        self.weights().into_iter().map(|(_, weight)| weight).collect()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.weights()
    }

    fn known_operations(&self) -> Option<usize> {
        Some(MOST_TENSORS_OF_A_BLOCK * (self.blocks.len() + 1))
    }
}

/// The name of every weight of an encoder in the checkpoint.
pub(super) fn weight_names(config: &Config) -> Vec<String> {
    let blocks = (0..config.layers).flat_map(|index| Block::weight_names(config.architecture, index));
    Embeddings::weight_names(config.architecture).into_iter().chain(blocks).collect()
}

/// The configuration and the weights of a folder.
pub(super) fn open(folder: &Path) -> Result<(Config, Checkpoint)> {
    if !folder.is_dir() {
        bail!(File, "there is no folder {}: expected the folder of a checkpoint", folder.display())
    }
    let config = Config::read(&folder.join("config.json"))?;
    let checkpoint = Checkpoint::open(folder, config.architecture)?;
    Ok((config, checkpoint))
}
