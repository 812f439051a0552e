//! Softmax with a backward.

use candle_core::shape::Dim;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::block::{Block, Operation, only};
use super::exponential::Exponential;
use super::lanes::{largest, sum_of, sum_of_two};
use super::on_cpu::{elements, is_fusible, map_storage, widened};
use super::vectors::vectorized;
use crate::error::bail;

/// Softmax along an axis: eˣ divided by its sum, computed relative to the largest value.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let logits = Tensor::new(&[[0f32, 0.]], &Device::Cpu)?;
/// assert_eq!(candle_explain::nn::softmax(&logits, 1)?.to_vec2::<f32>()?, [[0.5, 0.5]]);
/// # Ok::<(), Error>(())
/// ```
pub fn softmax(x: &Tensor, dim: impl Dim) -> Result<Tensor> {
    Ok(along(x, dim)?)
}

/// [`softmax`] along an axis as a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// The axis, from 0.
    pub axis: usize,
}

impl Block for Softmax {
    fn compute(&self, inputs: &[&Tensor]) -> crate::Result<Tensor> {
        along(only("softmax", inputs)?, self.axis)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Softmax { axis: self.axis }
    }
}

fn along(x: &Tensor, dim: impl Dim) -> crate::Result<Tensor> {
    let dim = dim.to_index(x.shape(), "softmax")?;
    if !x.dtype().is_float() || x.elem_count() == 0 {
        bail!(Input, "softmax of {:?} {:?}: expected floating-point numbers, at least one", x.dtype(), x.dims())
    }
    widened(x, |x| {
        if dim + 1 == x.rank() && is_fusible(x) {
            Ok(x.contiguous()?.apply_op1(SoftmaxLast { width: x.dim(dim)? })?)
        } else {
            composed(x, dim)
        }
    })
}

/// The same function composed of candle's operations.
fn composed(x: &Tensor, dim: usize) -> crate::Result<Tensor> {
    let exponentials = x.broadcast_sub(&x.detach().max_keepdim(dim)?)?.exp()?;
    Ok(exponentials.broadcast_div(&exponentials.sum_keepdim(dim)?)?)
}

/// eˣ divided by its sum, relative to the largest value.
#[inline(always)]
pub(super) fn of_row<T: Exponential>(row: &mut [T]) {
    let largest = largest(row);
    for value in row.iter_mut() {
        *value = (*value - largest).exponential();
    }
    let sum = sum_of(row, |x| x);
    for value in row.iter_mut() {
        *value = *value / sum;
    }
}

/// The gradient of a row from that of its softmax y, in the place of which it is put: y · (g − Σ g·y).
#[inline(always)]
pub(super) fn gradient_of_row<T: Exponential>(y: &[T], g: &mut [T]) {
    let along = sum_of_two(y, g, |y, g| y * g);
    for (g, y) in g.iter_mut().zip(y) {
        *g = *y * (*g - along);
    }
}

struct SoftmaxLast {
    width: usize,
}

impl CustomOp1 for SoftmaxLast {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let result: Result<CpuStorage> = map_storage!(storage, |values| {
            let mut result = elements(values, layout)?.to_vec();
            vectorized(
                #[inline(always)]
                || {
                    for row in result.chunks_exact_mut(self.width) {
                        of_row(row);
                    }
                },
            );
            result
        });
        Ok((result?, layout.shape().clone()))
    }

    fn bwd(&self, _arg: &Tensor, res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let op = SoftmaxGradient { width: self.width };
        res.detach().apply_op2_no_bwd(&grad_res.contiguous()?, &op).map(Some)
    }
}

struct SoftmaxGradient {
    width: usize,
}

impl CustomOp2 for SoftmaxGradient {
    fn name(&self) -> &'static str {
        "softmax-gradient"
    }

    fn cpu_fwd(
        &self,
        result: &CpuStorage,
        result_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let storage: Result<CpuStorage> = map_storage!(result, grad, |result, grad| {
            let (result, grad) = (elements(result, result_layout)?, elements(grad, grad_layout)?);
            let mut dx = grad.to_vec();
            vectorized(
                #[inline(always)]
                || {
                    for (y, g) in result.chunks_exact(self.width).zip(dx.chunks_exact_mut(self.width)) {
                        gradient_of_row(y, g);
                    }
                },
            );
            dx
        });
        Ok((storage?, grad_layout.shape().clone()))
    }
}
