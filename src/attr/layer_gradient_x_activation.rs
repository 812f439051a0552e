//! A layer's activation times its gradient.

use crate::engine::{
    Attribute, Attributed, Attributions, Budget, Cost, Family, LayerNames, MethodInfo, Question, Requirement, Subject,
    Target, check_finite, products, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// A layer's activation times the gradient with respect to it.
///
/// aⱼ = yⱼ · ∂F/∂yⱼ, or ∂F/∂yⱼ alone with `multiply_by_inputs(false)`
///
/// * **Gives** one attribution for each element of each layer's output, `[batch, ...]`. One pass
///   serves several layers, each with its own gradient.
/// * **Costs** one forward and one backward pass for the whole batch.
/// * **Differs from Captum** in nothing.
/// * **Errors** if there is no such layer (the message lists those there are), a shape or the
///   target does not fit, a value is not finite, or the output does not depend on the layer.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = LayerGradientXActivation::new(&net, "relu").attribute(&x, Target::Class(0))?;
/// assert_eq!(result.tensor().dims(), [5, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerGradientXActivation {
    model: Subject,
    layers: LayerNames,
    multiply_by_inputs: bool,
}

settings! {
    LayerGradientXActivation(layers) {
        attribute_to_layer_input =
            "Whether what goes into the layer is attributed instead of its output; not by default.",
        multiply_by_inputs: bool = "Whether the gradient is multiplied by the activation (the default).",
        gradient_check,
    }
}

impl LayerGradientXActivation {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerGradientXActivation",
        family: Family::Layer,
        summary: "the layer's output times the gradient with respect to it",
        has_delta: false,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients],
        paper: "",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self { model: Subject::new(model), layers: layers.into(), multiply_by_inputs: true }
    }
}

impl Attribute for LayerGradientXActivation {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let sample = question.at_every_row(Attributed::Layers(&places), &|question, at| {
                question.layer_gradients(&places, question.input_points(at)?, at)
            })?;
            let values = if self.multiply_by_inputs {
                let pairs = sample.gradients.iter().zip(&sample.activations);
                pairs.map(|(gradient, activation)| products(gradient, activation)).collect::<Result<_>>()?
            } else {
                sample.gradients
            };
            check_finite(&values, "attribution")?;
            Attributions::to_layers(Self::INFO.name, &question, values, &places)
        })
    }
}
