//! The buffers of a chunk.

use super::norm::Normal;

/// What the gradient of a chunk's input needs.
#[derive(Default)]
pub(super) struct Kept {
    /// Queries, keys and values, `[rows, 3, width]`.
    pub(super) projected: Vec<f32>,
    /// What each token that asks attends to, `[examples, heads, queries, tokens]`.
    pub(super) weights: Vec<f32>,
    pub(super) attention: Normal,
    /// The derivative of the activation, `[rows, inner]`.
    pub(super) slopes: Vec<f32>,
    pub(super) output: Normal,
}

impl Kept {
    pub(super) fn bytes(&self) -> usize {
        let buffers = [
            &self.projected,
            &self.weights,
            &self.attention.rows,
            &self.attention.inverse,
            &self.slopes,
            &self.output.rows,
            &self.output.inverse,
        ];
        buffers.map(Vec::len).iter().sum::<usize>() * size_of::<f32>()
    }
}

/// What a worker computes with, chunk after chunk.
#[derive(Default)]
pub(super) struct Room {
    pub(super) kept: Kept,
    /// `[rows, width]`, as are the next.
    pub(super) context: Vec<f32>,
    pub(super) attended: Vec<f32>,
    /// The inside of the feed-forward network, `[rows, inner]`.
    pub(super) inner: Vec<f32>,
    /// Queries, keys and values, `[rows, 3, width]`.
    pub(super) projected: Vec<f32>,
    /// The rows of the tokens that ask, `[examples, queries, width]`.
    pub(super) asking: Vec<f32>,
}
