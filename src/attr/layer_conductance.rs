//! Conductance: how much of the attribution flows through each neuron of a layer.

use std::ops::Range;

use candle_core::Tensor;

use crate::engine::{
    Attribute, Attributed, Attributions, Cost, EachLayer, Expansion, Family, Fold, Integral, LayerNames, MethodInfo,
    Path, PathSettings, Question, Requirement, Sample, Subject, Sums, Target, Walk, difference, product, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Conductance of a layer: the part of the attribution that flows through each of its neurons.
///
/// cⱼ = ∫₀¹ ∂F/∂yⱼ · dyⱼ/dα dα along x(α) = b + α(x − b), as the sum
/// Σₖ ∂F/∂yⱼ(αₖ) · (yⱼ(αₖ₊₁) − yⱼ(αₖ)) over n + 1 nodes of the quadrature
///
/// * **Gives** one attribution for each element of the layer's output, `[batch, ...]`; if
///   everything between input and output passes through the layer they add up to F(x) − F(b),
///   and the convergence delta says how closely.
/// * **Needs** a layer between input and output; the inputs must be floating-point.
/// * **Several layers** are each attributed by themselves, and each has its own delta
///   ([`Attributions::each_layer`]): the numbers are those of a call for each. The points of the path are evaluated once
///   for all of them; for some of them at a time, where there are more baselines than a pass has rows, or where under a
///   `tolerance` the layers are too large to be held together.
/// * **Costs** a forward and a backward pass (down to the lowest layer) for each of `n_steps` + 1 points; for the delta, a
///   forward pass for the input and for each baseline.
/// * **Differs from Captum** in taking several layers, and in nothing else by default: its sum of differences leaves out
///   the ends of the path beyond the first and last Gauss-Legendre node, which the delta shows. `tolerance`
///   integrates the whole path with dy/dα by spectral differentiation, which converges far faster.
/// * **Errors** if there is no such layer (the message lists those there are), a shape, the
///   target or the baseline does not fit, a value is not finite, or the output does not depend
///   on the layer.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Dhamdhere, Sundararajan and Yan, *How Important Is a Neuron?*, ICLR 2019.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let result = LayerConductance::new(&net, "tanh").tolerance(1e-5).attribute(&x, Target::Class(1))?;
/// assert_eq!(result.tensor().dims(), [1, 4]);
/// assert!(result.convergence_delta()?.max_abs() < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerConductance {
    model: Subject,
    layers: LayerNames,
    path: PathSettings,
}

settings! {
    LayerConductance(layers) {
        path,
        gradient_check,
        attribute_to_layer_input =
            "Whether what goes into the layer is attributed instead of its output; not by default.",
    }
}

impl LayerConductance {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerConductance",
        family: Family::Layer,
        summary: "the part of Integrated Gradients that flows through each neuron",
        has_delta: true,
        has_target: true,
        cost: Cost::PerStep,
        requires: &[Requirement::Gradients],
        paper: "Dhamdhere, Sundararajan and Yan 2019",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self { model: Subject::new(model), layers: layers.into(), path: PathSettings::default() }
    }

    /// The method with these settings.
    pub(crate) fn with_settings(self, path: PathSettings) -> Self {
        Self { path, ..self }
    }

    fn integral<P, E>(&self, walk: &Walk<P, E>, alphas: &[f64]) -> Result<Integral>
    where
        P: Fn(&Range<usize>, usize) -> Result<Path> + Sync,
        E: Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
    {
        match self.path.tolerance {
            Some(_) => walk.integrate_product(),
            None => walk.fold(alphas, Flow::default),
        }
    }
}

impl Attribute for LayerConductance {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.path.check()?;
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &self.path.budget)?;
            question.require_float_inputs()?;
            let baselines = self.path.baseline.resolve(inputs)?;
            let nodes = self.path.quadrature.nodes(self.path.n_steps.saturating_add(1))?;
            let alphas: Vec<f64> = nodes.iter().map(|node| node.alpha).collect();
            if places.len() > 1 {
                let layers = EachLayer::new(&question, &places);
                let survey = layers.survey(&baselines, alphas.len())?;
                let walk = layers.walk(&self.path, &baselines, &survey, |points, at: &Expansion| {
                    layers.evaluate(&points, at, &survey)
                });
                let integral = self.integral(&walk, &alphas)?;
                return Attributions::to_layers(Self::INFO.name, &question, layers.numbers(integral)?, &places);
            }
            let survey = question.survey(&baselines, alphas.len(), Attributed::Layers(&places), &|question, at| {
                question.layer_gradients(&places, question.input_points(at)?, at)
            })?;
            let sums = Sums { add_up: true, scaled: false };
            let walk = question.input_walk(&self.path, &baselines, &survey, sums, |points, at: &Expansion| {
                question.layer_gradients(&places, points, at)
            });
            Attributions::to_layers(Self::INFO.name, &question, self.integral(&walk, &alphas)?, &places)
        })
    }
}

/// The sum Σₖ ∂F/∂y(αₖ) · (y(αₖ₊₁) − y(αₖ)) so far.
#[derive(Default)]
struct Flow {
    sum: Vec<f64>,
    /// The activations and gradients of the previous point.
    last: Option<(Vec<f64>, Vec<f64>)>,
}

impl Fold for Flow {
    const READS_ACTIVATIONS: bool = true;

    fn add(&mut self, _step: usize, activations: &[&[f64]], gradients: &[&[f64]]) {
        let (activations, gradients) = (activations[0], gradients[0]);
        self.sum.resize(activations.len(), 0.);
        match &mut self.last {
            Some((last, slopes)) => {
                let moves = activations.iter().zip(last.iter()).map(|(to, from)| difference(*to, *from));
                for ((sum, slope), by) in self.sum.iter_mut().zip(slopes.iter()).zip(moves) {
                    *sum += product(*slope, by);
                }
                last.copy_from_slice(activations);
                slopes.copy_from_slice(gradients);
            }
            None => self.last = Some((activations.to_vec(), gradients.to_vec())),
        }
    }

    fn finish(self) -> Vec<Vec<f64>> {
        vec![self.sum]
    }
}
