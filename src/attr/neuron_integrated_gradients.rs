//! Integrated Gradients of one neuron.

use std::sync::Arc;

use super::integrated_gradients::along_inputs;
use crate::engine::{
    Attribute, Attributions, Cost, Family, LayerNames, MethodInfo, Neuron, Options, PATH_OPTIONS, PathSettings,
    Question, Subject, Target, check_setter, flag_setter, layer_input_setter, path_setters,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel, Model};

/// Integrated Gradients of one neuron's activation.
///
/// aᵢ = (xᵢ − bᵢ) · ∫₀¹ ∂yⱼ/∂xᵢ (b + α(x − b)) dα
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`; they add up to
///   yⱼ(x) − yⱼ(b), and the convergence delta says how closely.
/// * **Needs** floating-point inputs.
/// * **Costs** a forward pass up to the layer and a backward pass from it for each of the
///   `n_steps` (50) points.
/// * **Differs from Captum** in that steps are never expanded all at once, in `tolerance`, and in
///   giving the convergence delta.
/// * **Errors** if there is no such layer (the message lists those there are) or neuron, a shape
///   or the baseline does not fit, a value is not finite, or no gradient reaches an input.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
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

impl NeuronIntegratedGradients {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NeuronIntegratedGradients",
        family: Family::Neuron,
        summary: "Integrated Gradients of one neuron",
        has_delta: true,
        cost: Cost::PerStep,
        paper: "Sundararajan, Taly and Yan 2017",
        options: &[PATH_OPTIONS, &["layer", "neuron", "multiply_by_inputs", "attribute_to_layer_input"]],
        build: |model, options| Ok(Box::new(Self::from_options(model, options)?)),
    };

    /// The method for a model, a layer's name and a neuron's index in it: `3`, or `[channel, row, column]`.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>, neuron: impl Into<Neuron>) -> Self {
        Self {
            model: Subject::new(model),
            layers: LayerNames::from(layer.into()),
            neuron: neuron.into(),
            path: PathSettings::default(),
            multiply_by_inputs: true,
        }
    }

    path_setters!();

    check_setter!();

    flag_setter!(multiply_by_inputs, "Whether the averaged gradient is multiplied by x − b (the default).");

    layer_input_setter!("Whether the neuron is one of the layer's input instead of its output; not by default.");

    /// The attributions for these inputs; there is no target.
    pub fn attribute(&self, inputs: impl Into<Inputs>) -> Result<Attributions> {
        self.attribute_to(&inputs.into(), &Target::None)
    }

    fn from_options(model: Arc<dyn Model>, options: &Options) -> Result<Self> {
        options.check(&Self::INFO)?;
        let name = Self::INFO.name;
        let method = Self::new(model, options.one_layer(name)?, options.neuron(name)?)
            .gradient_check(options.gradient_check.unwrap_or_default());
        let path = options.path(method.path.clone());
        let multiply_by_inputs = options.multiply_by_inputs.unwrap_or(true);
        Ok(Self { path, multiply_by_inputs, layers: options.layers(name)?, ..method })
    }
}

impl Attribute for NeuronIntegratedGradients {
    fn attribute_to(&self, inputs: &Inputs, _target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.path.check()?;
            let question = Question::about_neuron(&self.model, inputs, self.layers.only()?, &self.neuron)?;
            let integral = along_inputs(&question, &self.path, self.multiply_by_inputs)?;
            question.attributions_to_inputs(Self::INFO.name, integral)
        })
    }
}
