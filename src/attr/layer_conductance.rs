//! Conductance: how much of the attribution flows through each neuron of a layer.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use crate::engine::{
    Attribute, Attributions, Cost, Expansion, Family, Integral, Integrand, LayerNames, MethodInfo, Options,
    PATH_OPTIONS, Path, PathSettings, Question, Sample, Stieltjes, Target, layer_input_setter, path_setters, refine,
    walk,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel, Model, Place};

/// Conductance of a layer: the part of the attribution that flows through each of its neurons.
///
/// cⱼ = ∫₀¹ ∂F/∂yⱼ · dyⱼ/dα dα along x(α) = b + α(x − b), as the sum
/// Σₖ ∂F/∂yⱼ(αₖ) · (yⱼ(αₖ₊₁) − yⱼ(αₖ)) over n + 1 nodes of the quadrature
///
/// * **Gives** one attribution for each element of the layer's output, `[batch, ...]`; if
///   everything between input and output passes through the layer they add up to F(x) − F(b),
///   and the convergence delta says how closely.
/// * **Needs** a layer between input and output; the inputs must be floating-point.
/// * **Costs** a forward and a backward pass (down to the layer) for each of `n_steps` + 1 points.
/// * **Differs from Captum** in nothing by default: its sum of differences leaves out the ends of
///   the path beyond the first and last Gauss-Legendre node, which the delta shows. `tolerance`
///   integrates the whole path with dy/dα by spectral differentiation, which converges far faster.
/// * **Errors** if there is no such layer (the message lists those there are), a shape, the
///   target or the baseline does not fit, a value is not finite, or the output does not depend
///   on the layer.
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
    model: Arc<dyn Model>,
    layers: LayerNames,
    path: PathSettings,
}

impl LayerConductance {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerConductance",
        family: Family::Layer,
        summary: "the part of Integrated Gradients that flows through each neuron",
        has_delta: true,
        cost: Cost::PerStep,
        paper: "Dhamdhere, Sundararajan and Yan 2019",
        options: &[PATH_OPTIONS, &["layer", "attribute_to_layer_input"]],
        build: |model, options| Ok(Box::new(Self::from_options(model, options)?)),
    };

    /// The method for a model and a layer's name.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>) -> Self {
        Self { model: model.into_model(), layers: LayerNames::from(layer.into()), path: PathSettings::default() }
    }

    /// The method with settings that are there already.
    pub(crate) fn with_settings(self, path: PathSettings) -> Self {
        Self { path, ..self }
    }

    path_setters!();

    layer_input_setter!("Whether what goes into the layer is attributed instead of its output; not by default.");

    fn from_options(model: Arc<dyn Model>, options: &Options) -> Result<Self> {
        options.check(&Self::INFO)?;
        let method = Self::new(model, options.one_layer(Self::INFO.name)?);
        let path = options.path(method.path.clone());
        Ok(Self { path, layers: options.layers(Self::INFO.name)?, ..method })
    }

    /// Σₖ ∂F/∂y(αₖ) · (y(αₖ₊₁) − y(αₖ)).
    fn summed(
        &self,
        path: &Path,
        evaluate: impl Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
    ) -> Result<Vec<Tensor>> {
        let nodes = self.path.quadrature.nodes(self.path.n_steps.saturating_add(1))?;
        let alphas: Vec<f64> = nodes.iter().map(|node| node.alpha).collect();
        walk(&self.path, path, &alphas, evaluate, Flow::add, |flow: Flow| flow.sum.into_iter().collect())
    }
}

impl Attribute for LayerConductance {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.path.check()?;
        let places = self.layers.places()?;
        let question = Question::about_output(&self.model, inputs.clone(), target, self.path.rows_per_evaluation())?;
        question.require_float_inputs()?;
        let baselines = self.path.baseline.resolve(inputs)?;
        let ends = question.values(inputs.tensors())?;
        let evaluate = |points: Vec<Tensor>, at: &Expansion| question.layer_gradients(&places, points, at);
        let integral = Integral::over_baselines(&baselines, |baseline| {
            let path = Path::new(baseline, inputs.tensors())?;
            let difference = Some(question.differences(&ends, baseline)?);
            if self.path.tolerance.is_some() {
                let integrand = Integrand { scale: None, difference };
                return refine(&self.path, &path, integrand, Stieltjes::Yes, evaluate);
            }
            let steps = vec![self.path.n_steps + 1; path.batch_size()];
            Integral::new(self.summed(&path, evaluate)?, difference, steps)
        })?;
        let names = places.iter().map(Place::to_string).collect();
        Ok(question.attributions(Self::INFO.name, integral.values, names, Some(integral.convergence)))
    }
}

/// The sum so far, and the last point, whose difference to the next one is still to come.
#[derive(Default)]
struct Flow {
    sum: Option<Tensor>,
    last: Option<(Tensor, Tensor)>,
}

impl Flow {
    fn add(&mut self, _steps: Range<usize>, sample: Sample, at: &Expansion) -> Result<()> {
        let [mut activation, mut gradient] = [&sample.values[0], &sample.values[1]].map(Tensor::clone);
        let rows = at.rows().len();
        let mut points = at.copies();
        if let Some((last_activation, last_gradient)) = self.last.take() {
            activation = Tensor::cat(&[last_activation, activation], 0)?;
            gradient = Tensor::cat(&[last_gradient, gradient], 0)?;
            points += 1;
        }
        if points > 1 {
            let earlier = (points - 1) * rows;
            let flow = (activation.narrow(0, rows, earlier)? - activation.narrow(0, 0, earlier)?)?
                .mul(&gradient.narrow(0, 0, earlier)?)?;
            let shape = [&[points - 1, rows], &flow.dims()[1..]].concat();
            let flow = flow.reshape(shape)?.sum(0)?;
            self.sum = Some(match self.sum.take() {
                None => flow,
                Some(sum) => (sum + flow)?,
            });
        }
        let keep =
            |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.narrow(0, (points - 1) * rows, rows)?.contiguous()?) };
        self.last = Some((keep(&activation)?, keep(&gradient)?));
        Ok(())
    }
}
