//! DeepLift as a mean over a distribution of baselines.

use crate::engine::{
    Attribute, Attributed, Attributions, Baseline, Budget, Cost, Family, MethodInfo, Pairing, Question, Requirement,
    Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// DeepLift's attributions as a mean over a distribution of baselines: an approximation of Shapley values.
///
/// aᵢ = mean over the baselines b of mᵢ(x, b) · (xᵢ − bᵢ), with the multipliers of [`DeepLift`](crate::attr::DeepLift)
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`; they add up to F(x) minus the mean of F
///   over the baselines. The convergence delta is that of the baseline farthest off.
///   [`Attributions::standard_errors`] says how far each mean may be from that over the population, if the baselines are
///   a random sample of it.
/// * **Needs** floating-point inputs, a model whose nonlinear parts are run as blocks, as
///   [`DeepLift`](crate::attr::DeepLift) does, and [`Baseline::distribution`].
/// * **Costs** one forward pass over twice the rows and one backward pass for each pair of an example and a baseline, in
///   passes of bounded memory.
/// * **Rules**, costs of a pair and what [`captum_rules`](Self::captum_rules) changes: as in
///   [`DeepLift`](crate::attr::DeepLift).
/// * **Differs from Captum** in the standard errors, in the delta, of which Captum gives one for each pair, and as
///   [`DeepLift`](crate::attr::DeepLift) does.
/// * **Errors** if the baseline is no distribution or an empty one, and as [`DeepLift`](crate::attr::DeepLift).
/// * **Paper**: Lundberg and Lee, *A Unified Approach to Interpreting Model Predictions*, NeurIPS 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let rows = Tensor::new(&[[0f32, 0., 0.], [1., -1., 0.], [2., 0., 1.]], &Device::Cpu)?;
/// let result = DeepLiftShap::new(&net).baseline(Baseline::distribution(&rows)).attribute(&x, 1)?;
/// assert_eq!(result.tensor().dims(), [1, 3]);
/// assert!(result.convergence_delta()?.max_abs() < 1e-5);
/// assert_eq!(result.samples(), [3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct DeepLiftShap {
    model: Subject,
    baseline: Baseline,
    multiply_by_inputs: bool,
    captum_rules: bool,
}

settings! {
    DeepLiftShap {
        distribution,
        multiply_by_inputs: bool =
            "Whether the multipliers are multiplied by x − b (the default); without it they add up to nothing.",
        captum_rules,
    }
}

impl DeepLiftShap {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "DeepLiftShap",
        family: Family::Primary,
        summary: "DeepLift as a mean over a distribution of baselines",
        has_delta: true,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Blocks, Requirement::Distribution],
        paper: "Lundberg and Lee 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model; the baseline must be set to a distribution.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self {
            model: Subject::new(model),
            baseline: Baseline::not_given(),
            multiply_by_inputs: true,
            captum_rules: false,
        }
    }
}

impl Attribute for DeepLiftShap {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.baseline.require_distribution(Self::INFO.name, "DeepLift")?;
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let baselines = self.baseline.resolve(question.inputs())?;
            let how = Pairing { multiply: self.multiply_by_inputs, sampled: true, captum: self.captum_rules };
            let numbers = question.rescaled(Attributed::Inputs, &baselines, how)?;
            Attributions::to_inputs(Self::INFO.name, &question, numbers)
        })
    }
}
