//! FeaturePermutation: what the output loses where a feature comes from another row.

use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, FeatureMask, MethodInfo, Question, Rearrangement, Requirement,
    Subject, Target, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};
use crate::seed::Seed;

/// FeaturePermutation.
///
/// aᵢ(r) = F(xᵣ) − F(xᵣ with feature i of row π(r)), where π is a random order of the batch's rows, drawn for each
/// feature
///
/// * **Gives** each element of each input, `[batch, ...]`, the number of its feature. The mean over many rows says how
///   much the model relies on a feature; a row's own number depends on which row was drawn.
/// * **Needs** a batch of at least 2 rows, and no gradient and no baseline: the other rows are what a feature is compared
///   with.
/// * **Costs** a forward row for each example, and one for each of its features, in passes of bounded memory on all cores.
/// * **Differs from Captum** in three ways. The order is seeded. A feature that spans several inputs comes from one row
///   in all of them; Captum draws an order for each input. A mask whose ids have a gap is an error. As in Captum, an
///   order in which every row keeps its own is drawn again.
/// * **Errors** if there is one row, an order given with [`perm_func`](Self::perm_func) is not one of the rows, a
///   shape, the target or the mask does not fit, or a value is not finite.
/// * **Paper**: Fisher, Rudin and Dominici, *All Models are Wrong, but Many are Useful*, JMLR 2019.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let x = Tensor::new(&[[1f64, 2.], [5., 9.]], &Device::Cpu)?;
/// let swapped = FeaturePermutation::new(|x: &Tensor| x.sum(1)).attribute(&x, Target::None)?;
/// assert_eq!(swapped.tensor().to_vec2::<f64>()?, [[-4., -7.], [4., 7.]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct FeaturePermutation {
    model: Subject,
    feature_mask: FeatureMask,
    order: Rearrangement,
    budget: Budget,
}

settings! {
    FeaturePermutation {
        feature_mask,
        order,
        passes,
    }
}

impl FeaturePermutation {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "FeaturePermutation",
        family: Family::Primary,
        summary: "what the output loses with a feature of another row",
        has_delta: false,
        has_target: true,
        cost: Cost::PerFeature,
        requires: &[Requirement::SeveralRows],
        paper: "Fisher, Rudin and Dominici 2019",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, with every element as a feature.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self {
            model: Subject::new(model),
            feature_mask: FeatureMask::default(),
            order: Rearrangement::default(),
            budget: Budget::default(),
        }
    }
}

impl Attribute for FeaturePermutation {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.budget.check()?;
            let question = Question::about_output(&self.model, inputs, target, &self.budget)?;
            let values = question.permuted(&self.feature_mask, &self.order)?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        let draws = matches!(self.order, Rearrangement::Drawn(_));
        draws.then(|| Box::new(self.seed(seed)) as Box<dyn Attribute>)
    }

    fn compares_examples(&self) -> bool {
        true
    }
}
