//! Integrated Gradients: the gradient averaged along the straight line from a baseline to the input.

use crate::engine::{
    Attribute, Attributed, Attributions, Cost, Expansion, Family, Integral, MethodInfo, PathSettings, Question,
    Requirement, Subject, Sums, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Integrated Gradients.
///
/// aᵢ = (xᵢ − bᵢ) · ∫₀¹ ∂F/∂xᵢ (b + α(x − b)) dα
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`; they add up to
///   F(x) − F(b), and the convergence delta says how closely.
/// * **Needs** floating-point inputs and a model that is differentiable almost everywhere.
/// * **Costs** a forward and a backward pass for each of the `n_steps` (50) points; for the delta, a forward pass for the
///   input and for each baseline. Memory is bounded.
/// * **Differs from Captum** in that the steps are never expanded all at once; in `tolerance`, which chooses their number;
///   and in the trapezoid, whose weights sum to 1:
///   [`Quadrature::CaptumTrapezoid`](crate::engine::Quadrature::CaptumTrapezoid) gives Captum's numbers.
/// * **Errors** if a shape, the target or the baseline does not fit, a value is not finite, or
///   no gradient reaches an input.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Sundararajan, Taly and Yan, *Axiomatic Attribution for Deep Networks*, ICML 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let square = |x: &Tensor| x.sqr()?.sum(1);
/// let x = Tensor::new(&[[1f64, 2., 3.]], &Device::Cpu)?;
/// let result = IntegratedGradients::new(square).attribute(&x, Target::None)?;
/// let attributions = result.tensor().to_vec2::<f64>()?;
/// assert!((attributions[0][2] - 9.0).abs() < 1e-12);
/// assert!(result.convergence_delta()?.max_abs() < 1e-12);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct IntegratedGradients {
    model: Subject,
    path: PathSettings,
    multiply_by_inputs: bool,
}

settings! {
    IntegratedGradients {
        path,
        gradient_check,
        multiply_by_inputs: bool =
            "Whether the averaged gradient is multiplied by x − b (the default); without it the result is a local sensitivity that adds up to nothing.",
    }
}

impl IntegratedGradients {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "IntegratedGradients",
        family: Family::Primary,
        summary: "the gradient averaged from a baseline to the input, times the distance",
        has_delta: true,
        has_target: true,
        cost: Cost::PerStep,
        requires: &[Requirement::Gradients],
        paper: "Sundararajan, Taly and Yan 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, with zero baseline and 50 Gauss-Legendre steps.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { model: Subject::new(model), path: PathSettings::default(), multiply_by_inputs: true }
    }
}

impl Attribute for IntegratedGradients {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.path.check()?;
            let question = Question::about_output(&self.model, inputs, target, &self.path.budget)?;
            let integral = along_inputs(&question, &self.path, self.multiply_by_inputs)?;
            Attributions::to_inputs(Self::INFO.name, &question, integral)
        })
    }
}

/// The integral of the gradient along the inputs, for the output or a neuron.
pub(super) fn along_inputs(question: &Question, settings: &PathSettings, multiply_by_inputs: bool) -> Result<Integral> {
    question.require_float_inputs()?;
    let baselines = settings.baseline.resolve(question.inputs())?;
    let survey = question.survey(&baselines, settings.n_steps, Attributed::Inputs, &|question, at| {
        question.input_gradients(question.input_points(at)?, at)
    })?;
    let sums = Sums { add_up: multiply_by_inputs, scaled: multiply_by_inputs };
    let walk = question
        .input_walk(settings, &baselines, &survey, sums, |points, at: &Expansion| question.input_gradients(points, at));
    walk.integrate()
}
