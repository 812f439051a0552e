//! Attention of one example, and the gradient of its queries, keys and values.

use candle_core::Result;

use super::additions::Additions;
use crate::nn::matrices::{Matrix, Rows, multiply_into};
use crate::nn::softmax;
use crate::nn::vectors::vectorized;

/// How queries, keys and values `[tokens, 3, heads, size]` lie in a slice.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) heads: usize,
    pub(super) size: usize,
    pub(super) tokens: usize,
    /// How many of the first tokens ask.
    pub(super) queries: usize,
}

/// The queries, the keys or the values of a head.
#[derive(Clone, Copy)]
enum Part {
    Queries,
    Keys,
    Values,
}

impl Heads {
    pub(super) fn width(&self) -> usize {
        self.heads * self.size
    }

    /// The factor of the products of queries and keys.
    fn scale(&self) -> f32 {
        1. / (self.size as f32).sqrt()
    }

    fn start(&self, part: Part, head: usize) -> usize {
        part as usize * self.width() + head * self.size
    }

    fn part<'a>(&self, projected: &'a [f32], part: Part, head: usize) -> Matrix<'a, f32> {
        let values = &projected[self.start(part, head)..];
        let rows = if let Part::Queries = part { self.queries } else { self.tokens };
        Matrix { values, rows, columns: self.size, row_stride: 3 * self.width(), column_stride: 1 }
    }

    /// How many numbers a head has of what its queries attend to.
    pub(super) fn pairs(&self) -> usize {
        self.queries * self.tokens
    }

    /// The weights of a head, `[queries, tokens]`.
    fn pairs_of<'a>(&self, values: &'a [f32]) -> Matrix<'a, f32> {
        Matrix::of_rows(values, self.queries, self.tokens)
    }

    /// softmax(QKᵀ/√size + additions)·V for each head: the weights `[heads, queries, tokens]`, and what they give,
    /// `[queries, heads, size]`.
    pub(super) fn attend(
        &self,
        projected: &[f32],
        (additions, example): (&Additions, usize),
        weights: &mut [f32],
        context: &mut [f32],
    ) -> Result<()> {
        let (tokens, scale) = (self.tokens, self.scale());
        for (head, weights) in weights.chunks_exact_mut(self.pairs()).enumerate() {
            let [queries, keys, values] =
                [Part::Queries, Part::Keys, Part::Values].map(|part| self.part(projected, part, head));
            multiply_into(&queries, &keys.turned(), Rows { values: weights, stride: tokens }, false)?;
            vectorized(
                #[inline(always)]
                || {
                    for (query, row) in weights.chunks_exact_mut(tokens).enumerate() {
                        for logit in row.iter_mut() {
                            *logit *= scale;
                        }
                        for addition in additions.rows(example, head, query) {
                            for (logit, addition) in row.iter_mut().zip(addition) {
                                *logit += addition;
                            }
                        }
                        softmax::of_row(row);
                    }
                },
            );
            let context = Rows { values: &mut context[head * self.size..], stride: self.width() };
            multiply_into(&self.pairs_of(weights), &values, context, false)?;
        }
        Ok(())
    }

    /// The gradient of queries, keys and values from that of what attention gives; `square` is room for
    /// `[queries, tokens]`.
    pub(super) fn gradient(
        &self,
        projected: &[f32],
        weights: &[f32],
        g: &[f32],
        square: &mut [f32],
        out: &mut [f32],
    ) -> Result<()> {
        let Self { tokens, queries: rows, size, .. } = *self;
        let scale = self.scale();
        let stride = 3 * self.width();
        for token in rows..tokens {
            out[token * stride..][..self.width()].fill(0.);
        }
        for (head, weights) in weights.chunks_exact(self.pairs()).enumerate() {
            let [queries, keys, values] =
                [Part::Queries, Part::Keys, Part::Values].map(|part| self.part(projected, part, head));
            let values_of = &g[head * size..];
            let g = Matrix { values: values_of, rows, columns: size, row_stride: self.width(), column_stride: 1 };
            multiply_into(&g, &values.turned(), Rows { values: square, stride: tokens }, false)?;
            vectorized(
                #[inline(always)]
                || {
                    for (row, g) in weights.chunks_exact(tokens).zip(square.chunks_exact_mut(tokens)) {
                        softmax::gradient_of_row(row, g);
                        for g in g {
                            *g *= scale;
                        }
                    }
                },
            );
            let mut to = |part: Part, a: &Matrix<f32>, b: &Matrix<f32>| {
                multiply_into(a, b, Rows { values: &mut out[self.start(part, head)..], stride }, false)
            };
            let of_logits = self.pairs_of(square);
            to(Part::Queries, &of_logits, &keys)?;
            to(Part::Keys, &of_logits.turned(), &queries)?;
            to(Part::Values, &self.pairs_of(weights).turned(), &g)?;
        }
        Ok(())
    }
}
