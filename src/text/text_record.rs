//! The attributions of one text, with what was asked about it.

use crate::engine::{Rounding, Series, Shortfall};

/// The attributions of one text.
#[derive(Clone, Debug)]
pub struct TextRecord {
    pub(crate) method: &'static str,
    pub(crate) place: String,
    pub(crate) normalized: bool,
    pub(crate) units: Vec<Unit>,
    pub(crate) label: Option<String>,
    pub(crate) prediction: Option<(String, f64)>,
    pub(crate) attributed: Option<Attributed>,
    /// The number of the output that was attributed.
    pub(crate) output: Option<f64>,
    /// What the numbers were divided by.
    pub(crate) norm: f64,
    pub(crate) delta: Option<f64>,
    pub(crate) steps: Option<usize>,
    pub(crate) shortfall: Option<Shortfall>,
    /// How far numbers are off that were rounded to bf16.
    pub(crate) rounding: Option<Rounding>,
    pub(crate) words: Vec<String>,
    pub(crate) cut: usize,
    pub(crate) unknown: usize,
}

/// The class that was attributed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attributed {
    pub(crate) class: usize,
    pub(crate) name: String,
    /// The other class's name, if there are two.
    pub(crate) opposite: Option<String>,
}

/// A token or a word with its attribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// The token as the tokenizer writes it, or the word as the text spells it.
    pub text: String,
    /// Its attribution.
    pub value: f64,
    /// Whether it is a special token.
    pub special: bool,
    /// The number of the word it is or belongs to.
    pub(crate) word: usize,
    /// Whether no white space separates it from the one before.
    pub joined: bool,
}

impl TextRecord {
    /// What was attributed: an input or a layer.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The tokens or words with their attributions.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The tokens' or words' attributions alone.
    pub fn values(&self) -> Series {
        let series = Series::new("attribution", self.units.iter().map(|unit| unit.value).collect());
        series.clone().with_labels(self.units.iter().map(|unit| unit.text.clone())).unwrap_or(series)
    }

    /// The true class of the text, if known.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The class that the model predicts, and its output for that class: a probability, if the model gives those.
    pub fn prediction(&self) -> Option<(&str, f64)> {
        self.prediction.as_ref().map(|(name, value)| (name.as_str(), *value))
    }

    /// The class that was attributed.
    pub fn attributed(&self) -> Option<&str> {
        self.attributed.as_ref().map(|attributed| attributed.name.as_str())
    }

    /// The sum of the attributions.
    pub fn score(&self) -> f64 {
        self.units.iter().map(|unit| unit.value).sum()
    }

    /// The number of the model's output that was attributed, if it was one.
    pub(crate) fn output(&self) -> Option<f64> {
        self.output
    }

    /// The same with the attributions as they were before normalisation.
    pub(crate) fn unnormalized(&self) -> Self {
        let mut record = self.clone();
        record.units.iter_mut().for_each(|unit| unit.value *= self.norm);
        Self { normalized: false, norm: 1., ..record }
    }

    /// The sum of the attributions before normalisation, minus what it must be.
    pub fn convergence_delta(&self) -> Option<f64> {
        self.delta
    }
}
