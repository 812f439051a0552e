//! Building blocks whose backward is right and fast.
//!
//! candle's own `softmax_last_dim` and `layer_norm` have no backward, its `max_pool2d` a wrong
//! one, its `max` one that counts ties twice, its `conv2d` none where a stride leaves a remainder,
//! and its `relu` lets the gradient through at 0 where PyTorch does not. Every block here is
//! checked against finite differences.
//!
//! Blocks with weights have two ways through them: `forward` keeps the weights in the graph, so
//! that they can be trained, and `forward_frozen` leaves them out, which is faster where only the
//! input is asked about. Half precision is computed in `f32` and rounded at the end of each block.
//!
//! A [`Block`] is an operation that a method's rule can give another backward.

mod activation;
mod block;
mod candle_blocks;
mod conv2d;
mod correlation;
mod layer_norm;
mod linear;
mod max;
mod on_cpu;
mod pool2d;
mod product;
mod ruled;
mod softmax;

use candle_core::{Tensor, Var};

pub use activation::Activation;
pub(crate) use block::only;
pub use block::{Block, BlockInputs, Closure, Operation, Windows, block};
pub use conv2d::Conv2d;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use max::{Max, max};
pub use pool2d::{AvgPool2d, MaxPool2d, avg_pool2d, max_pool2d};
pub use product::{MatMul, Multiply};
pub(crate) use ruled::{Call, Rule, ordinary, run as run_ruled};
pub use softmax::{Softmax, softmax};

use crate::error::{Result, bail};

/// A block's weight and bias under its name.
fn named(name: &str, weight: &Var, bias: Option<&Var>) -> Vec<(String, Var)> {
    let bias = bias.map(|bias| (format!("{name}.bias"), bias.clone()));
    std::iter::once((format!("{name}.weight"), weight.clone())).chain(bias).collect()
}

/// An error if an input has another type than the weights that it meets.
fn same_type(block: &str, x: &Tensor, weight: &Tensor) -> Result<()> {
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
