//! One number of a layer's output.

use candle_core::Tensor;

use super::Expansion;
use crate::error::{Result, bail};

/// The index of one neuron within a layer's output, without the batch axis: `3`, or
/// `[channel, row, column]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neuron(Vec<usize>);

impl From<usize> for Neuron {
    fn from(index: usize) -> Self {
        Self(vec![index])
    }
}

impl From<Vec<usize>> for Neuron {
    fn from(index: Vec<usize>) -> Self {
        Self(index)
    }
}

impl<const N: usize> From<[usize; N]> for Neuron {
    fn from(index: [usize; N]) -> Self {
        Self(index.to_vec())
    }
}

impl From<&[usize]> for Neuron {
    fn from(index: &[usize]) -> Self {
        Self(index.to_vec())
    }
}

impl From<&Neuron> for Neuron {
    fn from(neuron: &Neuron) -> Self {
        neuron.clone()
    }
}

impl std::fmt::Display for Neuron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [index] => write!(f, "{index}"),
            index => write!(f, "{index:?}"),
        }
    }
}

impl Neuron {
    /// The neuron's activation in each row, `[rows]`, from the layer's output `[rows, ...]`.
    pub(crate) fn select(&self, activation: &Tensor, layer: &str, at: &Expansion) -> Result<Tensor> {
        let axes = activation.dims().get(1..).unwrap_or_default();
        if self.0.len() != axes.len() || self.0.iter().zip(axes).any(|(index, dim)| index >= dim) {
            bail!(
                Input,
                "neuron {self} is out of range: layer \"{layer}\" gives {axes:?} for each example, so the neuron \
                 has {} positions, each below that",
                axes.len()
            )
        }
        let flat = self.0.iter().zip(axes).fold(0, |flat, (&index, &dim)| flat * dim + index);
        Ok(activation.reshape((at.len(), ()))?.narrow(1, flat, 1)?.squeeze(1)?)
    }
}
