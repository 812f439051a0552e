//! What every method along a path lets its user choose.

use super::patterson::{CLOSE, points};
use super::{Baseline, Budget, Lines, Quadrature};
use crate::error::{Result, bail};

/// The settings that every method along a path shares; set them through the method's own builder.
#[derive(Clone, Debug)]
pub struct PathSettings {
    pub(crate) baseline: Baseline,
    pub(crate) n_steps: usize,
    pub(crate) quadrature: Quadrature,
    pub(crate) budget: Budget,
    pub(crate) tolerance: Option<f64>,
    pub(crate) max_steps: usize,
}

impl Default for PathSettings {
    fn default() -> Self {
        Self {
            baseline: Baseline::Zero,
            n_steps: 50,
            quadrature: Quadrature::GaussLegendre,
            budget: Budget::default(),
            tolerance: None,
            max_steps: 5000,
        }
    }
}

impl PathSettings {
    /// Takes this many steps, whatever the error.
    pub(crate) fn fix_steps(&mut self, n_steps: usize) {
        self.n_steps = n_steps;
        self.tolerance = None;
    }

    /// How many points these lines have, unless a tolerance chooses them.
    pub(crate) fn points_of(&self, lines: Lines) -> Option<usize> {
        self.tolerance.is_none().then(|| lines.count() * self.n_steps)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.n_steps == 0 {
            bail!(Input, "n_steps is 0: expected at least 1 (50 is the default)")
        }
        self.budget.check()?;
        check_tolerance(self.tolerance)?;
        if self.tolerance.is_some() && self.max_steps < points(CLOSE) {
            bail!(
                Input,
                "max_steps is {}: with a tolerance the first estimate alone may take {} steps",
                self.max_steps,
                points(CLOSE)
            )
        }
        Ok(())
    }
}

/// An error unless a tolerance is a number above 0.
pub(super) fn check_tolerance(tolerance: Option<f64>) -> Result<()> {
    match tolerance {
        Some(tolerance) if !(tolerance.is_finite() && tolerance > 0.) => {
            bail!(Input, "the tolerance is {tolerance}: expected a number above 0, for example 1e-3")
        }
        _ => Ok(()),
    }
}
