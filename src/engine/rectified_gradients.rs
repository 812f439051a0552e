//! Gradients at the inputs by a rule for ReLUs.

use std::sync::Arc;

use candle_core::Tensor;

use super::examination::Attributed;
use super::gradient::check_finite;
use super::question::Quantity;
use super::rules::{Passing, Rectified};
use super::{Expansion, Question};
use crate::error::{Result, bail};

impl Question<'_> {
    /// The gradient of the attributed number at the inputs themselves, of which only this passes through ReLUs. An
    /// error if it passes none.
    pub(crate) fn rectified_gradients(&self, passing: Passing) -> Result<Vec<Tensor>> {
        self.require_float_inputs()?;
        let rule = Arc::new(Rectified::new(passing));
        let ordinary = |question: &Question, at: &Expansion| question.input_gradients(question.input_points(at)?, at);
        let ruled = |question: &Question, at: &Expansion| {
            question.input_gradients_under(Some(rule.clone()), question.input_points(at)?, at)
        };
        let values = self.at_every_row_by_rule(Attributed::Inputs, &ordinary, &ruled)?.gradients;
        if !rule.was_asked() {
            let below = match &self.quantity {
                Quantity::Output(_) => "the output".to_string(),
                Quantity::Neuron { place, .. } => place.to_string(),
            };
            bail!(
                Layer,
                "the model runs no ReLU as a block between the inputs and {below}, and this method changes how gradients \
                 pass through ReLUs alone: run each with layers.run(&Activation::Relu, &x), or under a name with \
                 layers.apply(\"relu1\", &Activation::Relu, &x); for a model without ReLUs take another method, such as \
                 DeepLift or IntegratedGradients"
            )
        }
        check_finite(&values, "attribution")?;
        Ok(values)
    }
}
