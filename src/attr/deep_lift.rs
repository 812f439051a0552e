//! DeepLift, with the rescale rule and the mean of each block's Jacobian.

use crate::engine::{
    Attribute, Attributed, Attributions, Baseline, Budget, Cost, Family, MethodInfo, Pairing, Question, Requirement,
    Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// DeepLift.
///
/// aᵢ = mᵢ · (xᵢ − bᵢ). The multipliers m are passed down from the output, block by block, so that in each block
/// Σ m·(x − b) over its inputs equals Σ m·(f(x) − f(b)) over its output
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`; they add up to
///   F(x) − F(b), and the convergence delta says how closely.
/// * **Needs** floating-point inputs, and a model whose nonlinear parts are run as blocks, with
///   [`Layers::apply`](crate::model::Layers::apply) or [`Layers::run`](crate::model::Layers::run). `Sequential`
///   and the encoders are such models. Where only some are, a remark names the layer below which the sum is lost.
/// * **Rules**: for what is computed element by element, m·Δy/Δx (the rescale rule), or m·f′(x) where x = b. For
///   every other block, the mean of its Jacobian along the straight line between its own two inputs: by shares of the
///   line for the largest of a window; by one point for products; for softmax, layer norm and all else by 4 to 16
///   Gauss-Legendre points, then by halving the line, until the block's sum comes out.
/// * **Costs** one forward pass over twice the rows and one backward pass, which computes each block again for every
///   point; with several baselines, that for each.
/// * **Differs from Captum** in four ways. Softmax adds up. So does max-pool directly after an activation, where Captum
///   does not apply its rule. A block may be used twice. Nothing falls back to the plain gradient silently.
///   [`captum_rules`](Self::captum_rules) gives Captum's numbers. Several baselines
///   ([`Baseline::Distribution`]) are averaged, as in DeepLiftShap.
/// * **Errors** if a shape, the target or the baseline does not fit, a value is not finite, no
///   gradient reaches an input, or no block lies between an input and the output, so that no rule would apply.
/// * **Paper**: Shrikumar, Greenside and Kundaje, *Learning Important Features Through Propagating
///   Activation Differences*, ICML 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let result = DeepLift::new(&net).attribute(&x, 1)?;
/// assert_eq!(result.tensor().dims(), [1, 3]);
/// assert!(result.convergence_delta()?.max_abs() < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct DeepLift {
    model: Subject,
    baseline: Baseline,
    multiply_by_inputs: bool,
    captum_rules: bool,
}

settings! {
    DeepLift {
        baseline,
        multiply_by_inputs: bool =
            "Whether the multipliers are multiplied by x − b (the default); without it they add up to nothing.",
        captum_rules,
    }
}

impl DeepLift {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "DeepLift",
        family: Family::Primary,
        summary: "multipliers that pass differences from the baseline down, times the distance",
        has_delta: true,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Blocks],
        paper: "Shrikumar, Greenside and Kundaje 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, with zero baseline.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self {
            model: Subject::new(model),
            baseline: Baseline::default(),
            multiply_by_inputs: true,
            captum_rules: false,
        }
    }
}

impl Attribute for DeepLift {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let baselines = self.baseline.resolve(question.inputs())?;
            let how = Pairing { multiply: self.multiply_by_inputs, sampled: false, captum: self.captum_rules };
            let numbers = question.rescaled(Attributed::Inputs, &baselines, how)?;
            Attributions::to_inputs(Self::INFO.name, &question, numbers)
        })
    }
}
