//! The gradient of one neuron.

use super::saliency::finite_input_gradients;
use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, LayerNames, MethodInfo, Neuron, Question, Requirement, Subject,
    Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// The gradient of one neuron's activation with respect to the inputs.
///
/// aᵢ = ∂yⱼ/∂xᵢ
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`.
/// * **Needs** floating-point inputs.
/// * **Costs** one forward pass up to the layer and one backward pass from it.
/// * **Differs from Captum** in nothing.
/// * **Errors** if there is no such layer (the message lists those there are) or neuron, a value
///   is not finite, or no gradient reaches an input.
/// * **Checks** once that the neuron's gradient is the slope of its activation, unless the model is a `Sequential`, an
///   encoder or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = NeuronGradient::new(&net, "tanh", 2).attribute(&x)?;
/// assert_eq!(result.tensor().dims(), [5, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct NeuronGradient {
    model: Subject,
    layers: LayerNames,
    neuron: Neuron,
}

settings! {
    NeuronGradient(layer, neuron) {
        attribute_to_layer_input =
            "Whether the neuron is one of the layer's input instead of its output; not by default.",
        gradient_check,
    }
}

impl NeuronGradient {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NeuronGradient",
        family: Family::Neuron,
        summary: "the gradient of one neuron",
        has_delta: false,
        has_target: false,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients],
        paper: "",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, a layer's name and a neuron of it: `3`, `[channel, row, column]`, the sum of `0..4`, or
    /// what a function makes of the layer ([`Neuron`]).
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>, neuron: impl Into<Neuron>) -> Self {
        Self { model: Subject::new(model), layers: LayerNames::from(layer.into()), neuron: neuron.into() }
    }

    /// The gradient for these inputs; there is no target.
    pub fn attribute(&self, inputs: impl Into<Inputs>) -> Result<Attributions> {
        self.attribute_to(&inputs.into(), &Target::None)
    }
}

impl Attribute for NeuronGradient {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        target.require_none(Self::INFO.name)?;
        self.model.ask(|| {
            let (place, budget) = (self.layers.only()?, Budget::default());
            let question = Question::about_neuron(&self.model, inputs, place, &self.neuron, &budget)?;
            let values = finite_input_gradients(&question)?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}
