//! The relevance of layers.

use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, LayerNames, LrpRules, MethodInfo, Question, Requirement, Subject,
    Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// The relevance of each number of a layer, on its way from the output to the inputs ([`LRP`](super::LRP)).
///
/// Rⱼ = yⱼ · mⱼ with the multipliers m that LRP's rules bring down to the layer
///
/// * **Gives** one relevance for each element of each layer's output, `[batch, ...]`. They add up to F(x), less what
///   the blocks above absorb, if all of the output goes through the layer. The convergence delta is F(x) − Σ R, as in
///   Captum; of several layers it is the one farthest from 0.
/// * **Needs** no gradient of the inputs, so they may be token ids.
/// * **Costs** one forward pass and one backward pass down to the layer, for all layers together.
/// * **Differs from Captum** as [`LRP`](super::LRP) does, and in one delta for several layers.
/// * **Remarks** on relevance that is not conserved above the layer.
/// * **Errors** as [`LRP`](super::LRP), and if there is no such layer (the message lists those there are) or the
///   output does not depend on it.
/// * **Paper**: Bach et al., *On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance
///   Propagation*, 2015; Achtibat et al., *AttnLRP*, ICML 2024.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let result = LayerLRP::new(&net, ["hidden", "relu"]).attribute(&x, 1)?;
/// assert_eq!(result.value(1)?.dims(), [1, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerLRP {
    model: Subject,
    layers: LayerNames,
    rules: LrpRules,
}

settings! {
    LayerLRP(layers) {
        lrp,
        attribute_to_layer_input =
            "Whether what goes into the layer is attributed instead of its output; not by default.",
    }
}

impl LayerLRP {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerLRP",
        family: Family::Layer,
        summary: "the relevance of the layer's output, on its way from the model's output to the inputs",
        has_delta: true,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Blocks],
        paper: "Bach et al. 2015; Achtibat et al. 2024",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several, with the rules of [`LRP`](super::LRP).
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self { model: Subject::new(model), layers: layers.into(), rules: LrpRules::default() }
    }
}

impl Attribute for LayerLRP {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let relevance = question.relevance(&self.rules, &places)?;
            Attributions::to_layers(Self::INFO.name, &question, relevance, &places)
        })
    }
}
