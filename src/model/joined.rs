//! Dense layers of a network between which nobody looks, as one operation.

use candle_core::Tensor;

use super::layers::Place;
use super::{Layer, Layers};
use crate::error::Result;
use crate::nn::{Perceptron, Step};

/// The output of the first of these layers together, and how many they are; `None` if the first is computed by itself.
pub(super) fn joined(from: &[(String, Layer)], x: &Tensor, layers: &mut Layers) -> Result<Option<(Tensor, usize)>> {
    let is_looked_at = |(before, _): &(String, Layer), (after, _): &(String, Layer)| {
        layers.is_tapped(&Place::Output(before.clone())) || layers.is_tapped(&Place::Input(after.clone()))
    };
    let mut steps = Vec::new();
    for (index, (_, layer)) in from.iter().enumerate() {
        let Some(step) = step(layer) else { break };
        if index > 0 && is_looked_at(&from[index - 1], &from[index]) {
            break;
        }
        steps.push(step);
    }
    let perceptron = Perceptron { steps };
    let [inside @ .., (last, _)] = &from[..perceptron.steps.len()] else { return Ok(None) };
    let Some((first, _)) = inside.first() else { return Ok(None) };
    if layers.follows_rule() || !perceptron.takes(x) {
        return Ok(None);
    }
    let x = layers.visit_input(first, x.clone())?;
    for ((name, _), width) in inside.iter().zip(&perceptron.widths()[1..]) {
        layers.pass_by(name, vec![x.dims()[0], *width])?;
    }
    let output = if layers.training() {
        perceptron.forward_tracked(&x)?
    } else {
        let (output, kept) = perceptron.forward(&x)?;
        layers.keep(kept);
        output
    };
    Ok(Some((layers.visit(last, output)?, inside.len() + 1)))
}

fn step(layer: &Layer) -> Option<Step> {
    match layer {
        Layer::Linear(linear) => Some(Step::Affine(linear.clone())),
        Layer::Activation(activation) => Some(Step::Each(*activation)),
        Layer::Softmax => Some(Step::Softmax),
        _ => None,
    }
}
