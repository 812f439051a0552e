//! DeepLift of one neuron.

use crate::engine::{
    Attribute, Attributed, Attributions, Baseline, Budget, Cost, Family, LayerNames, MethodInfo, Neuron, Pairing,
    Question, Requirement, Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// DeepLift of one neuron's activation.
///
/// aᵢ = mᵢ · (xᵢ − bᵢ), with the multipliers m that [`DeepLift`](crate::attr::DeepLift) passes down from the neuron
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`; they add up to yⱼ(x) − yⱼ(b), and the
///   convergence delta says how closely.
/// * **Needs** floating-point inputs, and a model whose nonlinear parts below the neuron are run as blocks, as
///   [`DeepLift`](crate::attr::DeepLift) does.
/// * **Costs** one forward pass over twice the rows up to the layer, and one backward pass from it.
/// * **Rules**, costs of a pair and what [`captum_rules`](Self::captum_rules) changes: as in
///   [`DeepLift`](crate::attr::DeepLift).
/// * **Differs from Captum** as [`DeepLift`](crate::attr::DeepLift) does, and in that it has a convergence delta.
/// * **Errors** if there is no such layer (the message lists those there are) or neuron, a shape or the baseline does not
///   fit, a value is not finite, no gradient reaches an input, or no block lies between an input and the neuron.
/// * **Paper**: Shrikumar, Greenside and Kundaje, *Learning Important Features Through Propagating Activation
///   Differences*, ICML 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let result = NeuronDeepLift::new(&net, "relu", 2).attribute(&x)?;
/// assert_eq!(result.tensor().dims(), [1, 3]);
/// assert!(result.convergence_delta()?.max_abs() < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct NeuronDeepLift {
    model: Subject,
    layers: LayerNames,
    neuron: Neuron,
    baseline: Baseline,
    multiply_by_inputs: bool,
    captum_rules: bool,
}

settings! {
    NeuronDeepLift(layer, neuron) {
        baseline,
        multiply_by_inputs: bool =
            "Whether the multipliers are multiplied by x − b (the default); without it they add up to nothing.",
        attribute_to_layer_input =
            "Whether the neuron is one of the layer's input instead of its output; not by default.",
        captum_rules,
    }
}

impl NeuronDeepLift {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NeuronDeepLift",
        family: Family::Neuron,
        summary: "DeepLift of one neuron",
        has_delta: true,
        has_target: false,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Blocks],
        paper: "Shrikumar, Greenside and Kundaje 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, a layer's name and a neuron of it: `3`, `[channel, row, column]`, the sum of `0..4`, or
    /// what a function makes of the layer ([`Neuron`]), with zero baseline.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>, neuron: impl Into<Neuron>) -> Self {
        Self {
            model: Subject::new(model),
            layers: LayerNames::from(layer.into()),
            neuron: neuron.into(),
            baseline: Baseline::default(),
            multiply_by_inputs: true,
            captum_rules: false,
        }
    }

    /// The attributions for these inputs; there is no target.
    pub fn attribute(&self, inputs: impl Into<Inputs>) -> Result<Attributions> {
        self.attribute_to(&inputs.into(), &Target::None)
    }
}

impl Attribute for NeuronDeepLift {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        target.require_none(Self::INFO.name)?;
        self.model.ask(|| {
            let (place, budget) = (self.layers.only()?, Budget::default());
            let question = Question::about_neuron(&self.model, inputs, place, &self.neuron, &budget)?;
            let baselines = self.baseline.resolve(question.inputs())?;
            let how = Pairing { multiply: self.multiply_by_inputs, sampled: false, captum: self.captum_rules };
            let numbers = question.rescaled(Attributed::Inputs, &baselines, how)?;
            Attributions::to_inputs(Self::INFO.name, &question, numbers)
        })
    }
}
