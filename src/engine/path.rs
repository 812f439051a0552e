//! The straight line between baseline and input.

use candle_core::Tensor;

use super::Expansion;
use crate::error::Result;

/// The straight line from `from` to `to`, for each attributed tensor `[batch, ...]`.
pub(crate) struct Path {
    from: Vec<Tensor>,
    difference: Vec<Tensor>,
}

impl Path {
    pub(crate) fn new(from: &[Tensor], to: &[Tensor]) -> Result<Self> {
        let from: Vec<Tensor> = from.iter().map(Tensor::detach).collect();
        let difference =
            from.iter().zip(to).map(|(from, to)| Ok(to.detach().sub(from)?.contiguous()?)).collect::<Result<_>>()?;
        Ok(Self { from, difference })
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.from[0].dims()[0]
    }

    /// End minus start, `[batch, ...]` for each attributed tensor.
    pub(crate) fn difference(&self) -> &[Tensor] {
        &self.difference
    }

    /// The points at the same alphas for every row of `at`: `[copies · rows, ...]`.
    ///
    /// An outer product, so that the points are written once.
    pub(crate) fn points(&self, at: &Expansion, alphas: &[f64]) -> Result<Vec<Tensor>> {
        let lines = self.from.iter().zip(&self.difference);
        lines
            .map(|(from, difference)| {
                let (from, difference) = (at.pick(from)?, at.pick(difference)?);
                let mut shape = from.dims().to_vec();
                shape[0] = at.len();
                let ends = Tensor::stack(&[from.flatten_all()?, difference.flatten_all()?], 0)?;
                let factors: Vec<f64> = alphas.iter().flat_map(|&alpha| [1., alpha]).collect();
                let factors = Tensor::from_vec(factors, (alphas.len(), 2), ends.device())?.to_dtype(ends.dtype())?;
                Ok(factors.matmul(&ends)?.reshape(shape)?)
            })
            .collect()
    }

    /// The points at alphas that differ from row to row: `alphas` is `[copies · rows]`, row-minor.
    pub(crate) fn scattered_points(&self, at: &Expansion, alphas: &[f64]) -> Result<Vec<Tensor>> {
        let lines = self.from.iter().zip(&self.difference);
        lines
            .map(|(from, difference)| {
                let (from, difference) = (at.expand(from)?, at.expand(difference)?);
                let mut column = vec![1; from.rank()];
                column[0] = at.len();
                let alphas = Tensor::new(alphas, from.device())?.to_dtype(from.dtype())?.reshape(column)?;
                Ok((from + difference.broadcast_mul(&alphas)?)?)
            })
            .collect()
    }
}
