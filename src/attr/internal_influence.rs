//! Internal influence: a layer's gradient averaged along the path of the inputs.

use crate::engine::{
    Attribute, Attributed, Attributions, Cost, Expansion, Family, LayerNames, MethodInfo, PathSettings, Question,
    Requirement, Subject, Sums, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Internal influence of a layer.
///
/// aⱼ = ∫₀¹ ∂F/∂yⱼ (b + α(x − b)) dα
///
/// * **Gives** one attribution for each element of the layer's output, `[batch, ...]`: a
///   sensitivity. The numbers do not add up to anything known.
/// * **Needs** floating-point inputs.
/// * **Costs** a forward and a backward pass (down to the layer) for each of the `n_steps` (50) points, and a forward pass
///   for the input.
/// * **Differs from Captum** in that steps are never expanded all at once, in `tolerance`, and in the trapezoid:
///   [`Quadrature::CaptumTrapezoid`](crate::engine::Quadrature::CaptumTrapezoid) gives Captum's numbers.
/// * **Errors** if there is no such layer (the message lists those there are), a shape, the
///   target or the baseline does not fit, a value is not finite, or the output does not depend
///   on the layer.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Leino, Sen, Datta, Fredrikson and Li, *Influence-Directed Explanations for Deep
///   Convolutional Networks*, ITC 2018.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = InternalInfluence::new(&net, "relu").attribute(&x, Target::Class(0))?;
/// assert_eq!(result.tensor().dims(), [5, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct InternalInfluence {
    model: Subject,
    layers: LayerNames,
    path: PathSettings,
}

settings! {
    InternalInfluence(layers) {
        path,
        gradient_check,
        attribute_to_layer_input =
            "Whether what goes into the layer is attributed instead of its output; not by default.",
    }
}

impl InternalInfluence {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "InternalInfluence",
        family: Family::Layer,
        summary: "the layer's gradient averaged along the path of the inputs",
        has_delta: false,
        has_target: true,
        cost: Cost::PerStep,
        requires: &[Requirement::Gradients],
        paper: "Leino, Sen, Datta, Fredrikson and Li 2018",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self { model: Subject::new(model), layers: layers.into(), path: PathSettings::default() }
    }
}

impl Attribute for InternalInfluence {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.path.check()?;
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &self.path.budget)?;
            question.require_float_inputs()?;
            let baselines = self.path.baseline.resolve(inputs)?;
            let survey =
                question.survey(&baselines, self.path.n_steps, Attributed::Layers(&places), &|question, at| {
                    question.layer_gradients(&places, question.input_points(at)?, at)
                })?;
            let sums = Sums { add_up: false, scaled: false };
            let walk = question.input_walk(&self.path, &baselines, &survey, sums, |points, at: &Expansion| {
                question.layer_gradients(&places, points, at)
            });
            Attributions::to_layers(Self::INFO.name, &question, walk.integrate()?, &places)
        })
    }
}
