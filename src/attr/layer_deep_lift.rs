//! DeepLift of the activations of a layer.

use crate::engine::{
    Attribute, Attributed, Attributions, Baseline, Budget, Cost, Family, LayerNames, MethodInfo, Pairing, Question,
    Requirement, Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// DeepLift of a layer's activations.
///
/// aⱼ = mⱼ · (yⱼ(x) − yⱼ(b)), with the multipliers m that [`DeepLift`](crate::attr::DeepLift) passes down to the layer
///
/// * **Gives** one attribution for each element of the layer's output, `[batch, ...]`; they add up to F(x) − F(b) if all
///   of the output goes through the layer, and the convergence delta says how closely. Several layers side by side, such
///   as the embeddings of words and of positions, add up together.
/// * **Needs** a model whose nonlinear parts above the layer are run as blocks, as
///   [`DeepLift`](crate::attr::DeepLift) does. Inputs may be token ids: give the reference text as the baseline.
/// * **Costs** one forward pass over twice the rows, and one backward pass down to the layer.
/// * **Rules**, costs of a pair and what [`captum_rules`](Self::captum_rules) changes: as in
///   [`DeepLift`](crate::attr::DeepLift).
/// * **Differs from Captum** as [`DeepLift`](crate::attr::DeepLift) does, in that it takes several layers, and in that a
///   remark says where a part of the output goes past the layer.
/// * **Errors** if there is no such layer (the message lists those there are) or its first axis is not the batch, a
///   shape, the target or the baseline does not fit, a value is not finite, the output does not depend on the layer, one
///   layer is above another and all goes through it, or the model runs no blocks.
/// * **Paper**: Shrikumar, Greenside and Kundaje, *Learning Important Features Through Propagating Activation
///   Differences*, ICML 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let result = LayerDeepLift::new(&net, "hidden").attribute(&x, 1)?;
/// assert_eq!(result.tensor().dims(), [1, 4]);
/// assert!(result.convergence_delta()?.max_abs() < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerDeepLift {
    model: Subject,
    layers: LayerNames,
    baseline: Baseline,
    multiply_by_inputs: bool,
    captum_rules: bool,
}

settings! {
    LayerDeepLift(layers) {
        baseline,
        multiply_by_inputs: bool =
            "Whether the multipliers are multiplied by the layer's difference (the default); without it they add up to nothing.",
        attribute_to_layer_input =
            "Whether what goes into the layer is attributed instead of its output; not by default.",
        captum_rules,
    }
}

impl LayerDeepLift {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerDeepLift",
        family: Family::Layer,
        summary: "DeepLift of the activations of a layer",
        has_delta: true,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Blocks],
        paper: "Shrikumar, Greenside and Kundaje 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several, with zero baseline.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self {
            model: Subject::new(model),
            layers: layers.into(),
            baseline: Baseline::default(),
            multiply_by_inputs: true,
            captum_rules: false,
        }
    }
}

impl Attribute for LayerDeepLift {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let baselines = self.baseline.resolve(question.inputs())?;
            question.warn_of_ids_against(&self.baseline);
            let how = Pairing { multiply: self.multiply_by_inputs, sampled: false, captum: self.captum_rules };
            let numbers = question.rescaled(Attributed::Replaced(&places), &baselines, how)?;
            Attributions::to_layers(Self::INFO.name, &question, numbers, &places)
        })
    }
}
