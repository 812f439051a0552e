//! Results, put together from what a question came to.

use candle_core::Tensor;

use super::question::Quantity;
use super::{Attributions, Convergence, Integral, Question};
use crate::error::Result;
use crate::model::Place;

/// The numbers of a result and, for a method along a path, how they converged.
pub(crate) struct Numbers {
    values: Vec<Tensor>,
    convergence: Option<Convergence>,
}

impl From<Vec<Tensor>> for Numbers {
    fn from(values: Vec<Tensor>) -> Self {
        Self { values, convergence: None }
    }
}

impl From<Integral> for Numbers {
    fn from(integral: Integral) -> Self {
        Self { values: integral.values, convergence: Some(integral.convergence) }
    }
}

impl Attributions {
    /// Attributions to the inputs of a question, with the features' names.
    pub(crate) fn to_inputs(
        method: &'static str,
        question: &Question,
        numbers: impl Into<Numbers>,
    ) -> Result<Attributions> {
        let places = (0..question.inputs().tensors().len()).map(|index| format!("input {index}"));
        let mut attributions = Self::answering(method, question, numbers.into(), places.collect())?;
        let names = question.inputs().names();
        if attributions.values[0].dims().last() == Some(&names.len()) {
            attributions.names = names.to_vec().into();
        }
        Ok(attributions)
    }

    /// Attributions to layers.
    pub(crate) fn to_layers(
        method: &'static str,
        question: &Question,
        numbers: impl Into<Numbers>,
        places: &[Place],
    ) -> Result<Attributions> {
        Self::answering(method, question, numbers.into(), places.iter().map(Place::to_string).collect())
    }

    fn answering(method: &'static str, question: &Question, numbers: Numbers, places: Vec<String>) -> Result<Self> {
        let answers = question.answers();
        let (targets, output) = match &question.quantity {
            Quantity::Output(_) => (answers.indices(), answers.output()?),
            Quantity::Neuron { .. } => (Vec::new(), None),
        };
        drop(answers);
        let Numbers { values, convergence } = numbers;
        let warnings = question.warnings();
        Ok(Self { targets, output, convergence, warnings, ..Self::new(method, values, places) })
    }
}
