//! One forward pass: the output, the tapped tensors, and errors that name the layer.

use candle_core::Tensor;

use super::Expansion;
use crate::deep_stack::Mark;
use crate::error::{Result, bail, error};
use crate::finite;
use crate::model::{Caught, Inputs, Layers, Model, Place, Tap, check_single_copy};

/// The results of a forward pass: the output, unless it stopped early, and the tapped tensors.
pub(super) struct Pass {
    output: Option<Tensor>,
    layers: Layers,
}

impl Pass {
    /// Runs the model; an error if it lacks a place that was asked for, or if the graph is too deep.
    pub(super) fn run(model: &dyn Model, inputs: &Inputs, mut layers: Layers) -> Result<Self> {
        check_single_copy()?;
        let before = Mark::now()?;
        let result = model.forward(inputs, &mut layers);
        for caught in layers.all_caught() {
            before.require_room(&caught.activation)?;
        }
        if layers.stopped() {
            return Ok(Self { output: None, layers });
        }
        let output = result?;
        before.require_room(&output)?;
        match layers.missing() {
            Some(place) => Err(layers.no_such(place)),
            None => Ok(Self { output: Some(output), layers }),
        }
    }

    pub(super) fn output(&mut self) -> Result<Tensor> {
        self.output.take().ok_or_else(|| error!(Layer, "the forward pass stopped before its output"))
    }

    /// What was caught at a place; an error unless its first axis is the batch.
    pub(super) fn caught(&mut self, place: &Place, at: &Expansion) -> Result<Caught> {
        take(&mut self.layers, place, at)
    }

    pub(super) fn into_layers(self) -> Layers {
        self.layers
    }
}

/// What was caught at a place; an error unless its first axis is the batch.
pub(super) fn take(layers: &mut Layers, place: &Place, at: &Expansion) -> Result<Caught> {
    let Some(caught) = layers.take(place) else { return Err(layers.no_such(place)) };
    let dims = caught.activation.dims();
    let rows = at.evaluations();
    if dims.first() != Some(&rows) {
        bail!(Layer, "{place} gives {dims:?} for {rows} rows: to be attributed, its first axis must be the batch")
    }
    Ok(caught)
}

/// An error that names the first layer whose output is not finite.
pub(super) fn check_output(model: &dyn Model, inputs: &Inputs, output: &Tensor) -> Result<()> {
    let Err(error) = finite::check(output) else { return Ok(()) };
    let mut layers = Layers::plain();
    model.forward(inputs, &mut layers)?;
    let taps = layers.visited().iter().map(|layer| (Place::Output(layer.name.clone()), Tap::Capture));
    let mut again = Pass::run(model, inputs, Layers::with_taps(taps))?;
    for layer in layers.visited() {
        let Some(caught) = again.layers.take(&Place::Output(layer.name.clone())) else { continue };
        finite::check(&caught.activation).map_err(|e| {
            e.at(format!("the output of layer \"{}\", the first that is not finite (check the weights)", layer.name))
        })?;
    }
    Err(error.at("the model's output (check the weights)"))
}
