//! What every method along a path lets its user choose.

use super::{Baseline, Quadrature};
use crate::error::{Result, bail};

/// What every method along a path lets its user choose; set through the method's own builder.
#[derive(Clone, Debug)]
pub struct PathSettings {
    pub(crate) baseline: Baseline,
    pub(crate) n_steps: usize,
    pub(crate) quadrature: Quadrature,
    pub(crate) internal_batch_size: Option<usize>,
    pub(crate) memory_budget: usize,
    pub(crate) tolerance: Option<f64>,
    pub(crate) max_steps: usize,
}

impl Default for PathSettings {
    fn default() -> Self {
        Self {
            baseline: Baseline::Zero,
            n_steps: 50,
            quadrature: Quadrature::GaussLegendre,
            internal_batch_size: None,
            memory_budget: 256 << 20,
            tolerance: None,
            max_steps: 5000,
        }
    }
}

impl PathSettings {
    pub(crate) fn check(&self) -> Result<()> {
        if self.n_steps == 0 {
            bail!(Input, "n_steps is 0: expected at least 1 (50 is the default)")
        }
        if self.internal_batch_size == Some(0) {
            bail!(Input, "internal_batch_size is 0: expected at least 1, the rows that one pass evaluates")
        }
        if let Some(tolerance) = self.tolerance
            && !(tolerance.is_finite() && tolerance > 0.)
        {
            bail!(Input, "the tolerance is {tolerance}: expected a number above 0, for example 1e-3")
        }
        if self.tolerance.is_some() && self.max_steps < 15 {
            bail!(Input, "max_steps is {}: with a tolerance the first estimate alone takes 15 steps", self.max_steps)
        }
        Ok(())
    }
}

/// The builder methods that every path method has, over its field `path: PathSettings`. Each
/// returns a changed copy, so a method made in one notebook cell can be varied in the next.
macro_rules! path_setters {
    () => {
        /// What the inputs are compared with; zeros by default.
        pub fn baseline(&self, baseline: impl Into<$crate::engine::Baseline>) -> Self {
            self.with_path(|path| path.baseline = baseline.into())
        }

        /// How many points of the path are evaluated; 50 by default, at least 1.
        pub fn n_steps(&self, n_steps: usize) -> Self {
            self.with_path(|path| path.n_steps = n_steps)
        }

        /// The rule that weighs the points.
        pub fn quadrature(&self, quadrature: $crate::engine::Quadrature) -> Self {
            self.with_path(|path| path.quadrature = quadrature)
        }

        /// How many rows (examples times steps) one pass evaluates at most, at least 1; chosen
        /// from the memory budget by default. It changes memory and speed, not the numbers.
        pub fn internal_batch_size(&self, rows: usize) -> Self {
            self.with_path(|path| path.internal_batch_size = Some(rows))
        }

        /// How many bytes of activations the passes under way may hold together; 256 MiB by default.
        pub fn memory_budget(&self, bytes: usize) -> Self {
            self.with_path(|path| path.memory_budget = bytes)
        }

        /// Chooses the steps by itself, in place of `n_steps` and the quadrature: the path of
        /// each example is halved where the error is largest, by nested Gauss-Kronrod rules of 7
        /// and 15 points, until the error estimate of every attribution and the convergence delta
        /// are at most `tolerance * max(1, |F(input) - F(baseline)|)`.
        pub fn tolerance(&self, tolerance: f64) -> Self {
            self.with_path(|path| path.tolerance = Some(tolerance))
        }

        /// The most steps that `tolerance` may spend on one example; 5000 by default, at least 15.
        pub fn max_steps(&self, max_steps: usize) -> Self {
            self.with_path(|path| path.max_steps = max_steps)
        }

        fn with_path(&self, change: impl FnOnce(&mut $crate::engine::PathSettings)) -> Self {
            let mut changed = self.clone();
            change(&mut changed.path);
            changed
        }
    };
}

pub(crate) use path_setters;
