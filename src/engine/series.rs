//! A named list of numbers, with labels if there are any.

use std::sync::Arc;

use super::Grouping;
use crate::error::{Result, bail};

/// A named list of numbers: one feature's attributions over the examples, or one number
/// for each feature with the features' names as labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    name: String,
    values: Vec<f64>,
    labels: Arc<Vec<String>>,
    /// Which numbers are of one feature.
    grouping: Arc<Grouping>,
    /// Of neurons: where they are, and the names of the inputs, which are not theirs.
    neurons: Option<Arc<(String, Vec<String>)>>,
}

impl Series {
    /// A named list of numbers without labels.
    pub fn new(name: impl Into<String>, values: Vec<f64>) -> Self {
        Self { name: name.into(), values, labels: Arc::default(), grouping: Arc::default(), neurons: None }
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
        if let Some((place, inputs)) = self.neurons.as_deref().filter(|(_, inputs)| *inputs == labels) {
            bail!(
                Input,
                "\"{}\" is of the neurons of {place}, and the labels are the names of the {} inputs: give the neurons' \
                 own names, or numbers",
                self.name,
                inputs.len()
            )
        }
        self.labels = Arc::new(labels);
        Ok(self)
    }

    /// The same numbers, of which some are of one feature and then equal.
    pub(super) fn grouped(self, grouping: Grouping) -> Self {
        Self { grouping: Arc::new(grouping), ..self }
    }

    /// The same numbers of a layer's neurons, which do not take the names of these inputs.
    pub(super) fn of_neurons(self, place: String, inputs: &[String]) -> Self {
        let neurons = (!inputs.is_empty()).then(|| Arc::new((place, inputs.to_vec())));
        Self { neurons, ..self }
    }

    /// The same with one number for each feature, under the labels of all its numbers.
    pub(crate) fn by_feature(&self) -> Self {
        let parts = self.grouping.parts(self.len());
        if parts.len() == self.len() {
            return self.clone();
        }
        let label = |at: &usize| self.labels.get(*at).cloned().unwrap_or_else(|| at.to_string());
        let labels = parts.iter().map(|part| part.iter().map(label).collect::<Vec<_>>().join(", "));
        let values = parts.iter().filter_map(|part| self.values.get(*part.first()?).copied()).collect();
        Self { labels: Arc::new(labels.collect()), ..Self::new(self.name.clone(), values) }
    }

    /// A remark if the numbers of one feature are not the same in every example.
    pub(crate) fn remark(&self) -> Option<String> {
        self.grouping.remark()
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
