//! GradientShap of one neuron.

use crate::engine::{
    Attribute, Attributions, Baseline, Between, Cost, Family, LayerNames, MethodInfo, Neuron, Question, RandomPoints,
    Requirement, SamplingSettings, Stdevs, Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};
use crate::seed::Seed;

/// GradientShap of one neuron's activation.
///
/// aᵢ = E\[ (x′ᵢ − bᵢ) · ∂yⱼ/∂xᵢ (b + u(x′ − b)) \] over x′ = x + N(0, stdevs²), a row b of the baselines, and u from 0 to 1
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`, with its standard error. On average they
///   add up to the mean of yⱼ(x′) − yⱼ(b); the convergence delta is what they miss of it over the samples drawn.
/// * **Needs** floating-point inputs, and baselines: rows of which each sample draws one ([`Baseline::Distribution`]).
/// * **Costs** a forward pass up to the layer and a backward pass from it for each of the `n_samples` (5); for the delta, a
///   forward pass up to it for the input, for each baseline drawn, and for each sample if there is noise.
/// * **Draws** by the seed and the sample's number alone, each sample independently of the others: all examples get the same
///   rows, points and noise.
/// * **Differs from Captum** in that it tells the standard errors and the convergence delta, in `tolerance`, and in that
///   samples are never expanded all at once.
/// * **Errors** if there are no baselines, there is no such layer (the message lists those there are) or neuron, a shape
///   or a standard deviation does not fit, a value is not finite, or no gradient reaches an input.
/// * **Checks** once that the neuron's gradient is the slope of its activation, unless the model is a `Sequential`, an
///   encoder or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Erion, Janizek, Sturmfels, Lundberg and Lee, *Improving performance of deep learning models with
///   axiomatic attribution priors and expected gradients*, 2021, applied to a neuron.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = NeuronGradientShap::new(&net, "tanh", 2).baseline(0.).n_samples(20).attribute(&x)?;
/// assert_eq!(result.samples(), [20; 5]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct NeuronGradientShap {
    model: Subject,
    layers: LayerNames,
    neuron: Neuron,
    sampling: SamplingSettings,
    baseline: Baseline,
    stdevs: Stdevs,
    multiply_by_inputs: bool,
}

settings! {
    NeuronGradientShap(layer, neuron) {
        sampling,
        distribution,
        stdevs,
        gradient_check,
        multiply_by_inputs: bool = "Whether the gradients are multiplied by x′ − b (the default).",
        attribute_to_layer_input =
            "Whether the neuron is one of the layer's input instead of its output; not by default.",
    }
}

impl NeuronGradientShap {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NeuronGradientShap",
        family: Family::Neuron,
        summary: "GradientShap of one neuron",
        has_delta: true,
        has_target: false,
        cost: Cost::PerSample,
        requires: &[Requirement::Gradients],
        paper: "Erion et al. 2021",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, a layer's name and a neuron of it: `3`, `[channel, row, column]`, the sum of `0..4`, or
    /// what a function makes of the layer ([`Neuron`]), with 5 samples
    /// and no noise. It needs a [`baseline`](Self::baseline).
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>, neuron: impl Into<Neuron>) -> Self {
        Self {
            model: Subject::new(model),
            layers: LayerNames::from(layer.into()),
            neuron: neuron.into(),
            sampling: SamplingSettings::of(5),
            baseline: Baseline::not_given(),
            stdevs: Stdevs::All(0.),
            multiply_by_inputs: true,
        }
    }

    /// The attributions for these inputs; there is no target.
    pub fn attribute(&self, inputs: impl Into<Inputs>) -> Result<Attributions> {
        self.attribute_to(&inputs.into(), &Target::None)
    }
}

impl Attribute for NeuronGradientShap {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        target.require_none(Self::INFO.name)?;
        self.model.ask(|| {
            self.sampling.check()?;
            self.baseline.require_given(Self::INFO.name)?;
            let (place, budget) = (self.layers.only()?, &self.sampling.budget);
            let question = Question::about_neuron(&self.model, inputs, place, &self.neuron, budget)?;
            let how = RandomPoints {
                sampling: &self.sampling,
                baseline: &self.baseline,
                stdevs: &self.stdevs,
                multiply_by_inputs: self.multiply_by_inputs,
            };
            let numbers = question.at_random_points(&how, Between::Inputs)?;
            Attributions::to_inputs(Self::INFO.name, &question, numbers)
        })
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        Some(Box::new(self.seed(seed)))
    }
}
