//! NeuronFeatureAblation: what a neuron loses without a feature.

use crate::engine::{
    Attribute, Attributions, Baseline, Budget, Cost, Family, FeatureMask, LayerNames, MethodInfo, Neuron, Question,
    Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// NeuronFeatureAblation: [`FeatureAblation`](super::FeatureAblation) of one neuron's activation.
///
/// aᵢ = yⱼ(x) − yⱼ(x with feature i put to its baseline)
///
/// * **Gives** each element of each input, `[batch, ...]`, the number of its feature.
/// * **Needs** no gradient.
/// * **Costs** a forward row up to the layer for each example, and one for each of its features and each baseline, in
///   passes of bounded memory on all cores.
/// * **Differs from Captum** as [`FeatureAblation`](super::FeatureAblation) does.
/// * **Errors** if there is no such layer (the message lists those there are) or neuron, a shape, the baseline or the
///   mask does not fit, or a value is not finite.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = NeuronFeatureAblation::new(&net, "tanh", 2).attribute(&x)?;
/// assert_eq!(result.tensor().dims(), [5, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct NeuronFeatureAblation {
    model: Subject,
    layers: LayerNames,
    neuron: Neuron,
    baseline: Baseline,
    feature_mask: FeatureMask,
    budget: Budget,
}

settings! {
    NeuronFeatureAblation(layer, neuron) {
        baseline,
        feature_mask,
        attribute_to_layer_input =
            "Whether the neuron is one of the layer's input instead of its output; not by default.",
        passes,
    }
}

impl NeuronFeatureAblation {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NeuronFeatureAblation",
        family: Family::Neuron,
        summary: "what a neuron loses without a feature",
        has_delta: false,
        has_target: false,
        cost: Cost::PerFeature,
        requires: &[],
        paper: "",
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
            baseline: Baseline::default(),
            feature_mask: FeatureMask::default(),
            budget: Budget::default(),
        }
    }

    /// The ablation for these inputs; there is no target.
    pub fn attribute(&self, inputs: impl Into<Inputs>) -> Result<Attributions> {
        self.attribute_to(&inputs.into(), &Target::None)
    }
}

impl Attribute for NeuronFeatureAblation {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        target.require_none(Self::INFO.name)?;
        self.model.ask(|| {
            self.budget.check()?;
            let place = self.layers.only()?;
            let question = Question::about_neuron(&self.model, inputs, place, &self.neuron, &self.budget)?;
            let values = question.coalitions(&self.feature_mask, &self.baseline)?.ablated()?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}
