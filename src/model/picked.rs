//! Rows of a tensor, by their numbers.

use candle_core::Tensor;

use crate::error::Result;

/// These rows of a tensor `[rows, ...]`, in this order; a row may come several times.
pub(crate) fn picked(tensor: &Tensor, rows: &[u32]) -> Result<Tensor> {
    Ok(tensor.contiguous()?.index_select(&Tensor::new(rows, tensor.device())?, 0)?)
}
