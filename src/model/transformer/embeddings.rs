//! Words, positions and token types to vectors.

use candle_core::{D, DType, Device, Tensor};

use super::architecture::{Positions, TokenTypes};
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::part::{Dense, Norm, Table, made_of};
use crate::error::{Result, bail};
use crate::model::Layers;
use crate::nn::sum;

const POSITIONS: &str = "embeddings.position_embeddings";
const TOKEN_TYPES: &str = "embeddings.token_type_embeddings";

#[derive(Clone, Debug)]
pub(super) struct Embeddings {
    words: Table,
    positions: Option<Table>,
    token_types: Option<Table>,
    projection: Option<Dense>,
    norm: Norm,
    places: Positions,
    types: TokenTypes,
    blanks_padding: bool,
}

made_of!(Embeddings: words, positions, token_types, projection, norm);

impl Embeddings {
    pub(super) fn load(checkpoint: &Checkpoint, config: &Config) -> Result<Self> {
        let plan = &config.architecture.embeddings;
        let words = checkpoint.table(plan.words, [0, 0])?;
        let (vocabulary, width) = words.rows.dims2()?;
        checkpoint.check_size(config, "vocab_size", vocabulary)?;
        checkpoint.check_size(config, plan.width, width)?;
        checkpoint.ensure((config.pad_token_id as usize) < vocabulary, || {
            format!(
                "config.json says that pad_token_id is {}, and the vocabulary has {vocabulary} tokens",
                config.pad_token_id
            )
        })?;
        let table = |there: bool, name: &str, size: &str| -> Result<Option<Table>> {
            let table = there.then(|| checkpoint.table(name, [0, width])).transpose()?;
            table.iter().try_for_each(|table| checkpoint.check_size(config, size, table.count()))?;
            Ok(table)
        };
        let placed = !matches!(plan.positions, Positions::Nowhere(_));
        let positions = table(placed, POSITIONS, "max_position_embeddings")?;
        let token_types = table(plan.token_types == TokenTypes::Known, TOKEN_TYPES, "type_vocab_size")?;
        let projection = plan.projection.map(|name| checkpoint.widened(config, name, false, width)).transpose()?;
        let width = projection.as_ref().map_or(width, Dense::outputs);
        Ok(Self {
            words,
            positions,
            token_types,
            norm: checkpoint.layer_norm(plan.norm, width, config.architecture.norms)?,
            projection,
            places: plan.positions,
            types: plan.token_types,
            blanks_padding: plan.blanks_padding,
        })
    }

    pub(super) fn width(&self) -> usize {
        self.projection.as_ref().map_or(self.words.rows.dims()[1], Dense::outputs)
    }

    pub(super) fn dtype(&self) -> DType {
        self.words.rows.dtype()
    }

    pub(super) fn device(&self) -> &Device {
        self.words.rows.device()
    }

    /// How many tokens a text may have.
    pub(super) fn capacity(&self) -> usize {
        let rows = self.positions.as_ref().map_or(0, Table::count);
        match self.places {
            Positions::Counted => rows,
            Positions::Behind(padding) => rows.saturating_sub(padding as usize + 1),
            Positions::Nowhere(most) => most,
        }
    }

    /// How many words there are.
    pub(super) fn vocabulary_size(&self) -> usize {
        self.words.count()
    }

    /// How many token types are distinguished.
    pub(super) fn type_count(&self) -> usize {
        self.token_types.as_ref().map_or(1, Table::count)
    }

    /// `[batch, tokens, width]` from ids and, if there are any, types `[batch, tokens]`; `mask` is 1 for tokens and
    /// 0 for padding.
    pub(super) fn forward(
        &self,
        ids: &Tensor,
        types: Option<&Tensor>,
        mask: Option<&Tensor>,
        layers: &mut Layers,
    ) -> Result<Tensor> {
        let &[batch, tokens] = ids.dims() else {
            bail!(Input, "the token ids have the shape {:?}: expected [batch, tokens]", ids.dims())
        };
        if !ids.dtype().is_int() {
            bail!(Input, "the token ids are {:?}: expected integers, as a tokenizer gives them", ids.dtype())
        }
        if tokens == 0 || tokens > self.capacity() {
            bail!(Input, "{tokens} tokens: this model takes 1 to {}; shorten the text", self.capacity())
        }
        let host = ids.to_device(&Device::Cpu)?.to_dtype(DType::I64)?.to_vec2::<i64>()?;
        let vocabulary = self.vocabulary_size();
        if let Some(id) = host.iter().flatten().find(|id| !(0..vocabulary as i64).contains(id)) {
            bail!(Input, "token id {id} is not in the vocabulary of {vocabulary}: is it this model's tokenizer?")
        }
        let pick = |table: &Table, numbers: Vec<u32>, layers: &Layers| -> Result<Tensor> {
            Ok(table.pick(layers, numbers)?.reshape((batch, tokens, ()))?)
        };
        let words = pick(&self.words, host.iter().flatten().map(|id| *id as u32).collect(), layers)?;
        let mut total = layers.visit(&self.words.name, words)?;
        let type_ids = self.type_ids(types, ids)?;
        if let Some(types) = &self.token_types {
            let types = pick(types, type_ids, layers)?;
            total = sum(&total, &layers.visit(TOKEN_TYPES, types)?)?;
        }
        if let Some(positions) = &self.positions {
            let places = host.iter().flat_map(|row| self.position_ids(row)).collect();
            let positions = pick(positions, places, layers)?;
            total = sum(&total, &layers.visit(POSITIONS, positions)?)?;
        }
        if let Some(projection) = &self.projection {
            total = projection.run(layers, &total)?;
        }
        let mut embedded = self.norm.run(layers, &total)?;
        if let Some(mask) = mask.filter(|_| self.blanks_padding) {
            embedded = embedded.broadcast_mul(&mask.unsqueeze(D::Minus1)?)?;
        }
        let embedded = layers.dropout(embedded)?;
        layers.visit("embeddings", embedded)
    }

    /// The type of every token; 0 if the input has none.
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
        if self.types == TokenTypes::Ignored {
            return Ok(Vec::new());
        }
        let types = types.to_device(&Device::Cpu)?.to_dtype(DType::I64)?.flatten_all()?.to_vec1::<i64>()?;
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
        let Positions::Behind(padding) = self.places else { return (0..ids.len() as u32).collect() };
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
