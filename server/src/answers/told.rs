//! The full answer for one row.

use candle_explain::text::Unit;
use serde_json::{Map, Value, json};

use crate::models::servable::{Description, Explanation, Parts, Row};

/// The warnings about a row that do not depend on the model's output.
#[derive(Default)]
pub(crate) struct Warned(pub(crate) Vec<String>);

impl From<&Row> for Warned {
    fn from(row: &Row) -> Self {
        Self(row.warnings())
    }
}

/// A row's prediction with every class's probability.
pub(crate) fn predicted(description: &Description, output: &[f64], warned: &Warned) -> Value {
    let mut row = prediction(description, output);
    row.insert("warnings".into(), json!(warned.0));
    Value::Object(row)
}

/// A row's prediction with its reasons.
pub(crate) fn explained(description: &Description, explanation: &Explanation, warned: &Warned) -> Value {
    let mut row = prediction(description, &explanation.output);
    let class = explanation.class.filter(|_| !description.classes.is_empty());
    row.insert(
        "target".into(),
        class.map_or(Value::Null, |class| json!({ "class": class, "label": description.class_name(class) })),
    );
    match &explanation.parts {
        Parts::Features(features) => {
            let named = features.iter().map(|(name, value)| (name.clone(), json!(value)));
            row.insert("attributions".into(), Value::Object(named.collect()));
            if !explanation.groups.is_empty() {
                row.insert("groups".into(), json!(explanation.groups));
            }
        }
        Parts::Words(text) => {
            let told = |(index, unit): (usize, &Unit)| {
                let mut word = json!({
                    "word": unit.text,
                    "attribution": unit.value,
                    "special": unit.special,
                    "joined": unit.joined,
                });
                if let Some((_, error)) = explanation.errors.as_ref().and_then(|errors| errors.get(index)) {
                    word["standard_error"] = json!(error);
                }
                word
            };
            let words = text.records().iter().flat_map(|record| record.units()).enumerate().map(told);
            row.insert("words".into(), words.collect());
            row.insert("norm".into(), json!(explanation.norm));
        }
    }
    row.insert("convergence_delta".into(), json!(explanation.delta));
    row.insert("steps".into(), json!(explanation.steps));
    if let Some(samples) = explanation.samples {
        row.insert("samples".into(), samples.into());
    }
    if let (Parts::Features(_), Some(errors)) = (&explanation.parts, &explanation.errors) {
        let named = errors.iter().map(|(name, error)| (name.clone(), json!(error)));
        row.insert("standard_errors".into(), Value::Object(named.collect()));
    }
    row.insert("settled".into(), json!(explanation.settled));
    row.insert("warnings".into(), warnings(explanation, warned).into());
    Value::Object(row)
}

fn prediction(description: &Description, output: &[f64]) -> Map<String, Value> {
    let (class, label, value) = description.prediction(output);
    let mut row = Map::new();
    match class {
        None => drop(row.insert("value".into(), json!(value))),
        Some(class) => {
            let named = description.classes.iter().cloned().zip(output.iter().map(|probability| json!(probability)));
            row.insert("class".into(), json!(class));
            row.insert("label".into(), json!(label));
            row.insert("probabilities".into(), Value::Object(named.collect()));
        }
    }
    row
}

/// What the reader of one row's explanation must know.
pub(crate) fn warnings(explanation: &Explanation, warned: &Warned) -> Vec<String> {
    warned.0.iter().chain(&explanation.remarks).cloned().collect()
}
