//! Guided backpropagation of one neuron.

use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, LayerNames, MethodInfo, Neuron, Passing, Question, Requirement,
    Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Guided backpropagation of one neuron's activation.
///
/// aᵢ = ∂yⱼ/∂xᵢ, with the rule of [`GuidedBackprop`](crate::attr::GuidedBackprop) at each ReLU
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`.
/// * **Needs** floating-point inputs, and a ReLU that is run as a block at or below the layer, as `Sequential` runs its.
/// * **Costs** one forward pass up to the layer and one backward pass from it.
/// * **Differs from Captum** in that a ReLU may be used twice, and in that a neuron below all ReLUs is an error; Captum
///   gives its plain gradient.
/// * **Errors** if there is no such layer (the message lists those there are) or neuron, no ReLU is run as a block
///   between the inputs and the neuron, a value is not finite, or no gradient reaches an input.
/// * **Checks** once that the neuron's ordinary gradient is the slope of its activation, unless the model is a
///   `Sequential`, an encoder or a classifier of this crate: one row there and back more than
///   [`NeuronGradient`](crate::attr::NeuronGradient) ([`Check`](crate::engine::Check)).
/// * **Paper**: Springenberg, Dosovitskiy, Brox and Riedmiller, *Striving for Simplicity: The All Convolutional Net*, 2014.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = NeuronGuidedBackprop::new(&net, "relu", 2).attribute(&x)?;
/// assert_eq!(result.tensor().dims(), [5, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct NeuronGuidedBackprop {
    model: Subject,
    layers: LayerNames,
    neuron: Neuron,
}

settings! {
    NeuronGuidedBackprop(layer, neuron) {
        attribute_to_layer_input =
            "Whether the neuron is one of the layer's input instead of its output; not by default.",
        gradient_check,
    }
}

impl NeuronGuidedBackprop {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NeuronGuidedBackprop",
        family: Family::Neuron,
        summary: "guided backpropagation of one neuron",
        has_delta: false,
        has_target: false,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Relus],
        paper: "Springenberg, Dosovitskiy, Brox and Riedmiller 2014",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, a layer's name and a neuron of it: `3`, `[channel, row, column]`, the sum of `0..4`, or
    /// what a function makes of the layer ([`Neuron`]).
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>, neuron: impl Into<Neuron>) -> Self {
        Self { model: Subject::new(model), layers: LayerNames::from(layer.into()), neuron: neuron.into() }
    }

    /// The attributions for these inputs; there is no target.
    pub fn attribute(&self, inputs: impl Into<Inputs>) -> Result<Attributions> {
        self.attribute_to(&inputs.into(), &Target::None)
    }
}

impl Attribute for NeuronGuidedBackprop {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        target.require_none(Self::INFO.name)?;
        self.model.ask(|| {
            let (place, budget) = (self.layers.only()?, Budget::default());
            let question = Question::about_neuron(&self.model, inputs, place, &self.neuron, &budget)?;
            let values = question.rectified_gradients(Passing::Guided)?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}
