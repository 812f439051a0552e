//! LayerFeaturePermutation: what the output loses where a neuron's activation comes from another row.

use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, FeatureMask, LayerNames, MethodInfo, Question, Rearrangement,
    Requirement, Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};
use crate::seed::Seed;

/// LayerFeaturePermutation.
///
/// aⱼ(r) = Fᵣ − Fᵣ(with the activation of neuron j in row π(r)), where π is a random order of the batch's rows, drawn
/// for each neuron
///
/// * **Gives** each element of the layer's output, `[batch, ...]`, the number of its feature. By default every element
///   is a feature of its own; a [`FeatureMask`] makes features of several.
/// * **Needs** a batch of at least 2 rows, and no gradient and no baseline.
/// * **Costs** a forward row for each example, one up to the layer, and one for each of its features, in passes of
///   bounded memory on all cores.
/// * **Differs from Captum** as [`FeaturePermutation`](super::FeaturePermutation) does. Captum's `layer_mask` is
///   [`feature_mask`](Self::feature_mask) here, and the layer's input can be meant as well.
/// * **Errors** if there is one row, no such layer (the message lists those there are), a shape, the target or the mask
///   does not fit, or a value is not finite.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.], [4., 5., 6.]], &Device::Cpu)?;
/// let result = LayerFeaturePermutation::new(&net, "relu").attribute(&x, 1)?;
/// assert_eq!(result.tensor().dims(), [2, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerFeaturePermutation {
    model: Subject,
    layers: LayerNames,
    feature_mask: FeatureMask,
    order: Rearrangement,
    budget: Budget,
}

settings! {
    LayerFeaturePermutation(layer) {
        feature_mask,
        attribute_to_layer_input = "Whether the layer's input is permuted instead of its output; not by default.",
        order,
        passes,
    }
}

impl LayerFeaturePermutation {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerFeaturePermutation",
        family: Family::Layer,
        summary: "what the output loses with a neuron of another row",
        has_delta: false,
        has_target: true,
        cost: Cost::PerFeature,
        requires: &[Requirement::SeveralRows],
        paper: "",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, with every neuron as a feature.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>) -> Self {
        Self {
            model: Subject::new(model),
            layers: LayerNames::from(layer.into()),
            feature_mask: FeatureMask::default(),
            order: Rearrangement::default(),
            budget: Budget::default(),
        }
    }
}

impl Attribute for LayerFeaturePermutation {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.budget.check()?;
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &self.budget)?;
            let activations = question.activations(&places)?;
            let values = question.layer_permuted(&places[0], &activations[0], &self.feature_mask, &self.order)?;
            Attributions::to_layers(Self::INFO.name, &question, values, &places)
        })
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        let draws = matches!(self.order, Rearrangement::Drawn(_));
        draws.then(|| Box::new(self.seed(seed)) as Box<dyn Attribute>)
    }

    fn compares_examples(&self) -> bool {
        true
    }
}
