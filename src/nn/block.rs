//! Operations that rules can recognise: what they compute, and what a rule may know of them.

use std::sync::Arc;

use candle_core::Tensor;

use super::Reweighting;
use crate::error::Result;

/// An operation of a network: from one tensor, or several, to one.
///
/// [`Layers::apply`](crate::model::Layers::apply) runs one under a layer's name, and
/// [`Layers::run`](crate::model::Layers::run) runs one without a name. A method that follows rules, such as
/// [`DeepLift`](crate::attr::DeepLift), can give such a block another backward. In every other pass it is the plain
/// operation.
///
/// Everything in [`nn`](crate::nn) is a block, and so are candle_nn's `Linear`, `Conv1d`, `Conv2d`, `Embedding`,
/// `Activation` and `LayerNorm` (which then has the backward that candle's own lacks). [`block`] turns a closure
/// into a block.
///
/// ```
/// use candle_explain::nn::{Block, Operation};
/// use candle_explain::prelude::*;
///
/// #[derive(Clone)]
/// struct Cube;
///
/// impl Block for Cube {
///     fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
///         Ok((inputs[0].sqr()? * inputs[0])?)
///     }
///
///     fn operation(&self) -> Operation<'_> {
///         Operation::Elementwise
///     }
/// }
///
/// #[derive(Clone)]
/// struct Net { linear: Linear }
///
/// impl Model for Net {
///     fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
///         let hidden = layers.apply("hidden", &self.linear, input.first())?;
///         layers.apply("cube", &Cube, &hidden)
///     }
/// }
///
/// let net = Net { linear: Linear::new(3, 2, Seed(1))? };
/// let x = Tensor::new(&[[1f32, 2., -1.]], &Device::Cpu)?;
/// let result = DeepLift::new(&net).attribute(&x, 0)?;
/// assert!(result.convergence_delta()?.max_abs() < 1e-5);
/// # Ok::<(), Error>(())
/// ```
pub trait Block: Send + Sync {
    /// Computes the output with differentiable operations; weights may be left out of the graph. Each input has the
    /// batch as first axis, and rows are independent.
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor>;

    /// Computes the output in a training step, with the weights in the graph.
    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        self.compute(inputs)
    }

    /// What a rule may know of it.
    fn operation(&self) -> Operation<'_> {
        Operation::Other
    }

    /// An affine block with other weights, for rules that look at weights, such as
    /// [`LRP`](crate::attr::LRP)'s gamma; `None`, the default, if it does not tell them.
    fn reweighted(&self, _by: &Reweighting) -> Result<Option<Box<dyn Block>>> {
        Ok(None)
    }
}

/// What a rule may know of a [`Block`].
#[non_exhaustive]
pub enum Operation<'a> {
    /// Linear in all its inputs together, plus a constant.
    Affine,
    /// The numbers of the only input in another shape or order.
    Reshape,
    /// Each number of the output is a function of the number in the same place of the only input.
    Elementwise,
    /// The only input, element by element, where it is positive, and 0 elsewhere.
    Relu,
    /// Linear in each of two inputs.
    Product,
    /// The largest value of each of these windows of the only input, `[batch, ..., window]`.
    Max(Windows<'a>),
    /// Softmax along an axis.
    Softmax {
        /// The axis, from 0.
        axis: usize,
    },
    /// Divided by a scale that is taken of the only input, and affine but for that: this computes the same with the
    /// scale left out of the graph.
    Normalization(HeldScale<'a>),
    /// Anything else that is differentiable.
    Other,
}

/// A normalization as a function of a tensor, with its scale left out of the graph.
pub type HeldScale<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>;

/// A function that makes the windows of a tensor, with differentiable operations.
pub type Windows<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>;

/// The inputs of a block: one tensor, or several.
pub trait BlockInputs {
    /// The tensors in the order that the block expects.
    fn tensors(&self) -> Vec<&Tensor>;
}

impl BlockInputs for Tensor {
    fn tensors(&self) -> Vec<&Tensor> {
        vec![self]
    }
}

impl BlockInputs for [&Tensor] {
    fn tensors(&self) -> Vec<&Tensor> {
        self.to_vec()
    }
}

impl<const N: usize> BlockInputs for [&Tensor; N] {
    fn tensors(&self) -> Vec<&Tensor> {
        self.to_vec()
    }
}

impl<B: Block + ?Sized> Block for Arc<B> {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        (**self).compute(inputs)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        (**self).compute_tracked(inputs)
    }

    fn operation(&self) -> Operation<'_> {
        (**self).operation()
    }

    fn reweighted(&self, by: &Reweighting) -> Result<Option<Box<dyn Block>>> {
        (**self).reweighted(by)
    }
}

/// A block of a closure over one tensor.
///
/// ```
/// use candle_explain::nn::block;
/// use candle_explain::prelude::*;
///
/// let net = from_fn(|input: &Inputs, layers: &mut Layers| {
///     let squares = layers.apply("squares", &block(|x: &Tensor| x.sqr()), input.first())?;
///     Ok(squares.sum(1)?)
/// });
/// let x = Tensor::new(&[[1f64, 2.]], &Device::Cpu)?;
/// let result = DeepLift::new(net).attribute(&x, Target::None)?;
/// assert!((result.tensor().to_vec2::<f64>()?[0][1] - 4.).abs() < 1e-9);
/// # Ok::<(), Error>(())
/// ```
pub fn block<F>(function: F) -> Closure<F>
where
    F: Fn(&Tensor) -> candle_core::Result<Tensor> + Clone + Send + Sync + 'static,
{
    Closure(function)
}

/// What [`block`] makes.
#[derive(Clone)]
pub struct Closure<F>(F);

impl<F> Block for Closure<F>
where
    F: Fn(&Tensor) -> candle_core::Result<Tensor> + Clone + Send + Sync + 'static,
{
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok((self.0)(only("a block of a closure", inputs)?)?)
    }
}

/// The only input of a block.
pub(crate) fn only<'a>(block: &str, inputs: &[&'a Tensor]) -> Result<&'a Tensor> {
    match inputs {
        [x] => Ok(x),
        several => crate::error::bail!(Input, "{block} got {} tensors: it takes one", several.len()),
    }
}

/// The two inputs of a block.
pub(crate) fn two<'a>(block: &str, inputs: &[&'a Tensor]) -> Result<(&'a Tensor, &'a Tensor)> {
    match inputs {
        [a, b] => Ok((a, b)),
        others => crate::error::bail!(Input, "{block} got {} tensors: it takes two", others.len()),
    }
}
