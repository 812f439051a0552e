//! Products of rows with the weights of dense layers side by side, and the gradient of the rows.

use candle_core::Result;

use super::add;
use crate::nn::matrices::{Matrix, Rows, multiply_into};

/// Dense layers of one width that take the same rows; their outputs stand side by side.
pub(super) struct Dense<'a> {
    pub(super) parts: Vec<Weights<'a>>,
    pub(super) inputs: usize,
}

/// A weight `[out, in]` and a bias `[out]`.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
}

impl Dense<'_> {
    pub(super) fn outputs(&self) -> usize {
        self.parts.iter().map(|part| part.weight.len() / self.inputs).sum()
    }

    /// out = x·Wᵀ + b, and `residual`, if there is one.
    pub(super) fn apply(&self, x: &[f32], residual: Option<&[f32]>, out: &mut [f32]) -> Result<()> {
        let (rows, width) = (x.len() / self.inputs, self.outputs());
        match residual {
            Some(residual) => out.copy_from_slice(residual),
            None => out.fill(0.),
        }
        let x = Matrix { values: x, rows, columns: self.inputs, row_stride: self.inputs, column_stride: 1 };
        let mut first = 0;
        for Weights { weight, bias } in &self.parts {
            let outputs = weight.len() / self.inputs;
            if let Some(bias) = bias {
                for row in out.chunks_exact_mut(width) {
                    add(&mut row[first..first + outputs], bias);
                }
            }
            let weight = Matrix {
                values: weight,
                rows: outputs,
                columns: self.inputs,
                row_stride: self.inputs,
                column_stride: 1,
            };
            multiply_into(&x, &weight.turned(), Rows { values: &mut out[first..], stride: width }, true)?;
            first += outputs;
        }
        Ok(())
    }

    /// The gradient of x from that of the output: g·W, added to `out` or in its place.
    pub(super) fn gradient(&self, g: &[f32], out: &mut [f32], mut added: bool) -> Result<()> {
        let width = self.outputs();
        let rows = g.len() / width;
        let mut first = 0;
        for Weights { weight, .. } in &self.parts {
            let outputs = weight.len() / self.inputs;
            let g = Matrix { values: &g[first..], rows, columns: outputs, row_stride: width, column_stride: 1 };
            let weight = Matrix {
                values: weight,
                rows: outputs,
                columns: self.inputs,
                row_stride: self.inputs,
                column_stride: 1,
            };
            multiply_into(&g, &weight, Rows { values: out, stride: self.inputs }, added)?;
            added = true;
            first += outputs;
        }
        Ok(())
    }
}
