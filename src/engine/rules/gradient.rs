//! The plain gradient of a function of one tensor.

use candle_core::{Tensor, Var};

use crate::error::Result;

/// The gradient of the sum of `make(point)` with respect to `point`; zeros if it does not depend on `point`.
pub(super) fn gradient_at(point: &Tensor, make: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let var = Var::from_tensor(point)?;
    let mut store = make(var.as_tensor())?.sum_all()?.backward()?;
    Ok(store.remove(&var).map_or_else(|| point.zeros_like(), |gradient| Ok(gradient.detach()))?)
}
