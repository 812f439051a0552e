//! One number of a layer's output, or of several of its numbers.

use std::fmt::{Debug, Display, Formatter};
use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use super::Expansion;
use crate::error::{Result, bail};

/// What a neuron method attributes of a layer's output `[batch, ...]`: one number for each example.
///
/// | Neuron | Meaning |
/// |---|---|
/// | `3`, `[channel, row, column]` | the neuron at this index, without the batch axis |
/// | `0..4`, `[0..4, 2..3]` | the sum of the neurons in these ranges; axes that are not given count whole |
/// | `Neuron::of(f)` | what a differentiable function `f` makes of the output: `[batch]` |
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let one = NeuronGradient::new(&net, "tanh", 2).attribute(&x)?;
/// let sum = NeuronGradient::new(&net, "tanh", 0..3).attribute(&x)?;
/// let size = NeuronGradient::new(&net, "tanh", Neuron::of(|y: &Tensor| y.sqr()?.sum(1))).attribute(&x)?;
/// assert_eq!(one.tensor().dims(), size.tensor().dims());
/// assert_eq!(sum.tensor().dims(), [5, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Neuron(Selector);

type Function = dyn Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync;

#[derive(Clone)]
enum Selector {
    Index(Vec<usize>),
    Ranges(Vec<Range<usize>>),
    Function(Arc<Function>),
}

impl Neuron {
    /// What a differentiable function makes of the layer's output: from `[batch, ...]` to `[batch]`, with independent
    /// rows.
    pub fn of(function: impl Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static) -> Self {
        Self(Selector::Function(Arc::new(function)))
    }

    /// The number of each row, `[rows]`, from the layer's output `[rows, ...]`.
    pub(crate) fn select(&self, activation: &Tensor, layer: &str, at: &Expansion) -> Result<Tensor> {
        let Selector::Function(function) = &self.0 else { return total(&self.picked(activation, layer, at)?) };
        let made = function(activation)?;
        if made.dims() != [at.len()] {
            bail!(
                Input,
                "the function of layer \"{layer}\" gives {:?} for {} rows: expected one number for each row, [batch]",
                made.dims(),
                at.len()
            )
        }
        Ok(made)
    }

    /// The layer's gradient at these neurons times their activations, `[rows]`; the gradient is a constant.
    pub(crate) fn weighted(
        &self,
        activation: &Tensor,
        gradient: &Tensor,
        layer: &str,
        at: &Expansion,
    ) -> Result<Tensor> {
        let [activation, gradient] = [self.picked(activation, layer, at)?, self.picked(gradient, layer, at)?];
        total(&(activation * gradient)?)
    }

    /// What Captum has in place of it for several neurons: what they come to, times what their gradients come to.
    pub(crate) fn weighted_by_captum(
        &self,
        activation: &Tensor,
        gradient: &Tensor,
        layer: &str,
        at: &Expansion,
    ) -> Result<Tensor> {
        Ok((self.select(activation, layer, at)? * self.select(gradient, layer, at)?)?)
    }

    /// The activations of the chosen neurons, `[rows, neurons]`.
    fn picked(&self, activation: &Tensor, layer: &str, at: &Expansion) -> Result<Tensor> {
        let axes = activation.dims().get(1..).unwrap_or_default();
        match &self.0 {
            Selector::Index(index) => {
                if index.len() != axes.len() || index.iter().zip(axes).any(|(index, dim)| index >= dim) {
                    bail!(
                        Input,
                        "neuron {self} is out of range: layer \"{layer}\" gives {axes:?} for each example, so the \
                         neuron has {} positions, each below that",
                        axes.len()
                    )
                }
                let flat = index.iter().zip(axes).fold(0, |flat, (&index, &dim)| flat * dim + index);
                Ok(activation.reshape((at.len(), ()))?.narrow(1, flat, 1)?)
            }
            Selector::Ranges(ranges) => {
                let fits = |(range, dim): (&Range<usize>, &usize)| range.start < range.end && range.end <= *dim;
                if ranges.len() > axes.len() || !ranges.iter().zip(axes).all(fits) {
                    bail!(
                        Input,
                        "the neurons {self} are out of range: layer \"{layer}\" gives {axes:?} for each example, so \
                         there are up to {} ranges, each with a number in it and within that",
                        axes.len()
                    )
                }
                let narrow = |tensor: Tensor, (axis, range): (usize, &Range<usize>)| {
                    tensor.narrow(axis + 1, range.start, range.len())
                };
                let picked = ranges.iter().enumerate().try_fold(activation.clone(), narrow)?;
                Ok(picked.contiguous()?.reshape((at.len(), ()))?)
            }
            Selector::Function(_) => bail!(
                Input,
                "a function of layer \"{layer}\" has no conductance, which is a sum over neurons: expected an index or \
                 ranges, or captum_rules, which multiplies what it makes of activations by what it makes of gradients"
            ),
        }
    }
}

/// The sum of each row.
fn total(rows: &Tensor) -> Result<Tensor> {
    Ok(if rows.dims()[1] == 1 { rows.squeeze(1)? } else { rows.sum(1)? })
}

impl PartialEq for Neuron {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Selector::Index(one), Selector::Index(other)) => one == other,
            (Selector::Ranges(one), Selector::Ranges(other)) => one == other,
            (Selector::Function(one), Selector::Function(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Debug for Neuron {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Neuron({self})")
    }
}

impl Display for Neuron {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Selector::Index(index) => match index.as_slice() {
                [index] => write!(f, "{index}"),
                index => write!(f, "{index:?}"),
            },
            Selector::Ranges(ranges) => match ranges.as_slice() {
                [range] => write!(f, "{range:?}"),
                ranges => write!(f, "{ranges:?}"),
            },
            Selector::Function(_) => f.write_str("by a function"),
        }
    }
}

impl From<usize> for Neuron {
    fn from(index: usize) -> Self {
        Self(Selector::Index(vec![index]))
    }
}

impl From<Vec<usize>> for Neuron {
    fn from(index: Vec<usize>) -> Self {
        Self(Selector::Index(index))
    }
}

impl<const N: usize> From<[usize; N]> for Neuron {
    fn from(index: [usize; N]) -> Self {
        Self(Selector::Index(index.to_vec()))
    }
}

impl From<&[usize]> for Neuron {
    fn from(index: &[usize]) -> Self {
        Self(Selector::Index(index.to_vec()))
    }
}

impl From<Range<usize>> for Neuron {
    fn from(range: Range<usize>) -> Self {
        Self(Selector::Ranges(vec![range]))
    }
}

impl From<Vec<Range<usize>>> for Neuron {
    fn from(ranges: Vec<Range<usize>>) -> Self {
        Self(Selector::Ranges(ranges))
    }
}

impl<const N: usize> From<[Range<usize>; N]> for Neuron {
    fn from(ranges: [Range<usize>; N]) -> Self {
        Self(Selector::Ranges(ranges.to_vec()))
    }
}

impl From<&Neuron> for Neuron {
    fn from(neuron: &Neuron) -> Self {
        neuron.clone()
    }
}
