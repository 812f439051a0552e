//! The fast gradient sign method: one step along the sign of the loss's gradient.

use candle_core::Tensor;

use super::attack::{Attack, attack_settings, require_positive};
use crate::engine::Target;
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// The fast gradient sign method.
///
/// x′ = x + ε sign(∂L/∂x), with the loss L = −ln F. A targeted attack has − for +. An element stays where |∂L/∂x| ≤ 1e-6.
///
/// * **Gives** the perturbed inputs: tensors of the shapes and types of the inputs, with the same extra arguments.
/// * **Needs** floating-point inputs, and an output above 0 at the target, unless it gets a loss.
/// * **Costs** one forward and one backward pass for the whole batch.
/// * **Differs from Captum** in what a loss gets, the targets as a tensor, and gives, one number for each row. For
///   `Target::Predicted` the target is what the model predicts.
/// * **Errors** if ε is not a finite number above 0, the bounds are the wrong way round, a mask has another shape than
///   its input or values besides 0 and 1, a shape or the target does not fit, a value is not finite, the target's output
///   is not above 0, or no gradient reaches an input.
/// * **Checks** once that the gradient is the slope of the output, or of the loss
///   ([`Check`](crate::engine::Check)).
/// * **Paper**: Goodfellow, Shlens and Szegedy, *Explaining and Harnessing Adversarial Examples*, 2014.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("linear1", 2).softmax("softmax").build(Seed(1))?;
/// let x = Tensor::new(&[[0.2f32, 0.5, 0.9]], &Device::Cpu)?;
/// let attack = FGSM::new(&net).bounds(0., 1.);
/// let away = attack.perturb(&x, 0.1, Target::Class(1))?;
/// let class = |x: &Tensor| net.predict(x)?.get(0)?.get(1)?.to_scalar::<f32>().map_err(Error::from);
/// assert!(class(away.first())? < class(&x)?);
/// let squared = |output: &Tensor, _: &Tensor| Ok(output.sqr()?.sum(1)?);
/// attack.loss(squared).targeted(true).perturb(&x, 0.1, Target::None)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct FGSM {
    attack: Attack,
}

impl FGSM {
    /// The attack on a model, away from the target and without bounds.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { attack: Attack::new(model) }
    }

    attack_settings!();

    /// The inputs, each element moved by `epsilon`.
    pub fn perturb(&self, inputs: impl Into<Inputs>, epsilon: f64, target: impl Into<Target>) -> Result<Inputs> {
        let (inputs, target) = (inputs.into().detached(), target.into());
        require_positive("epsilon", epsilon)?;
        self.attack.asked.ask(|| {
            let aim = self.attack.aim(&inputs, &target)?;
            let moved = self.attack.step(&aim, inputs.tensors(), epsilon)?;
            Ok(inputs.replaced(moved, inputs.args().to_vec()))
        })
    }
}
