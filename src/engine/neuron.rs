//! One number of a layer's output, or the sum of several.

use std::ops::Range;

use candle_core::Tensor;

use super::Expansion;
use crate::error::{Result, bail};

/// The index of one neuron within a layer's output, without the batch axis: `3`, or
/// `[channel, row, column]`; or a range along each axis, `[0..2, 1..3, 1..3]`, for the sum of that part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neuron(Vec<Range<usize>>);

impl From<usize> for Neuron {
    fn from(index: usize) -> Self {
        Self::from([index])
    }
}

impl From<Vec<usize>> for Neuron {
    fn from(index: Vec<usize>) -> Self {
        Self::from(index.as_slice())
    }
}

impl<const N: usize> From<[usize; N]> for Neuron {
    fn from(index: [usize; N]) -> Self {
        Self::from(index.as_slice())
    }
}

impl From<&[usize]> for Neuron {
    fn from(index: &[usize]) -> Self {
        Self(index.iter().map(|&index| index..index.saturating_add(1)).collect())
    }
}

impl From<Range<usize>> for Neuron {
    fn from(part: Range<usize>) -> Self {
        Self(vec![part])
    }
}

impl From<Vec<Range<usize>>> for Neuron {
    fn from(part: Vec<Range<usize>>) -> Self {
        Self(part)
    }
}

impl<const N: usize> From<[Range<usize>; N]> for Neuron {
    fn from(part: [Range<usize>; N]) -> Self {
        Self(part.into())
    }
}

impl From<&Neuron> for Neuron {
    fn from(neuron: &Neuron) -> Self {
        neuron.clone()
    }
}

impl std::fmt::Display for Neuron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = self.0.iter().map(|range| match range.len() {
            1 => range.start.to_string(),
            _ => format!("{}..{}", range.start, range.end),
        });
        match places.collect::<Vec<_>>().as_slice() {
            [place] => write!(f, "{place}"),
            places => write!(f, "[{}]", places.join(", ")),
        }
    }
}

impl Neuron {
    /// The neuron's activation in each row, `[rows]`, from the layer's output `[rows, ...]`.
    pub(crate) fn select(&self, activation: &Tensor, layer: &str, at: &Expansion) -> Result<Tensor> {
        let axes = activation.dims().get(1..).unwrap_or_default();
        if self.0.iter().any(Range::is_empty) {
            bail!(Input, "neuron {self} of layer \"{layer}\" has an empty range: every range ends above its start")
        }
        if self.0.len() != axes.len() || self.0.iter().zip(axes).any(|(range, &dim)| range.end > dim) {
            bail!(
                Input,
                "neuron {self} is out of range: layer \"{layer}\" gives {axes:?} for each example, so the neuron \
                 has {} positions, each below that",
                axes.len()
            )
        }
        if self.0.iter().all(|range| range.len() == 1) {
            let flat = self.0.iter().zip(axes).fold(0, |flat, (range, &dim)| flat * dim + range.start);
            return Ok(activation.reshape((at.len(), ()))?.narrow(1, flat, 1)?.squeeze(1)?);
        }
        let mut part = activation.clone();
        for (axis, range) in self.0.iter().enumerate() {
            part = part.narrow(axis + 1, range.start, range.len())?;
        }
        Ok(part.contiguous()?.reshape((at.len(), ()))?.sum(1)?)
    }
}
