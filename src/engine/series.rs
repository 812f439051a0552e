//! A named list of numbers, with labels if there are any.

use std::sync::Arc;

use crate::error::{Result, bail};

/// A named list of numbers: one feature's attributions over the examples, or one number
/// for each feature with the features' names as labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    name: String,
    values: Vec<f64>,
    labels: Arc<Vec<String>>,
}

impl Series {
    /// A named list of numbers without labels.
    pub fn new(name: impl Into<String>, values: Vec<f64>) -> Self {
        Self { name: name.into(), values, labels: Arc::default() }
    }

    /// The same numbers with a label for each.
    pub fn with_labels(mut self, labels: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        if labels.len() != self.values.len() {
            bail!(
                Input,
                "{} labels for {} values of \"{}\": give one for each",
                labels.len(),
                self.values.len(),
                self.name
            )
        }
        self.labels = Arc::new(labels);
        Ok(self)
    }

    /// What the numbers are.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The numbers.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The labels, empty if there are none.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The mean; 0 for an empty list.
    pub fn mean(&self) -> f64 {
        if self.values.is_empty() { 0. } else { self.values.iter().sum::<f64>() / self.values.len() as f64 }
    }

    /// The lowest and the highest number.
    pub fn range(&self) -> (f64, f64) {
        self.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)))
    }

    /// The positions of the numbers, that of the number farthest from 0 first.
    pub fn ranking(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|a, b| self.values[*b].abs().total_cmp(&self.values[*a].abs()));
        order
    }

    /// The largest distance from 0; NaN if any number is NaN.
    pub fn max_abs(&self) -> f64 {
        let larger = |largest: f64, value: &f64| {
            if largest.is_nan() || value.is_nan() { f64::NAN } else { largest.max(value.abs()) }
        };
        self.values.iter().fold(0., larger)
    }
}
