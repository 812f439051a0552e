//! Input times gradient.

use std::sync::Arc;

use super::saliency::plain_input_gradients;
use crate::engine::{
    Attribute, Attributions, Cost, Family, MethodInfo, Options, Question, ROWS_PER_EVALUATION, Target, check_finite,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel, Model};

/// Input times gradient.
///
/// aᵢ = xᵢ · ∂F/∂xᵢ
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`: for a linear model
///   exactly each input's part of the output.
/// * **Needs** floating-point inputs.
/// * **Costs** one forward and one backward pass for the whole batch.
/// * **Differs from Captum** in nothing.
/// * **Errors** if a shape or the target does not fit, a value is not finite, or no gradient
///   reaches an input.
/// * **Paper**: Shrikumar, Greenside, Shcherbina and Kundaje, *Not Just a Black Box*, 2016.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let square = |x: &Tensor| x.sqr()?.sum(1);
/// let x = Tensor::new(&[[1f64, 3.]], &Device::Cpu)?;
/// let result = InputXGradient::new(square).attribute(&x, Target::None)?;
/// assert_eq!(result.tensor().to_vec2::<f64>()?, [[2., 18.]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct InputXGradient {
    model: Arc<dyn Model>,
}

impl InputXGradient {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "InputXGradient",
        family: Family::Primary,
        summary: "the gradient times the input",
        has_delta: false,
        cost: Cost::ForwardBackward,
        paper: "Shrikumar, Greenside, Shcherbina and Kundaje 2016",
        options: &[],
        build: |model, options| Ok(Box::new(Self::from_options(model, options)?)),
    };

    /// The method for a model.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { model: model.into_model() }
    }

    fn from_options(model: Arc<dyn Model>, options: &Options) -> Result<Self> {
        options.check(&Self::INFO)?;
        Ok(Self { model })
    }
}

impl Attribute for InputXGradient {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        let question = Question::about_output(&self.model, inputs.clone(), target, ROWS_PER_EVALUATION)?;
        let gradients = plain_input_gradients(&question)?;
        let products =
            inputs.tensors().iter().zip(&gradients).map(|(input, gradient)| Ok(input.detach().mul(gradient)?));
        let values = products.collect::<Result<Vec<_>>>()?;
        check_finite(&values, "attribution")?;
        Ok(question.plain_attributions_to_inputs(Self::INFO.name, values))
    }
}
