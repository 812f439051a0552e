//! LayerFeatureAblation: what the output loses without a neuron of a layer.

use crate::engine::{
    Attribute, Attributions, Baseline, Budget, Cost, Family, FeatureMask, LayerNames, MethodInfo, Question, Subject,
    Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// LayerFeatureAblation.
///
/// aⱼ = F − F(with neuron j of the layer put to its baseline)
///
/// * **Gives** each element of the layer's output, `[batch, ...]`, the number of its feature. By default every element
///   is a feature of its own; a [`FeatureMask`] makes features of several.
/// * **Needs** no gradient. The baseline and the mask are of the layer's shape; the baseline is zero by default.
/// * **Costs** a forward row for each example, one up to the layer, and one for each of its features and each baseline, in
///   passes of bounded memory on all cores.
/// * **Differs from Captum** as [`FeatureAblation`](super::FeatureAblation) does. Captum's `layer_baselines` is
///   [`baseline`](Self::baseline) here, and `layer_mask` is [`feature_mask`](Self::feature_mask).
/// * **Errors** if there is no such layer (the message lists those there are), a shape, the target, the baseline or the
///   mask does not fit, or a value is not finite.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = LayerFeatureAblation::new(&net, "relu").attribute(&x, 1)?;
/// assert_eq!(result.tensor().dims(), [5, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerFeatureAblation {
    model: Subject,
    layers: LayerNames,
    baseline: Baseline,
    feature_mask: FeatureMask,
    budget: Budget,
}

settings! {
    LayerFeatureAblation(layer) {
        baseline,
        feature_mask,
        attribute_to_layer_input = "Whether the layer's input is ablated instead of its output; not by default.",
        passes,
    }
}

impl LayerFeatureAblation {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerFeatureAblation",
        family: Family::Layer,
        summary: "what the output loses without a neuron",
        has_delta: false,
        has_target: true,
        cost: Cost::PerFeature,
        requires: &[],
        paper: "",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, with zero baseline and every neuron as a feature.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>) -> Self {
        Self {
            model: Subject::new(model),
            layers: LayerNames::from(layer.into()),
            baseline: Baseline::default(),
            feature_mask: FeatureMask::default(),
            budget: Budget::default(),
        }
    }
}

impl Attribute for LayerFeatureAblation {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.budget.check()?;
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &self.budget)?;
            let activations = question.activations(&places)?;
            let coalitions = question.layer_coalitions(&places, &activations, &self.feature_mask, &self.baseline)?;
            Attributions::to_layers(Self::INFO.name, &question, coalitions.ablated()?, &places)
        })
    }
}
