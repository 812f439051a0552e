//! Conductance of one neuron, split among the inputs.

use crate::engine::{
    Attribute, Attributions, Cost, Expansion, Family, LayerNames, MethodInfo, Neuron, PathSettings, Quadrature,
    Question, Requirement, Subject, Sums, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Conductance of one neuron: the part of each input's attribution that flows through it.
///
/// aᵢ = (xᵢ − bᵢ) · ∫₀¹ ∂F/∂yⱼ · ∂yⱼ/∂xᵢ (b + α(x − b)) dα
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`; summed over the
///   inputs they are the neuron's [`LayerConductance`](super::LayerConductance).
/// * **Needs** floating-point inputs.
/// * **Costs** a forward and a backward pass for each of the `n_steps` (50) points, and a forward pass for the input.
/// * **Differs from Captum** in its default, the corrected [`Quadrature::Trapezoid`]. The weights of
///   Captum's default trapezoid sum to (n − 1)/n, so its numbers are too small by 1/n.
///   `.quadrature(Quadrature::CaptumTrapezoid)` gives Captum's numbers. It also differs for neurons in
///   ranges, which here get the sum of what each gets, Σⱼ ∂F/∂yⱼ · ∂yⱼ/∂xᵢ. Captum has (Σⱼ ∂F/∂yⱼ) · (Σⱼ ∂yⱼ/∂xᵢ): it
///   multiplies the gradients of different neurons too, so its numbers do not add up to those of the neurons. For
///   a function f of the layer it has f(∂F/∂y) · ∂f(y)/∂xᵢ, and here there is an error.
///   [`captum_rules`](Self::captum_rules) gives these numbers.
/// * **Errors** if there is no such layer (the message lists those there are) or neuron, a shape,
///   the target or the baseline does not fit, a value is not finite, or no gradient passes from
///   the output through the layer to an input.
/// * **Checks** once that both of the model's gradients are the slopes they should be, unless it is a `Sequential`, an
///   encoder or a classifier of this crate. Each costs three rows forward, two there and back
///   ([`Check`](crate::engine::Check)).
/// * **Paper**: Dhamdhere, Sundararajan and Yan, *How Important Is a Neuron?*, ICLR 2019.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = NeuronConductance::new(&net, "tanh", 2).attribute(&x, Target::Class(0))?;
/// assert_eq!(result.tensor().dims(), [5, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct NeuronConductance {
    model: Subject,
    layers: LayerNames,
    neuron: Neuron,
    path: PathSettings,
    multiply_by_inputs: bool,
    captum_rules: bool,
}

settings! {
    NeuronConductance(layer, neuron) {
        path,
        gradient_check,
        multiply_by_inputs: bool = "Whether the averaged gradient is multiplied by x − b (the default).",
        captum_rules: bool =
            "Whether several neurons are taken as Captum takes them; not by default. What they come to, their sum or what the function makes of them, is differentiated at the inputs, and multiplied by what their gradients come to.",
        attribute_to_layer_input =
            "Whether the neuron is one of the layer's input instead of its output; not by default.",
    }
}

impl NeuronConductance {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NeuronConductance",
        family: Family::Neuron,
        summary: "the part of Integrated Gradients that flows through one neuron, for each input",
        has_delta: false,
        has_target: true,
        cost: Cost::PerStep,
        requires: &[Requirement::Gradients],
        paper: "Dhamdhere, Sundararajan and Yan 2019",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, a layer's name and a neuron of it: `3`, `[channel, row, column]`, or the sum of `0..4`;
    /// by [`captum_rules`](Self::captum_rules) also what a function makes of the layer ([`Neuron`]).
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>, neuron: impl Into<Neuron>) -> Self {
        Self {
            model: Subject::new(model),
            layers: LayerNames::from(layer.into()),
            neuron: neuron.into(),
            path: PathSettings { quadrature: Quadrature::Trapezoid, ..PathSettings::default() },
            multiply_by_inputs: true,
            captum_rules: false,
        }
    }
}

impl Attribute for NeuronConductance {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.path.check()?;
            let place = self.layers.only()?;
            let question = Question::about_output(&self.model, inputs, target, &self.path.budget)?;
            question.require_float_inputs()?;
            let baselines = self.path.baseline.resolve(inputs)?;
            let through = |question: &Question, points, at: &Expansion| {
                question.gradients_through_neuron(&place, &self.neuron, self.captum_rules, points, at)
            };
            let survey = question.survey_unchecked(&baselines, self.path.n_steps, &|question, at| {
                through(question, question.input_points(at)?, at)
            })?;
            question.check_through_neuron(&place, &self.neuron)?;
            let sums = Sums { add_up: false, scaled: self.multiply_by_inputs };
            let walk = question.input_walk(&self.path, &baselines, &survey, sums, |points, at: &Expansion| {
                through(&question, points, at)
            });
            Attributions::to_inputs(Self::INFO.name, &question, walk.integrate()?)
        })
    }
}
