//! A method's settings by their names, for callers that choose the method at run time.

use std::sync::Arc;

use super::{
    Baseline, Check, FeatureMask, Interpolation, LayerNames, LrpRule, LrpRules, MethodInfo, Neuron, NoiseTunnelType,
    Observer, PathSettings, Quadrature, Sampler, SamplingSettings, Similarity, Sizes, Stdevs, Surrogate,
};
use crate::error::{Result, bail, error};
use crate::seed::Seed;

/// Declares [`Options`]: the layers, and one field for each setting that may be set or not.
macro_rules! options {
    ($(#[$about:meta])* { $($(#[$doc:meta])* $name:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default)]
        pub struct Options {
            /// The layers of a layer or neuron method.
            pub layers: Vec<String>,
            /// Who is told how far a call is; every method takes one.
            pub observer: Option<Arc<dyn Observer>>,
            $($(#[$doc])* pub $name: Option<$kind>,)*
        }

        impl Options {
            /// The names of the settings that are set.
            fn set(&self) -> impl Iterator<Item = &'static str> {
                let settings = [("layer", !self.layers.is_empty()), $((stringify!($name), self.$name.is_some()),)*];
                settings.into_iter().filter(|(_, set)| *set).map(|(name, _)| name)
            }

            /// The settings that a method does not have; an observer is its own.
            pub(crate) fn beyond(&self, method: &MethodInfo) -> Self {
                Self {
                    layers: if method.takes("layer") { Vec::new() } else { self.layers.clone() },
                    observer: None,
                    $($name: if method.takes(stringify!($name)) { None } else { self.$name.clone() },)*
                }
            }
        }
    };
}

options! {
    /// A method's settings by their names, for callers that choose the method at run time (a server,
    /// a table of cases). In a program or notebook use the methods' own builders.
    {
        /// The neuron of a neuron method.
        neuron: Neuron,
        /// What inputs are compared with.
        baseline: Baseline,
        /// How many points of the path.
        n_steps: usize,
        /// The rule that weighs the points.
        quadrature: Quadrature,
        /// The rows of one pass.
        internal_batch_size: usize,
        /// The tolerance that chooses the steps.
        tolerance: f64,
        /// The most steps that the tolerance may take.
        max_steps: usize,
        /// How many samples a sampled method draws.
        n_samples: usize,
        /// The most samples that the tolerance may take.
        max_samples: usize,
        /// The seed of what is drawn.
        seed: Seed,
        /// Which elements are one feature.
        feature_mask: FeatureMask,
        /// The name of the method that is wrapped.
        method: String,
        /// What is taken of the attributions of noisy inputs.
        nt_type: NoiseTunnelType,
        /// How far the noise on the inputs spreads.
        stdevs: Stdevs,
        /// Whether points lie between inputs instead of between activations.
        interpolate_inputs: bool,
        /// Whether orders are drawn in pairs, each with its reverse.
        antithetic: bool,
        /// Whether coalitions are drawn in pairs, each with its complement.
        paired: bool,
        /// The linear model that stands for the model near an example.
        surrogate: Surrogate,
        /// How much a sample counts.
        similarity: Similarity,
        /// Which features are present in a sample.
        sampler: Sampler,
        /// The most rounds of a surrogate's search.
        max_iterations: usize,
        /// How large the window is that slides over the inputs.
        sliding_window_shapes: Sizes,
        /// How far the window slides along each axis.
        strides: Sizes,
        /// Whether gradients are multiplied by what they are gradients of.
        multiply_by_inputs: bool,
        /// Whether signs are dropped.
        abs: bool,
        /// Whether the layer's input is meant instead of its output.
        attribute_to_layer_input: bool,
        /// What to do about a gradient that disagrees with the model's outputs.
        gradient_check: Check,
        /// Whether Grad-CAM drops what is negative.
        relu_attributions: bool,
        /// Whether Grad-CAM adds channels up.
        attr_dim_summation: bool,
        /// How a layer's map is brought to the input's size.
        interpolate_mode: Interpolation,
        /// Whether Captum's own way is followed where it differs.
        captum_rules: bool,
        /// LRP's rule for affine blocks.
        default_rule: LrpRule,
        /// LRP's rules for layers.
        rules: Vec<(String, LrpRule)>,
        /// Whether LRP's gamma and alpha1-beta0 compute without biases.
        set_bias_to_zero: bool,
    }
}

impl Options {
    /// An error that names the first option that is set although the method does not have it.
    pub(crate) fn check(&self, method: &MethodInfo) -> Result<()> {
        let Some(option) = self.set().find(|name| !method.takes(name)) else { return Ok(()) };
        match method.option_names().collect::<Vec<_>>().as_slice() {
            [] => bail!(Input, "{} has no option \"{option}\": it has none", method.name),
            known => bail!(Input, "{} has no option \"{option}\"; it has: {}", method.name, known.join(", ")),
        }
    }

    /// The layers of a method that takes several.
    pub(crate) fn layers(&self, method: &str) -> Result<LayerNames> {
        match self.layers.as_slice() {
            [] => Err(no_layer(method)),
            layers => Ok(LayerNames::from(layers.to_vec())),
        }
    }

    /// The layer of a method that takes one.
    pub(crate) fn one_layer(&self, method: &str) -> Result<&str> {
        match self.layers.as_slice() {
            [layer] => Ok(layer),
            [] => Err(no_layer(method)),
            several => bail!(Input, "{method} takes one layer, and {} came: {}", several.len(), several.join(", ")),
        }
    }

    pub(crate) fn neuron(&self, method: &str) -> Result<Neuron> {
        self.neuron.clone().ok_or_else(|| error!(Input, "{method} needs a neuron: its index within the layer"))
    }

    pub(crate) fn windows(&self, method: &str) -> Result<Sizes> {
        let windows = self.sliding_window_shapes.clone();
        windows.ok_or_else(|| {
            error!(Input, "{method} needs sliding_window_shapes: the size of the window along each axis")
        })
    }

    /// Applies the path settings that are set.
    pub(crate) fn set_path(&self, path: &mut PathSettings) {
        set(&mut path.baseline, &self.baseline);
        set(&mut path.n_steps, &self.n_steps);
        set(&mut path.quadrature, &self.quadrature);
        set(&mut path.max_steps, &self.max_steps);
        path.budget.rows = self.internal_batch_size.or(path.budget.rows);
        path.tolerance = self.tolerance.or(path.tolerance);
    }

    /// Applies the rules of LRP that are set.
    pub(crate) fn set_rules(&self, rules: &mut LrpRules) {
        set(&mut rules.default, &self.default_rule);
        set(&mut rules.set_bias_to_zero, &self.set_bias_to_zero);
        rules.of_layers.extend(self.rules.iter().flatten().cloned());
    }

    /// Applies the sampling settings that are set.
    pub(crate) fn set_sampling(&self, sampling: &mut SamplingSettings) {
        set(&mut sampling.n_samples, &self.n_samples);
        set(&mut sampling.max_samples, &self.max_samples);
        set(&mut sampling.seed, &self.seed);
        sampling.budget.rows = self.internal_batch_size.or(sampling.budget.rows);
        sampling.tolerance = self.tolerance.or(sampling.tolerance);
    }
}

fn set<T: Clone>(setting: &mut T, option: &Option<T>) {
    if let Some(value) = option {
        *setting = value.clone();
    }
}

fn no_layer(method: &str) -> crate::Error {
    LayerNames::none().at(method)
}
