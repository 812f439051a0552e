//! Guided backpropagation: the gradient, of which only the positive passes through active ReLUs.

use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, MethodInfo, Passing, Question, Requirement, Subject, Target,
    settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Guided backpropagation.
///
/// aᵢ = ∂F/∂xᵢ, where at each ReLU y = max(x, 0) the gradient that passes down is max(∂F/∂y, 0) where x > 0, and 0
/// elsewhere
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`: what excites the output along paths of
///   active units. They add up to nothing known.
/// * **Needs** floating-point inputs, and a model that runs its ReLUs as blocks, with
///   [`Layers::apply`](crate::model::Layers::apply) or [`Layers::run`](crate::model::Layers::run), as `Sequential` does.
///   Other nonlinearities have their ordinary gradient.
/// * **Costs** one forward and one backward pass for the whole batch.
/// * **Differs from Captum** in that a ReLU may be used twice, and in that a model without ReLUs is an error; Captum
///   gives the plain gradient then.
/// * **Errors** if no ReLU is run as a block between the inputs and the output, a shape or the target does not fit, a
///   value is not finite, or no gradient reaches an input.
/// * **Checks** once that the model's ordinary gradient is the slope of its output, unless it is a `Sequential`, an
///   encoder or a classifier of this crate: one row there and back more than
///   [`Saliency`](crate::attr::Saliency) ([`Check`](crate::engine::Check)).
/// * **Paper**: Springenberg, Dosovitskiy, Brox and Riedmiller, *Striving for Simplicity: The All Convolutional Net*,
///   2014. On what the result owes to the input and what to the model: Adebayo et al., *Sanity Checks for Saliency Maps*,
///   2018.
///
/// ```
/// use candle_explain::prelude::*;
///
/// // relu(x₁) − relu(x₂): what lowers the output does not pass.
/// let net = from_fn(|input: &Inputs, layers: &mut Layers| {
///     let active = layers.apply("relu", &Activation::Relu, input.first())?;
///     Ok((active.narrow(1, 0, 1)? - active.narrow(1, 1, 1)?)?.squeeze(1)?)
/// });
/// let x = Tensor::new(&[[3f64, 2.], [-3., 2.]], &Device::Cpu)?;
/// let result = GuidedBackprop::new(net).attribute(&x, Target::None)?;
/// assert_eq!(result.tensor().to_vec2::<f64>()?, [[1., 0.], [0., 0.]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct GuidedBackprop {
    model: Subject,
}

settings! {
    GuidedBackprop {
        gradient_check,
    }
}

impl GuidedBackprop {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "GuidedBackprop",
        family: Family::Primary,
        summary: "the gradient, of which only the positive passes through ReLUs, where their input is positive",
        has_delta: false,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Relus],
        paper: "Springenberg, Dosovitskiy, Brox and Riedmiller 2014",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { model: Subject::new(model) }
    }
}

impl Attribute for GuidedBackprop {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let values = question.rectified_gradients(Passing::Guided)?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}
