//! Occlusion: what the output loses behind a sliding window.

use crate::engine::{
    Attribute, Attributions, Baseline, Budget, Cost, Family, FeatureMask, MethodInfo, Question, Sizes, Subject, Target,
    Windows, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Occlusion.
///
/// aᵢ = mean of F(x) − F(x with window w put to its baseline) over the positions w of the window that cover element i
///
/// With a [`FeatureMask`] the window covers whole features, in the order of their ids: `[2]` is two words of a text.
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`.
/// * **Needs** the window's size along each axis after the batch, `[1, 3, 3]` for an image of one channel; one such list
///   for each of several inputs, which the window slides over one after another; with a mask, a number of features. It
///   needs no gradient: token ids and black boxes do as well.
/// * **Costs** a forward row for each example, and one for each position of the window and each baseline, in passes of
///   bounded memory on all cores.
/// * **Differs from Captum** in that it takes a feature mask, that several baselines ([`Baseline::Distribution`]) are
///   averaged, and that `perturbations_per_eval` is [`internal_batch_size`](Self::internal_batch_size), which counts rows. As in Captum,
///   windows overlap by their strides, 1 by default, and where the last one would reach beyond the end it is cut off
///   there.
/// * **Errors** if the window is larger than the input, or has more features than an example, a size or stride is 0, a stride is larger than the window, so
///   that elements would be left out, a shape, the target or the baseline does not fit, or a value is not finite.
/// * **Paper**: Zeiler and Fergus, *Visualizing and Understanding Convolutional Networks*, ECCV 2014.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let x = Tensor::new(&[[1f64, 2., 4.]], &Device::Cpu)?;
/// let pairs = Occlusion::new(|x: &Tensor| x.sum(1), [2]);
/// assert_eq!(pairs.attribute(&x, Target::None)?.tensor().to_vec2::<f64>()?, [[3., 4.5, 6.]]);
/// assert_eq!(pairs.strides(2).attribute(&x, Target::None)?.tensor().to_vec2::<f64>()?, [[3., 3., 4.]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Occlusion {
    model: Subject,
    sliding_window_shapes: Sizes,
    strides: Sizes,
    baseline: Baseline,
    feature_mask: FeatureMask,
    budget: Budget,
}

settings! {
    Occlusion(sliding_window_shapes) {
        strides,
        baseline,
        feature_mask,
        passes,
    }
}

impl Occlusion {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "Occlusion",
        family: Family::Primary,
        summary: "what the output loses behind a sliding window",
        has_delta: false,
        has_target: true,
        cost: Cost::PerFeature,
        requires: &[],
        paper: "Zeiler and Fergus 2014",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and the size of the window along each axis, with strides of 1 and zero baseline.
    pub fn new<Marker>(model: impl IntoModel<Marker>, sliding_window_shapes: impl Into<Sizes>) -> Self {
        Self {
            model: Subject::new(model),
            sliding_window_shapes: sliding_window_shapes.into(),
            strides: Sizes::from(1),
            baseline: Baseline::default(),
            feature_mask: FeatureMask::default(),
            budget: Budget::default(),
        }
    }
}

impl Attribute for Occlusion {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            self.budget.check()?;
            let question = Question::about_output(&self.model, inputs, target, &self.budget)?;
            let (shapes, strides) = (&self.sliding_window_shapes, &self.strides);
            let windows = match self.feature_mask.is_of_elements() {
                true => Windows::over(question.inputs().tensors(), shapes, strides)?,
                false => Windows::over_features(&question.feature_counts(&self.feature_mask)?, shapes, strides)?,
            };
            let values = question.coalitions(&self.feature_mask, &self.baseline)?.occluded(&windows)?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}
