//! What the server does with a model, for tables and texts alike.

use candle_explain::Result;
use candle_explain::engine::Target;
use candle_explain::text::{TokenAttributions, TokenizedText};
use serde_json::Value;

use super::ask::Ask;
use super::tabular_model::Field;
use super::watched::BeforePass;

/// A model with everything between a request's records and its answer.
pub(crate) trait Servable: Send + Sync {
    fn description(&self) -> &Description;

    /// Reads one record into the model's input; an error says why it cannot be read.
    fn read(&self, record: &Value) -> Result<Row>;

    /// The model's output for each row: a probability for each class, or one number if there are no classes.
    fn predict(&self, rows: &[Row]) -> Result<Vec<Vec<f64>>>;

    /// The explanation of each row. An error from `before_pass` stops it.
    fn explain(&self, rows: &[Row], ask: &Ask, before_pass: &BeforePass) -> Result<Vec<Explanation>>;
}

/// What a client must know about a model.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) kind: Kind,
    pub(crate) classes: Vec<String>,
    /// What is explained if a request does not say.
    pub(crate) target: Target,
    pub(crate) features: Vec<String>,
    pub(crate) fields: Vec<Field>,
    /// The layers that methods can attribute to.
    pub(crate) layers: Vec<LayerShape>,
    /// The methods that a request may name; the first is taken if it names none.
    pub(crate) methods: Vec<&'static str>,
    /// Those of them that suit the model.
    pub(crate) offered: Vec<Offered>,
    /// The most rows that are computed together.
    pub(crate) rows_at_once: usize,
    /// Whether a prediction takes less time than handing it to a worker.
    pub(crate) is_quick: bool,
}

/// A layer, and the shape of what it gives for one row.
#[derive(Clone, Debug)]
pub(crate) struct LayerShape {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

/// A method that suits a model, given the parameters that it needs.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    pub(crate) method: &'static str,
    /// The layers that it may be given, if it needs one.
    pub(crate) layers: Vec<String>,
    /// Whether it explains every record.
    pub(crate) any_record: bool,
}

/// The kind of a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tabular,
    Text,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Tabular => "tabular",
            Kind::Text => "text",
        }
    }
}

/// One record as a model takes it.
#[derive(Clone, Debug)]
pub(crate) enum Row {
    Features { values: Vec<f32>, warnings: Vec<String> },
    Text(TokenizedText),
}

impl Row {
    /// How much there is to compute.
    pub(crate) fn size(&self) -> usize {
        match self {
            Row::Features { values, .. } => values.len(),
            Row::Text(text) => text.tokens.len(),
        }
    }

    /// What the reader of this row's answer must know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        match self {
            Row::Features { warnings, .. } => warnings.clone(),
            Row::Text(text) => {
                let unknown = text.unknown();
                let cut = text.cut_in_words();
                let unknown = (unknown > 0).then(|| {
                    format!("{unknown} tokens are not in the model's vocabulary: to it they are all the same")
                });
                cut.into_iter().chain(unknown).collect()
            }
        }
    }
}

/// Why the model said what it said of one row.
#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    pub(crate) output: Vec<f64>,
    /// The class that is explained; `None` for one number or a neuron.
    pub(crate) class: Option<usize>,
    pub(crate) parts: Parts,
    /// The names of each feature that has several, with its number at each.
    pub(crate) groups: Vec<Vec<String>>,
    pub(crate) delta: Option<f64>,
    pub(crate) steps: Option<usize>,
    /// How many samples were drawn.
    pub(crate) samples: Option<usize>,
    /// The standard error of each feature's or word's attribution, where samples were drawn.
    pub(crate) errors: Option<Vec<(String, f64)>>,
    /// What a text's attributions were divided by.
    pub(crate) norm: Option<f64>,
    pub(crate) settled: Option<bool>,
    /// The method's remarks on its numbers.
    pub(crate) remarks: Vec<String>,
}

/// The parts of a prediction.
#[derive(Clone, Debug)]
pub(crate) enum Parts {
    Features(Vec<(String, f64)>),
    /// The attributions of one text.
    Words(TokenAttributions),
}

impl Description {
    /// The predicted class, its name and its probability; for a model without classes its number.
    pub(crate) fn prediction(&self, output: &[f64]) -> (Option<usize>, String, f64) {
        match most_probable(output) {
            Some((class, probability)) if !self.classes.is_empty() => {
                (Some(class), self.class_name(class), probability)
            }
            _ => {
                let value = output.first().copied().unwrap_or(f64::NAN);
                (None, value.to_string(), value)
            }
        }
    }

    /// The predicted class's name; for a model without classes its number.
    pub(crate) fn label(&self, output: &[f64]) -> Value {
        match self.prediction(output) {
            (None, _, value) => value.into(),
            (Some(_), label, _) => label.into(),
        }
    }

    pub(crate) fn class_name(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

/// The class with the largest probability and that probability; at a tie the first class.
fn most_probable(probabilities: &[f64]) -> Option<(usize, f64)> {
    probabilities.iter().copied().enumerate().rev().max_by(|a, b| a.1.total_cmp(&b.1))
}
