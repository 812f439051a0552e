//! The largest value along an axis; candle's own `max` gives every tied value the whole gradient.

use candle_core::shape::Dim;
use candle_core::{DType, Tensor};

use super::block::{Block, Operation, only};
use crate::error::{Result, bail};

/// The largest value along an axis; the axis is dropped. At a tie the first value gets the whole
/// gradient, as in PyTorch's `max(dim)`. NaN counts as the largest.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let x = Var::new(&[[3f32, 3., 1.]], &Device::Cpu)?;
/// let largest = candle_explain::nn::max(&x, 1)?;
/// assert_eq!(largest.to_vec1::<f32>()?, [3.]);
/// let gradients = largest.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec2::<f32>()?, [[1., 0., 0.]]);
/// # Ok::<(), Error>(())
/// ```
pub fn max(x: &Tensor, dim: impl Dim) -> candle_core::Result<Tensor> {
    Ok(largest(x, dim)?)
}

/// [`max`] along an axis as a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Max {
    /// The axis, from 0.
    pub axis: usize,
}

impl Block for Max {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        largest(only("the largest along an axis", inputs)?, self.axis)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Max(Box::new(|x| {
            let mut axes: Vec<usize> = (0..x.rank()).filter(|axis| *axis != self.axis).collect();
            axes.push(self.axis);
            Ok(x.permute(axes)?)
        }))
    }
}

fn largest(x: &Tensor, dim: impl Dim) -> Result<Tensor> {
    let dim = dim.to_index(x.shape(), "max")?;
    if x.elem_count() == 0 {
        bail!(Input, "the largest value along axis {dim} of {:?}: there are no values", x.dims())
    }
    let x = x.contiguous()?;
    let values = x.detach();
    let mut first = values.argmax_keepdim(dim)?;
    if x.dtype().is_float() {
        let nan = values.ne(&values)?;
        let any_nan = nan.max_keepdim(dim)?;
        if any_nan.max_all()?.to_dtype(DType::U32)?.to_scalar::<u32>()? > 0 {
            first = any_nan.where_cond(&nan.argmax_keepdim(dim)?, &first)?;
        }
    }
    Ok(x.gather(&first, dim)?.squeeze(dim)?)
}
