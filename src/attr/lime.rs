//! Lime: the coefficients of a simple model that stands for the model near an example.

use crate::engine::{
    Attribute, Attributions, Baseline, Cost, Family, FeatureMask, LocalSurrogate, MethodInfo, Question, Sampler,
    SamplingSettings, Similarity, Subject, Surrogate, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};
use crate::seed::Seed;

/// Lime.
///
/// a are the coefficients of a linear model g, fitted to the output F at samples around the example: by default the lasso
/// ½ Σ π(z)·(F(z) − g(z))² / Σ π(z) + α·Σ|a|, where z says which features are present (all others are put to their
/// baseline), and π(z) is the sample's similarity to the example
///
/// * **Gives** each element of each input, `[batch, ...]`, the coefficient of its feature, with its standard error. By
///   default every element is a feature of its own; a [`FeatureMask`] makes features of several, also across inputs. The
///   coefficients add up to nothing known.
/// * **Needs** no gradient: any model, token ids (with baselines that are ids), and closures from rows to numbers
///   ([`from_rows`](crate::model::from_rows)).
/// * **Costs** a forward row for each example, one for each of the `n_samples` (25) samples, and the fits. What was
///   evaluated is not evaluated again; with several baselines, a sample is evaluated for each. Every example of a batch gets
///   the same samples.
/// * **Settings**: [`surrogate`](Self::surrogate) (lasso with α = 0.01), [`similarity`](Self::similarity) (a cosine kernel
///   of width 1), [`sampler`](Self::sampler) (each feature is present with probability 0.5).
/// * **Differs from Captum** in that the lasso is solved to the last digits (by descent to a duality gap of 10⁻¹³ of the
///   outputs' variance, then by its equations) and errs where it does not get there; in the standard errors, the
///   jackknife's over at most 50 groups of samples; and in `tolerance`, which chooses the number of samples. A batch is
///   several examples, each with a fit of its own. Several baselines ([`Baseline::Distribution`]) are averaged, and so are
///   the similarities to them.
/// * **Errors** if the surrogate does not converge or is not determined, if not two different samples have any similarity to
///   the example, if a shape, the target, the baseline or the mask does not fit, or a value is not finite.
/// * **Paper**: Ribeiro, Singh and Guestrin, *"Why Should I Trust You?": Explaining the Predictions of Any Classifier*,
///   KDD 2016.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let model = |x: &Tensor| x.narrow(1, 0, 2)?.affine(2., 0.)?.sum(1);
/// let x = Tensor::new(&[[1f64, 2., 3.]], &Device::Cpu)?;
/// let lime = Lime::new(model).surrogate(Surrogate::Linear).n_samples(50);
/// let coefficients = lime.attribute(&x, Target::None)?.tensor().to_vec2::<f64>()?;
/// assert!((coefficients[0][1] - 4.).abs() < 1e-9 && coefficients[0][2].abs() < 1e-9);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Lime {
    model: Subject,
    baseline: Baseline,
    feature_mask: FeatureMask,
    sampling: SamplingSettings,
    surrogate: Surrogate,
    similarity: Similarity,
    sampler: Sampler,
    max_iterations: usize,
}

settings! {
    Lime {
        baseline,
        feature_mask,
        sampling,
        surrogate: Surrogate = "The linear model that stands for the model; lasso with α = 0.01 by default.",
        similarity: Similarity = "How much a sample counts; by default exp(−d²/2) of its cosine distance d from the example.",
        sampler: Sampler = "Which features are present in a sample; by default each with probability 0.5.",
        max_iterations: usize = "The most rounds that the search of a lasso or a logistic regression may take; 10,000 by default.",
    }
}

impl Lime {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "Lime",
        family: Family::Primary,
        summary: "the coefficients of a linear model that stands for the model near the example",
        has_delta: false,
        has_target: true,
        cost: Cost::PerSample,
        requires: &[],
        paper: "Ribeiro, Singh and Guestrin 2016",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, with zero baseline, every element as a feature, 25 samples, and Captum's lasso, similarity
    /// and sampler.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self {
            model: Subject::new(model),
            baseline: Baseline::default(),
            feature_mask: FeatureMask::default(),
            sampling: SamplingSettings::of(25),
            surrogate: Surrogate::default(),
            similarity: Similarity::default(),
            sampler: Sampler::default(),
            max_iterations: 10_000,
        }
    }
}

impl Attribute for Lime {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.sampling.check()?;
            let how = LocalSurrogate {
                sampler: &self.sampler,
                similarity: &self.similarity,
                surrogate: &self.surrogate,
                max_iterations: self.max_iterations,
            };
            how.check()?;
            let question = Question::about_output(&self.model, inputs, target, &self.sampling.budget)?;
            let coalitions = question.coalitions(&self.feature_mask, &self.baseline)?;
            let estimates = coalitions.lime(&self.sampling, &how)?;
            let numbers = coalitions.estimates(&estimates, &question, self.sampling.tolerance)?;
            Attributions::to_inputs(Self::INFO.name, &question, numbers)
        })
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        Some(Box::new(self.seed(seed)))
    }
}
