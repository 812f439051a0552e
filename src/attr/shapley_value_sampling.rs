//! ShapleyValueSampling: Shapley values along random orders of the features.

use crate::engine::{
    Attribute, Attributions, Baseline, Cost, Family, FeatureMask, MethodInfo, Question, SamplingSettings, Subject,
    Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};
use crate::seed::Seed;

/// ShapleyValueSampling.
///
/// aᵢ = 1/N Σ (F(Sᵢ ∪ {i}) − F(Sᵢ)) over N random orders of the features, where Sᵢ are those that come before i, and F(S)
/// is the output with the features of S present and all others put to their baseline
///
/// * **Gives** each element of each input, `[batch, ...]`, the number of its feature, with its standard error. By default
///   every element is a feature of its own; a [`FeatureMask`] makes features of several, also across inputs. Over the
///   features the numbers add up to F(x) − F(b), whatever the samples.
/// * **Needs** no gradient: any model, token ids (with baselines that are ids), and closures from rows to numbers
///   ([`from_rows`](crate::model::from_rows)).
/// * **Costs** a forward row for each example with all n features, one with none, and n − 1 for each of the `n_samples` (25)
///   orders; what was evaluated is not evaluated again. With several baselines all but the first are evaluated for each.
///   Every example of a batch gets the same orders.
/// * **Differs from Captum** in that each order is followed by its reverse, and the two count as two samples (25 become
///   26). What is not additive in the features then cancels in part, so that fewer samples do;
///   [`antithetic(false)`](Self::antithetic) draws as Captum does. The standard error is that of the pairs' mean.
///   `tolerance` chooses the number of samples. Several baselines ([`Baseline::Distribution`]) are averaged.
/// * **Errors** if a shape, the target, the baseline or the mask does not fit, or a value is not finite.
/// * **Paper**: Castro, Gómez and Tejada, *Polynomial Calculation of the Shapley Value Based on Sampling*, 2009; Mitchell
///   et al., *Sampling Permutations for Shapley Value Estimation*, JMLR 2022.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let result = ShapleyValueSampling::new(&net).tolerance(0.01).attribute(&x, 1)?;
/// assert_eq!(result.tensor().dims(), [1, 3]);
/// assert_eq!(result.standard_errors().map(<[Tensor]>::len), Some(1));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct ShapleyValueSampling {
    model: Subject,
    baseline: Baseline,
    feature_mask: FeatureMask,
    sampling: SamplingSettings,
    antithetic: bool,
}

settings! {
    ShapleyValueSampling {
        baseline,
        feature_mask,
        sampling,
        antithetic: bool =
            "Whether each order is followed by its reverse (the default); without it orders are drawn one by one, as in Captum.",
    }
}

impl ShapleyValueSampling {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "ShapleyValueSampling",
        family: Family::Primary,
        summary: "what a feature adds to the others, averaged over random orders in which they come in",
        has_delta: true,
        has_target: true,
        cost: Cost::PerSample,
        requires: &[],
        paper: "Castro, Gómez and Tejada 2009",
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
            antithetic: true,
        }
    }
}

impl Attribute for ShapleyValueSampling {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.sampling.check()?;
            let question = Question::about_output(&self.model, inputs, target, &self.sampling.budget)?;
            let coalitions = question.coalitions(&self.feature_mask, &self.baseline)?;
            let estimates = coalitions.shapley_sampling(&self.sampling, self.antithetic)?;
            let numbers = coalitions.estimated_shares(&estimates, &question, self.sampling.tolerance)?;
            Attributions::to_inputs(Self::INFO.name, &question, numbers)
        })
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        Some(Box::new(self.seed(seed)))
    }
}
