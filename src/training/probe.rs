//! Compares the slope of the loss with the gradient at given weights.

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};

use super::weights::{Kept, epsilon, number, shift, signs, size, sum, sum_of_squares};
use crate::error::Result;
use crate::seed::Seed;

/// Computes the training loss with the current weights: a tensor of one number.
pub(super) type Loss<'a> = dyn Fn() -> Result<Tensor> + 'a;

/// How many random directions are drawn for each group of weights, besides that of their gradient, and how many
/// are tried if no disagreement is found.
const DIRECTIONS: usize = 5;
const QUICK: usize = 3;
/// The share by which a difference and a gradient may disagree.
const SHARE: f64 = 0.02;
/// How many steps in a row must agree with each other.
const STEPS: usize = 4;

pub(super) struct Probe<'a> {
    vars: &'a [Var],
    loss: &'a Loss<'a>,
    value: f64,
    gradients: GradStore,
    /// By how much the loss may be off.
    rounding: f64,
    /// The coarsest type among the weights.
    dtype: DType,
}

/// How much the loss changes for a step of the size of the weights, measured from two values and according to the
/// gradient.
#[derive(Clone, Copy)]
pub(super) struct Slope {
    step: f64,
    pub(super) measured: f64,
    pub(super) claimed: f64,
    /// How far the measured change may be off.
    rounding: f64,
}

/// Weights with their gradients, and a direction for all of them, scaled to their size.
struct Line<'a> {
    vars: &'a [Var],
    places: Vec<Tensor>,
    gradients: Vec<Tensor>,
    directions: Vec<Tensor>,
}

impl Line<'_> {
    /// Moves the weights this far along the line, and returns them.
    fn at(&self, step: f64) -> Result<Vec<Tensor>> {
        let weights = self.places.iter().zip(&self.directions);
        let weights: Vec<Tensor> =
            weights.map(|(place, direction)| Ok((place + (direction * step)?)?)).collect::<Result<_>>()?;
        for (var, weight) in self.vars.iter().zip(&weights) {
            var.set(weight)?;
        }
        Ok(weights)
    }

    /// ⟨gradient, move⟩, and roughly what it would be for a random direction.
    fn claims(&self, moves: &[Tensor]) -> Result<(f64, f64)> {
        let (mut claimed, mut typical) = (0., 0.);
        for (gradient, moved) in self.gradients.iter().zip(moves) {
            claimed += sum(&(moved * gradient)?)?;
            typical += sum_of_squares(gradient)? * sum_of_squares(moved)? / gradient.elem_count().max(1) as f64;
        }
        Ok((claimed, typical.sqrt()))
    }
}

impl<'a> Probe<'a> {
    /// `None` if the loss here is not a number, or differs at the second try.
    pub(super) fn new(vars: &'a [Var], loss: &'a Loss<'a>) -> Result<Option<Self>> {
        let here = loss()?;
        let (value, gradients) = (number(&here)?, here.backward()?);
        drop(here);
        if !value.is_finite() || (0..2).map(|_| number(&loss()?)).collect::<Result<Vec<_>>>()? != [value; 2] {
            return Ok(None);
        }
        let coarser = |a: &DType, b: &DType| epsilon(*a).total_cmp(&epsilon(*b));
        let dtype = vars.iter().map(|var| var.dtype()).max_by(coarser).unwrap_or(DType::F32);
        let epsilon = epsilon(dtype);
        let mut rounding = epsilon * value.abs();
        // The weights are moved by a few units in the last place: any change of the loss is rounding.
        let moved = Kept::new(vars)?;
        for draw in 0..4 {
            for (index, var) in vars.iter().enumerate() {
                shift(var, &signs(var, Seed(4).child(draw).child(index))?, 2. * epsilon * size(var)?)?;
            }
            rounding = rounding.max((number(&loss()?)? - value).abs());
            moved.put_back()?;
        }
        Ok(Some(Self { vars, loss, value, gradients, rounding, dtype }))
    }

    /// Whether the loss and its gradient are the same as before.
    pub(super) fn is_same_again(&self) -> Result<bool> {
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

    /// The slopes at which the gradient of some weights and the loss disagree: two directions if they clearly do, one
    /// if it may be chance.
    pub(super) fn disagreements(&self, group: &[Var], seed: Seed) -> Result<Vec<Slope>> {
        let vars: Vec<Var> = group.iter().filter(|var| self.gradients.get(var).is_some()).cloned().collect();
        let sizes: Vec<f64> = vars.iter().map(size).collect::<Result<_>>()?;
        let _back = Kept::new(&vars)?;
        let mut line = Line {
            vars: &vars,
            places: vars.iter().map(|var| Ok(var.as_detached_tensor().copy()?)).collect::<Result<_>>()?,
            gradients: vars.iter().filter_map(|var| self.gradients.get(var).cloned()).collect(),
            directions: Vec::new(),
        };
        let mut found = Vec::new();
        for draw in 0..=DIRECTIONS {
            if found.len() == 2 || draw == QUICK && found.is_empty() {
                break;
            }
            let mut directions = Vec::with_capacity(vars.len());
            for (index, ((var, gradient), size)) in vars.iter().zip(&line.gradients).zip(&sizes).enumerate() {
                let length = sum_of_squares(gradient)?.sqrt();
                let along = draw == 0 && length > 0. && length.is_finite();
                directions.push(if along {
                    (gradient * (size * (var.elem_count() as f64).sqrt() / length))?
                } else {
                    (signs(var, seed.child(draw).child(index))? * *size)?
                });
            }
            line.directions = directions;
            found.extend(self.disagreement(&line)?);
        }
        Ok(found)
    }

    /// The slope at which they disagree along a line. The steps get shorter until the loss follows the gradient, or
    /// settles on another slope.
    fn disagreement(&self, line: &Line) -> Result<Option<Slope>> {
        let mut slopes: Vec<Slope> = Vec::new();
        for step in steps(self.dtype) {
            let ahead = line.at(step)?;
            let up = number(&(self.loss)()?)?;
            let behind = line.at(-step)?;
            let change = up - number(&(self.loss)()?)?;
            let moves = ahead.iter().zip(&behind).map(|(a, b)| Ok((a - b)?)).collect::<Result<Vec<_>>>()?;
            let (claimed, typical) = line.claims(&moves)?;
            let apart = (change - claimed).abs();
            if apart <= SHARE * change.abs().max(claimed.abs()).max(typical) {
                return Ok(None);
            }
            if apart <= 2. * self.rounding {
                break;
            }
            if change.is_finite() && change != 0. {
                let unit = 2. * step;
                let rounding = 2. * self.rounding / unit;
                slopes.push(Slope { step, measured: change / unit, claimed: claimed / unit, rounding });
            }
        }
        let doubt = |some: &[Slope]| {
            let measured = || some.iter().map(|slope| slope.measured);
            let spread = measured().fold(f64::MIN, f64::max) - measured().fold(f64::MAX, f64::min);
            spread + some[STEPS - 1].rounding
        };
        // The steps in a row that agree best.
        let best = slopes.windows(STEPS).min_by(|a, b| doubt(a).total_cmp(&doubt(b)));
        let wrong = best.filter(|some| {
            let apart = some.iter().map(|slope| (slope.measured - slope.claimed).abs()).fold(f64::MAX, f64::min);
            apart > 3. * doubt(some)
        });
        let Some(&[.., last]) = wrong else { return Ok(None) };
        // If the gradient itself jumps within the step, nothing can be said.
        let mut doubt = 3. * last.rounding;
        for by in [last.step, -last.step] {
            line.at(by)?;
            let gradients = (self.loss)()?.backward()?;
            let mut claimed = 0.;
            for (var, direction) in line.vars.iter().zip(&line.directions) {
                if let Some(gradient) = gradients.get(var) {
                    claimed += sum(&(direction * gradient)?)?;
                }
            }
            doubt += (claimed - last.claimed).abs();
        }
        Ok(if (last.measured - last.claimed).abs() > doubt { Some(last) } else { None })
    }
}

/// Steps relative to the size of the weights, each half as long as the one before.
fn steps(dtype: DType) -> impl Iterator<Item = f64> {
    let (first, count) = match dtype {
        DType::F64 => (0.03, 18),
        DType::F32 => (0.12, 14),
        _ => (0.5, STEPS),
    };
    (0..count as i32).map(move |halvings| first / f64::from(1 << halvings))
}
