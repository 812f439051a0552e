//! Saliency: how strongly the output reacts to each input.

use std::sync::Arc;

use candle_core::Tensor;

use crate::engine::{
    Attribute, Attributed, Attributions, Cost, Expansion, Family, MethodInfo, Options, Question, Subject, Target,
    check_finite, check_setter, flag_setter, for_every_row,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel, Model};

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

impl Saliency {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "Saliency",
        family: Family::Primary,
        summary: "the size of the gradient",
        has_delta: false,
        cost: Cost::ForwardBackward,
        paper: "Simonyan, Vedaldi and Zisserman 2013",
        options: &[&["abs", "gradient_check"]],
        build: |model, options| Ok(Box::new(Self::from_options(model, options)?)),
    };

    /// The method for a model, with the gradient's absolute value.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { model: Subject::new(model), abs: true }
    }

    check_setter!();

    flag_setter!(abs, "Whether the sign is dropped; it is by default.");

    fn from_options(model: Arc<dyn Model>, options: &Options) -> Result<Self> {
        options.check(&Self::INFO)?;
        Ok(Self { model: options.subject(model), abs: options.abs.unwrap_or(true) })
    }
}

impl Attribute for Saliency {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let question = Question::at_inputs(&self.model, inputs, target)?;
            let mut values = finite_input_gradients(&question)?;
            if self.abs {
                values = values.iter().map(|gradient| Ok(gradient.abs()?)).collect::<Result<_>>()?;
            }
            question.plain_attributions_to_inputs(Self::INFO.name, values)
        })
    }
}

/// The gradient of the question's number at the inputs themselves, which must be finite.
pub(super) fn finite_input_gradients(question: &Question) -> Result<Vec<Tensor>> {
    let values = input_gradients(question)?;
    check_finite(&values, "gradient")?;
    Ok(values)
}

/// The gradient of the question's number at the inputs themselves.
pub(super) fn input_gradients(question: &Question) -> Result<Vec<Tensor>> {
    question.require_float_inputs()?;
    let pass = |question: &Question, at: &Expansion| question.inputs_with_gradients(at);
    let gradients = for_every_row(
        question,
        |at| Ok(pass(question, at)?.1),
        |first| {
            let point = question.input_points(&Expansion::new(vec![0], 1))?;
            question.check_gradient(Attributed::Inputs, &point, first, &pass)
        },
    )?;
    question.check_other_targets(Attributed::Inputs, &pass)?;
    Ok(gradients)
}
