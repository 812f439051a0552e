//! Products of two tensors as blocks.

use candle_core::Tensor;

use super::block::{Block, Operation, two};
use super::matrices;
use crate::error::Result;

/// The product of matrices over the last two axes: `[..., n, k]` and `[..., k, m]` to `[..., n, m]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul;

impl Block for MatMul {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let (a, b) = two("a product of matrices", inputs)?;
        Ok(matrices::product(a, b)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Product
    }
}

/// The elementwise product of two tensors of one shape.
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
