//! Saliency: how strongly the output reacts to each input.

use candle_core::Tensor;

use crate::engine::{
    Attribute, Attributed, Attributions, Budget, Cost, Family, MethodInfo, Question, Requirement, Subject, Target,
    check_finite, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Saliency.
///
/// aᵢ = |∂F/∂xᵢ|, or the signed gradient with `abs(false)`
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`.
/// * **Needs** floating-point inputs.
/// * **Costs** one forward and one backward pass for the whole batch.
/// * **Differs from Captum** in nothing.
/// * **Errors** if a shape or the target does not fit, a value is not finite, or no gradient
///   reaches an input.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Simonyan, Vedaldi and Zisserman, *Deep Inside Convolutional Networks*, 2013.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let weighted = |x: &Tensor| x.affine(-2., 0.)?.sum(1);
/// let x = Tensor::new(&[[1f64, 2.]], &Device::Cpu)?;
/// let saliency = Saliency::new(weighted);
/// assert_eq!(saliency.attribute(&x, Target::None)?.tensor().to_vec2::<f64>()?, [[2., 2.]]);
/// assert_eq!(saliency.abs(false).attribute(&x, Target::None)?.tensor().to_vec2::<f64>()?, [[-2., -2.]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Saliency {
    model: Subject,
    abs: bool,
}

settings! {
    Saliency {
        abs: bool = "Whether the sign is dropped; it is by default.",
        gradient_check,
    }
}

impl Saliency {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "Saliency",
        family: Family::Primary,
        summary: "the size of the gradient",
        has_delta: false,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients],
        paper: "Simonyan, Vedaldi and Zisserman 2013",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, with absolute values of the gradient.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { model: Subject::new(model), abs: true }
    }
}

impl Attribute for Saliency {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let mut values = finite_input_gradients(&question)?;
            if self.abs {
                values = values.iter().map(|gradient| Ok(gradient.abs()?)).collect::<Result<_>>()?;
            }
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}

/// The gradient of the attributed number at the inputs themselves; an error if it is not finite.
pub(super) fn finite_input_gradients(question: &Question) -> Result<Vec<Tensor>> {
    let values = input_gradients(question)?;
    check_finite(&values, "gradient")?;
    Ok(values)
}

/// The gradient of the attributed number at the inputs themselves.
pub(super) fn input_gradients(question: &Question) -> Result<Vec<Tensor>> {
    question.require_float_inputs()?;
    let sample = question
        .at_every_row(Attributed::Inputs, &|question, at| question.input_gradients(question.input_points(at)?, at))?;
    Ok(sample.gradients)
}
