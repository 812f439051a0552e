//! Rows in pairs: those of the inputs, followed by as many that they are compared with.

use candle_core::Tensor;

use crate::error::Result;

/// The two ends of a block's input or output, `[rows, ...]` each.
pub(super) struct Ends {
    /// At the inputs.
    pub(super) x: Tensor,
    /// At what they are compared with.
    pub(super) b: Tensor,
}

impl Ends {
    /// The ends of a tensor; `None` if it has no row for each of both, so that it is the same at both ends.
    pub(super) fn of(tensor: &Tensor, rows: usize) -> Result<Option<Self>> {
        if !tensor.dtype().is_float() || tensor.dims().first() != Some(&(2 * rows)) {
            return Ok(None);
        }
        Ok(Some(Self { x: upper(tensor, rows)?, b: tensor.narrow(0, rows, rows)?.contiguous()? }))
    }

    /// x − b, and 0 where both are the −∞ of a mask.
    pub(super) fn difference(&self) -> Result<Tensor> {
        let apart = (&self.x - &self.b)?;
        Ok(self.x.eq(&self.b)?.where_cond(&apart.zeros_like()?, &apart)?)
    }
}

/// The rows of the inputs.
pub(super) fn upper(tensor: &Tensor, rows: usize) -> Result<Tensor> {
    Ok(tensor.narrow(0, 0, rows)?.contiguous()?)
}

/// Gradients for the rows of the inputs, and none for the others.
pub(super) fn in_upper_rows(gradient: &Tensor) -> Result<Tensor> {
    Ok(Tensor::cat(&[gradient, &gradient.zeros_like()?], 0)?)
}
