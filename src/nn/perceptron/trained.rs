//! The operation with weights that are trained: one vector of them all, layer after layer, each bias behind its weight.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor};

use super::columns::turned;
use super::network::{Affine, Chunk, Keeps, Network};
use super::{inputs, outputs};
use crate::nn::matrices::Matrix;
use crate::nn::on_cpu::elements;
use crate::nn::sum::add;

/// The sums over the rows are taken in at most so many parts, whatever the number of cores, so that it changes no bit.
const PARTS: usize = 8;

pub(super) struct Trained {
    pub(super) network: Network,
    /// Whether somebody wants the gradient of the rows.
    pub(super) of_inputs: bool,
    /// What the gradient needs of each chunk.
    pub(super) kept: OnceLock<Vec<f32>>,
}

impl Trained {
    /// The weight and the bias of each dense layer.
    fn parts<'a>(&self, mut weights: &'a [f32]) -> Vec<Affine<'a>> {
        let mut next = |count: usize| {
            let part;
            (part, weights) = weights.split_at(count);
            part
        };
        let linears = self.network.perceptron.linears();
        linears
            .map(|linear| Affine {
                weight: Matrix::of_rows(next(outputs(linear) * inputs(linear)), outputs(linear), inputs(linear)),
                bias: linear.bias().map(|_| next(outputs(linear))),
            })
            .collect()
    }
}

impl CustomOp2 for Trained {
    fn name(&self) -> &'static str {
        "trained-perceptron"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        of_x: &Layout,
        weights: &CpuStorage,
        of_weights: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let network = &self.network;
        let (rows, _) = of_x.shape().dims2()?;
        let (x, weights) = (elements(x.as_slice::<f32>()?, of_x)?, elements(weights.as_slice::<f32>()?, of_weights)?);
        let (together, of_a_row) = (network.rows_of_a_chunk(rows), network.kept_of_a_row(Keeps::All));
        let (mut out, mut kept) = (vec![0.; rows * network.outputs()], vec![0.; rows * of_a_row]);
        let affine = self.parts(weights);
        let mut of_chunks = kept.chunks_mut((together * of_a_row).max(1));
        let chunks = x.chunks(together * network.inputs()).zip(out.chunks_mut(together * network.outputs()));
        let chunks = chunks.map(|(from, to)| Chunk { from, to, kept: of_chunks.next().unwrap_or_default() }).collect();
        network.on_cores(rows, chunks, |room, chunk| network.apply(&affine, Keeps::All, room, chunk))?;
        // Each forward pass makes an operation of its own, so nothing is there yet.
        let _ = self.kept.set(kept);
        Ok((CpuStorage::F32(out), (rows, network.outputs()).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weights: &Tensor,
        _res: &Tensor,
        grad_res: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let all = grad_res.contiguous()?.apply_op2_no_bwd(&weights.detach(), &Gradient(self))?;
        let count = weights.elem_count();
        let of_x = self.of_inputs.then(|| all.narrow(0, count, x.elem_count())?.reshape(x.shape())).transpose()?;
        Ok((of_x, Some(all.narrow(0, 0, count)?)))
    }
}

/// The gradient of the weights, and behind it that of the rows if somebody wants it.
struct Gradient<'a>(&'a Trained);

impl CustomOp2 for Gradient<'_> {
    fn name(&self) -> &'static str {
        "trained-perceptron-gradient"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        of_g: &Layout,
        weights: &CpuStorage,
        of_weights: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let network = &self.0.network;
        let Some(kept) = self.0.kept.get() else {
            return Err(Error::Msg("a perceptron has kept nothing for its gradient".to_string()));
        };
        let (rows, _) = of_g.shape().dims2()?;
        let (g, weights) = (elements(g.as_slice::<f32>()?, of_g)?, elements(weights.as_slice::<f32>()?, of_weights)?);
        let parts = self.0.parts(weights);
        let copies: Vec<Vec<f32>> = parts.iter().map(|part| turned(part.weight.values, part.weight.columns)).collect();
        let affine = parts.iter().zip(&copies).map(|(part, copy)| Affine {
            weight: Matrix::of_rows(copy, part.weight.columns, part.weight.rows),
            bias: None,
        });
        let affine: Vec<Affine> = affine.collect();

        let (together, of_a_row) = (network.rows_of_a_chunk(rows), network.kept_of_a_row(Keeps::All));
        let of_inputs = if self.0.of_inputs { rows * network.inputs() } else { 0 };
        let mut all = vec![0.; weights.len() + of_inputs];
        let (of_weights, of_rows) = all.split_at_mut(weights.len());
        let mut of_rows = of_rows.chunks_mut((together * network.inputs()).max(1));
        let mut kept = kept.chunks((together * of_a_row).max(1));
        let chunks = g.chunks(together * network.outputs()).map(|from| Chunk {
            from,
            to: of_rows.next().unwrap_or_default(),
            kept: kept.next().unwrap_or_default(),
        });
        let mut chunks: Vec<Chunk<&[f32]>> = chunks.collect();
        let of_a_part = chunks.len().div_ceil(PARTS);
        let mut sums = vec![0.; chunks.len().div_ceil(of_a_part) * weights.len()];
        let mut jobs = Vec::new();
        for sums in sums.chunks_mut(weights.len()) {
            let rest = chunks.split_off(of_a_part.min(chunks.len()));
            jobs.push((std::mem::replace(&mut chunks, rest), sums));
        }
        network.on_cores(rows, jobs, |room, (chunks, sums)| {
            chunks.into_iter().try_for_each(|chunk| network.gradient(&affine, room, chunk, Some(&mut *sums)))
        })?;
        sums.chunks(weights.len()).for_each(|sums| add(of_weights, sums));
        let count = all.len();
        Ok((CpuStorage::F32(all), count.into()))
    }
}
