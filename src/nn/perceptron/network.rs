//! What a chunk of rows goes through.

use candle_core::Result;
use rayon::prelude::*;

use super::columns::{add_sums, softmax, softmax_gradient, turn};
use super::{Perceptron, Step};
use crate::cores;
use crate::nn::activation::Pointwise;
use crate::nn::matrices::{Matrix, Rows, multiply_into};
use crate::nn::on_cpu::sized;
use crate::nn::sum::times;
use crate::nn::tiles;

/// The numbers of a chunk's widest layer, which stay in the processor's nearest caches.
const NUMBERS: usize = 1 << 13;
/// The fewest rows of a chunk, for which the weights of a wide layer are read once.
const FEWEST_ROWS: usize = 2 * tiles::COLUMNS;
/// Fewer multiplications than this are faster on one core.
const ALONE: usize = 1 << 19;

/// The steps, and the widths before each and after the last.
pub(super) struct Network {
    pub(super) perceptron: Perceptron,
    pub(super) widths: Vec<usize>,
}

/// What is kept of a chunk, `[features, rows]` for each step.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Keeps {
    Nothing,
    /// For the gradient of the rows: the slopes of functions, and what softmax gave.
    Slopes,
    /// For that of the weights too: what affine steps get.
    All,
}

/// An affine step while its weights are read: `[outputs, inputs]`, or turned for the gradient.
pub(super) struct Affine<'a> {
    pub(super) weight: Matrix<'a, f32>,
    pub(super) bias: Option<&'a [f32]>,
}

/// Numbers `[features, rows]` before and after a step.
#[derive(Default)]
pub(super) struct Room {
    now: Vec<f32>,
    next: Vec<f32>,
}

/// A chunk of rows: the numbers that it has, those that it gets, and what is kept of it.
pub(super) struct Chunk<'a, K> {
    pub(super) from: &'a [f32],
    pub(super) to: &'a mut [f32],
    pub(super) kept: K,
}

impl Network {
    pub(super) fn of(perceptron: Perceptron) -> Self {
        Self { widths: perceptron.widths(), perceptron }
    }

    pub(super) fn inputs(&self) -> usize {
        self.widths[0]
    }

    pub(super) fn outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    /// How many numbers of a row are kept.
    pub(super) fn kept_of_a_row(&self, keeps: Keeps) -> usize {
        self.perceptron.steps.iter().zip(self.widths.windows(2)).map(|(step, widths)| kept(step, widths, keeps)).sum()
    }

    /// How many rows a chunk has, so that all have about as many.
    pub(super) fn rows_of_a_chunk(&self, rows: usize) -> usize {
        let widest = self.widths.iter().copied().max().unwrap_or(1);
        let most = (NUMBERS / widest / tiles::COLUMNS * tiles::COLUMNS).max(FEWEST_ROWS);
        rows.div_ceil(rows.div_ceil(most))
    }

    /// Runs `work` on all jobs, which are of this many rows together, on the cores that are free.
    pub(super) fn on_cores<J: Send>(
        &self,
        rows: usize,
        jobs: Vec<J>,
        work: impl Fn(&mut Room, J) -> Result<()> + Sync,
    ) -> Result<()> {
        let of_a_row: usize = self.widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
        if cores::free() == 1 || rows * of_a_row < ALONE {
            let mut room = Room::default();
            return jobs.into_iter().try_for_each(|job| work(&mut room, job));
        }
        let alone = |room: &mut Room, job| cores::beside_others(|| work(room, job));
        jobs.into_par_iter().map_init(Room::default, alone).collect()
    }

    /// The output of a chunk of rows.
    pub(super) fn apply(
        &self,
        affine: &[Affine],
        keeps: Keeps,
        room: &mut Room,
        chunk: Chunk<&mut [f32]>,
    ) -> Result<()> {
        let rows = chunk.from.len() / self.inputs();
        let (mut affine, mut all_kept) = (affine.iter(), chunk.kept);
        let Room { now, next } = room;
        turn(chunk.from, self.inputs(), sized(now, chunk.from.len()));
        for (step, widths) in self.perceptron.steps.iter().zip(self.widths.windows(2)) {
            let of_step;
            (of_step, all_kept) = all_kept.split_at_mut(rows * kept(step, widths, keeps));
            match step {
                Step::Affine(_) => {
                    of_step.copy_from_slice(&now[..of_step.len()]);
                    affine.next().map_or(Ok(()), |affine| affine.multiply(now, next))?;
                    std::mem::swap(now, next);
                }
                Step::Each(function) => function.replace(now, (keeps != Keeps::Nothing).then_some(of_step)),
                Step::Softmax => {
                    softmax(now, rows);
                    of_step.copy_from_slice(&now[..of_step.len()]);
                }
            }
        }
        turn(now, rows, chunk.to);
        Ok(())
    }

    /// The gradient of a chunk's rows from that of its output, unless there is no place for it. The gradient of the weights is
    /// added to `of_weights`, one layer after another.
    pub(super) fn gradient(
        &self,
        affine: &[Affine],
        room: &mut Room,
        chunk: Chunk<&[f32]>,
        mut of_weights: Option<&mut [f32]>,
    ) -> Result<()> {
        let keeps = if of_weights.is_some() { Keeps::All } else { Keeps::Slopes };
        let rows = chunk.from.len() / self.outputs();
        let (mut affine, mut all_kept) = (affine.iter().rev(), chunk.kept);
        let Room { now, next } = room;
        turn(chunk.from, self.outputs(), sized(now, chunk.from.len()));
        for (index, (step, widths)) in self.perceptron.steps.iter().zip(self.widths.windows(2)).enumerate().rev() {
            let of_step;
            (all_kept, of_step) = all_kept.split_at(all_kept.len() - rows * kept(step, widths, keeps));
            match step {
                Step::Affine(linear) => {
                    if let Some(all) = of_weights.take() {
                        let count = linear.weight().elem_count() + linear.bias().map_or(0, |bias| bias.elem_count());
                        let (before, own) = all.split_at_mut(all.len() - count);
                        add_gradient(now, of_step, (widths[1], widths[0]), own)?;
                        of_weights = Some(before);
                    }
                    if index == 0 && chunk.to.is_empty() {
                        return Ok(());
                    }
                    affine.next().map_or(Ok(()), |affine| affine.multiply(now, next))?;
                    std::mem::swap(now, next);
                }
                Step::Each(_) => times(now, of_step),
                Step::Softmax => softmax_gradient(of_step, now, rows),
            }
        }
        if !chunk.to.is_empty() {
            turn(now, rows, chunk.to);
        }
        Ok(())
    }
}

/// How many numbers of a row are kept of a step between these widths.
fn kept(step: &Step, widths: &[usize], keeps: Keeps) -> usize {
    match (step, keeps) {
        (_, Keeps::Nothing) | (Step::Affine(_), Keeps::Slopes) => 0,
        (Step::Affine(_), Keeps::All) => widths[0],
        _ => widths[1],
    }
}

impl Affine<'_> {
    /// next = weight · now + bias, for each row.
    fn multiply(&self, now: &[f32], next: &mut Vec<f32>) -> Result<()> {
        let rows = now.len() / self.weight.columns;
        let next = sized(next, self.weight.rows * rows);
        for (numbers, bias) in next.chunks_exact_mut(rows).zip(self.bias.unwrap_or_default()) {
            numbers.fill(*bias);
        }
        let to = Rows { values: next, stride: rows };
        multiply_into(&self.weight, &Matrix::of_rows(now, self.weight.columns, rows), to, self.bias.is_some())
    }
}

/// Adds the gradient of a weight `[outputs, inputs]` and of the bias behind it, if there is one, from that of what they give
/// `[outputs, rows]` and what they get `[inputs, rows]`.
fn add_gradient(g: &[f32], x: &[f32], (outputs, inputs): (usize, usize), to: &mut [f32]) -> Result<()> {
    let rows = g.len() / outputs;
    let (of_weight, of_bias) = to.split_at_mut(outputs * inputs);
    let turned = Matrix::of_rows(x, inputs, rows).turned();
    multiply_into(&Matrix::of_rows(g, outputs, rows), &turned, Rows { values: of_weight, stride: inputs }, true)?;
    add_sums(g, rows, of_bias);
    Ok(())
}
