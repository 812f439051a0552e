//! Projected gradient descent: steps of the fast gradient sign method that stay near the input.

use candle_core::{Device, Tensor};

use super::attack::{Attack, attack_settings, per_row, require_positive};
use crate::engine::{Target, host_rows};
use crate::error::{Result, bail};
use crate::model::{Inputs, IntoModel};
use crate::progress::Progress;
use crate::seed::Seed;

/// How the distance between an input and its perturbation is measured, for each example and each input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Norm {
    /// The largest change of an element.
    #[default]
    Linf,
    /// The root of the sum of the squared changes.
    L2,
}

/// Projected gradient descent.
///
/// xₖ₊₁ = P(xₖ + s sign(∂L/∂xₖ)), where P takes a point to the ball of the radius around x, and then within the
/// bounds. The loss L and the steps are those of [`FGSM`](super::FGSM).
///
/// * **Gives** the perturbed inputs: tensors of the shapes and types of the inputs, with the same extra arguments. They
///   are in the ball around the inputs if these are within the bounds.
/// * **Needs** floating-point inputs, and an output above 0 at the target, unless it gets a loss.
/// * **Costs** one forward and one backward pass for the whole batch and each step.
/// * **Differs from Captum** in what a loss gets and gives, as [`FGSM`](super::FGSM) does; in the random start, which
///   is the same for every example, so that it does not depend on the others, and in L2 is uniform in the ball of each
///   example (Captum's scales columns, and fails for most shapes). For `Target::Predicted` the target is what the model
///   predicts for the inputs, at every step.
/// * **Errors** if the radius or the size of a step is not a finite number above 0, there are no steps, and for all
///   that [`FGSM`](super::FGSM) names.
/// * **Checks** once that the gradient is the slope of the output, or of the loss
///   ([`Check`](crate::engine::Check)).
/// * **Paper**: Madry, Makelov, Schmidt, Tsipras and Vladu, *Towards Deep Learning Models Resistant to Adversarial
///   Attacks*, 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("linear1", 2).softmax("softmax").build(Seed(1))?;
/// let x = Tensor::new(&[[0.2f32, 0.5, 0.9]], &Device::Cpu)?;
/// let attack = PGD::new(&net).norm(Norm::L2).random_start(Seed(7));
/// let away = attack.perturb(&x, 0.3, 0.1, 10, Target::Class(1))?;
/// let distance = (away.first() - &x)?.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt();
/// assert!(distance < 0.3001);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct PGD {
    attack: Attack,
    norm: Norm,
    start: Option<Seed>,
}

impl PGD {
    /// The attack on a model, away from the target, without bounds, by the largest change, from the inputs themselves.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { attack: Attack::new(model), norm: Norm::default(), start: None }
    }

    attack_settings!();

    /// How the distance from the inputs is measured; `Norm::Linf` by default.
    pub fn norm(&self, norm: Norm) -> Self {
        Self { norm, ..self.clone() }
    }

    /// Starts at a random point of the ball, drawn by this seed, instead of at the inputs.
    pub fn random_start(&self, seed: Seed) -> Self {
        Self { start: Some(seed), ..self.clone() }
    }

    /// The inputs after `step_num` steps of `step_size`, no further from them than `radius`.
    pub fn perturb(
        &self,
        inputs: impl Into<Inputs>,
        radius: f64,
        step_size: f64,
        step_num: usize,
        target: impl Into<Target>,
    ) -> Result<Inputs> {
        let (inputs, target) = (inputs.into().detached(), target.into());
        require_positive("radius", radius)?;
        require_positive("step_size", step_size)?;
        if step_num == 0 {
            bail!(Input, "step_num is 0: expected at least 1 step")
        }
        let progress = Progress::new("step", step_num);
        progress.under_way(1);
        self.attack.asked.ask(|| {
            let aim = self.attack.aim(&inputs, &target)?;
            let mut points = self.starts(inputs.tensors(), radius)?;
            for step in 1..=step_num {
                let moved = self.attack.step(&aim, &points, step_size)?;
                let projected = inputs.tensors().iter().zip(&moved).map(|(center, moved)| {
                    self.attack.bounded(&(center + self.shortened(&(moved - center)?, radius)?)?)
                });
                points = projected.collect::<Result<_>>()?;
                progress.step_of(step, Some(step_num))?;
            }
            Ok(inputs.replaced(points, inputs.args().to_vec()))
        })
    }

    /// A change of an input, no longer than the radius.
    fn shortened(&self, change: &Tensor, radius: f64) -> Result<Tensor> {
        match self.norm {
            Norm::Linf => Ok(change.clamp(-radius, radius)?),
            Norm::L2 => {
                let rows = host_rows(std::slice::from_ref(change))?;
                let shares: Vec<f64> = rows.iter().map(|row| (radius / length(row)).min(1.)).collect();
                Ok(change.broadcast_mul(&per_row(&shares, change)?)?)
            }
        }
    }

    fn starts(&self, centers: &[Tensor], radius: f64) -> Result<Vec<Tensor>> {
        let Some(seed) = self.start else { return Ok(centers.to_vec()) };
        let start = |(index, center): (usize, &Tensor)| {
            let change = self.drawn(seed.child(index), center, radius)?;
            self.attack.bounded(&(center + self.attack.masked(index, &change)?)?)
        };
        centers.iter().enumerate().map(start).collect()
    }

    /// The same change of every row, uniform in the ball.
    fn drawn(&self, seed: Seed, center: &Tensor, radius: f64) -> Result<Tensor> {
        let shape = &center.dims()[1..];
        let width: usize = shape.iter().product();
        let change: Vec<f64> = match self.norm {
            Norm::Linf => seed.uniform(-radius, radius).take(width).collect(),
            Norm::L2 => {
                let direction: Vec<f64> = seed.normal(1.).take(width).collect();
                let share: f64 = seed.child(0).uniform(0., 1.).take(1).sum();
                let scale = radius * share.powf(1. / width as f64) / length(&direction);
                direction.iter().map(|part| part * scale).collect()
            }
        };
        let row = Tensor::from_vec(change, shape, &Device::Cpu)?.to_dtype(center.dtype())?;
        Ok(row.to_device(center.device())?.broadcast_as(center.shape())?.contiguous()?)
    }
}

fn length(change: &[f64]) -> f64 {
    change.iter().map(|part| part * part).sum::<f64>().sqrt()
}
