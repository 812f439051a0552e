//! Integrated Gradients of one neuron.

use super::integrated_gradients::along_inputs;
use crate::engine::{
    Attribute, Attributions, Cost, Family, LayerNames, MethodInfo, Neuron, PathSettings, Question, Requirement,
    Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Integrated Gradients of one neuron's activation.
///
/// aᵢ = (xᵢ − bᵢ) · ∫₀¹ ∂yⱼ/∂xᵢ (b + α(x − b)) dα
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`; they add up to
///   yⱼ(x) − yⱼ(b), and the convergence delta says how closely.
/// * **Needs** floating-point inputs.
/// * **Costs** a forward pass up to the layer and a backward pass from it for each of the `n_steps` (50) points; for the
///   delta, a forward pass up to the layer for the input and for each baseline.
/// * **Differs from Captum** in that steps are never expanded all at once, in `tolerance`, in giving the convergence delta,
///   and in the trapezoid: [`Quadrature::CaptumTrapezoid`](crate::engine::Quadrature::CaptumTrapezoid) gives Captum's
///   numbers.
/// * **Errors** if there is no such layer (the message lists those there are) or neuron, a shape
///   or the baseline does not fit, a value is not finite, or no gradient reaches an input.
/// * **Checks** once that the neuron's gradient is the slope of its activation, unless the model is a `Sequential`, an
///   encoder or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Sundararajan, Taly and Yan, *Axiomatic Attribution for Deep Networks*, ICML 2017,
///   applied to a neuron.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = NeuronIntegratedGradients::new(&net, "tanh", 2).attribute(&x)?;
/// assert!(result.convergence_delta()?.max_abs() < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct NeuronIntegratedGradients {
    model: Subject,
    layers: LayerNames,
    neuron: Neuron,
    path: PathSettings,
    multiply_by_inputs: bool,
}

settings! {
    NeuronIntegratedGradients(layer, neuron) {
        path,
        gradient_check,
        multiply_by_inputs: bool = "Whether the averaged gradient is multiplied by x − b (the default).",
        attribute_to_layer_input =
            "Whether the neuron is one of the layer's input instead of its output; not by default.",
    }
}

impl NeuronIntegratedGradients {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NeuronIntegratedGradients",
        family: Family::Neuron,
        summary: "Integrated Gradients of one neuron",
        has_delta: true,
        has_target: false,
        cost: Cost::PerStep,
        requires: &[Requirement::Gradients],
        paper: "Sundararajan, Taly and Yan 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, a layer's name and a neuron of it: `3`, `[channel, row, column]`, the sum of `0..4`, or
    /// what a function makes of the layer ([`Neuron`]).
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>, neuron: impl Into<Neuron>) -> Self {
        Self {
            model: Subject::new(model),
            layers: LayerNames::from(layer.into()),
            neuron: neuron.into(),
            path: PathSettings::default(),
            multiply_by_inputs: true,
        }
    }

    /// The attributions for these inputs; there is no target.
    pub fn attribute(&self, inputs: impl Into<Inputs>) -> Result<Attributions> {
        self.attribute_to(&inputs.into(), &Target::None)
    }
}

impl Attribute for NeuronIntegratedGradients {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        target.require_none(Self::INFO.name)?;
        self.model.ask(|| {
            self.path.check()?;
            let (place, budget) = (self.layers.only()?, &self.path.budget);
            let question = Question::about_neuron(&self.model, inputs, place, &self.neuron, budget)?;
            let integral = along_inputs(&question, &self.path, self.multiply_by_inputs)?;
            Attributions::to_inputs(Self::INFO.name, &question, integral)
        })
    }
}
