//! Linear models that stand for another model nearby: which of its features count, and how much.

mod cholesky;
mod lasso;
mod least_squares;
mod logistic;
mod observations;

pub(crate) use cholesky::Cholesky;
pub(crate) use observations::Observations;

use crate::error::{Error, Result, bail, error};

/// The linear model that [`Lime`](crate::attr::Lime) fits to the model's outputs y for samples x of features that are
/// present (1) or absent (0), each with the weight w of its similarity to the example.
///
/// None penalises the intercept b₀.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surrogate {
    /// Least squares: Σ w·(y − b₀ − x·b)². It needs more samples than features.
    Linear,
    /// Σ w·(y − b₀ − x·b)² + α·Σ b².
    Ridge {
        /// The strength α of the penalty, at least 0.
        alpha: f64,
    },
    /// ½ Σ w·(y − b₀ − x·b)² / Σ w + α·Σ|b|: features that say little get exactly 0.
    Lasso {
        /// The strength α of the penalty, at least 0.
        alpha: f64,
    },
    /// Σ w·(ln(1 + e^η) − y·η) + ½·α·Σ b² with η = b₀ + x·b, for probabilities y: coefficients are on the scale of the
    /// logarithm of odds.
    Logistic {
        /// The strength α of the penalty, at least 0.
        alpha: f64,
    },
}

impl Default for Surrogate {
    /// Captum's: lasso with α = 0.01.
    fn default() -> Self {
        Surrogate::Lasso { alpha: 0.01 }
    }
}

impl Surrogate {
    pub(crate) fn check(&self) -> Result<()> {
        let (Surrogate::Ridge { alpha } | Surrogate::Lasso { alpha } | Surrogate::Logistic { alpha }) = *self else {
            return Ok(());
        };
        if !alpha.is_finite() || alpha < 0. {
            bail!(Input, "the surrogate's alpha is {alpha}: expected a finite number that is not negative")
        }
        Ok(())
    }

    /// The best coefficients, found in at most so many rounds. An error if they are not determined, or if the search
    /// does not converge.
    pub(crate) fn fit(&self, observed: &Observations, most: usize) -> Result<Fit> {
        match *self {
            Surrogate::Lasso { alpha } if alpha > 0. => lasso::fit(observed, alpha, most),
            Surrogate::Ridge { alpha } if alpha > 0. => least_squares(observed, alpha),
            Surrogate::Linear | Surrogate::Ridge { .. } | Surrogate::Lasso { .. } => least_squares(observed, 0.),
            Surrogate::Logistic { alpha } => logistic::fit(observed, alpha, most),
        }
    }
}

/// A surrogate that was fitted.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    pub(crate) intercept: f64,
    pub(crate) coefficients: Vec<f64>,
    /// How many rounds the search took; 0 if there is a formula.
    pub(crate) rounds: usize,
}

impl Fit {
    /// These coefficients, with the intercept that goes through the mean output where each feature has its mean.
    fn through(output: f64, features: &[f64], coefficients: Vec<f64>) -> Self {
        let explained: f64 = features.iter().zip(&coefficients).map(|(mean, coefficient)| mean * coefficient).sum();
        Self { intercept: output - explained, coefficients, rounds: 0 }
    }

    fn at(&self, row: &[bool]) -> f64 {
        let present = row.iter().zip(&self.coefficients).filter(|(present, _)| **present);
        self.intercept + present.map(|(_, coefficient)| coefficient).sum::<f64>()
    }

    /// The point at this share of the way to another.
    fn towards(&self, other: &Self, share: f64) -> Self {
        let between = |from: f64, to: f64| from + share * (to - from);
        let coefficients = self.coefficients.iter().zip(&other.coefficients).map(|(from, to)| between(*from, *to));
        Self { intercept: between(self.intercept, other.intercept), coefficients: coefficients.collect(), ..*self }
    }

    fn is_finite(&self) -> bool {
        self.intercept.is_finite() && self.coefficients.iter().all(|coefficient| coefficient.is_finite())
    }
}

fn least_squares(observed: &Observations, alpha: f64) -> Result<Fit> {
    least_squares::fit(observed.rows(), observed.outputs(), observed.weights(), alpha).ok_or_else(|| {
        error!(
            Input,
            "{} different samples that count do not tell {} features apart by least squares: draw more than {} samples, or take \
             Surrogate::Ridge or Lasso",
            observed.counting(),
            observed.features(),
            observed.features()
        )
    })
}

/// The error of a search that ended too early.
fn did_not_converge(surrogate: &str, rounds: usize, reached: String, wanted: f64) -> Error {
    error!(
        Input,
        "the {surrogate} did not converge in {rounds} rounds: {reached}, and was to be at most {wanted:.1e}; allow more \
         with max_iterations, or give a larger alpha"
    )
}

#[cfg(test)]
mod tests;
