//! Finds where a tensor is NaN or infinite.

use candle_core::{DType, Tensor};

use crate::error::{Result, bail};

/// How many numbers are checked at a time, so that a large tensor is not copied all at once.
const BLOCK: usize = 1 << 18;

/// An error that names the first NaN or infinite element, if there is one.
pub(crate) fn check(tensor: &Tensor) -> Result<()> {
    check_that(tensor, f64::is_finite, "a finite number")
}

/// The same for extra arguments, in which masks may hold −∞.
pub(crate) fn check_mask(tensor: &Tensor) -> Result<()> {
    check_that(tensor, |x| x.is_finite() || x == f64::NEG_INFINITY, "a finite number, or -inf as in a mask")
}

fn check_that(tensor: &Tensor, fine: impl Fn(f64) -> bool, expected: &str) -> Result<()> {
    if !tensor.dtype().is_float() {
        return Ok(());
    }
    let flat = tensor.detach().flatten_all()?;
    let count = flat.elem_count();
    for first in (0..count).step_by(BLOCK) {
        let block = flat.narrow(0, first, BLOCK.min(count - first))?;
        let bad = match tensor.dtype() {
            DType::F64 => first_bad(&block.to_vec1::<f64>()?, &fine),
            _ => first_bad(&block.to_dtype(DType::F32)?.to_vec1::<f32>()?, &fine),
        };
        if let Some((position, value)) = bad {
            let index = unravel(first + position, tensor.dims());
            bail!(NotFinite, "the value at {index:?} is {value}: expected {expected}")
        }
    }
    Ok(())
}

fn first_bad<T: Copy + Into<f64>>(values: &[T], fine: impl Fn(f64) -> bool) -> Option<(usize, f64)> {
    values.iter().map(|&value| value.into()).enumerate().find(|(_, value)| !fine(*value))
}

/// The index along each axis of an element at a position in row-major order.
pub(crate) fn unravel(mut position: usize, dims: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = dims
        .iter()
        .rev()
        .map(|&dim| {
            let here = position % dim;
            position /= dim;
            here
        })
        .collect();
    index.reverse();
    index
}
