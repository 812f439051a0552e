//! Deconvolution: the gradient, of which only the positive passes through ReLUs.

use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, MethodInfo, Passing, Question, Requirement, Subject, Target,
    settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Deconvolution.
///
/// aᵢ = ∂F/∂xᵢ, where at each ReLU y = max(x, 0) the gradient that passes down is max(∂F/∂y, 0), whatever x is
///
/// * **Gives** one attribution for each element of each input, `[batch, ...]`: a pattern that would excite the output.
///   They add up to nothing known.
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
/// * **Paper**: Zeiler and Fergus, *Visualizing and Understanding Convolutional Networks*, ECCV 2014.
///
/// ```
/// use candle_explain::prelude::*;
///
/// // relu(x₁) − relu(x₂): what lowers the output does not pass, and what is not active does.
/// let net = from_fn(|input: &Inputs, layers: &mut Layers| {
///     let active = layers.apply("relu", &Activation::Relu, input.first())?;
///     Ok((active.narrow(1, 0, 1)? - active.narrow(1, 1, 1)?)?.squeeze(1)?)
/// });
/// let x = Tensor::new(&[[3f64, 2.], [-3., 2.]], &Device::Cpu)?;
/// let result = Deconvolution::new(net).attribute(&x, Target::None)?;
/// assert_eq!(result.tensor().to_vec2::<f64>()?, [[1., 0.], [1., 0.]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Deconvolution {
    model: Subject,
}

settings! {
    Deconvolution {
        gradient_check,
    }
}

impl Deconvolution {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "Deconvolution",
        family: Family::Primary,
        summary: "the gradient, of which only the positive passes through ReLUs, whatever their input",
        has_delta: false,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Relus],
        paper: "Zeiler and Fergus 2014",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { model: Subject::new(model) }
    }
}

impl Attribute for Deconvolution {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let values = question.rectified_gradients(Passing::Deconvolved)?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}
