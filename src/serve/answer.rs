//! An answer in each of its forms.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::accept::Form;
use super::ask::Reference;
use super::servable::{Description, Explanation, Parts, Row};
use super::{Ask, Failure, Running, body};
use crate::engine::{NOTEWORTHY_DELTA, Series};
use crate::render::{self, Figure, Table};
use crate::text::TokenAttributions;

/// What is known when a request is answered.
pub(crate) struct Answer<'a> {
    pub(crate) description: &'a Description,
    /// The model's name and version, where they are to be told.
    pub(crate) model: Option<(&'a str, &'a str)>,
    pub(crate) rows: &'a [Warned],
}

/// What must be said of a row, whatever the model gives.
pub(crate) struct Warned(Vec<String>);

impl From<&Row> for Warned {
    fn from(row: &Row) -> Self {
        Self(row.warnings())
    }
}

impl<'a> Answer<'a> {
    /// The answer of a model's version.
    pub(crate) fn of(running: &'a Running, rows: &'a [Warned]) -> Self {
        Self { description: running.servable().description(), model: Some((&running.name, &running.version)), rows }
    }

    /// The answer of `/predictions`.
    pub(crate) fn predictions(&self, form: Form, outputs: &[Vec<f64>]) -> Result<Response, Failure> {
        let description = self.description;
        match form {
            Form::Plain => Ok(match outputs {
                [only] => body::text(description.prediction(only).1),
                several => {
                    let labels: Value = several.iter().map(|output| description.label(output)).collect();
                    body::typed(StatusCode::OK, "application/json", format!("{labels:#}"))
                }
            }),
            Form::Json => Ok(body::json(StatusCode::OK, &self.with_model(json!({ "rows": self.predicted(outputs) })))),
            Form::Csv => {
                let classes = self.columns();
                let heads = ["row", "prediction"].map(String::from).into_iter().chain(classes).collect();
                let cells = |(row, output): (usize, &Vec<f64>)| {
                    let numbers = output.iter().map(f64::to_string);
                    [row.to_string(), description.prediction(output).1].into_iter().chain(numbers).collect()
                };
                csv(heads, outputs.iter().enumerate().map(cells).collect())
            }
            Form::Html => {
                let mut table = Table::new("Predictions", &["row", "prediction", "output"]);
                for (row, output) in outputs.iter().enumerate() {
                    let (_, label, value) = description.prediction(output);
                    table = table.row(|cells| cells.text(row.to_string()).text(label).number(value));
                }
                Ok(page(&table, &numbered(self.rows.iter().map(|warned| warned.0.clone()).collect())))
            }
            Form::Svg | Form::Png => Err(Failure::bad_request("a prediction is no picture: ask /explanations for one")),
        }
    }

    /// The answer of `/explanations`.
    pub(crate) fn explanations(
        &self,
        form: Form,
        ask: &Ask,
        explanations: &[Explanation],
    ) -> Result<Response, Failure> {
        match form {
            Form::Plain => {
                let plain = self.plain(explanations);
                Ok(body::typed(StatusCode::OK, "application/json", format!("{plain:#}")))
            }
            Form::Json => Ok(body::json(StatusCode::OK, &self.detailed(ask, explanations))),
            Form::Csv => self.table_of(explanations),
            Form::Html => Ok(page(&*self.figure(ask, explanations)?, &self.all_warnings(explanations))),
            Form::Svg => Ok(body::typed(StatusCode::OK, "image/svg+xml", self.picture(ask, explanations)?)),
            Form::Png => {
                let png = render::png_from_svg(&self.picture(ask, explanations)?);
                Ok(body::typed(StatusCode::OK, "image/png", png.map_err(|e| Failure::internal(e.to_string()))?))
            }
        }
    }

    /// What TorchServe's handlers answer: a table's mean attribution by feature, a text's words with
    /// their attributions.
    pub(crate) fn plain(&self, explanations: &[Explanation]) -> Value {
        if let Some(means) = means(explanations) {
            return Value::Object(means.into_iter().map(|(name, mean, _)| (name, json!(mean))).collect());
        }
        let text = |explanation: &Explanation| {
            let (words, importances): (Vec<&str>, Vec<f64>) = words(explanation).unzip();
            json!({ "words": words, "importances": importances, "delta": explanation.delta })
        };
        match explanations {
            [only] => text(only),
            several => several.iter().map(text).collect(),
        }
    }

    /// Everything that is known.
    pub(crate) fn detailed(&self, ask: &Ask, explanations: &[Explanation]) -> Value {
        let mut answer = Map::new();
        answer.insert("method".into(), ask.method.into());
        if let Some(layer) = &ask.layer {
            answer.insert("layer".into(), layer.as_str().into());
        }
        answer.insert("baseline".into(), self.baseline(ask));
        if let Some(means) = means(explanations) {
            let of = |pick: fn(&(String, f64, f64)) -> f64| -> Value {
                Value::Object(means.iter().map(|row| (row.0.clone(), json!(pick(row)))).collect())
            };
            answer.insert("mean".into(), of(|(_, mean, _)| *mean));
            answer.insert("spread".into(), of(|(_, _, spread)| *spread));
        }
        let rows = explanations.iter().zip(self.rows).map(|(explanation, warned)| self.row(explanation, warned));
        answer.insert("rows".into(), rows.collect());
        self.with_model(Value::Object(answer))
    }

    fn row(&self, explanation: &Explanation, warned: &Warned) -> Value {
        let Value::Object(mut row) = self.prediction_of(&explanation.output) else { return Value::Null };
        let class = explanation.class.filter(|_| !self.description.classes.is_empty());
        row.insert(
            "target".into(),
            class.map_or(Value::Null, |class| json!({ "class": class, "label": self.description.class_name(class) })),
        );
        match &explanation.parts {
            Parts::Features(features) => {
                let named = features.iter().map(|(name, value)| (name.clone(), json!(value)));
                row.insert("attributions".into(), Value::Object(named.collect()));
            }
            Parts::Words(text) => {
                let words = text
                    .records()
                    .iter()
                    .flat_map(|record| record.units())
                    .map(|unit| json!({ "word": unit.text, "attribution": unit.value, "special": unit.special }));
                row.insert("words".into(), words.collect());
            }
        }
        row.insert("convergence_delta".into(), json!(explanation.delta));
        row.insert("steps".into(), json!(explanation.steps));
        row.insert("settled".into(), json!(explanation.settled));
        row.insert("warnings".into(), warnings(explanation, warned).into());
        Value::Object(row)
    }

    /// The predictions of rows, with every class's probability.
    pub(crate) fn predicted(&self, outputs: &[Vec<f64>]) -> Value {
        let rows = outputs.iter().zip(self.rows).map(|(output, warned)| {
            let mut row = self.prediction_of(output);
            row["warnings"] = json!(warned.0);
            row
        });
        rows.collect()
    }

    fn prediction_of(&self, output: &[f64]) -> Value {
        let description = self.description;
        let (class, label, value) = description.prediction(output);
        match class {
            None => json!({ "value": value }),
            Some(class) => {
                let named =
                    description.classes.iter().cloned().zip(output.iter().map(|probability| json!(probability)));
                json!({ "class": class, "label": label, "probabilities": Value::Object(named.collect()) })
            }
        }
    }

    fn baseline(&self, ask: &Ask) -> Value {
        match (&ask.baseline, ask.info().is_ok_and(|info| info.takes("baseline")), self.rows.is_empty()) {
            (_, false, _) | (_, _, true) => Value::Null,
            (Some(Reference::Everywhere(value)), ..) => json!(value),
            (Some(Reference::Row(row)), ..) => {
                let named = self.description.features.iter().cloned().zip(row.iter().map(|value| json!(value)));
                Value::Object(named.collect())
            }
            (None, ..) if self.description.features.is_empty() => "padding".into(),
            (None, ..) => json!(0),
        }
    }

    fn with_model(&self, answer: Value) -> Value {
        let mut named = Map::new();
        if let Some((name, version)) = self.model {
            named.insert("model".into(), name.into());
            named.insert("version".into(), version.into());
        }
        if let Value::Object(answer) = answer {
            named.extend(answer);
        }
        Value::Object(named)
    }

    /// The names of a prediction's numbers.
    fn columns(&self) -> Vec<String> {
        let classes = &self.description.classes;
        if classes.is_empty() { vec!["value".to_string()] } else { classes.clone() }
    }

    fn all_warnings(&self, explanations: &[Explanation]) -> Vec<String> {
        numbered(
            explanations.iter().zip(self.rows).map(|(explanation, warned)| warnings(explanation, warned)).collect(),
        )
    }

    fn table_of(&self, explanations: &[Explanation]) -> Result<Response, Failure> {
        let prediction = |explanation: &Explanation| self.description.prediction(&explanation.output).1;
        let by_feature = explanations.iter().find_map(|explanation| match &explanation.parts {
            Parts::Features(features) => Some(features.iter().map(|(name, _)| name.clone())),
            Parts::Words(_) => None,
        });
        let heads = ["row", "prediction"].map(String::from).into_iter();
        let delta = |explanation: &Explanation| explanation.delta.map(|delta| delta.to_string()).unwrap_or_default();
        let rows = explanations.iter().enumerate();
        match by_feature {
            Some(names) => {
                let cells = |(row, explanation): (usize, &Explanation)| {
                    let start = [row.to_string(), prediction(explanation)].into_iter();
                    let warnings = self.rows.get(row).map_or(Vec::new(), |warned| warnings(explanation, warned));
                    let end = [delta(explanation), warnings.join("; ")];
                    start.chain(numbers(explanation)).chain(end).collect()
                };
                let end = ["convergence_delta", "warnings"].map(String::from);
                csv(heads.chain(names).chain(end).collect(), rows.map(cells).collect())
            }
            None => {
                let lines = rows.flat_map(|(row, explanation)| {
                    words(explanation).map(move |(word, value)| (row, explanation, word.to_string(), value))
                });
                let cells = lines.map(|(row, explanation, word, value)| {
                    vec![row.to_string(), prediction(explanation), word, value.to_string()]
                });
                csv(heads.chain(["word", "attribution"].map(String::from)).collect(), cells.collect())
            }
        }
    }

    /// Bars of the mean attributions, or the texts with their words coloured.
    fn figure(&self, ask: &Ask, explanations: &[Explanation]) -> Result<Box<dyn Figure>, Failure> {
        if let Some(means) = means(explanations) {
            let values = means.iter().map(|(_, mean, _)| *mean).collect();
            let model = self.model.map_or(String::new(), |(name, _)| format!("{name}: "));
            let of =
                if explanations.len() > 1 { format!(", mean of {} rows", explanations.len()) } else { String::new() };
            let title = format!("{model}{}{of}", ask.method);
            let bars = Series::new(title, values).bars(means.iter().map(|(name, ..)| name.clone()));
            return Ok(Box::new(bars.map_err(|e| Failure::internal(e.to_string()))?));
        }
        let texts = explanations.iter().filter_map(|explanation| match &explanation.parts {
            Parts::Words(text) => Some(text.clone()),
            Parts::Features(_) => None,
        });
        if explanations.len() > MOST_DRAWN {
            let message =
                format!("{} texts are too many for one picture: send at most {MOST_DRAWN}", explanations.len());
            return Err(Failure::bad_request(message));
        }
        let joined: Option<TokenAttributions> = texts.reduce(|joined, text| joined.with(&text));
        let joined = joined.ok_or_else(|| Failure::internal("there is nothing to draw"))?;
        Ok(Box::new(joined.heatmap()))
    }

    fn picture(&self, ask: &Ask, explanations: &[Explanation]) -> Result<String, Failure> {
        let drawn = self.figure(ask, explanations)?.svg();
        let drawn = drawn.ok_or_else(|| Failure::internal("this answer is no picture"))?;
        Ok(render::captioned(drawn, &self.all_warnings(explanations)))
    }
}

/// What the reader of one row's explanation must know.
fn warnings(explanation: &Explanation, warned: &Warned) -> Vec<String> {
    let delta = explanation.delta.filter(|delta| delta.abs() > NOTEWORTHY_DELTA);
    let missed = match (explanation.settled, delta) {
        (Some(false), _) => Some(
            "the attributions did not settle within the tolerance: allow more, or attribute to a layer that all of the \
             output goes through"
                .to_string(),
        ),
        (None, Some(delta)) => Some(format!(
            "the attributions add up to what they must only within {delta:.3}: take more steps, or a tolerance"
        )),
        _ => None,
    };
    warned.0.iter().cloned().chain(missed).collect()
}

/// The warnings of all rows, with the row's number if there are several.
fn numbered(rows: Vec<Vec<String>>) -> Vec<String> {
    let several = rows.len() > 1;
    let of_row = |(row, warnings): (usize, Vec<String>)| {
        warnings.into_iter().map(move |warning| if several { format!("row {row}: {warning}") } else { warning })
    };
    rows.into_iter().enumerate().flat_map(of_row).collect()
}

/// Texts of one picture at most.
const MOST_DRAWN: usize = 100;

/// Mean and standard deviation of each feature's attribution over the rows; none for texts.
fn means(explanations: &[Explanation]) -> Option<Vec<(String, f64, f64)>> {
    let Parts::Features(first) = &explanations.first()?.parts else { return None };
    let count = explanations.len() as f64;
    let of = |index: usize| {
        explanations.iter().filter_map(move |explanation| match &explanation.parts {
            Parts::Features(features) => features.get(index).map(|(_, value)| *value),
            Parts::Words(_) => None,
        })
    };
    let row = |(index, (name, _)): (usize, &(String, f64))| {
        let mean = of(index).sum::<f64>() / count;
        let variance = of(index).map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        (name.clone(), mean, variance.sqrt())
    };
    Some(first.iter().enumerate().map(row).collect())
}

fn words(explanation: &Explanation) -> impl Iterator<Item = (&str, f64)> {
    let records = match &explanation.parts {
        Parts::Words(text) => text.records(),
        Parts::Features(_) => &[],
    };
    records.iter().flat_map(|record| record.units()).map(|unit| (unit.text.as_str(), unit.value))
}

fn numbers(explanation: &Explanation) -> Vec<String> {
    match &explanation.parts {
        Parts::Features(features) => features.iter().map(|(_, value)| value.to_string()).collect(),
        Parts::Words(_) => Vec::new(),
    }
}

fn page(figure: &dyn Figure, remarks: &[String]) -> Response {
    body::typed(StatusCode::OK, "text/html; charset=utf-8", render::page_of(figure, remarks))
}

fn csv(heads: Vec<String>, rows: Vec<Vec<String>>) -> Result<Response, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::internal(format!("the table cannot be written: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in std::iter::once(heads).chain(rows) {
        writer.write_record(row).map_err(|e| failed(&e))?;
    }
    let table = writer.into_inner().map_err(|e| failed(&e))?;
    Ok(body::typed(StatusCode::OK, "text/csv; charset=utf-8", table))
}
