//! Input times gradient.

use super::saliency::input_gradients;
use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, MethodInfo, Question, Requirement, Subject, Target, check_finite,
    products, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Input times gradient.
///
/// aᵢ = xᵢ · ∂F/∂xᵢ
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`. For a linear model it is
///   exactly the input's part of the output.
/// * **Needs** floating-point inputs.
/// * **Costs** one forward and one backward pass for the whole batch.
/// * **Differs from Captum** in nothing.
/// * **Errors** if a shape or the target does not fit, a value is not finite, or no gradient
///   reaches an input.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
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
    model: Subject,
}

settings! {
    InputXGradient {
        gradient_check,
    }
}

impl InputXGradient {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "InputXGradient",
        family: Family::Primary,
        summary: "the gradient times the input",
        has_delta: false,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients],
        paper: "Shrikumar, Greenside, Shcherbina and Kundaje 2016",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { model: Subject::new(model) }
    }
}

impl Attribute for InputXGradient {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let gradients = input_gradients(&question)?;
            let products = gradients.iter().zip(inputs.tensors()).map(|(gradient, input)| products(gradient, input));
            let values = products.collect::<Result<Vec<_>>>()?;
            check_finite(&values, "attribution")?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}
