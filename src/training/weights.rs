//! Weights that are moved and restored, and their sizes.

use candle_core::{DType, Tensor, Var};

use crate::error::Result;
use crate::seed::Seed;

/// The size assumed for weights that are all 0.
const SIZE_OF_ZEROS: f64 = 0.1;

/// Weights that are restored when this is dropped.
pub(super) struct Kept<'a>(Vec<(&'a Var, Tensor)>);

impl<'a> Kept<'a> {
    pub(super) fn new(vars: &'a [Var]) -> Result<Self> {
        Ok(Self(vars.iter().map(|var| Ok((var, var.as_detached_tensor().copy()?))).collect::<Result<_>>()?))
    }

    pub(super) fn put_back(&self) -> Result<()> {
        self.0.iter().try_for_each(|(var, value)| Ok(var.set(value)?))
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        // The shapes are the weights' own, so this cannot fail.
        let _ = self.put_back();
    }
}

pub(super) fn describe(name: &str, var: &Var) -> String {
    format!("\"{name}\" {:?}", var.dims())
}

pub(super) fn number(loss: &Tensor) -> Result<f64> {
    Ok(loss.to_dtype(DType::F64)?.to_scalar()?)
}

pub(super) fn sum(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.sum_all()?.to_scalar()?)
}

pub(super) fn sum_of_squares(tensor: &Tensor) -> Result<f64> {
    sum(&tensor.to_dtype(DType::F64)?.sqr()?)
}

/// The root of the mean square of the weights.
pub(super) fn size(var: &Var) -> Result<f64> {
    let size = (sum_of_squares(&var.as_detached_tensor())? / var.elem_count().max(1) as f64).sqrt();
    Ok(if size > 0. { size } else { SIZE_OF_ZEROS })
}

/// +1 or −1 for each weight.
pub(super) fn signs(var: &Var, seed: Seed) -> Result<Tensor> {
    let signs = seed.chances(0.5).take(var.elem_count()).map(|up| if up { 1f32 } else { -1. });
    Ok(Tensor::from_vec(signs.collect(), var.dims(), var.device())?.to_dtype(var.dtype())?)
}

pub(super) fn shift(var: &Var, direction: &Tensor, by: f64) -> Result<()> {
    Ok(var.set(&(var.as_detached_tensor() + (direction * by)?)?)?)
}

pub(super) fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F32 => f64::from(f32::EPSILON),
        DType::F16 => 9.8e-4,
        _ => 7.9e-3,
    }
}
