//! Words, positions and token types to vectors.

use candle_core::{DType, Tensor, Var};

use super::checkpoint::Checkpoint;
use super::config::{Architecture, Config};
use crate::error::{Result, bail};
use crate::model::Layers;
use crate::nn::LayerNorm;

#[derive(Clone, Debug)]
pub(super) struct Embeddings {
    words: Var,
    positions: Var,
    token_types: Option<Var>,
    norm: LayerNorm,
    /// The position of the first token; padding stays at the one before, for RoBERTa.
    padding: Option<u32>,
}

impl Embeddings {
    pub(super) fn load(checkpoint: &Checkpoint, config: &Config) -> Result<Self> {
        let table = |kind: &str, width| -> Result<Var> {
            Ok(Var::from_tensor(&checkpoint.tensor(&table_name(kind), &[0, width])?)?)
        };
        let words = table("word", 0)?;
        let (vocabulary, width) = words.dims2()?;
        checkpoint.check_size(config, "vocab_size", vocabulary)?;
        let told = if config.architecture == Architecture::DistilBert { "dim" } else { "hidden_size" };
        checkpoint.check_size(config, told, width)?;
        if config.pad_token_id as usize >= vocabulary {
            bail!(
                File,
                "{}: config.json says that pad_token_id is {}, and the vocabulary has {vocabulary} tokens",
                checkpoint.folder().display(),
                config.pad_token_id
            )
        }
        let token_types = match config.architecture {
            Architecture::DistilBert => None,
            _ => Some(table("token_type", width)?),
        };
        let positions = table("position", width)?;
        checkpoint.check_size(config, "max_position_embeddings", positions.dims()[0])?;
        if let Some(types) = &token_types {
            checkpoint.check_size(config, "type_vocab_size", types.dims()[0])?;
        }
        Ok(Self {
            positions,
            norm: checkpoint.layer_norm("embeddings.LayerNorm", width, config.layer_norm_eps)?,
            padding: (config.architecture == Architecture::Roberta).then_some(config.pad_token_id),
            words,
            token_types,
        })
    }

    pub(super) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let convert = |table: &Var| Var::from_tensor(&table.as_detached_tensor().to_dtype(dtype)?);
        Ok(Self {
            words: convert(&self.words)?,
            positions: convert(&self.positions)?,
            token_types: self.token_types.as_ref().map(convert).transpose()?,
            norm: self.norm.to_dtype(dtype)?,
            padding: self.padding,
        })
    }

    /// The name of every weight in the checkpoint.
    pub(super) fn weight_names(architecture: Architecture) -> Vec<String> {
        let tables = ["word", "position", "token_type"].into_iter();
        let tables = tables.filter(|kind| *kind != "token_type" || architecture != Architecture::DistilBert);
        tables.map(table_name).chain(["weight", "bias"].map(|part| format!("embeddings.LayerNorm.{part}"))).collect()
    }

    /// Every weight with its name in the checkpoint.
    pub(super) fn weights(&self) -> Vec<(String, Var)> {
        let tables = [("word", Some(&self.words)), ("position", Some(&self.positions))];
        let tables = tables.into_iter().chain([("token_type", self.token_types.as_ref())]);
        let tables = tables.filter_map(|(kind, table)| Some((table_name(kind), table?.clone())));
        tables.chain(self.norm.named_parameters("embeddings.LayerNorm")).collect()
    }

    pub(super) fn width(&self) -> usize {
        self.words.dims()[1]
    }

    pub(super) fn dtype(&self) -> DType {
        self.words.dtype()
    }

    /// How many tokens fit in.
    pub(super) fn capacity(&self) -> usize {
        self.positions.dims()[0].saturating_sub(self.padding.map_or(0, |padding| padding as usize + 1))
    }

    /// How many words there are.
    pub(super) fn vocabulary_size(&self) -> usize {
        self.words.dims()[0]
    }

    /// How many types of tokens are told apart.
    pub(super) fn type_count(&self) -> usize {
        self.token_types.as_ref().map_or(1, |types| types.dims()[0])
    }

    /// `[batch, tokens, width]` from ids and, if there are any, types `[batch, tokens]`.
    pub(super) fn forward(&self, ids: &Tensor, types: Option<&Tensor>, layers: &mut Layers) -> Result<Tensor> {
        let &[batch, tokens] = ids.dims() else {
            bail!(Input, "the token ids have the shape {:?}: expected [batch, tokens]", ids.dims())
        };
        if !ids.dtype().is_int() {
            bail!(Input, "the token ids are {:?}: expected integers, as a tokenizer gives them", ids.dtype())
        }
        if tokens == 0 || tokens > self.capacity() {
            bail!(Input, "{tokens} tokens: this model takes 1 to {}; shorten the text", self.capacity())
        }
        let host = ids.to_dtype(DType::I64)?.to_vec2::<i64>()?;
        let vocabulary = self.vocabulary_size();
        if let Some(id) = host.iter().flatten().find(|id| !(0..vocabulary as i64).contains(id)) {
            bail!(Input, "token id {id} is not in the vocabulary of {vocabulary}: is it this model's tokenizer?")
        }
        let training = layers.training();
        let pick = |table: &Var, index: Vec<u32>| {
            let index = Tensor::from_vec(index, batch * tokens, table.device())?;
            let table = if training { table.as_tensor().clone() } else { table.as_detached_tensor() };
            table.index_select(&index, 0)?.reshape((batch, tokens, self.width()))
        };
        let flat: Vec<u32> = host.iter().flatten().map(|id| *id as u32).collect();
        let words = layers.visit("embeddings.word_embeddings", pick(&self.words, flat)?)?;
        let mut sum = words;
        let type_ids = self.type_ids(types, ids)?;
        if let Some(types) = &self.token_types {
            let types = pick(types, type_ids)?;
            sum = (sum + layers.visit("embeddings.token_type_embeddings", types)?)?;
        }
        let positions = pick(&self.positions, host.iter().flat_map(|row| self.position_ids(row)).collect())?;
        sum = (sum + layers.visit("embeddings.position_embeddings", positions)?)?;
        let embedded = layers.run(&self.norm, &sum)?;
        let embedded = layers.dropout(embedded)?;
        layers.visit("embeddings", embedded)
    }

    /// The type of every token, 0 where nothing is told.
    fn type_ids(&self, types: Option<&Tensor>, ids: &Tensor) -> Result<Vec<u32>> {
        let Some(types) = types else { return Ok(vec![0; ids.elem_count()]) };
        if types.dims() != ids.dims() || !types.dtype().is_int() {
            bail!(
                Input,
                "the token types are {:?} {:?}: expected integers {:?}, as the ids",
                types.dtype(),
                types.dims(),
                ids.dims()
            )
        }
        let types = types.to_dtype(DType::I64)?.flatten_all()?.to_vec1::<i64>()?;
        let count = self.type_count();
        match types.iter().find(|kind| !(0..count as i64).contains(kind)) {
            Some(kind) => bail!(
                Input,
                "a token is of type {kind}, and this model knows {count}, from 0 on: is it the tokenizer of this model, \
                 and was the model trained on pairs of texts?"
            ),
            None => Ok(types.into_iter().map(|kind| kind as u32).collect()),
        }
    }

    fn position_ids(&self, ids: &[i64]) -> Vec<u32> {
        let Some(padding) = self.padding else { return (0..ids.len() as u32).collect() };
        let mut last = padding;
        let mut next = |id: &i64| {
            if *id == i64::from(padding) {
                return padding;
            }
            last += 1;
            last
        };
        ids.iter().map(&mut next).collect()
    }
}

fn table_name(kind: &str) -> String {
    format!("embeddings.{kind}_embeddings.weight")
}
