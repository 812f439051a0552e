//! KernelShap: Shapley values by a regression over coalitions.

use crate::engine::{
    Attribute, Attributions, Baseline, Cost, Family, FeatureMask, Kernel, MethodInfo, Question, SamplingSettings,
    Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};
use crate::seed::Seed;

/// KernelShap.
///
/// a minimises Σ w(|S|) · (F(S) − F(b) − Σ aᵢ over i in S)² among those that add up to F(x) − F(b). F(S) is the output
/// with the features of S present and all others put to their baseline; coalitions S are drawn with the weights of the
/// Shapley kernel, w(k) = (n − 1) / (k (n − k)) for all those of size k together
///
/// * **Gives** each element of each input, `[batch, ...]`, the number of its feature, with its standard error. By default
///   every element is a feature of its own; a [`FeatureMask`] makes features of several, also across inputs. Over the
///   features the numbers add up to F(x) − F(b), whatever the samples.
/// * **Needs** no gradient: any model, token ids (with baselines that are ids), and closures from rows to numbers
///   ([`from_rows`](crate::model::from_rows)).
/// * **Costs** a forward row for each of the `n_samples` (25) coalitions, the empty and the full one among them; what was
///   evaluated is not evaluated again. With several baselines each but the full one is evaluated for each. Features that
///   equal every baseline of an example get 0 and are left out, as in shap; n counts the others, and examples that differ
///   in the same features get the same coalitions. Where 2ⁿ samples are allowed, all coalitions are taken: the numbers are
///   the exact Shapley values, and their standard errors 0.
/// * **Differs from Captum** in five ways. Features that equal every baseline are left out. Coalitions are drawn in pairs,
///   each with its complement, and the outer sizes are enumerated if the samples allow it, so that fewer samples do;
///   [`paired(false)`](Self::paired) draws them one by one, as Captum does, and so do fewer than 4n samples. The numbers
///   add up exactly;
///   [`captum_rules(true)`](Self::captum_rules) gives the empty and the full coalition a weight of 10⁶ instead. Where the
///   samples do not determine the regression (fewer than 1.5n), its matrix is replaced by its expectation: the numbers
///   are right in the mean and their errors large, where Captum's are the shortest of the many that fit. Several
///   baselines ([`Baseline::Distribution`]) are averaged.
/// * **Standard errors** are the jackknife's, over at most 50 groups of what was drawn; `tolerance` chooses the number of
///   samples by them.
/// * **Errors** if a shape, the target, the baseline or the mask does not fit, or a value is not finite.
/// * **Paper**: Lundberg and Lee, *A Unified Approach to Interpreting Model Predictions*, NIPS 2017; Covert and Lee,
///   *Improving KernelSHAP: Practical Shapley Value Estimation via Linear Regression*, AISTATS 2021.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let result = KernelShap::new(&net).attribute(&x, 1)?;
/// let exact = ShapleyValues::new(&net).attribute(&x, 1)?;
/// let apart = (result.tensor() - exact.tensor())?.abs()?.max_all()?.to_scalar::<f32>()?;
/// assert!(apart < 1e-5); // three features have 2³ coalitions
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct KernelShap {
    model: Subject,
    baseline: Baseline,
    feature_mask: FeatureMask,
    sampling: SamplingSettings,
    paired: bool,
    captum_rules: bool,
}

settings! {
    KernelShap {
        baseline,
        feature_mask,
        sampling,
        paired: bool =
            "Whether each coalition is followed by its complement, and the outer sizes are enumerated (the default); without it coalitions are drawn one by one, as in Captum.",
        captum_rules: bool =
            "Whether the empty and the full coalition have a weight of 10⁶ in a regression with an intercept, as in Captum, and coalitions are drawn one by one: the numbers add up only nearly. Too few samples are an error.",
    }
}

impl KernelShap {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "KernelShap",
        family: Family::Primary,
        summary: "Shapley values by a regression over coalitions of features",
        has_delta: true,
        has_target: true,
        cost: Cost::PerSample,
        requires: &[],
        paper: "Lundberg and Lee 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, with zero baseline, every element as a feature, and 25 samples.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self {
            model: Subject::new(model),
            baseline: Baseline::default(),
            feature_mask: FeatureMask::default(),
            sampling: SamplingSettings::of(25),
            paired: true,
            captum_rules: false,
        }
    }
}

impl Attribute for KernelShap {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.sampling.check()?;
            let question = Question::about_output(&self.model, inputs, target, &self.sampling.budget)?;
            let coalitions = question.coalitions(&self.feature_mask, &self.baseline)?;
            let kernel = match (self.captum_rules, self.paired) {
                (true, _) => Kernel::Captum,
                (false, true) => Kernel::Paired,
                (false, false) => Kernel::Plain,
            };
            let estimates = coalitions.kernel_shap(&self.sampling, kernel)?;
            let numbers = coalitions.estimated_shares(&estimates, &question, self.sampling.tolerance)?;
            Attributions::to_inputs(Self::INFO.name, &question, numbers)
        })
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        Some(Box::new(self.seed(seed)))
    }
}
