//! GradientShap between two activations of a layer.

use crate::engine::{
    Attribute, Attributions, Baseline, Between, Cost, Family, LayerNames, MethodInfo, Question, RandomPoints,
    Requirement, SamplingSettings, Stdevs, Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};
use crate::seed::Seed;

/// GradientShap from a layer's activation for random baselines to its activation for the input.
///
/// a = E\[ (y₁ − y₀) · ∂F/∂y (y₀ + u(y₁ − y₀)) \] with y₀ = layer(b), y₁ = layer(x′), over x′ = x + N(0, stdevs²), a row b
/// of the baselines, and u from 0 to 1
///
/// * **Gives** one attribution for each element of the layer's output, `[batch, ...]`, with its standard error. If
///   everything between input and output passes through the layer, they add up on average to the mean of F(x′) − F(b). The
///   convergence delta is what they miss of it over the samples drawn. With several layers, all move along their lines
///   together; the result has one tensor per layer.
/// * **Needs** baselines: rows of which each sample draws one ([`Baseline::Distribution`]); no gradient of the
///   inputs, so without noise they may be token ids.
/// * **Costs** a forward and a backward pass (down to the layer) for each of the `n_samples` (5), and a forward pass up
///   to the layer for each end, once for equal ones of a pass; for the delta, a forward pass for the input, for each
///   baseline drawn, and for each sample if there is noise.
/// * **Draws** by the seed and the sample's number alone, each sample independently of the others: all examples get the same
///   rows, points and noise.
/// * **Differs from Captum** in where the points lie. Captum's lie between baseline and input, and what the layer gives
///   there is not on the line between its two activations: its sums are off however many samples are drawn.
///   [`interpolate_inputs`](Self::interpolate_inputs) gives Captum's numbers. Standard errors, `tolerance` and
///   one delta for each example are as in [`GradientShap`](crate::attr::GradientShap).
/// * **Errors** if there are no baselines, there is no such layer (the message lists those there are), a shape, the
///   target or a standard deviation does not fit, a value is not finite, or the output does not depend on the layer.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Erion, Janizek, Sturmfels, Lundberg and Lee, *Improving performance of deep learning models with
///   axiomatic attribution priors and expected gradients*, 2021, applied to a layer.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let rows = Tensor::new(&[[0f32, 0., 0.], [1., 0., 1.]], &Device::Cpu)?;
/// let shap = LayerGradientShap::new(&net, "hidden").baseline(Baseline::distribution(&rows));
/// assert_eq!(shap.attribute(&x, 1)?.tensor().dims(), [1, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerGradientShap {
    model: Subject,
    layers: LayerNames,
    sampling: SamplingSettings,
    baseline: Baseline,
    stdevs: Stdevs,
    multiply_by_inputs: bool,
    interpolate_inputs: bool,
}

settings! {
    LayerGradientShap(layers) {
        sampling,
        distribution,
        stdevs,
        gradient_check,
        multiply_by_inputs: bool = "Whether the gradients are multiplied by y₁ − y₀ (the default).",
        attribute_to_layer_input =
            "Whether what goes into the layer is attributed instead of its output; not by default.",
        interpolate_inputs: bool =
            "Whether the points lie between baselines and inputs, as Captum's do, instead of between the layer's activations; not by default. The attributions then add up only where the layer is linear in the inputs, and the inputs must be floating-point numbers.",
    }
}

impl LayerGradientShap {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerGradientShap",
        family: Family::Layer,
        summary: "GradientShap between two activations of a layer",
        has_delta: true,
        has_target: true,
        cost: Cost::PerSample,
        requires: &[Requirement::Gradients],
        paper: "Erion et al. 2021",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several, with 5 samples and no noise. It needs a
    /// [`baseline`](Self::baseline).
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self {
            model: Subject::new(model),
            layers: layers.into(),
            sampling: SamplingSettings::of(5),
            baseline: Baseline::not_given(),
            stdevs: Stdevs::All(0.),
            multiply_by_inputs: true,
            interpolate_inputs: false,
        }
    }
}

impl Attribute for LayerGradientShap {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.sampling.check()?;
            self.baseline.require_given(Self::INFO.name)?;
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &self.sampling.budget)?;
            let how = RandomPoints {
                sampling: &self.sampling,
                baseline: &self.baseline,
                stdevs: &self.stdevs,
                multiply_by_inputs: self.multiply_by_inputs,
            };
            let between = match self.interpolate_inputs {
                true => Between::InputsBelow(&places),
                false => Between::Activations(&places),
            };
            let numbers = question.at_random_points(&how, between)?;
            Attributions::to_layers(Self::INFO.name, &question, numbers, &places)
        })
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        Some(Box::new(self.seed(seed)))
    }
}
