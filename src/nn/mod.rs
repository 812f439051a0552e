//! Building blocks with a correct and fast backward.
//!
//! In candle, `softmax_last_dim` and `layer_norm` have no backward, and that of `max_pool2d` is wrong.
//! `max` counts ties twice, `conv2d` has no backward if a stride leaves a remainder,
//! and `relu` lets the gradient through at 0 where PyTorch does not. Every block here is
//! checked against finite differences.
//!
//! Blocks with weights have two forward passes. `forward` keeps the weights in the graph, so
//! that they can be trained; `forward_frozen` leaves them out, which is faster if only the gradient of the
//! input is needed. Half precision is computed in `f32` and rounded at the end of each block.
//!
//! On the CPU blocks have forms of their own in `f32` and `f64`; on other devices they are composed of candle's operations.
//! Weights and inputs must be on the same device: layers have `to_device`.
//!
//! A [`Block`] is an operation to which a method's rule can give another backward.

mod activation;
mod block;
mod candle_blocks;
mod conv2d;
mod correlation;
mod encoder_layer;
mod exponential;
mod held;
mod lanes;
mod layer_norm;
mod linear;
mod matrices;
mod max;
mod on_cpu;
mod perceptron;
mod pool2d;
mod precision;
mod product;
mod reweighting;
mod ruled;
mod softmax;
mod sum;
mod tiles;
mod tiles_bf16;
mod vectors;

use candle_core::{Tensor, Var};

pub use activation::Activation;
pub(crate) use activation::{Pointwise, gelu, pointwise, relu, sigmoid};
pub(crate) use block::only;
pub use block::{Block, BlockInputs, Closure, HeldScale, Operation, Windows, block};
pub use conv2d::Conv2d;
pub(crate) use encoder_layer::{EncoderLayer, SelfAttention, TwoLayers};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub(crate) use matrices::product;
pub use max::{Max, max};
pub(crate) use perceptron::{Perceptron, Step};
pub use pool2d::{AvgPool2d, MaxPool2d, avg_pool2d, max_pool2d};
pub use precision::Precision;
pub use product::{MatMul, Multiply};
pub use reweighting::Reweighting;
pub(crate) use ruled::{At, Call, Rule, ordinary, run as run_ruled};
pub use softmax::{Softmax, softmax};
pub(crate) use sum::sum;
#[doc(hidden)]
pub use vectors::without_vectors;

use crate::device;
use crate::error::{Result, bail};

/// A block's weight and bias under its name.
fn named(name: &str, weight: &Var, bias: Option<&Var>) -> Vec<(String, Var)> {
    let bias = bias.map(|bias| (format!("{name}.bias"), bias.clone()));
    std::iter::once((format!("{name}.weight"), weight.clone())).chain(bias).collect()
}

/// What makes another of a weight: of another type, or on another device.
pub(crate) type Conversion<'a> = &'a dyn Fn(&Tensor) -> candle_core::Result<Tensor>;

/// What a conversion makes of a weight, as a weight of its own.
pub(crate) fn converted(weight: &Var, by: Conversion) -> candle_core::Result<Var> {
    Var::from_tensor(&by(&weight.as_detached_tensor())?)
}

/// An error if an input has another type than the weights, or is on another device.
fn same_kind(block: &str, x: &Tensor, weight: &Tensor) -> Result<()> {
    device::check_same(block, weight.device(), x.device())?;
    if x.dtype() != weight.dtype() {
        bail!(
            Input,
            "{block} with {:?} weights got a {:?} input: convert one of them with to_dtype",
            weight.dtype(),
            x.dtype()
        )
    }
    Ok(())
}
