//! Layer normalisation of rows, and the gradient of the rows.

use crate::nn::lanes::{sum_of, sum_of_two};
use crate::nn::vectors::vectorized;

/// The weight and bias `[width]` of a layer norm, and what is added to the variance.
pub(super) struct Norm<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) eps: f32,
}

/// Rows of mean 0 and variance 1, and one over the deviation that each had.
#[derive(Default)]
pub(super) struct Normal {
    pub(super) rows: Vec<f32>,
    pub(super) inverse: Vec<f32>,
}

impl Norm<'_> {
    /// Makes the rows normal, and puts them, weighted and shifted, into `out`.
    pub(super) fn apply(&self, normal: &mut Normal, out: &mut [f32]) {
        normal.inverse.resize(normal.rows.len() / self.weight.len(), 0.);
        vectorized(
            #[inline(always)]
            || self.apply_rows(normal, out),
        );
    }

    #[inline(always)]
    fn apply_rows(&self, normal: &mut Normal, out: &mut [f32]) {
        let width = self.weight.len();
        let rows = normal.rows.chunks_exact_mut(width).zip(&mut normal.inverse).zip(out.chunks_exact_mut(width));
        for ((row, inverse), out) in rows {
            let mean = sum_of(row, |x| x) / width as f32;
            for x in row.iter_mut() {
                *x -= mean;
            }
            let variance = sum_of(row, |x| x * x) / width as f32;
            *inverse = 1. / (variance + self.eps).sqrt();
            let by = *inverse;
            for x in row.iter_mut() {
                *x *= by;
            }
            for (out, (x, weight)) in out.iter_mut().zip(row.iter().zip(self.weight)) {
                *out = x * weight;
            }
            for (out, bias) in out.iter_mut().zip(self.bias.unwrap_or_default()) {
                *out += bias;
            }
        }
    }

    /// The gradient of the rows from that of the output: (g − mean g − x̂ · mean(g · x̂)) / √(variance + ε), g the
    /// weighted gradient.
    pub(super) fn gradient(&self, normal: &Normal, g: &[f32], out: &mut [f32]) {
        vectorized(
            #[inline(always)]
            || self.gradient_of_rows(normal, g, out),
        );
    }

    #[inline(always)]
    fn gradient_of_rows(&self, normal: &Normal, g: &[f32], out: &mut [f32]) {
        let width = self.weight.len();
        let rows = normal.rows.chunks_exact(width).zip(&normal.inverse);
        for ((g, out), (row, inverse)) in g.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(rows) {
            for (out, (g, weight)) in out.iter_mut().zip(g.iter().zip(self.weight)) {
                *out = g * weight;
            }
            let mean = sum_of(out, |x| x) / width as f32;
            let along = sum_of_two(out, row, |g, x| g * x) / width as f32;
            for (g, x) in out.iter_mut().zip(row) {
                *g = (*g - mean - x * along) * inverse;
            }
        }
    }
}
