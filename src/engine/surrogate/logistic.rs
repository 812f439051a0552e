//! Logistic regression, by Newton's method.

use super::observations::Observations;
use super::{Fit, did_not_converge, least_squares, undetermined};
use crate::error::{Error, Result, bail};

/// The descent ends where a step moves no logarithm of odds by more.
const STEP: f64 = 1e-9;
/// Logarithms of odds beyond this are of answers that are certain.
const CERTAIN: f64 = 15.;
/// A step is halved at most so often until it lowers the loss.
const HALVINGS: usize = 40;

/// Minimises Σ w·(ln(1 + e^η) − y·η) + ½·α·|b|² with η = b₀ + x·b, for outputs y from 0 to 1.
pub(super) fn fit(observed: &Observations, alpha: f64, most: usize) -> Result<Fit> {
    if let Some(output) = observed.outputs().iter().find(|output| !(0. ..=1.).contains(*output)) {
        bail!(
            Input,
            "the model gave {output} for a sample: a logistic surrogate takes probabilities, from 0 to 1; end \
             the model in a softmax or sigmoid, or choose another surrogate"
        )
    }
    if most == 0 {
        bail!(Input, "max_iterations is 0: a logistic regression takes at least one round")
    }
    for answer in [0., 1.] {
        let counting = || observed.outputs().iter().zip(observed.weights()).filter(|(_, weight)| **weight > 0.);
        if counting().all(|(output, _)| *output == answer) {
            bail!(
                Input,
                "the model gave {answer} for each of {} samples that count, of which no finite logarithm of odds is best: \
                 draw more or wider samples, attribute a class of which it is less certain, or choose another surrogate",
                observed.counting()
            )
        }
    }
    let mut fit = Fit { intercept: 0., coefficients: vec![0.; observed.features()], rounds: 0 };
    let mut moved = f64::INFINITY;
    while moved > STEP {
        let odds: Vec<f64> = observed.rows().iter().map(|row| fit.at(row)).collect();
        let next = match working_fit(observed, &odds, alpha) {
            None if fit.rounds == 0 => {
                return Err(undetermined(observed, "logistic regression", "give an alpha above 0"));
            }
            Some(target) if fit.rounds < most => lowered(observed, &fit, &target, alpha),
            _ => None,
        };
        let Some(next) = next else { return Err(unfinished(fit.rounds, moved, &odds)) };
        let changes = observed.rows().iter().zip(&odds).map(|(row, odds)| (next.at(row) - odds).abs());
        moved = changes.fold(0., f64::max);
        fit = Fit { rounds: fit.rounds + 1, ..next };
    }
    Ok(fit)
}

/// The error of a search that ended at these logarithms of odds.
fn unfinished(rounds: usize, moved: f64, odds: &[f64]) -> Error {
    let farthest = odds.iter().fold(0., |farthest: f64, odds| farthest.max(odds.abs()));
    let cause = match farthest > CERTAIN {
        true => ": the features part the answers that are nearly certain, and larger coefficients do so ever better",
        false => "",
    };
    let reached = format!("its last step was {moved:.1e}, and the logarithms of odds reach {farthest:.1}{cause}");
    did_not_converge("logistic regression", rounds, reached, STEP)
}

/// Newton's next point from these logarithms of odds: least squares of a working response.
fn working_fit(observed: &Observations, odds: &[f64], alpha: f64) -> Option<Fit> {
    let mut weights = Vec::with_capacity(odds.len());
    let mut response = Vec::with_capacity(odds.len());
    for ((odds, output), weight) in odds.iter().zip(observed.outputs()).zip(observed.weights()) {
        let chance = 1. / (1. + (-odds).exp());
        let slope = chance * (1. - chance);
        weights.push(weight * slope);
        response.push(odds + (output - chance) / slope);
    }
    least_squares::fit(observed.rows(), &response, &weights, alpha).filter(Fit::is_finite)
}

/// The farthest point towards `target` at which the loss is not higher: all the way, half of it, a quarter.
fn lowered(observed: &Observations, from: &Fit, target: &Fit, alpha: f64) -> Option<Fit> {
    let before = loss(observed, from, alpha);
    let between = (0..HALVINGS).map(|halvings| from.towards(target, 0.5f64.powi(halvings as i32)));
    between.into_iter().find(|fit| loss(observed, fit, alpha) <= before + 1e-12 * before.abs())
}

fn loss(observed: &Observations, fit: &Fit, alpha: f64) -> f64 {
    let rows = observed.rows().iter().zip(observed.outputs()).zip(observed.weights());
    let of_row = |((row, output), weight): ((&&[bool], &f64), &f64)| {
        let odds = fit.at(row);
        weight * (odds.max(0.) + (-odds.abs()).exp().ln_1p() - output * odds)
    };
    let squares: f64 = fit.coefficients.iter().map(|coefficient| coefficient * coefficient).sum();
    rows.map(of_row).sum::<f64>() + 0.5 * alpha * squares
}
