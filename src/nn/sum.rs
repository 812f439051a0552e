//! Sums of two tensors on the CPU.

use std::ops::AddAssign;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::on_cpu::{elements, is_fusible, map_storage};
use super::vectors::vectorized;

/// a + b, of one shape. candle adds large tensors on threads that wait for each other while they spin, which takes longer
/// than the sum where passes run side by side.
pub(crate) fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let fits = is_fusible(a) && is_fusible(b) && a.dtype() == b.dtype() && a.dims() == b.dims();
    if fits && a.is_contiguous() && b.is_contiguous() { a.apply_op2(b, Sum) } else { a + b }
}

/// Adds numbers to as many others.
pub(super) fn add<T: Copy + AddAssign>(to: &mut [T], numbers: &[T]) {
    for (sum, number) in to.iter_mut().zip(numbers) {
        *sum += *number;
    }
}

/// Multiplies numbers by as many others.
pub(super) fn times(numbers: &mut [f32], by: &[f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (number, by) in numbers.iter_mut().zip(by) {
                *number *= by;
            }
        },
    );
}

struct Sum;

impl CustomOp2 for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn cpu_fwd(&self, a: &CpuStorage, of_a: &Layout, b: &CpuStorage, of_b: &Layout) -> Result<(CpuStorage, Shape)> {
        let storage: Result<CpuStorage> = map_storage!(a, b, |a, b| {
            elements(a, of_a)?.iter().zip(elements(b, of_b)?).map(|(a, b)| a + b).collect()
        });
        Ok((storage?, of_a.shape().clone()))
    }

    fn bwd(
        &self,
        _a: &Tensor,
        _b: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(gradient.clone()), Some(gradient.clone())))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    #[test]
    fn sums_and_their_gradients_are_candles() {
        for dtype in [DType::F32, DType::F64, DType::BF16] {
            let numbers = |from: f64| Tensor::arange(from, from + 6., &Device::Cpu).unwrap().reshape((2, 3)).unwrap();
            let leaves = [1., 5.].map(|from| Var::from_tensor(&numbers(from).to_dtype(dtype).unwrap()).unwrap());
            let plain = leaves.each_ref().map(|leaf| leaf.as_tensor().clone());
            let turned = leaves.each_ref().map(|leaf| leaf.t().unwrap());
            for [a, b] in [plain, turned] {
                let ways = [sum(&a, &b).unwrap(), (&a + &b).unwrap()].map(|sum| sum.sqr().unwrap());
                let all =
                    |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>();
                let of = |way: &Tensor| {
                    let store = way.backward().unwrap();
                    leaves.each_ref().map(|leaf| all(store.get(leaf).unwrap()).unwrap())
                };
                assert_eq!(all(&ways[0]).unwrap(), all(&ways[1]).unwrap());
                assert_eq!(of(&ways[0]), of(&ways[1]));
            }
        }
    }
}
