//! FeatureAblation: what the output loses without a feature.

use crate::engine::{
    Attribute, Attributions, Baseline, Budget, Cost, Family, FeatureMask, MethodInfo, Question, Subject, Target,
    settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// FeatureAblation.
///
/// aᵢ = F(x) − F(x with feature i put to its baseline)
///
/// * **Gives** each element of each input, `[batch, ...]`, the number of its feature. By default every element is a
///   feature of its own; a [`FeatureMask`] makes features of several, also across inputs.
/// * **Needs** no gradient: any model, token ids (with baselines that are ids), and closures from rows to numbers
///   ([`from_rows`](crate::model::from_rows)).
/// * **Costs** a forward row for each example, and one for each of its features and each baseline, in passes of bounded
///   memory on all cores. A feature that equals its baseline costs nothing.
/// * **Differs from Captum** in four ways. A mask whose ids have a gap is an error. A row's numbers are its own: a model
///   that gives one number for the whole batch is asked one example at a time, and a remark says so. Several baselines
///   ([`Baseline::Distribution`]) are averaged. `perturbations_per_eval` is
///   [`internal_batch_size`](Self::internal_batch_size), which counts rows.
/// * **Errors** if a shape, the target, the baseline or the mask does not fit, or a value is not finite.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let ablation = FeatureAblation::new(&net);
/// assert_eq!(ablation.attribute(&x, 1)?.tensor().dims(), [1, 3]);
/// let pair = ablation.feature_mask(FeatureMask::groups([[0, 1]])).attribute(&x, 1)?;
/// assert_eq!(pair.tensor().dims(), [1, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct FeatureAblation {
    model: Subject,
    baseline: Baseline,
    feature_mask: FeatureMask,
    budget: Budget,
}

settings! {
    FeatureAblation {
        baseline,
        feature_mask,
        passes,
    }
}

impl FeatureAblation {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "FeatureAblation",
        family: Family::Primary,
        summary: "what the output loses without a feature",
        has_delta: false,
        has_target: true,
        cost: Cost::PerFeature,
        requires: &[],
        paper: "",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, with zero baseline and every element as a feature.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self {
            model: Subject::new(model),
            baseline: Baseline::default(),
            feature_mask: FeatureMask::default(),
            budget: Budget::default(),
        }
    }
}

impl Attribute for FeatureAblation {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.budget.check()?;
            let question = Question::about_output(&self.model, inputs, target, &self.budget)?;
            let values = question.coalitions(&self.feature_mask, &self.baseline)?.ablated()?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}
