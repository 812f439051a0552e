//! A method's settings from one list: its builder methods, their names, and the method made of [`Options`].
//!
//! [`Options`]: super::Options

/// Gives a method its settings. It takes a list of [`new`]'s arguments besides the model, and a list of what can be
/// set:
///
/// ```text
/// settings! {
///     NeuronConductance(layer, neuron) {
///         path,
///         gradient_check,
///         multiply_by_inputs: bool = "Whether the averaged gradient is multiplied by x − b (the default).",
///     }
/// }
/// ```
///
/// Every method gets `observer`. Each setting gets a builder method, its name in `OPTIONS` (and in `NEEDS` if it must be
/// given), and its part of `build`, which makes the method from [`Options`](super::Options) by reading the field of the same
/// name. A builder method returns a changed copy, so that a method made in one notebook cell can be varied in the next.
///
/// * `layers`, `layer`, `neuron`, `sliding_window_shapes` are in parentheses, in the order in which `new` takes them.
/// * `path` is all settings of methods along a path, over the field `path: PathSettings`.
/// * `sampling` is all settings of methods that draw samples, over the field `sampling: SamplingSettings`.
/// * `lrp` is the rules of LRP, over the field `rules: LrpRules`.
/// * `gradient_check` is over the field `model: Subject`.
/// * `feature_mask` is over a field of that name; so is `captum_rules`, for methods by DeepLift's rules.
/// * `strides` is over a field of that name, `order` over the field `order: Rearrangement`.
/// * `passes` is how passes without a graph are cut, over the field `budget: Budget`.
/// * `baseline` and `stdevs` are over fields of those names; a method with a path has its baseline there.
/// * `distribution` is a baseline that must be given, over the field `baseline`.
/// * `attribute_to_layer_input = "..."` is over the field `layers: LayerNames`.
/// * `name: Type = "..."` is over the field `name: Type`.
///
/// [`new`]: crate::attr::IntegratedGradients::new
macro_rules! settings {
    (
        $method:ident $(($($given:ident),+))? {
            $($setting:ident $(: $kind:ty)? $(= $doc:literal)?,)*
        }
    ) => {
        impl $method {
            $($crate::engine::setting! { setter $setting $(: $kind)? $(= $doc)? })*

            /// Who is told how far a call is, before each pass of the model, and may end it there; see
            /// [`Observer`](crate::engine::Observer). Without one, a call that takes a while shows how
            /// far it is, below a notebook's cell or in a terminal.
            pub fn observer(&self, observer: impl $crate::engine::Observer + 'static) -> Self {
                self.observed(std::sync::Arc::new(observer))
            }

            fn observed(&self, observer: std::sync::Arc<dyn $crate::engine::Observer>) -> Self {
                let mut changed = self.clone();
                changed.model = changed.model.with_observer(observer);
                changed
            }

            const OPTIONS: &'static [&'static [&'static str]] = &[
                $($(&[$crate::engine::setting!(given name $given)],)+)?
                $($crate::engine::setting!(names $setting),)*
            ];

            const NEEDS: &'static [&'static [&'static str]] = &[
                $($(&[$crate::engine::setting!(given name $given)],)+)?
                $($crate::engine::setting!(needs $setting),)*
            ];

            fn build(
                model: std::sync::Arc<dyn $crate::model::Model>,
                options: &$crate::engine::Options,
            ) -> $crate::error::Result<Box<dyn $crate::engine::Attribute>> {
                options.check(&Self::INFO)?;
                let method = Self::new(
                    model,
                    $($($crate::engine::setting!(given value $given, options, Self::INFO.name),)+)?
                );
                $(let method = $crate::engine::setting!(apply $setting, options, method);)*
                Ok(Box::new(match &options.observer {
                    Some(observer) => method.observed(observer.clone()),
                    None => method,
                }))
            }
        }
    };
}

/// One setting of [`settings`].
macro_rules! setting {
    (given name layers) => {
        "layer"
    };
    (given name layer) => {
        "layer"
    };
    (given name neuron) => {
        "neuron"
    };
    (given name sliding_window_shapes) => {
        "sliding_window_shapes"
    };
    (given value sliding_window_shapes, $options:ident, $method:expr) => {
        $options.windows($method)?
    };
    (given value layers, $options:ident, $method:expr) => {
        $options.layers($method)?
    };
    (given value layer, $options:ident, $method:expr) => {
        $options.one_layer($method)?
    };
    (given value neuron, $options:ident, $method:expr) => {
        $options.neuron($method)?
    };

    (setter path) => {
        /// What the inputs are compared with; zeros by default.
        pub fn baseline(&self, baseline: impl Into<$crate::engine::Baseline>) -> Self {
            self.with_path(|path| path.baseline = baseline.into())
        }

        /// How many points of the path are evaluated; 50 by default, at least 1. It replaces a `tolerance`
        /// that was set before.
        pub fn n_steps(&self, n_steps: usize) -> Self {
            self.with_path(|path| path.fix_steps(n_steps))
        }

        /// The rule that weighs the points.
        pub fn quadrature(&self, quadrature: $crate::engine::Quadrature) -> Self {
            self.with_path(|path| path.quadrature = quadrature)
        }

        /// The most rows (examples times steps) that one pass evaluates, at least 1; by default chosen
        /// from the memory budget. Passes run beside each other where they fit the budget; `workers(1)` runs one at a
        /// time. It changes memory and speed, not the numbers.
        pub fn internal_batch_size(&self, rows: usize) -> Self {
            self.with_path(|path| path.budget.rows = Some(rows))
        }

        /// How many bytes of activations all passes that run on the CPU may hold together; 256 MiB by
        /// default, 384 for encoder layers, which keep what their gradient needs.
        pub fn memory_budget(&self, bytes: usize) -> Self {
            self.with_path(|path| path.budget.hold(bytes))
        }

        /// The share of a GPU's memory that a pass may take, above 0 and up to 1; 0.5 by default. There passes are as large
        /// as it allows, and run one after another. It changes memory and speed, not the numbers.
        pub fn device_memory_share(&self, share: f64) -> Self {
            self.with_path(|path| path.budget.share_of_device = share)
        }

        /// The most passes that run at once, each on its own thread: 1 to 8, by default as many as there are cores.
        /// It changes speed, not the numbers.
        pub fn workers(&self, workers: usize) -> Self {
            self.with_path(|path| path.budget.workers = Some(workers))
        }

        /// Chooses the steps automatically, instead of `n_steps` and the quadrature. The path of each example begins with
        /// 7 points, to which come 8 and 16 more (Patterson's nested rules) while that helps; else it is halved
        /// where the error is largest. It ends when the error estimate of every attribution and the convergence delta
        /// are at most `tolerance * max(1, |F(input) - F(baseline)|)`. The estimate compares two rules and, between the
        /// points, the attributions' sum with F's differences. What cancels in that sum and lies between all points, such as a
        /// narrow peak of two attributions of opposite sign, can be missed. If no such sum is known, the largest attribution replaces
        /// `|F(input) - F(baseline)|`.
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
    (names path) => {
        &["baseline", "n_steps", "quadrature", "internal_batch_size", "tolerance", "max_steps"]
    };
    (apply path, $options:ident, $method:ident) => {
        $method.with_path(|path| $options.set_path(path))
    };

    (setter sampling) => {
        /// How many samples are drawn, at least 1. It replaces a `tolerance` that was set before.
        pub fn n_samples(&self, n_samples: usize) -> Self {
            self.with_sampling(|sampling| sampling.fix_samples(n_samples))
        }

        /// Chooses the number of samples automatically, instead of `n_samples`: they are drawn for each example until
        /// the standard error of its every attribution is at most `tolerance * max(1, scale)`, where the scale is
        /// `|F(input) - F(baseline)|`, or the largest attribution if no such sum is known.
        pub fn tolerance(&self, tolerance: f64) -> Self {
            self.with_sampling(|sampling| sampling.tolerance = Some(tolerance))
        }

        /// The most samples that `tolerance` may spend on one example; 100,000 by default, at least 32.
        pub fn max_samples(&self, max_samples: usize) -> Self {
            self.with_sampling(|sampling| sampling.max_samples = max_samples)
        }

        /// The seed of what is drawn; the same seed gives the same numbers. Every example of a batch gets the same
        /// draws.
        pub fn seed(&self, seed: $crate::Seed) -> Self {
            self.with_sampling(|sampling| sampling.seed = seed)
        }

        /// The most rows that one pass evaluates, at least 1; by default chosen from the memory budget. It changes
        /// memory and speed, not the numbers.
        pub fn internal_batch_size(&self, rows: usize) -> Self {
            self.with_sampling(|sampling| sampling.budget.rows = Some(rows))
        }

        /// How many bytes of activations all passes that run on the CPU may hold together; 256 MiB by
        /// default, 384 for encoder layers, which keep what their gradient needs.
        pub fn memory_budget(&self, bytes: usize) -> Self {
            self.with_sampling(|sampling| sampling.budget.hold(bytes))
        }

        /// The share of a GPU's memory that a pass may take, above 0 and up to 1; 0.5 by default. There passes are as large
        /// as it allows, and run one after another. It changes memory and speed, not the numbers.
        pub fn device_memory_share(&self, share: f64) -> Self {
            self.with_sampling(|sampling| sampling.budget.share_of_device = share)
        }

        /// The most passes that run at once, each on its own thread: 1 to 8, by default as many as there are cores.
        /// It changes speed, not the numbers.
        pub fn workers(&self, workers: usize) -> Self {
            self.with_sampling(|sampling| sampling.budget.workers = Some(workers))
        }

        fn with_sampling(&self, change: impl FnOnce(&mut $crate::engine::SamplingSettings)) -> Self {
            let mut changed = self.clone();
            change(&mut changed.sampling);
            changed
        }
    };
    (names sampling) => {
        &["n_samples", "tolerance", "max_samples", "seed", "internal_batch_size"]
    };
    (apply sampling, $options:ident, $method:ident) => {
        $method.with_sampling(|sampling| $options.set_sampling(sampling))
    };

    (setter lrp) => {
        /// The rule of every affine block whose layer has no rule of its own; `LrpRule::Epsilon(1e-9)` by default. Its
        /// ε is also that of products, normalizations and the largest of a window.
        pub fn default_rule(&self, rule: $crate::engine::LrpRule) -> Self {
            self.with_rules(|rules| rules.default = rule)
        }

        /// The rule of a layer that the model runs with `layers.apply`, as a `Sequential` does all of its layers.
        pub fn rule(&self, layer: impl Into<String>, rule: $crate::engine::LrpRule) -> Self {
            self.with_rules(|rules| {
                rules.of_layers.insert(layer.into(), rule);
            })
        }

        /// Whether `Gamma` and `Alpha1Beta0` compute without biases; not by default.
        pub fn set_bias_to_zero(&self, zero: bool) -> Self {
            self.with_rules(|rules| rules.set_bias_to_zero = zero)
        }

        fn with_rules(&self, change: impl FnOnce(&mut $crate::engine::LrpRules)) -> Self {
            let mut changed = self.clone();
            change(&mut changed.rules);
            changed
        }
    };
    (names lrp) => {
        &["default_rule", "rules", "set_bias_to_zero"]
    };
    (apply lrp, $options:ident, $method:ident) => {
        $method.with_rules(|rules| $options.set_rules(rules))
    };

    (setter gradient_check) => {
        /// What happens if the model's gradient disagrees with its outputs: an error (the default), a
        /// remark on the result, or nothing. [`Check`](crate::engine::Check) says what is compared.
        pub fn gradient_check(&self, check: $crate::engine::Check) -> Self {
            let mut changed = self.clone();
            changed.model = changed.model.with_check(check);
            changed
        }
    };
    (setter stdevs) => {
        /// How far the normal noise on the inputs spreads: one standard deviation for all (`0.1`), or one for each
        /// input (`[0.1, 0.5]`).
        pub fn stdevs(&self, stdevs: impl Into<$crate::engine::Stdevs>) -> Self {
            Self { stdevs: stdevs.into(), ..self.clone() }
        }
    };
    (setter baseline) => {
        /// What the inputs are compared with; zeros by default.
        pub fn baseline(&self, baseline: impl Into<$crate::engine::Baseline>) -> Self {
            Self { baseline: baseline.into(), ..self.clone() }
        }
    };
    (setter distribution) => {
        /// The rows that the inputs are compared with ([`Baseline::distribution`](crate::engine::Baseline::distribution));
        /// they must be given.
        pub fn baseline(&self, baseline: impl Into<$crate::engine::Baseline>) -> Self {
            Self { baseline: baseline.into(), ..self.clone() }
        }
    };
    (names distribution) => {
        &["baseline"]
    };
    (needs distribution) => {
        &["baseline"]
    };
    (needs $name:ident) => {
        &[]
    };
    (apply distribution, $options:ident, $method:ident) => {
        $crate::engine::setting!(apply baseline, $options, $method)
    };
    (setter captum_rules) => {
        /// Whether softmax and max-pool follow Captum's own rules, for parity: softmax does not add up by them, nor
        /// max-pool behind an activation. They look at the whole batch, which is then one pass.
        pub fn captum_rules(&self, captum_rules: bool) -> Self {
            Self { captum_rules, ..self.clone() }
        }
    };
    (setter feature_mask) => {
        /// Which elements are one feature; by default each is one of its own.
        pub fn feature_mask(&self, mask: impl Into<$crate::engine::FeatureMask>) -> Self {
            Self { feature_mask: mask.into(), ..self.clone() }
        }
    };
    (setter strides) => {
        /// How far the window slides along each axis; 1 by default, at least 1 and at most the window's size.
        pub fn strides(&self, strides: impl Into<$crate::engine::Sizes>) -> Self {
            Self { strides: strides.into(), ..self.clone() }
        }
    };
    (setter order) => {
        /// The seed of the orders of rows, one for each feature; the same seed gives the same numbers.
        pub fn seed(&self, seed: $crate::Seed) -> Self {
            Self { order: $crate::engine::Rearrangement::Drawn(seed), ..self.clone() }
        }

        /// The order of rows for a feature, given its number and how many rows there are, instead of a random one. Row
        /// `r` takes the feature of row `order[r]`.
        pub fn perm_func(&self, order: impl Fn(usize, usize) -> Vec<usize> + Send + Sync + 'static) -> Self {
            Self { order: $crate::engine::Rearrangement::Given(std::sync::Arc::new(order)), ..self.clone() }
        }
    };
    (names order) => {
        &["seed"]
    };
    (apply order, $options:ident, $method:ident) => {
        match $options.seed {
            Some(seed) => $method.seed(seed),
            None => $method,
        }
    };
    (setter passes) => {
        /// The most rows that one pass evaluates, at least 1; by default chosen from the memory budget. It changes
        /// memory and speed, not the numbers. Captum's `perturbations_per_eval` counts in batches instead.
        pub fn internal_batch_size(&self, rows: usize) -> Self {
            self.with_budget(|budget| budget.rows = Some(rows))
        }

        /// How many bytes all running passes may hold together; 256 MiB by default.
        pub fn memory_budget(&self, bytes: usize) -> Self {
            self.with_budget(|budget| budget.hold(bytes))
        }

        /// The share of a GPU's memory that a pass may take, above 0 and up to 1; 0.5 by default. There passes are as large
        /// as it allows, and run one after another. It changes memory and speed, not the numbers.
        pub fn device_memory_share(&self, share: f64) -> Self {
            self.with_budget(|budget| budget.share_of_device = share)
        }

        /// The most passes that run at once, each on its own thread: 1 to 8, by default as many as there are cores.
        /// It changes speed, not the numbers.
        pub fn workers(&self, workers: usize) -> Self {
            self.with_budget(|budget| budget.workers = Some(workers))
        }

        fn with_budget(&self, change: impl FnOnce(&mut $crate::engine::Budget)) -> Self {
            let mut changed = self.clone();
            change(&mut changed.budget);
            changed
        }
    };
    (names passes) => {
        &["internal_batch_size"]
    };
    (apply passes, $options:ident, $method:ident) => {
        $method.with_budget(|budget| budget.rows = $options.internal_batch_size.or(budget.rows))
    };
    (setter attribute_to_layer_input = $doc:literal) => {
        #[doc = $doc]
        pub fn attribute_to_layer_input(&self, input: bool) -> Self {
            Self { layers: self.layers.clone().at_input(input), ..self.clone() }
        }
    };
    (setter $name:ident : $kind:ty = $doc:literal) => {
        #[doc = $doc]
        pub fn $name(&self, $name: $kind) -> Self {
            Self { $name, ..self.clone() }
        }
    };
    (names $name:ident) => {
        &[stringify!($name)]
    };
    (apply $name:ident, $options:ident, $method:ident) => {
        match $options.$name.clone() {
            Some(value) => $method.$name(value),
            None => $method,
        }
    };
}

pub(crate) use {setting, settings};
