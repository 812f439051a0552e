//! DeepLift of one neuron as a mean over a distribution of baselines.

use crate::engine::{
    Attribute, Attributed, Attributions, Baseline, Budget, Cost, Family, LayerNames, MethodInfo, Neuron, Pairing,
    Question, Requirement, Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// DeepLift of one neuron's activation as a mean over a distribution of baselines.
///
/// aᵢ = mean over the baselines b of mᵢ(x, b) · (xᵢ − bᵢ), as in [`NeuronDeepLift`](crate::attr::NeuronDeepLift)
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`; they add up to yⱼ(x) minus the mean of yⱼ
///   over the baselines. The convergence delta is that of the baseline farthest off.
///   [`Attributions::standard_errors`] says how far each mean may be from that over the population, if the baselines are
///   a random sample of it.
/// * **Needs** what [`NeuronDeepLift`](crate::attr::NeuronDeepLift) does, and [`Baseline::distribution`].
/// * **Costs** one forward pass over twice the rows up to the layer, and one backward pass from it, for each pair of an
///   example and a baseline, in passes of bounded memory.
/// * **Rules**, costs of a pair and what [`captum_rules`](Self::captum_rules) changes: as in
///   [`DeepLift`](crate::attr::DeepLift).
/// * **Differs from Captum** as [`DeepLift`](crate::attr::DeepLift) does, and in the delta and the standard errors, which
///   Captum does not give.
/// * **Errors** if the baseline is no distribution or an empty one, and as
///   [`NeuronDeepLift`](crate::attr::NeuronDeepLift).
/// * **Paper**: Lundberg and Lee, *A Unified Approach to Interpreting Model Predictions*, NeurIPS 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let rows = Tensor::new(&[[0f32, 0., 0.], [1., -1., 0.]], &Device::Cpu)?;
/// let method = NeuronDeepLiftShap::new(&net, "relu", 2).baseline(Baseline::distribution(&rows));
/// assert_eq!(method.attribute(&x)?.tensor().dims(), [1, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct NeuronDeepLiftShap {
    model: Subject,
    layers: LayerNames,
    neuron: Neuron,
    baseline: Baseline,
    multiply_by_inputs: bool,
    captum_rules: bool,
}

settings! {
    NeuronDeepLiftShap(layer, neuron) {
        distribution,
        multiply_by_inputs: bool =
            "Whether the multipliers are multiplied by x − b (the default); without it they add up to nothing.",
        attribute_to_layer_input =
            "Whether the neuron is one of the layer's input instead of its output; not by default.",
        captum_rules,
    }
}

impl NeuronDeepLiftShap {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NeuronDeepLiftShap",
        family: Family::Neuron,
        summary: "DeepLift of one neuron as a mean over a distribution of baselines",
        has_delta: true,
        has_target: false,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Blocks, Requirement::Distribution],
        paper: "Lundberg and Lee 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, a layer's name and a neuron of it: `3`, `[channel, row, column]`, the sum of `0..4`, or
    /// what a function makes of the layer ([`Neuron`]); the baseline must be set to a distribution.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>, neuron: impl Into<Neuron>) -> Self {
        Self {
            model: Subject::new(model),
            layers: LayerNames::from(layer.into()),
            neuron: neuron.into(),
            baseline: Baseline::not_given(),
            multiply_by_inputs: true,
            captum_rules: false,
        }
    }

    /// The attributions for these inputs; there is no target.
    pub fn attribute(&self, inputs: impl Into<Inputs>) -> Result<Attributions> {
        self.attribute_to(&inputs.into(), &Target::None)
    }
}

impl Attribute for NeuronDeepLiftShap {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        target.require_none(Self::INFO.name)?;
        self.model.ask(|| {
            self.baseline.require_distribution(Self::INFO.name, "NeuronDeepLift")?;
            let (place, budget) = (self.layers.only()?, Budget::default());
            let question = Question::about_neuron(&self.model, inputs, place, &self.neuron, &budget)?;
            let baselines = self.baseline.resolve(question.inputs())?;
            let how = Pairing { multiply: self.multiply_by_inputs, sampled: true, captum: self.captum_rules };
            let numbers = question.rescaled(Attributed::Inputs, &baselines, how)?;
            Attributions::to_inputs(Self::INFO.name, &question, numbers)
        })
    }
}
