//! One checked call: which model, which inputs, which number of the output.

use std::sync::Arc;

use candle_core::{DType, Tensor, Var};

use super::gradient::{Sample, gradients};
use super::passes::join_blocks;
use super::target::Selection;
use super::{Attributions, Convergence, Expansion, Integral, Neuron, Target};
use crate::error::{Result, bail};
use crate::finite;
use crate::model::{Inputs, Layers, Model, Place, Tap};

/// Rows that one pass without a graph evaluates at most, unless the user has chosen fewer.
pub(crate) const ROWS_PER_EVALUATION: usize = 256;

/// The number of each example that is attributed.
pub(crate) enum Quantity {
    Output { selection: Selection, output: Tensor },
    Neuron { place: Place, neuron: Neuron },
}

/// A checked call of a method: every evaluation of the model goes through it.
pub(crate) struct Question {
    model: Arc<dyn Model>,
    inputs: Inputs,
    quantity: Quantity,
    rows_per_evaluation: usize,
}

/// What a forward pass left: the output, unless it stopped early, and the tapped tensors.
pub(crate) struct Pass {
    output: Option<Tensor>,
    layers: Layers,
}

impl Question {
    /// Asks about the model's output; the target is checked against the output of these inputs.
    /// Passes without a graph take `rows_per_evaluation` rows at most.
    pub(crate) fn about_output(
        model: &Arc<dyn Model>,
        inputs: Inputs,
        target: &Target,
        rows_per_evaluation: usize,
    ) -> Result<Self> {
        let batch = check_inputs(&inputs)?;
        let mut outputs = Vec::new();
        for at in evaluation_blocks(batch, rows_per_evaluation) {
            let pass = forward(&**model, &at.expand_inputs(&inputs)?, Layers::plain())?;
            outputs.push(vec![pass.into_output()?.detach()]);
        }
        let output = join_blocks(outputs)?.swap_remove(0);
        check_output(&**model, &inputs, &output)?;
        let selection = Selection::new(target, &output, batch)?;
        Ok(Self { model: model.clone(), inputs, quantity: Quantity::Output { selection, output }, rows_per_evaluation })
    }

    /// Asks about the activation of one neuron.
    pub(crate) fn about_neuron(
        model: &Arc<dyn Model>,
        inputs: Inputs,
        place: Place,
        neuron: &Neuron,
        rows_per_evaluation: usize,
    ) -> Result<Self> {
        check_inputs(&inputs)?;
        let quantity = Quantity::Neuron { place, neuron: neuron.clone() };
        let question = Self { model: model.clone(), inputs, quantity, rows_per_evaluation };
        let first = Expansion::new(vec![0], 1);
        question.scalars(&first.expand_inputs(&question.inputs)?, [], &first)?;
        Ok(question)
    }

    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.inputs.tensors()[0].dims()[0]
    }

    /// An error unless every input can carry a gradient.
    pub(crate) fn require_float_inputs(&self) -> Result<()> {
        for (index, input) in self.inputs.tensors().iter().enumerate() {
            if !input.dtype().is_float() {
                bail!(
                    Gradient,
                    "input {index} is {:?}, which has no gradient: this method attributes to floating-point inputs; \
                     for token ids attribute to the embedding layer, for example with LayerIntegratedGradients",
                    input.dtype()
                )
            }
        }
        Ok(())
    }

    /// The attributed number of each row, with its graph, and the tapped tensors.
    pub(crate) fn scalars(
        &self,
        inputs: &Inputs,
        taps: impl IntoIterator<Item = (Place, Tap)>,
        at: &Expansion,
    ) -> Result<(Tensor, Layers)> {
        match &self.quantity {
            Quantity::Output { selection, .. } => {
                let mut pass = forward(&*self.model, inputs, Layers::with_taps(taps))?;
                let output = pass.take_output()?;
                Ok((selection.select(&output, at)?, pass.layers))
            }
            Quantity::Neuron { place, neuron } => {
                let taps = taps.into_iter().chain([(place.clone(), Tap::Capture)]);
                let mut pass = forward(&*self.model, inputs, Layers::with_taps(taps).stop_when_caught())?;
                let caught = pass.caught(place, at)?;
                Ok((neuron.select(&caught.activation, place.layer(), at)?, pass.layers))
            }
        }
    }

    /// The attributed number of each example, for other inputs of the same shapes.
    pub(crate) fn values(&self, tensors: &[Tensor]) -> Result<Vec<f64>> {
        let inputs = self.inputs.replaced(tensors.to_vec(), self.inputs.args().to_vec());
        let mut values = Vec::new();
        for at in evaluation_blocks(self.batch_size(), self.rows_per_evaluation) {
            let (scalars, _) = self.scalars(&at.expand_inputs(&inputs)?, [], &at)?;
            finite::check(&scalars).map_err(|e| e.at("the model's output for the baseline or the inputs"))?;
            values.extend(scalars.detach().to_dtype(DType::F64)?.to_vec1::<f64>()?);
        }
        Ok(values)
    }

    /// F(input) − F(baseline) for each example, given F(input).
    pub(crate) fn differences(&self, ends: &[f64], baseline: &[Tensor]) -> Result<Vec<f64>> {
        let starts = self.values(baseline)?;
        Ok(ends.iter().zip(starts).map(|(end, start)| end - start).collect())
    }

    /// These rows of the inputs themselves.
    pub(crate) fn input_points(&self, at: &Expansion) -> Result<Vec<Tensor>> {
        self.inputs.tensors().iter().map(|input| at.expand(&input.detach())).collect()
    }

    /// What attributions to the inputs belong to.
    pub(crate) fn input_places(&self) -> Vec<String> {
        (0..self.inputs.tensors().len()).map(|index| format!("input {index}")).collect()
    }

    /// The result of a method, with what was asked.
    pub(crate) fn attributions(
        &self,
        method: &'static str,
        values: Vec<Tensor>,
        places: Vec<String>,
        convergence: Option<Convergence>,
    ) -> Attributions {
        let (targets, output) = match &self.quantity {
            Quantity::Output { selection, output } => (selection.indices(), Some(output.clone())),
            Quantity::Neuron { .. } => (Vec::new(), None),
        };
        let texts = self.inputs.shared_texts();
        Attributions { targets, output, texts, convergence, ..Attributions::new(method, values, places) }
    }

    /// The result of a method that takes one gradient at the inputs, with the features' names.
    pub(crate) fn plain_attributions_to_inputs(&self, method: &'static str, values: Vec<Tensor>) -> Attributions {
        self.attributions(method, values, self.input_places(), None).with_names(self.inputs.names())
    }

    /// The result of a method that integrates along the inputs, with the features' names.
    pub(crate) fn attributions_to_inputs(&self, method: &'static str, integral: Integral) -> Attributions {
        self.attributions(method, integral.values, self.input_places(), Some(integral.convergence))
            .with_names(self.inputs.names())
    }

    /// The gradient with respect to the inputs at these points, `[points, ...]` for each input.
    pub(crate) fn input_gradients(&self, points: Vec<Tensor>, at: &Expansion) -> Result<Sample> {
        let vars = input_vars(&points)?;
        let tracked = vars.iter().map(|(_, var)| var.as_tensor().clone()).collect();
        let (scalars, _) = self.scalars(&at.with_tensors(&self.inputs, tracked)?, [], at)?;
        gradients(&scalars, &vars)
    }

    /// The gradient with respect to layers whose activations are put in place of their own,
    /// while the inputs stay as they are.
    pub(crate) fn replaced_layer_gradients(
        &self,
        places: &[Place],
        activations: Vec<Tensor>,
        at: &Expansion,
    ) -> Result<Sample> {
        let vars = places
            .iter()
            .zip(&activations)
            .map(|(place, activation)| Ok((place.to_string(), Var::from_tensor(activation)?)))
            .collect::<Result<Vec<_>>>()?;
        let taps =
            places.iter().zip(&vars).map(|(place, (_, var))| (place.clone(), Tap::Replace(var.as_tensor().clone())));
        let (scalars, _) = self.scalars(&at.expand_inputs(&self.inputs)?, taps, at)?;
        gradients(&scalars, &vars)
    }

    /// The activations of layers and the gradients with respect to them, at these inputs:
    /// first all activations, then all gradients.
    pub(crate) fn layer_gradients(&self, places: &[Place], points: Vec<Tensor>, at: &Expansion) -> Result<Sample> {
        let how = || if places.len() == 1 { Tap::Cut } else { Tap::AddZero };
        let taps = places.iter().map(|place| (place.clone(), how()));
        let (scalars, mut layers) = self.scalars(&at.with_tensors(&self.inputs, points)?, taps, at)?;
        let mut activations = Vec::new();
        let mut vars = Vec::new();
        for place in places {
            let caught = take(&mut layers, place, at)?;
            activations.push(caught.activation.detach());
            vars.extend(caught.var.map(|var| (place.to_string(), var)));
        }
        let sample = gradients(&scalars, &vars)?;
        activations.extend(sample.values.iter().cloned());
        Ok(Sample { values: activations, ..sample })
    }

    /// (dF/dy)(dy/dx) for one neuron y of a layer, at these inputs.
    pub(crate) fn gradients_through_neuron(
        &self,
        place: &Place,
        neuron: &Neuron,
        points: Vec<Tensor>,
        at: &Expansion,
    ) -> Result<Sample> {
        let inputs = input_vars(&points)?;
        let tracked = inputs.iter().map(|(_, var)| var.as_tensor().clone()).collect();
        let taps = [(place.clone(), Tap::Cut)];
        let (scalars, mut layers) = self.scalars(&at.with_tensors(&self.inputs, tracked)?, taps, at)?;
        let caught = take(&mut layers, place, at)?;
        let upper: Vec<_> = caught.var.map(|var| (place.to_string(), var)).into_iter().collect();
        let above = gradients(&scalars, &upper)?;
        let sensitivity = neuron.select(&above.values[0].detach(), place.layer(), at)?;
        let activation = neuron.select(&caught.activation, place.layer(), at)?;
        let below = gradients(&(activation * sensitivity)?, &inputs)?;
        Ok(Sample { values: below.values, graph_bytes: above.graph_bytes + below.graph_bytes, ..above })
    }

    /// What layers give for other inputs of the same shapes.
    pub(crate) fn activations(&self, places: &[Place], tensors: &[Tensor]) -> Result<Vec<Tensor>> {
        let inputs = self.inputs.replaced(tensors.to_vec(), self.inputs.args().to_vec());
        activations(&*self.model, &inputs, places, self.rows_per_evaluation)
    }
}

/// What layers give for these inputs; nothing above the last of them is computed.
pub(crate) fn activations(
    model: &dyn Model,
    inputs: &Inputs,
    places: &[Place],
    rows_per_evaluation: usize,
) -> Result<Vec<Tensor>> {
    let mut blocks = Vec::new();
    for at in evaluation_blocks(check_inputs(inputs)?, rows_per_evaluation) {
        let taps = places.iter().map(|place| (place.clone(), Tap::Capture));
        let layers = Layers::with_taps(taps).stop_when_caught();
        let mut pass = forward(model, &at.expand_inputs(inputs)?, layers)?;
        let caught = places.iter().map(|place| Ok(pass.caught(place, &at)?.activation.detach().contiguous()?));
        blocks.push(caught.collect::<Result<Vec<_>>>()?);
    }
    join_blocks(blocks)
}

impl Pass {
    fn take_output(&mut self) -> Result<Tensor> {
        match self.output.take() {
            Some(output) => Ok(output),
            None => bail!(Layer, "the forward pass stopped before its output"),
        }
    }

    fn into_output(mut self) -> Result<Tensor> {
        self.take_output()
    }

    fn caught(&mut self, place: &Place, at: &Expansion) -> Result<crate::model::Caught> {
        take(&mut self.layers, place, at)
    }
}

/// What was caught at a place; an error unless its first axis is the batch.
fn take(layers: &mut Layers, place: &Place, at: &Expansion) -> Result<crate::model::Caught> {
    let Some(caught) = layers.take(place) else { return Err(no_such(place, layers)) };
    let dims = caught.activation.dims();
    if dims.first() != Some(&at.len()) {
        bail!(Layer, "{place} gives {dims:?} for {} rows: to be attributed, its first axis must be the batch", at.len())
    }
    Ok(caught)
}

/// Runs the model; an error if a place that was asked for is not in it.
fn forward(model: &dyn Model, inputs: &Inputs, mut layers: Layers) -> Result<Pass> {
    crate::model::check_single_copy()?;
    let result = model.forward(inputs, &mut layers);
    if layers.stopped() {
        return Ok(Pass { output: None, layers });
    }
    let output = result?;
    if let Some(place) = layers.missing() {
        return Err(no_such(place, &layers));
    }
    Ok(Pass { output: Some(output), layers })
}

fn no_such(place: &Place, layers: &Layers) -> crate::Error {
    let names = layers.names();
    let name = place.layer();
    let kind = crate::ErrorKind::Layer;
    if names.is_empty() {
        let message = format!(
            "no layer named \"{name}\" in this model: it names none (a closure or candle Module has no layers; \
             implement Model and call layers.visit in its forward)"
        );
        return crate::Error::new(kind, message);
    }
    if names.iter().any(|other| other == name) {
        let message = format!(
            "layer \"{name}\" does not name its input: call layers.visit_input(\"{name}\", x) before it in the \
             model's forward"
        );
        return crate::Error::new(kind, message);
    }
    crate::Error::new(kind, format!("no layer named \"{name}\" in this model; it has: {}", names.join(", ")))
}

fn check_inputs(inputs: &Inputs) -> Result<usize> {
    let batch = inputs.batch_size()?;
    for (index, tensor) in inputs.tensors().iter().enumerate() {
        finite::check(tensor).map_err(|e| e.at(format!("input {index}")))?;
    }
    for (index, tensor) in inputs.args().iter().enumerate() {
        finite::check(tensor).map_err(|e| e.at(format!("extra argument {index}")))?;
    }
    Ok(batch)
}

/// An error that names the first layer whose output is not finite.
fn check_output(model: &dyn Model, inputs: &Inputs, output: &Tensor) -> Result<()> {
    let Err(error) = finite::check(output) else { return Ok(()) };
    let mut layers = Layers::plain();
    model.forward(inputs, &mut layers)?;
    let taps = layers.visited().iter().map(|layer| (Place::Output(layer.name.clone()), Tap::Capture));
    let mut pass = forward(model, inputs, Layers::with_taps(taps))?;
    for layer in layers.visited() {
        let Some(caught) = pass.layers.take(&Place::Output(layer.name.clone())) else { continue };
        finite::check(&caught.activation).map_err(|e| {
            e.at(format!("the output of layer \"{}\", the first that is not finite (check the weights)", layer.name))
        })?;
    }
    Err(error.at("the model's output (check the weights)"))
}

fn evaluation_blocks(batch: usize, rows: usize) -> impl Iterator<Item = Expansion> {
    (0..batch).step_by(rows).map(move |first| Expansion::new((first..batch.min(first + rows)).collect(), 1))
}

fn input_vars(points: &[Tensor]) -> Result<Vec<(String, Var)>> {
    let named = points.iter().enumerate();
    named.map(|(index, point)| Ok((format!("input {index}"), Var::from_tensor(point)?))).collect()
}
