//! Products of rows with the weights of dense layers side by side, and the gradient of the rows.

use candle_core::Result;

use crate::nn::Precision;
use crate::nn::matrices::{Matrix, Rows, Start};
use crate::nn::sum::add;

/// Dense layers of one width that take the same rows; their outputs stand side by side.
pub(super) struct Dense<'a> {
    pub(super) parts: Vec<Weights<'a>>,
    pub(super) inputs: usize,
    pub(super) precision: Precision,
}

/// A weight `[out, in]` and a bias `[out]`.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
}

impl<'a> Dense<'a> {
    pub(super) fn outputs(&self) -> usize {
        self.parts.iter().map(|part| part.weight.len() / self.inputs).sum()
    }

    /// The weight of each part, its bias, and where its outputs begin.
    fn placed(&self) -> impl Iterator<Item = (Matrix<'a, f32>, Option<&'a [f32]>, usize)> {
        self.parts.iter().scan(0, |next, Weights { weight, bias }| {
            let (outputs, first) = (weight.len() / self.inputs, *next);
            *next += outputs;
            Some((Matrix::of_rows(weight, outputs, self.inputs), *bias, first))
        })
    }

    /// out = x·Wᵀ + b, and `residual`, if there is one.
    pub(super) fn apply(&self, x: &[f32], residual: Option<&[f32]>, out: &mut [f32]) -> Result<()> {
        let (rows, width) = (x.len() / self.inputs, self.outputs());
        if let Some(residual) = residual {
            out.copy_from_slice(residual);
        }
        let x = Matrix::of_rows(x, rows, self.inputs);
        for (weight, bias, first) in self.placed() {
            let start = match (residual, bias) {
                (None, Some(bias)) => Start::Bias(bias),
                (None, None) => Start::Zero,
                (Some(_), bias) => {
                    let bias = bias.unwrap_or_default();
                    out.chunks_exact_mut(width).for_each(|row| add(&mut row[first..first + bias.len()], bias));
                    Start::There
                }
            };
            let to = Rows { values: &mut out[first..], stride: width };
            self.precision.multiply(&x, &weight.turned(), to, start)?;
        }
        Ok(())
    }

    /// The gradient of x from that of the output: g·W, added to `out` or in its place.
    pub(super) fn gradient(&self, g: &[f32], out: &mut [f32], added: bool) -> Result<()> {
        let mut start = if added { Start::There } else { Start::Zero };
        let width = self.outputs();
        let rows = g.len() / width;
        for (weight, _, first) in self.placed() {
            let g = Matrix { values: &g[first..], rows, columns: weight.rows, row_stride: width, column_stride: 1 };
            self.precision.multiply(&g, &weight, Rows { values: out, stride: self.inputs }, start)?;
            start = Start::There;
        }
        Ok(())
    }
}
