//! DeepLift of a layer as a mean over a distribution of baselines.

use crate::engine::{
    Attribute, Attributed, Attributions, Baseline, Budget, Cost, Family, LayerNames, MethodInfo, Pairing, Question,
    Requirement, Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// DeepLift of a layer's activations as a mean over a distribution of baselines.
///
/// aⱼ = mean over the baselines b of mⱼ(x, b) · (yⱼ(x) − yⱼ(b)), as in
/// [`LayerDeepLift`](crate::attr::LayerDeepLift)
///
/// * **Gives** one attribution for each element of the layer's output, `[batch, ...]`; they add up to F(x) minus the mean
///   of F over the baselines if all of the output goes through the layer. The convergence delta is that of the baseline
///   farthest off. [`Attributions::standard_errors`] says how far each mean may be from that over the population, if the
///   baselines are a random sample of it.
/// * **Needs** what [`LayerDeepLift`](crate::attr::LayerDeepLift) does, and [`Baseline::distribution`].
/// * **Costs** one forward pass over twice the rows, and one backward pass down to the layer, for each pair of an example
///   and a baseline, in passes of bounded memory.
/// * **Rules**, costs of a pair and what [`captum_rules`](Self::captum_rules) changes: as in
///   [`DeepLift`](crate::attr::DeepLift).
/// * **Differs from Captum** in the standard errors, in the delta, of which Captum gives one for each pair, and as
///   [`LayerDeepLift`](crate::attr::LayerDeepLift) does.
/// * **Errors** if the baseline is no distribution or an empty one, and as
///   [`LayerDeepLift`](crate::attr::LayerDeepLift).
/// * **Paper**: Lundberg and Lee, *A Unified Approach to Interpreting Model Predictions*, NeurIPS 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let rows = Tensor::new(&[[0f32, 0., 0.], [1., -1., 0.]], &Device::Cpu)?;
/// let method = LayerDeepLiftShap::new(&net, "hidden").baseline(Baseline::distribution(&rows));
/// assert_eq!(method.attribute(&x, 1)?.tensor().dims(), [1, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerDeepLiftShap {
    model: Subject,
    layers: LayerNames,
    baseline: Baseline,
    multiply_by_inputs: bool,
    captum_rules: bool,
}

settings! {
    LayerDeepLiftShap(layers) {
        distribution,
        multiply_by_inputs: bool =
            "Whether the multipliers are multiplied by the layer's difference (the default); without it they add up to nothing.",
        attribute_to_layer_input =
            "Whether what goes into the layer is attributed instead of its output; not by default.",
        captum_rules,
    }
}

impl LayerDeepLiftShap {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerDeepLiftShap",
        family: Family::Layer,
        summary: "DeepLift of the activations of a layer as a mean over a distribution of baselines",
        has_delta: true,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Blocks, Requirement::Distribution],
        paper: "Lundberg and Lee 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several; the baseline must be set to a distribution.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self {
            model: Subject::new(model),
            layers: layers.into(),
            baseline: Baseline::not_given(),
            multiply_by_inputs: true,
            captum_rules: false,
        }
    }
}

impl Attribute for LayerDeepLiftShap {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.baseline.require_distribution(Self::INFO.name, "LayerDeepLift")?;
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let baselines = self.baseline.resolve(question.inputs())?;
            let how = Pairing { multiply: self.multiply_by_inputs, sampled: true, captum: self.captum_rules };
            let numbers = question.rescaled(Attributed::Replaced(&places), &baselines, how)?;
            Attributions::to_layers(Self::INFO.name, &question, numbers, &places)
        })
    }
}
