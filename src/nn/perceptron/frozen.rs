//! The operation with weights that are left out of the graph.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor, Var};

use super::columns::turned;
use super::network::{Affine, Chunk, Keeps, Network};
use super::{inputs, outputs};
use crate::nn::held::held;
use crate::nn::linear::Linear;
use crate::nn::matrices::Matrix;
use crate::nn::on_cpu::elements;

pub(super) struct Frozen {
    pub(super) network: Network,
    pub(super) tracked: bool,
    /// What the gradient needs of each chunk.
    pub(super) kept: Arc<OnceLock<Vec<f32>>>,
}

impl Frozen {
    /// Runs `work` while nobody can change the weights, which are turned for the gradient.
    fn reading<T>(&self, is_turned: bool, work: impl FnOnce(&[Affine]) -> Result<T>) -> Result<T> {
        let linears = || self.network.perceptron.linears();
        let weights = self.network.perceptron.weights();
        let held: HashMap<_, _> = weights.map(|weight| (weight.id(), held(weight))).collect();
        let values = |weight: &Var| held[&weight.id()].values();
        let copies: Vec<Vec<f32>> = match is_turned {
            true => {
                linears().map(|linear| Ok(turned(values(linear.weight())?, inputs(linear)))).collect::<Result<_>>()?
            }
            false => Vec::new(),
        };
        let affine = |(index, linear): (usize, &Linear)| match copies.get(index) {
            Some(copy) => Ok(Affine { weight: Matrix::of_rows(copy, inputs(linear), outputs(linear)), bias: None }),
            None => {
                let weight = Matrix::of_rows(values(linear.weight())?, outputs(linear), inputs(linear));
                Ok(Affine { weight, bias: linear.bias().map(&values).transpose()? })
            }
        };
        work(&linears().enumerate().map(affine).collect::<Result<Vec<_>>>()?)
    }
}

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "perceptron"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let network = &self.network;
        let (rows, _) = layout.shape().dims2()?;
        let x = elements(storage.as_slice::<f32>()?, layout)?;
        let keeps = if self.tracked { Keeps::Slopes } else { Keeps::Nothing };
        let (together, of_a_row) = (network.rows_of_a_chunk(rows), network.kept_of_a_row(keeps));
        let (mut out, mut kept) = (vec![0.; rows * network.outputs()], vec![0.; rows * of_a_row]);
        self.reading(false, |affine| {
            let mut kept = kept.chunks_mut((together * of_a_row).max(1));
            let chunks = x.chunks(together * network.inputs()).zip(out.chunks_mut(together * network.outputs()));
            let chunks = chunks.map(|(from, to)| Chunk { from, to, kept: kept.next().unwrap_or_default() }).collect();
            network.on_cores(rows, chunks, |room, chunk| network.apply(affine, keeps, room, chunk))
        })?;
        if self.tracked {
            // Each forward pass makes an operation of its own, so nothing is there yet.
            let _ = self.kept.set(kept);
        }
        Ok((CpuStorage::F32(out), (rows, network.outputs()).into()))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        grad_res.contiguous()?.apply_op1_no_bwd(&Gradient(self)).map(Some)
    }
}

struct Gradient<'a>(&'a Frozen);

impl CustomOp1 for Gradient<'_> {
    fn name(&self) -> &'static str {
        "perceptron-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let network = &self.0.network;
        let Some(kept) = self.0.kept.get() else {
            return Err(Error::Msg("a perceptron has kept nothing for its gradient".to_string()));
        };
        let (rows, _) = layout.shape().dims2()?;
        let g = elements(storage.as_slice::<f32>()?, layout)?;
        let (together, of_a_row) = (network.rows_of_a_chunk(rows), network.kept_of_a_row(Keeps::Slopes));
        let mut out = vec![0.; rows * network.inputs()];
        self.0.reading(true, |affine| {
            let mut kept = kept.chunks((together * of_a_row).max(1));
            let chunks = g.chunks(together * network.outputs()).zip(out.chunks_mut(together * network.inputs()));
            let chunks = chunks.map(|(from, to)| Chunk { from, to, kept: kept.next().unwrap_or_default() }).collect();
            network.on_cores(rows, chunks, |room, chunk| network.gradient(affine, room, chunk, None))
        })?;
        Ok((CpuStorage::F32(out), (rows, network.inputs()).into()))
    }
}
