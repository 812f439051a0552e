//! Says where a tensor is NaN or infinite.

use candle_core::{DType, Tensor};

use crate::error::{Result, bail};

/// An error that names the first NaN or infinite element, if there is one.
pub(crate) fn check(tensor: &Tensor) -> Result<()> {
    if !tensor.dtype().is_float() {
        return Ok(());
    }
    let flat = tensor.detach().flatten_all()?;
    let first_bad = match tensor.dtype() {
        DType::F64 => first_non_finite(&flat.to_vec1::<f64>()?, |x| x.is_finite()),
        _ => first_non_finite(&flat.to_dtype(DType::F32)?.to_vec1::<f32>()?, |x| x.is_finite()),
    };
    match first_bad {
        None => Ok(()),
        Some((position, value)) => {
            let index = unravel(position, tensor.dims());
            bail!(NotFinite, "the value at {index:?} is {value}: expected a finite number")
        }
    }
}

fn first_non_finite<T: Copy + std::fmt::Display>(values: &[T], finite: impl Fn(T) -> bool) -> Option<(usize, String)> {
    values.iter().position(|&value| !finite(value)).map(|position| (position, values[position].to_string()))
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
