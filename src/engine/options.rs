//! A method's settings by their names, for callers that choose the method at run time.

use std::sync::Arc;

use super::subject::Subject;
use super::{Baseline, Check, LayerNames, MethodInfo, Neuron, PathSettings, Quadrature};
use crate::error::{Result, bail, error};
use crate::model::Model;

/// A method's settings by their names, for callers that choose the method at run time (a server,
/// a table of cases). In a program or notebook use the methods' own builders.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The layers of a layer or neuron method.
    pub layers: Vec<String>,
    /// The neuron of a neuron method.
    pub neuron: Option<Neuron>,
    /// What inputs are compared with.
    pub baseline: Option<Baseline>,
    /// How many points of the path.
    pub n_steps: Option<usize>,
    /// The rule that weighs the points.
    pub quadrature: Option<Quadrature>,
    /// The rows of one pass.
    pub internal_batch_size: Option<usize>,
    /// The tolerance that chooses the steps.
    pub tolerance: Option<f64>,
    /// The most steps that the tolerance may take.
    pub max_steps: Option<usize>,
    /// Whether gradients are multiplied by what they are gradients of.
    pub multiply_by_inputs: Option<bool>,
    /// Whether signs are dropped.
    pub abs: Option<bool>,
    /// Whether the layer's input is meant instead of its output.
    pub attribute_to_layer_input: Option<bool>,
    /// What is done about a gradient that disagrees with the model's outputs.
    pub gradient_check: Option<Check>,
    /// Whether softmax and max-pool follow Captum's own rules.
    pub captum_rules: Option<bool>,
}

/// The settings of every method along a path.
pub(crate) const PATH_OPTIONS: &[&str] =
    &["baseline", "n_steps", "quadrature", "internal_batch_size", "tolerance", "max_steps", "gradient_check"];

impl Options {
    /// An error that names the first option that is set and that the method does not have.
    pub(crate) fn check(&self, method: &MethodInfo) -> Result<()> {
        let set = [
            ("layer", !self.layers.is_empty()),
            ("neuron", self.neuron.is_some()),
            ("baseline", self.baseline.is_some()),
            ("n_steps", self.n_steps.is_some()),
            ("quadrature", self.quadrature.is_some()),
            ("internal_batch_size", self.internal_batch_size.is_some()),
            ("tolerance", self.tolerance.is_some()),
            ("max_steps", self.max_steps.is_some()),
            ("multiply_by_inputs", self.multiply_by_inputs.is_some()),
            ("abs", self.abs.is_some()),
            ("attribute_to_layer_input", self.attribute_to_layer_input.is_some()),
            ("gradient_check", self.gradient_check.is_some()),
            ("captum_rules", self.captum_rules.is_some()),
        ];
        let Some((option, _)) = set.into_iter().find(|(name, set)| *set && !method.takes(name)) else { return Ok(()) };
        match method.option_names().collect::<Vec<_>>().as_slice() {
            [] => bail!(Input, "{} has no option \"{option}\": it has none", method.name),
            known => bail!(Input, "{} has no option \"{option}\"; it has: {}", method.name, known.join(", ")),
        }
    }

    /// A model with the gradient check that was asked for.
    pub(crate) fn subject(&self, model: Arc<dyn Model>) -> Subject {
        Subject::new(model).with_check(self.gradient_check.unwrap_or_default())
    }

    /// The layers, at their inputs if that was asked for.
    pub(crate) fn layers(&self, method: &str) -> Result<LayerNames> {
        if self.layers.is_empty() {
            bail!(Input, "{method} needs a layer: name one of the model's")
        }
        Ok(LayerNames::from(self.layers.clone()).at_input(self.attribute_to_layer_input.unwrap_or(false)))
    }

    pub(crate) fn one_layer(&self, method: &str) -> Result<&str> {
        match self.layers.as_slice() {
            [layer] => Ok(layer),
            [] => bail!(Input, "{method} needs a layer: name one of the model's"),
            several => bail!(Input, "{method} takes one layer, and {} came: {}", several.len(), several.join(", ")),
        }
    }

    pub(crate) fn neuron(&self, method: &str) -> Result<Neuron> {
        self.neuron.clone().ok_or_else(|| error!(Input, "{method} needs a neuron: its index within the layer"))
    }

    /// These settings, with the given ones where nothing is set.
    pub(crate) fn path(&self, defaults: PathSettings) -> PathSettings {
        PathSettings {
            baseline: self.baseline.clone().unwrap_or(defaults.baseline),
            n_steps: self.n_steps.unwrap_or(defaults.n_steps),
            quadrature: self.quadrature.unwrap_or(defaults.quadrature),
            internal_batch_size: self.internal_batch_size.or(defaults.internal_batch_size),
            memory_budget: defaults.memory_budget,
            tolerance: self.tolerance.or(defaults.tolerance),
            max_steps: self.max_steps.unwrap_or(defaults.max_steps),
        }
    }
}
