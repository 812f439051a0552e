//! Least squares with a penalty on the sizes of the coefficients, by coordinate descent.

use super::cholesky::Cholesky;
use super::observations::{Observations, shares, weighted_mean};
use super::{Fit, did_not_converge};
use crate::error::Result;

/// The descent ends where the duality gap is below this share of what the outputs vary by.
const GAP: f64 = 1e-13;

/// Minimises ½ Σ w·(y − b₀ − x·b)² / Σ w + α·Σ|b| over the intercept b₀ and the coefficients b, for α > 0.
pub(super) fn fit(observed: &Observations, alpha: f64, most: usize) -> Result<Fit> {
    let total: f64 = observed.weights().iter().sum();
    let weights: Vec<f64> = observed.weights().iter().map(|weight| weight / total).collect();
    let shares = shares(observed.rows(), &weights, observed.features());
    let mean = weighted_mean(observed.outputs().iter().copied(), &weights);
    let centred: Vec<f64> = observed.outputs().iter().map(|output| output - mean).collect();
    let mut descent = Descent {
        observed,
        weights: &weights,
        shares: &shares,
        alpha,
        coefficients: vec![0.; observed.features()],
        rest: centred.clone(),
    };
    let variance = descent.norm(&centred);
    let mut gap = descent.gap(&centred);
    let mut rounds = 0;
    while gap > GAP * variance {
        if rounds == most {
            return Err(did_not_converge("lasso", rounds, format!("its duality gap is {gap:.1e}"), GAP * variance));
        }
        descent.go_round();
        gap = descent.gap(&centred);
        rounds += 1;
    }
    let coefficients = descent.polished(&centred).unwrap_or(descent.coefficients);
    Ok(Fit { rounds, ..Fit::through(mean, &shares, coefficients) })
}

struct Descent<'a> {
    observed: &'a Observations<'a>,
    weights: &'a [f64],
    shares: &'a [f64],
    alpha: f64,
    coefficients: Vec<f64>,
    /// What the coefficients so far leave unexplained; its weighted mean is 0.
    rest: Vec<f64>,
}

impl Descent<'_> {
    /// Changes every coefficient to the best one beside the others.
    fn go_round(&mut self) {
        for feature in 0..self.shares.len() {
            let share = self.shares[feature];
            let variance = share * (1. - share);
            if variance <= 0. {
                continue;
            }
            let before = self.coefficients[feature];
            let pull = self.pull(feature) + variance * before;
            let after = (pull.abs() - self.alpha).max(0.).copysign(pull) / variance;
            let change = after - before;
            if change != 0. {
                self.coefficients[feature] = after;
                for (rest, row) in self.rest.iter_mut().zip(self.observed.rows()) {
                    *rest -= change * (f64::from(u8::from(row[feature])) - share);
                }
            }
        }
    }

    /// The coefficients as the solution of the equations that hold for those that are not 0, with the signs that the
    /// descent has found; `None` if the solution has others.
    fn polished(&self, centred: &[f64]) -> Option<Vec<f64>> {
        let active: Vec<usize> = (0..self.shares.len()).filter(|feature| self.coefficients[*feature] != 0.).collect();
        if active.is_empty() || active.len() >= self.rest.len() {
            return None;
        }
        let size = active.len();
        let mut squares = vec![0.; size * size];
        let mut right: Vec<f64> =
            active.iter().map(|feature| -self.alpha * self.coefficients[*feature].signum()).collect();
        for ((row, weight), output) in self.observed.rows().iter().zip(self.weights).zip(centred) {
            let x = |feature: usize| f64::from(u8::from(row[feature])) - self.shares[feature];
            for one in 0..size {
                let weighted = weight * x(active[one]);
                right[one] += weighted * output;
                (0..=one).for_each(|other| squares[one * size + other] += weighted * x(active[other]));
            }
        }
        let solution = Cholesky::of(squares, size)?.solve(&right);
        let mut polished = vec![0.; self.shares.len()];
        for (feature, coefficient) in active.iter().zip(solution) {
            if coefficient * self.coefficients[*feature] <= 0. {
                return None;
            }
            polished[*feature] = coefficient;
        }
        Some(polished)
    }

    /// The covariance of a feature and the rest.
    fn pull(&self, feature: usize) -> f64 {
        let rows = self.observed.rows().iter().zip(self.weights).zip(&self.rest);
        rows.filter(|((row, _), _)| row[feature]).map(|((_, weight), rest)| weight * rest).sum()
    }

    fn norm(&self, numbers: &[f64]) -> f64 {
        numbers.iter().zip(self.weights).map(|(number, weight)| weight * number * number).sum()
    }

    /// How far the objective is at most from its minimum: its distance from the dual objective at the rest, scaled
    /// until it is allowed there.
    fn gap(&self, centred: &[f64]) -> f64 {
        let features = 0..self.shares.len();
        let strongest = features.map(|feature| self.pull(feature).abs()).fold(0., f64::max);
        let scale = if strongest > self.alpha { self.alpha / strongest } else { 1. };
        let squares = self.norm(&self.rest);
        let product: f64 =
            centred.iter().zip(&self.rest).zip(self.weights).map(|((y, rest), weight)| weight * y * rest).sum();
        let size: f64 = self.coefficients.iter().map(|coefficient| coefficient.abs()).sum();
        let primal = 0.5 * squares + self.alpha * size;
        let dual = scale * product - 0.5 * scale * scale * squares;
        primal - dual
    }
}
