//! Holds the gradient of every parameter against the loss before a training begins.

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};

use super::Parameters;
use crate::error::{Result, bail};
use crate::finite;
use crate::seed::Seed;

/// How far the weights are moved off their place first, relative to their size: at a place that
/// nobody chose there are no kinks and no ties, and layers that begin at 0 pass something on.
const AWAY: f64 = 0.02;
/// The size of weights that are all 0.
const SIZE_OF_ZEROS: f64 = 0.1;
/// Directions drawn at random for each parameter, beside that of its gradient; and how many are gone
/// along if no disagreement is found.
const DIRECTIONS: usize = 5;
const QUICK: usize = 3;
/// By what share a difference and a gradient may disagree.
const SHARE: f64 = 0.02;

/// The loss of a training, computed anew with the weights as they are: a tensor of one number.
type Loss<'a> = dyn Fn() -> Result<Tensor> + 'a;

/// An error that names the parameters which no gradient reaches, or whose gradient is not finite.
pub(crate) fn check_reached(parameters: &Parameters, loss: &Loss) -> Result<()> {
    let (names, vars) = (parameters.names(), parameters.vars());
    if let Some((name, var)) = names.iter().zip(&vars).find(|(_, var)| !var.dtype().is_float()) {
        bail!(Input, "{} is {:?}: expected parameters of floating-point numbers", describe(name, var), var.dtype())
    }
    let value = loss()?;
    if !number(&value)?.is_finite() {
        return Ok(());
    }
    let gradients = value.backward()?;
    let missing: Vec<usize> = (0..vars.len()).filter(|&index| gradients.get(&vars[index]).is_none()).collect();
    if missing.len() == vars.len() {
        bail!(
            Gradient,
            "no gradient reaches any of the {} parameters: are they this model's own, and does its forward \
             track them (Linear::forward does, Linear::forward_frozen does not)?",
            vars.len()
        )
    }
    if !missing.is_empty() {
        let mut needed = Vec::new();
        for &index in &missing {
            let _back = Kept::new(&vars[index..=index])?;
            shift(&vars[index], &signs(&vars[index], Seed(1))?, size(&vars[index])? / 2.)?;
            needed.push(number(&loss()?)? != number(&value)?);
        }
        let of = |wanted: bool| {
            let of_kind = missing.iter().zip(&needed).filter(|(_, needed)| **needed == wanted);
            of_kind.map(|(&index, _)| describe(&names[index], &vars[index])).collect::<Vec<_>>()
        };
        let cut = of(true);
        if cut.is_empty() {
            bail!(
                Gradient,
                "no gradient reaches {}, and the loss does not depend on it: is it used in the model's forward? \
                 Training would leave it as it is; leave it out of the parameters if that is meant",
                of(false).join(", ")
            )
        }
        bail!(
            Gradient,
            "no gradient reaches {}, although the loss depends on it: an operation between them has no backward \
             (candle_nn's layer_norm, rms_norm and softmax_last_dim have none; use candle_explain::nn), or the weights \
             are kept out of the graph (detach, forward_frozen). Training would leave it as it is; leave it out of the \
             parameters if that is meant",
            cut.join(", ")
        )
    }
    for (name, var) in names.iter().zip(&vars) {
        if let Some(gradient) = gradients.get(var) {
            finite::check(gradient)
                .map_err(|e| e.at(format!("the gradient of {} at the first step", describe(name, var))))?;
        }
    }
    Ok(())
}

/// An error that names the parameters whose gradient disagrees with differences of the loss: between
/// w + d and w − d it must change by ⟨gradient, 2d⟩. The weights are afterwards as they were.
///
/// Nothing is said of a loss that is random, or where rounding hides the answer.
pub(crate) fn check_differences(parameters: &Parameters, loss: &Loss) -> Result<()> {
    let vars = parameters.vars();
    let _back = Kept::new(&vars)?;
    for (index, var) in vars.iter().enumerate() {
        shift(var, &signs(var, Seed(2).child(index))?, AWAY * size(var)?)?;
    }
    let Some(probe) = Probe::new(&vars, loss)? else { return Ok(()) };
    let mut doubted = Vec::new();
    for (index, var) in vars.iter().enumerate() {
        let found = probe.disagreements(var, Seed(3).child(index))?;
        doubted.extend(found.last().map(|last| (index, found.len(), *last)));
    }
    let Some((first, _, Slope { measured, claimed, .. })) = doubted.iter().find(|(_, found, _)| *found > 1) else {
        return Ok(());
    };
    // A loss that is random only now and then may have passed for one that is not.
    if !probe.is_same_again()? {
        return Ok(());
    }
    let names = parameters.names();
    let listed: Vec<String> = doubted.iter().map(|(index, ..)| describe(&names[*index], &vars[*index])).collect();
    bail!(
        Gradient,
        "the gradient is wrong at {}: along one direction of \"{}\" the loss has the slope {measured:.3e}, and by \
         the gradient it would be {claimed:.3e}. An operation above has no backward or a wrong one \
         (candle_nn's layer_norm, rms_norm and softmax_last_dim, candle's pooling, max of ties and upsampling; use \
         candle_explain::nn). If the gradient differs on purpose, train with gradient_check(Check::Off)",
        listed.join(", "),
        names[*first]
    )
}

/// A place in the space of the weights, with the gradient there.
struct Probe<'a> {
    vars: &'a [Var],
    loss: &'a Loss<'a>,
    value: f64,
    gradients: GradStore,
    /// By how much the loss may be off.
    rounding: f64,
}

impl<'a> Probe<'a> {
    /// None if the loss here is no number, or another one at the second try.
    fn new(vars: &'a [Var], loss: &'a Loss<'a>) -> Result<Option<Self>> {
        let here = loss()?;
        let (value, gradients) = (number(&here)?, here.backward()?);
        drop(here);
        if !value.is_finite() || (0..2).map(|_| number(&loss()?)).collect::<Result<Vec<_>>>()? != [value; 2] {
            return Ok(None);
        }
        let epsilon = vars.iter().map(|var| epsilon(var.dtype())).fold(0., f64::max);
        let mut rounding = epsilon * value.abs();
        // Weights moved by a few of their last digits: what changes now is rounding.
        let moved = Kept::new(vars)?;
        for draw in 0..4 {
            for (index, var) in vars.iter().enumerate() {
                shift(var, &signs(var, Seed(4).child(draw).child(index))?, 2. * epsilon * size(var)?)?;
            }
            rounding = rounding.max((number(&loss()?)? - value).abs());
            moved.put_back()?;
        }
        Ok(Some(Self { vars, loss, value, gradients, rounding }))
    }

    /// Whether the loss and its gradient come out as before.
    fn is_same_again(&self) -> Result<bool> {
        let again = (self.loss)()?;
        if number(&again)? != self.value {
            return Ok(false);
        }
        let gradients = again.backward()?;
        for var in self.vars {
            if let (Some(before), Some(now)) = (self.gradients.get(var), gradients.get(var))
                && sum_of_squares(&(before - now)?)? > SHARE * SHARE * sum_of_squares(before)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where the parameter's gradient and the loss disagree: along two directions if they do, along one if that may
    /// be chance.
    fn disagreements(&self, var: &Var, seed: Seed) -> Result<Vec<Slope>> {
        let Some(gradient) = self.gradients.get(var) else { return Ok(Vec::new()) };
        let length = sum_of_squares(gradient)?.sqrt();
        let count = (var.elem_count() as f64).sqrt();
        let mut directions: Vec<Tensor> =
            (0..DIRECTIONS).map(|draw| signs(var, seed.child(draw))).collect::<Result<_>>()?;
        if length > 0. && length.is_finite() {
            directions.push((gradient * (count / length))?);
        }
        let mut found = Vec::new();
        for (tried, direction) in directions.iter().enumerate() {
            if found.len() == 2 || tried == QUICK && found.is_empty() {
                break;
            }
            found.extend(self.along(var, gradient, direction)?);
        }
        Ok(found)
    }

    /// Where they disagree along one direction, whose elements are about 1: by shorter and shorter
    /// steps, until the loss follows the gradient, or does not although it has settled on a slope of its own.
    fn along(&self, var: &Var, gradient: &Tensor, direction: &Tensor) -> Result<Option<Slope>> {
        let _back = Kept::new(std::slice::from_ref(var))?;
        let (place, size) = (var.as_detached_tensor().copy()?, size(var)?);
        let mut slopes: Vec<Slope> = Vec::new();
        for step in steps(var.dtype()) {
            let moved = (direction * (step * size))?;
            let ends = [(&place + &moved)?, (&place - &moved)?];
            let values = ends.each_ref().map(|end| -> Result<f64> {
                var.set(end)?;
                number(&(self.loss)()?)
            });
            let [up, down] = values;
            let between = (&ends[0] - &ends[1])?;
            let (change, claimed) = (up? - down?, sum(&(&between * gradient)?)?);
            let typical = (sum_of_squares(gradient)? * sum_of_squares(&between)? / var.elem_count() as f64).sqrt();
            let scale = change.abs().max(claimed.abs()).max(typical);
            let apart = (change - claimed).abs();
            if apart <= SHARE * scale {
                return Ok(None);
            }
            if apart <= 2. * self.rounding {
                break;
            }
            if change.is_finite() && change != 0. {
                let unit = 2. * step;
                slopes.push(Slope {
                    step,
                    measured: change / unit,
                    claimed: claimed / unit,
                    rounding: 2. * self.rounding / unit,
                });
            }
        }
        // Of four steps one after the other, those that agree best.
        let doubt = |four: &[Slope]| {
            let measured = || four.iter().map(|slope| slope.measured);
            let spread = measured().fold(f64::MIN, f64::max) - measured().fold(f64::MAX, f64::min);
            spread + four[3].rounding
        };
        let best = slopes.windows(4).min_by(|a, b| doubt(a).total_cmp(&doubt(b)));
        let wrong = best.filter(|four| {
            let apart = four.iter().map(|slope| (slope.measured - slope.claimed).abs()).fold(f64::MAX, f64::min);
            apart > 3. * doubt(four)
        });
        let Some(&[.., last]) = wrong else { return Ok(None) };
        // Where the gradient itself leaps within the step, nothing can be said.
        let mut doubt = 3. * last.rounding;
        for by in [last.step, -last.step] {
            var.set(&(&place + (direction * (by * size))?)?)?;
            if let Some(gradient) = (self.loss)()?.backward()?.get(var) {
                doubt += (sum(&(direction * gradient)?)? * size - last.claimed).abs();
            }
        }
        Ok(if (last.measured - last.claimed).abs() > doubt { Some(last) } else { None })
    }
}

/// By how much the loss changes for a step as long as the weights are large, as two values and as the gradient have it.
#[derive(Clone, Copy)]
struct Slope {
    step: f64,
    measured: f64,
    claimed: f64,
    /// By how much the measured one may be off.
    rounding: f64,
}

/// Weights that are put back where they were.
struct Kept<'a>(Vec<(&'a Var, Tensor)>);

impl<'a> Kept<'a> {
    fn new(vars: &'a [Var]) -> Result<Self> {
        Ok(Self(vars.iter().map(|var| Ok((var, var.as_detached_tensor().copy()?))).collect::<Result<_>>()?))
    }

    fn put_back(&self) -> Result<()> {
        self.0.iter().try_for_each(|(var, value)| Ok(var.set(value)?))
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        // The shapes are the weights' own, so this cannot fail.
        let _ = self.put_back();
    }
}

fn describe(name: &str, var: &Var) -> String {
    format!("\"{name}\" {:?}", var.dims())
}

fn number(loss: &Tensor) -> Result<f64> {
    Ok(loss.to_dtype(DType::F64)?.to_scalar()?)
}

fn sum(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.sum_all()?.to_scalar()?)
}

fn sum_of_squares(tensor: &Tensor) -> Result<f64> {
    sum(&tensor.to_dtype(DType::F64)?.sqr()?)
}

/// The root of the mean square of the weights.
fn size(var: &Var) -> Result<f64> {
    let size = (sum_of_squares(&var.as_detached_tensor())? / var.elem_count().max(1) as f64).sqrt();
    Ok(if size > 0. { size } else { SIZE_OF_ZEROS })
}

/// +1 or −1 for each weight.
fn signs(var: &Var, seed: Seed) -> Result<Tensor> {
    let signs = seed.chances(0.5).take(var.elem_count()).map(|up| if up { 1f32 } else { -1. });
    Ok(Tensor::from_vec(signs.collect(), var.dims(), var.device())?.to_dtype(var.dtype())?)
}

fn shift(var: &Var, direction: &Tensor, by: f64) -> Result<()> {
    Ok(var.set(&(var.as_detached_tensor() + (direction * by)?)?)?)
}

fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F32 => f64::from(f32::EPSILON),
        DType::F16 => 9.8e-4,
        _ => 7.9e-3,
    }
}

/// Steps relative to the size of the weights, each half as long as the one before.
fn steps(dtype: DType) -> impl Iterator<Item = f64> {
    let (first, count) = match dtype {
        DType::F64 => (0.03, 18),
        DType::F32 => (0.12, 14),
        _ => (0.5, 4),
    };
    (0..count).map(move |halvings| first / f64::from(1 << halvings))
}
