//! Integrated Gradients between two activations of a layer.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::{
    Attribute, Attributed, Attributions, Baseline, Cost, Expansion, Family, LayerNames, MethodInfo, Options,
    PATH_OPTIONS, PathSettings, Question, Subject, Target, Walk, check_setter, flag_setter, layer_input_setter,
    path_setters,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel, Model};

/// Integrated Gradients between a layer's activation for the baseline and that for the input.
///
/// a = (y₁ − y₀) · ∫₀¹ ∂F/∂y (y₀ + α(y₁ − y₀)) dα, with y₀ = layer(b) and y₁ = layer(x)
///
/// * **Gives** one attribution for each element of the layer's output, `[batch, ...]`; they add
///   up to F(x) − F(b) if everything between input and output passes through the layer. With
///   several layers all of them move along their lines together, one tensor for each.
/// * **Needs** no gradient of the inputs: token ids will do.
/// * **Costs** a forward and a backward pass (down to the layer) for each of the `n_steps` (50)
///   points, and one forward pass for each end.
/// * **Differs from Captum** in that steps are never expanded all at once, and in `tolerance`.
/// * **Remarks** on ids without a baseline, which are compared with the id 0.
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

/// What is said where ids are compared with zeros that nobody chose.
const COMPARED_WITH_ZERO: &str = "no baseline was given, so every id is compared with the id 0, whatever that stands for: for \
    texts give baseline(text.reference()), which has padding in the place of all but the special tokens";

impl LayerIntegratedGradients {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerIntegratedGradients",
        family: Family::Layer,
        summary: "Integrated Gradients between two activations of a layer",
        has_delta: true,
        cost: Cost::PerStep,
        paper: "Sundararajan, Taly and Yan 2017",
        options: &[PATH_OPTIONS, &["layer", "multiply_by_inputs", "attribute_to_layer_input"]],
        build: |model, options| Ok(Box::new(Self::from_options(model, options)?)),
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

    /// The method with settings that are there already.
    pub(crate) fn with_settings(self, path: PathSettings) -> Self {
        Self { path, ..self }
    }

    path_setters!();

    check_setter!();

    flag_setter!(multiply_by_inputs, "Whether the averaged gradient is multiplied by y₁ − y₀ (the default).");

    layer_input_setter!("Whether what goes into the layer is attributed instead of its output; not by default.");

    fn from_options(model: Arc<dyn Model>, options: &Options) -> Result<Self> {
        options.check(&Self::INFO)?;
        let method = Self::new(model, options.layers(Self::INFO.name)?)
            .gradient_check(options.gradient_check.unwrap_or_default());
        let path = options.path(method.path.clone());
        Ok(Self { path, multiply_by_inputs: options.multiply_by_inputs.unwrap_or(true), ..method })
    }
}

impl Attribute for LayerIntegratedGradients {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.path.check()?;
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &self.path)?;
            let baselines = self.path.baseline.resolve(inputs)?;
            if matches!(self.path.baseline, Baseline::Zero) && inputs.tensors().iter().any(|ids| ids.dtype().is_int()) {
                question.warn(COMPARED_WITH_ZERO.to_string());
            }
            let lines = baselines.lines(question.batch_size());
            let of = Attributed::Replaced(&places);
            let survey = question.survey(&self.path, lines.count() * self.path.n_steps, of, &|question, at| {
                let activations = question.activations_at(&places, &question.input_points(at)?, at, at.len())?;
                Ok((activations.clone(), question.replaced_layer_gradients(&places, activations, at)?))
            })?;
            let ends = self.multiply_by_inputs.then(|| question.ends(survey.passes.rows)).transpose()?;
            let walk = Walk {
                settings: &self.path,
                lines,
                passes: survey.passes,
                width: survey.width,
                ends: ends.as_deref(),
                scaled: self.multiply_by_inputs,
                prepare: |block: &Range<usize>, rows| {
                    question.layer_path(&places, &baselines, lines, block, self.multiply_by_inputs, rows)
                },
                evaluate: |activations, at: &Expansion| question.replaced_layer_gradients(&places, activations, at),
            };
            let integral = walk.integrate()?;
            let names = places.iter().map(ToString::to_string).collect();
            question.attributions(Self::INFO.name, integral.values, names, Some(integral.convergence))
        })
    }
}
