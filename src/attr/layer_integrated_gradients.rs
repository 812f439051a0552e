//! Integrated Gradients between two activations of a layer.

use std::ops::Range;

use crate::engine::{
    Attribute, Attributed, Attributions, Cost, Expansion, Family, LayerNames, MethodInfo, PathSettings, Question,
    Requirement, Subject, Target, Walk, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Integrated Gradients from a layer's activation for the baseline to its activation for the input.
///
/// a = (y₁ − y₀) · ∫₀¹ ∂F/∂y (y₀ + α(y₁ − y₀)) dα, with y₀ = layer(b) and y₁ = layer(x)
///
/// * **Gives** one attribution for each element of the layer's output, `[batch, ...]`; they add
///   up to F(x) − F(b) if everything between input and output passes through the layer. With
///   several layers, all move along their lines together; the result has one tensor per layer.
/// * **Needs** no gradient of the inputs, so they may be token ids.
/// * **Costs** a forward and a backward pass (down to the layer) for each of the `n_steps` (50) points; for the input and
///   for each baseline, a forward pass up to the layer, and a whole one for the delta.
/// * **Differs from Captum** in that steps are never expanded all at once, in `tolerance`, and in the trapezoid:
///   [`Quadrature::CaptumTrapezoid`](crate::engine::Quadrature::CaptumTrapezoid) gives Captum's numbers.
/// * **Remarks** on ids without a baseline: they are compared with the id 0.
/// * **Errors** if there is no such layer (the message lists those there are), a shape, the
///   target or the baseline does not fit, a value is not finite, or the output does not depend
///   on the layer.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Sundararajan, Taly and Yan, *Axiomatic Attribution for Deep Networks*, ICML 2017,
///   applied to a layer.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let result = LayerIntegratedGradients::new(&net, "tanh").attribute(&x, Target::Class(1))?;
/// assert_eq!(result.tensor().dims(), [1, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerIntegratedGradients {
    model: Subject,
    layers: LayerNames,
    path: PathSettings,
    multiply_by_inputs: bool,
}

settings! {
    LayerIntegratedGradients(layers) {
        path,
        gradient_check,
        multiply_by_inputs: bool = "Whether the averaged gradient is multiplied by y₁ − y₀ (the default).",
        attribute_to_layer_input =
            "Whether what goes into the layer is attributed instead of its output; not by default.",
    }
}

impl LayerIntegratedGradients {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerIntegratedGradients",
        family: Family::Layer,
        summary: "Integrated Gradients between two activations of a layer",
        has_delta: true,
        has_target: true,
        cost: Cost::PerStep,
        requires: &[Requirement::Gradients],
        paper: "Sundararajan, Taly and Yan 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several: `"embeddings"`, `["words", "positions"]`.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self {
            model: Subject::new(model),
            layers: layers.into(),
            path: PathSettings::default(),
            multiply_by_inputs: true,
        }
    }

    /// The method with these settings.
    pub(crate) fn with_settings(self, path: PathSettings) -> Self {
        Self { path, ..self }
    }
}

impl Attribute for LayerIntegratedGradients {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.path.check()?;
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &self.path.budget)?;
            let baselines = self.path.baseline.resolve(inputs)?;
            question.warn_of_ids_against(&self.path.baseline);
            let lines = baselines.lines(question.inputs());
            let of = Attributed::Replaced(&places);
            let survey = question.survey(&baselines, self.path.n_steps, of, &|question, at| {
                let activations = question.activations_at(&places, &question.input_points(at)?, at, at.len())?;
                question.replaced_layer_gradients(&places, activations, at)
            })?;
            question.plans(self.path.points_of(lines));
            let walk = Walk {
                settings: &self.path,
                lines,
                passes: survey.passes,
                width: survey.width,
                ends: self.multiply_by_inputs.then_some(&survey.ends),
                scaled: self.multiply_by_inputs,
                prepare: |block: &Range<usize>, rows| {
                    question.layer_path(&places, &baselines, lines, block, self.multiply_by_inputs, rows)
                },
                evaluate: |activations, at: &Expansion| question.replaced_layer_gradients(&places, activations, at),
            };
            Attributions::to_layers(Self::INFO.name, &question, walk.integrate()?, &places)
        })
    }
}
