//! Builder methods that several attribution methods share. Each returns a changed copy, so that a
//! method made in one notebook cell can be varied in the next.

/// The builder methods that every path method has, over its field `path: PathSettings`. Each
/// returns a changed copy, so a method made in one notebook cell can be varied in the next.
macro_rules! path_setters {
    () => {
        /// What the inputs are compared with; zeros by default.
        pub fn baseline(&self, baseline: impl Into<$crate::engine::Baseline>) -> Self {
            self.with_path(|path| path.baseline = baseline.into())
        }

        /// How many points of the path are evaluated; 50 by default, at least 1. It takes the place of
        /// a `tolerance`.
        pub fn n_steps(&self, n_steps: usize) -> Self {
            self.with_path(|path| path.fix_steps(n_steps))
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
        /// are at most `tolerance * max(1, |F(input) - F(baseline)|)`; without a known sum, the
        /// largest attribution takes its place.
        pub fn tolerance(&self, tolerance: f64) -> Self {
            self.with_path(|path| path.tolerance = Some(tolerance))
        }

        /// The most steps that `tolerance` may spend on one example; 5000 by default, at least 17.
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

/// A builder method that sets a flag.
macro_rules! flag_setter {
    ($flag:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $flag(&self, $flag: bool) -> Self {
            Self { $flag, ..self.clone() }
        }
    };
}

/// The builder method of every method that takes a gradient, over its field `model: Subject`.
macro_rules! check_setter {
    () => {
        /// What is done when the model's gradient disagrees with its outputs: an error by default, a
        /// remark on the result, or nothing. See [`Check`](crate::engine::Check) for what is looked at.
        pub fn gradient_check(&self, check: $crate::engine::Check) -> Self {
            let mut changed = self.clone();
            changed.model = changed.model.with_check(check);
            changed
        }
    };
}

/// The builder method of a method with a field `layers: LayerNames`.
macro_rules! layer_input_setter {
    ($doc:literal) => {
        #[doc = $doc]
        pub fn attribute_to_layer_input(&self, input: bool) -> Self {
            Self { layers: self.layers.clone().at_input(input), ..self.clone() }
        }
    };
}

pub(crate) use {check_setter, flag_setter, layer_input_setter, path_setters};
