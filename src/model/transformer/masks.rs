//! Which tokens attend to which: not to padding, and in some layers not to distant ones.

use candle_core::{DType, Device, Tensor};

use super::architecture::Architecture;
use crate::error::{Result, bail};
use crate::model::Inputs;

/// The mask, 1 for tokens and 0 for padding, `[batch, tokens]`, if the input has one.
pub(super) fn tokens(input: &Inputs, dtype: DType) -> Result<Option<Tensor>> {
    let Some(mask) = input.args().first() else { return Ok(None) };
    let ids = input.get(0)?;
    if mask.dims() != ids.dims() {
        bail!(Input, "the attention mask has the shape {:?}, and the ids {:?}", mask.dims(), ids.dims())
    }
    let values = mask.to_device(&Device::Cpu)?.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    if let Some(value) = values.iter().find(|value| **value != 0. && **value != 1.) {
        bail!(Input, "the attention mask has the value {value}: expected 1 for tokens and 0 for padding")
    }
    Ok(Some(mask.to_dtype(dtype)?))
}

/// The masks that are added to the logits of attention: a very low number where a token is not seen.
pub(super) struct Masks {
    everywhere: Option<Tensor>,
    /// The mask of layers that see only near tokens.
    near: Option<Tensor>,
}

impl Masks {
    /// From what [`tokens`] gives, for embeddings `[batch, tokens, width]`.
    pub(super) fn of(mask: Option<&Tensor>, embedded: &Tensor, architecture: &Architecture) -> Result<Self> {
        let (batch, tokens, _) = embedded.dims3()?;
        let mut seen = mask.map(|mask| mask.reshape((batch, 1, 1, tokens))).transpose()?;
        if let Some(keys) = seen.as_mut().filter(|_| architecture.embeddings.blanks_padding) {
            *keys = keys.broadcast_mul(&keys.reshape((batch, 1, tokens, 1))?)?;
        }
        let near = match architecture.window {
            Some(window) => {
                let window = within(window, tokens, embedded.device())?.to_dtype(embedded.dtype())?;
                Some(seen.as_ref().map_or(Ok(window.clone()), |seen| seen.broadcast_mul(&window))?)
            }
            None => None,
        };
        Ok(Self { everywhere: seen.map(hiding).transpose()?, near: near.map(hiding).transpose()? })
    }

    /// The mask of a layer.
    pub(super) fn get(&self, near: bool) -> Option<&Tensor> {
        if near { self.near.as_ref() } else { self.everywhere.as_ref() }
    }
}

/// 1 for pairs of tokens at most `window` places apart, `[1, 1, tokens, tokens]`.
fn within(window: usize, tokens: usize, device: &Device) -> Result<Tensor> {
    let pairs = (0..tokens).flat_map(|query| (0..tokens).map(move |key| query.abs_diff(key)));
    let seen: Vec<u8> = pairs.map(|distance| u8::from(distance <= window)).collect();
    Ok(Tensor::from_vec(seen, (1, 1, tokens, tokens), device)?)
}

fn hiding(seen: Tensor) -> candle_core::Result<Tensor> {
    let far = if seen.dtype() == DType::F16 { 1e4 } else { 1e30 };
    (seen - 1.)? * far
}
