//! Products of two tensors as blocks.

use candle_core::Tensor;

use super::block::{Block, Operation, two};
use crate::error::Result;

/// The product of two matrices, for each of the axes before: `[..., n, k]` and `[..., k, m]` to `[..., n, m]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul;

impl Block for MatMul {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let (a, b) = two("a product of matrices", inputs)?;
        Ok(a.matmul(b)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Product
    }
}

/// The product of two tensors of one shape, number by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiply;

impl Block for Multiply {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let (a, b) = two("a product", inputs)?;
        Ok((a * b)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Product
    }
}
