//! The straight lines between baselines and inputs.

use candle_core::{DType, Device, Tensor};

use super::host::{difference, host};
use crate::error::Result;
use crate::nn;

/// The straight lines of a block from `from` to `to`, for each attributed tensor `[lines, ...]`.
pub(crate) struct Path {
    from: Vec<Tensor>,
    to: Vec<Tensor>,
    difference: Vec<Tensor>,
    /// F at the baseline of each line, where attributions must add up to its difference.
    starts: Option<Vec<f64>>,
    /// Whether layers move while the inputs stay. Then F at the start of a line need not be F at its baseline.
    within: bool,
}

impl Path {
    pub(crate) fn new(from: Vec<Tensor>, to: Vec<Tensor>) -> Result<Self> {
        let fine = |tensors: Vec<Tensor>| tensors.iter().map(computed).collect::<Result<Vec<_>>>();
        let ends = to.iter().map(Tensor::detach).collect();
        let (from, to) = (fine(from)?, fine(to)?);
        let apart = |(from, to): (&Tensor, &Tensor)| {
            let difference = to.sub(from)?;
            Ok(to.eq(from)?.where_cond(&difference.zeros_like()?, &difference)?.contiguous()?)
        };
        let difference = from.iter().zip(&to).map(apart).collect::<Result<_>>()?;
        Ok(Self { from, to: ends, difference, starts: None, within: false })
    }

    pub(crate) fn with_starts(self, starts: Option<Vec<f64>>) -> Self {
        Self { starts, ..self }
    }

    /// The same lines between activations of layers, while the inputs stay.
    pub(crate) fn within_model(self) -> Self {
        Self { within: true, ..self }
    }

    pub(crate) fn is_within_model(&self) -> bool {
        self.within
    }

    pub(crate) fn starts(&self) -> Option<&[f64]> {
        self.starts.as_deref()
    }

    /// End minus start of every line, in a list per attributed tensor.
    pub(crate) fn differences(&self) -> Result<Vec<Vec<f64>>> {
        let ends = self.from.iter().zip(&self.to);
        ends.map(|(from, to)| {
            Ok(host(to)?.into_iter().zip(host(from)?).map(|(to, from)| difference(to, from)).collect())
        })
        .collect()
    }

    /// End minus start of one line, all attributed tensors in one list.
    pub(crate) fn differences_of(&self, line: usize) -> Result<Vec<f64>> {
        let row = |tensors: &[Tensor]| {
            tensors.iter().map(|tensor| host(&tensor.narrow(0, line, 1)?)).collect::<Result<Vec<_>>>()
        };
        let (from, to) = (row(&self.from)?.concat(), row(&self.to)?.concat());
        Ok(to.into_iter().zip(from).map(|(to, from)| difference(to, from)).collect())
    }

    /// The points of all lines at the same alphas: `[alphas · lines, ...]`.
    ///
    /// An outer product, so that the points are written once.
    pub(crate) fn points(&self, alphas: &[f64]) -> Result<Vec<Tensor>> {
        let lines = self.from.iter().zip(&self.difference).zip(&self.to);
        lines
            .map(|((from, difference), like)| {
                let mut shape = from.dims().to_vec();
                shape[0] *= alphas.len();
                let ends = Tensor::stack(&[from.flatten_all()?, difference.flatten_all()?], 0)?;
                let factors: Vec<f64> = alphas.iter().flat_map(|&alpha| [1., alpha]).collect();
                let factors = Tensor::from_vec(factors, (alphas.len(), 2), &Device::Cpu)?.to_dtype(ends.dtype())?;
                Ok(nn::product(&factors.to_device(ends.device())?, &ends)?.reshape(shape)?.to_dtype(like.dtype())?)
            })
            .collect()
    }

    /// The points of some lines, each with its own alphas: `alphas` is `[points · lines]`, line-minor.
    pub(crate) fn scattered_points(&self, lines: &[usize], alphas: &[f64]) -> Result<Vec<Tensor>> {
        let rows: Vec<u32> = lines.iter().cycle().take(alphas.len()).map(|&line| line as u32).collect();
        let ends = self.from.iter().zip(&self.difference).zip(&self.to);
        ends.map(|((from, difference), like)| {
            let rows = Tensor::new(rows.as_slice(), from.device())?;
            let (from, difference) = (from.index_select(&rows, 0)?, difference.index_select(&rows, 0)?);
            let mut column = vec![1; from.rank()];
            column[0] = alphas.len();
            let alphas = Tensor::new(alphas, &Device::Cpu)?.to_dtype(from.dtype())?.reshape(column)?;
            let alphas = alphas.to_device(from.device())?;
            Ok((from + difference.broadcast_mul(&alphas)?)?.to_dtype(like.dtype())?)
        })
        .collect()
    }
}

/// An end of the lines in the type in which points are computed: in half precision they would miss
/// the line.
fn computed(end: &Tensor) -> Result<Tensor> {
    let end = end.detach().contiguous()?;
    Ok(match end.dtype() {
        DType::F16 | DType::BF16 => end.to_dtype(DType::F32)?,
        _ => end,
    })
}
