//! ShapleyValues: exact, from every coalition of the features.

use crate::engine::{
    Attribute, Attributions, Baseline, Budget, Cost, Family, FeatureMask, MethodInfo, Question, Subject, Target,
    settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// ShapleyValues.
///
/// aᵢ = Σ |S|! (n − |S| − 1)! / n! · (F(S ∪ {i}) − F(S)) over the sets S of features without i, where F(S) is the output
/// with the features of S present and all others put to their baseline
///
/// * **Gives** each element of each input, `[batch, ...]`, the number of its feature. By default every element is a
///   feature of its own; a [`FeatureMask`] makes features of several, also across inputs. Over the features the numbers
///   add up to F(x) − F(b), and the convergence delta says how closely.
/// * **Needs** no gradient: any model, token ids (with baselines that are ids), and closures from rows to numbers
///   ([`from_rows`](crate::model::from_rows)).
/// * **Costs** 2ⁿ forward rows for each example of n features, at most 16 of them. With several baselines all rows but
///   that of all features are evaluated for each.
/// * **Differs from Captum** in its cost: Captum goes through all n! orders of the features. Several baselines
///   ([`Baseline::Distribution`]) are averaged.
/// * **Errors** if there are more than 16 features (the error says how many evaluations they would take), if a shape, the
///   target, the baseline or the mask does not fit, or a value is not finite.
/// * **Paper**: Shapley, *A Value for n-Person Games*, 1953; Lundberg and Lee, *A Unified Approach to Interpreting Model
///   Predictions*, NIPS 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let product = |x: &Tensor| x.narrow(1, 0, 1)?.mul(&x.narrow(1, 1, 1)?)?.sum(1);
/// let x = Tensor::new(&[[3f64, 4., 5.]], &Device::Cpu)?;
/// let result = ShapleyValues::new(product).attribute(&x, Target::None)?;
/// assert_eq!(result.tensor().to_vec2::<f64>()?, [[6., 6., 0.]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct ShapleyValues {
    model: Subject,
    baseline: Baseline,
    feature_mask: FeatureMask,
    budget: Budget,
}

settings! {
    ShapleyValues {
        baseline,
        feature_mask,
        passes,
    }
}

impl ShapleyValues {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "ShapleyValues",
        family: Family::Primary,
        summary: "what a feature adds to the others, averaged over all orders in which they come in",
        has_delta: true,
        has_target: true,
        cost: Cost::PerCoalition,
        requires: &[],
        paper: "Shapley 1953",
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

impl Attribute for ShapleyValues {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.budget.check()?;
            let question = Question::about_output(&self.model, inputs, target, &self.budget)?;
            let coalitions = question.coalitions(&self.feature_mask, &self.baseline)?;
            let values = coalitions.shapley_values(self.budget.bytes)?;
            Attributions::to_inputs(Self::INFO.name, &question, coalitions.shares(&values)?)
        })
    }
}
