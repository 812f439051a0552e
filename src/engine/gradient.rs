//! Gradients; a missing one is an error.

use candle_core::{DType, Tensor, Var};

use super::Expansion;
use super::budget::Footprint;
use crate::error::{Result, bail};
use crate::finite;
use crate::model::picked;

/// What one pass over some points gave.
pub(crate) struct Sample {
    /// What is attributed at each point: inputs, or activations of layers, `[points, ...]` each.
    pub(crate) activations: Vec<Tensor>,
    /// The gradient with respect to each of them.
    pub(crate) gradients: Vec<Tensor>,
    /// The attributed number at each point, `[points]`.
    pub(crate) scalars: Tensor,
    /// The type whose rounding they have.
    pub(crate) rounded_to: DType,
    /// What the pass held for its backward.
    pub(crate) footprint: Footprint,
}

/// The gradient of the sum of `scalars` (one per row) with respect to each variable, whose values are
/// `activations` of all rows; `kept` bytes are held for their backward beside the graph. Rows are independent, so each
/// row's gradient is that of its own scalar.
///
/// An error that names the tensor if no gradient reaches it.
pub(crate) fn gradients(
    (scalars, kept): (&Tensor, usize),
    wanted: &[(String, Var)],
    activations: Vec<Tensor>,
    at: &Expansion,
) -> Result<Sample> {
    let footprint = footprint((scalars, kept), wanted, at)?;
    let gradients = match at.folding() {
        None => backward(scalars, wanted)?,
        Some(folding) => folding.in_turns(|rows: &[u32]| backward(&picked(scalars, rows)?, wanted))?,
    };
    Ok(Sample { activations, gradients, scalars: scalars.detach(), rounded_to: scalars.dtype(), footprint })
}

/// The same with zeros as gradients: for what the pass holds, without its backward.
pub(crate) fn measured(
    (scalars, kept): (&Tensor, usize),
    wanted: &[(String, Var)],
    activations: Vec<Tensor>,
    at: &Expansion,
) -> Result<Sample> {
    let footprint = footprint((scalars, kept), wanted, at)?;
    let gradients = activations.iter().map(Tensor::zeros_like).collect::<candle_core::Result<_>>()?;
    Ok(Sample { activations, gradients, scalars: scalars.detach(), rounded_to: scalars.dtype(), footprint })
}

/// What a pass holds for its backward; an error that names a tensor that no gradient reaches.
fn footprint((scalars, kept): (&Tensor, usize), wanted: &[(String, Var)], at: &Expansion) -> Result<Footprint> {
    let nodes = scalars.sorted_nodes();
    for (name, var) in wanted {
        if !nodes.iter().any(|node| node.id() == var.id()) {
            bail!(
                Gradient,
                "no gradient reaches {name}: the output does not depend on it through differentiable operations \
                 (candle_nn::ops::softmax_last_dim, layer_norm and rms_norm have no backward; use candle_explain::nn). Is it used at all, and is what \
                 layers.visit returned what the model goes on with?"
            )
        }
    }
    let graph = nodes.iter().map(|node| node.elem_count() * node.dtype().size_in_bytes()).sum();
    Ok(Footprint { graph, kept }.times(at.folding().map_or(1, |folding| folding.share())))
}

fn backward(scalars: &Tensor, wanted: &[(String, Var)]) -> Result<Vec<Tensor>> {
    let mut store = scalars.backward()?;
    let take = |(name, var): &(String, Var)| match store.remove(var) {
        // candle's gradients keep the graph that computed them.
        Some(gradient) => Ok(gradient.detach()),
        None => bail!(Gradient, "no gradient reaches {name}: an operation on the way to it has no backward"),
    };
    wanted.iter().map(take).collect()
}

/// An error if an attribution is not finite; the weights or the model must be the cause.
pub(crate) fn check_finite(values: &[Tensor], what: &str) -> Result<()> {
    for value in values {
        finite::check(value).map_err(|e| e.at(format!("the {what} is not finite although the inputs are")))?;
    }
    Ok(())
}
