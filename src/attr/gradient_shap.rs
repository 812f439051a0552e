//! GradientShap: gradients at random points between random baselines and the input.

use crate::engine::{
    Attribute, Attributions, Baseline, Between, Cost, Family, MethodInfo, Question, RandomPoints, Requirement,
    SamplingSettings, Stdevs, Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};
use crate::seed::Seed;

/// GradientShap, also known as expected gradients.
///
/// aᵢ = E\[ (x′ᵢ − bᵢ) · ∂F/∂xᵢ (b + u(x′ − b)) \] over x′ = x + N(0, stdevs²), a row b of the baselines, and u from 0
/// to 1
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`, with its standard error. On average they
///   add up to the mean of F(x′) − F(b). The convergence delta is what they miss of it over the samples drawn: it
///   shrinks as the errors do, with the square root of the samples.
/// * **Needs** floating-point inputs, a model that is differentiable almost everywhere, and baselines: rows of which each
///   sample draws one ([`Baseline::Distribution`]). [`Baseline::Tensors`] is the only baseline of each example.
/// * **Costs** a forward and a backward pass for each of the `n_samples` (5); for the delta, a forward pass for the
///   input, for each baseline drawn, and for each sample if there is noise. Memory is bounded.
/// * **Draws** by the seed and the sample's number alone, each sample independently of the others: all examples get the same
///   rows, points and noise.
/// * **Differs from Captum** in that it tells the standard errors, in `tolerance`, in that samples are never expanded all
///   at once, and in that it gives each example one delta: the mean over its samples of those that Captum gives.
/// * **Errors** if there are no baselines, a shape, the target or a standard deviation does not fit, a value is not
///   finite, or no gradient reaches an input.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Erion, Janizek, Sturmfels, Lundberg and Lee, *Improving performance of deep learning models with
///   axiomatic attribution priors and expected gradients*, 2021; the method comes from Lundberg's SHAP.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let rows = Tensor::new(&[[0f32, 0., 0.], [1., 0., 1.]], &Device::Cpu)?;
/// let shap = GradientShap::new(&net).baseline(Baseline::distribution(&rows)).tolerance(0.01);
/// let result = shap.attribute(&x, 1)?;
/// assert_eq!(result.tensor().dims(), [1, 3]);
/// assert_eq!(result.settled(), Some(&[true][..]));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct GradientShap {
    model: Subject,
    sampling: SamplingSettings,
    baseline: Baseline,
    stdevs: Stdevs,
    multiply_by_inputs: bool,
}

settings! {
    GradientShap {
        sampling,
        distribution,
        stdevs,
        gradient_check,
        multiply_by_inputs: bool =
            "Whether the gradients are multiplied by x′ − b (the default); without it the result is a local sensitivity that adds up to nothing.",
    }
}

impl GradientShap {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "GradientShap",
        family: Family::Primary,
        summary: "the gradient at random points between random baselines and the input, times the distance",
        has_delta: true,
        has_target: true,
        cost: Cost::PerSample,
        requires: &[Requirement::Gradients],
        paper: "Erion et al. 2021",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, with 5 samples and no noise. It needs a [`baseline`](Self::baseline).
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self {
            model: Subject::new(model),
            sampling: SamplingSettings::of(5),
            baseline: Baseline::not_given(),
            stdevs: Stdevs::All(0.),
            multiply_by_inputs: true,
        }
    }
}

impl Attribute for GradientShap {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.sampling.check()?;
            self.baseline.require_given(Self::INFO.name)?;
            let question = Question::about_output(&self.model, inputs, target, &self.sampling.budget)?;
            let how = RandomPoints {
                sampling: &self.sampling,
                baseline: &self.baseline,
                stdevs: &self.stdevs,
                multiply_by_inputs: self.multiply_by_inputs,
            };
            let numbers = question.at_random_points(&how, Between::Inputs)?;
            Attributions::to_inputs(Self::INFO.name, &question, numbers)
        })
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        Some(Box::new(self.seed(seed)))
    }
}
