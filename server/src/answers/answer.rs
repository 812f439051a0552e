//! An answer in each of its formats.

use axum::http::StatusCode;
use axum::response::Response;
use candle_explain::engine::Series;
use candle_explain::render::{self, Figure, Table};
use candle_explain::text::TokenAttributions;
use serde_json::{Map, Value, json};

use super::accept::Form;
use super::told::{Warned, explained, predicted, warnings};
use crate::body;
use crate::failure::Failure;
use crate::models::ask::{Ask, Reference};
use crate::models::servable::{Description, Explanation, Parts};
use crate::work::rows::Each;
use crate::work::running::Running;

/// What is known when a request is answered.
pub(crate) struct Answer<'a> {
    pub(crate) description: &'a Description,
    /// The model's name and version, if the answer should contain them.
    pub(crate) model: Option<(&'a str, &'a str)>,
    pub(crate) rows: &'a [Warned],
}

impl<'a> Answer<'a> {
    /// The answer of a model's version.
    pub(crate) fn of(running: &'a Running, rows: &'a [Warned]) -> Self {
        Self { description: running.servable().description(), model: Some((&running.name, &running.version)), rows }
    }

    /// The answer of `/predictions`. A row without a prediction has its error instead.
    pub(crate) fn predictions(&self, form: Form, outputs: &Each<Vec<f64>>) -> Result<Response, Failure> {
        let description = self.description;
        match form {
            Form::Plain => Ok(match outputs.as_slice() {
                [Ok(only)] => body::text(description.prediction(only).1),
                several => {
                    let labels = several.iter().map(|output| or_error(output, |output| description.label(output)));
                    body::typed(StatusCode::OK, "application/json", format!("{:#}", labels.collect::<Value>()))
                }
            }),
            Form::Json => {
                let rows = outputs.iter().zip(self.rows);
                let told = rows.map(|(row, warned)| or_error(row, |output| predicted(description, output, warned)));
                let rows: Value = told.collect();
                Ok(body::json(StatusCode::OK, &self.with_model(json!({ "rows": rows }))))
            }
            Form::Csv => {
                let classes = self.columns();
                let heads = ["row", "prediction"].map(String::from).into_iter().chain(classes).collect();
                let rows = outputs.iter().enumerate().map(|(index, output)| match output {
                    Ok(output) => {
                        let numbers = output.iter().map(f64::to_string);
                        let start = [index.to_string(), description.prediction(output).1];
                        Ok(start.into_iter().chain(numbers).collect())
                    }
                    Err(failure) => Err((index, failure)),
                });
                csv(heads, rows.collect())
            }
            Form::Html => {
                let mut table = Table::new("Predictions", &["row", "prediction", "output"]);
                for (row, output) in outputs.iter().enumerate() {
                    table = table.row(|cells| match output {
                        Ok(output) => {
                            let (_, label, value) = description.prediction(output);
                            cells.text(row.to_string()).text(label).number(value)
                        }
                        Err(_) => cells.text(row.to_string()).text("no answer").text(""),
                    });
                }
                let remarks = outputs.iter().zip(self.rows).map(|(output, warned)| match output {
                    Ok(_) => warned.0.clone(),
                    Err(failure) => vec![no_answer(failure)],
                });
                Ok(page(&table, &numbered(remarks.collect())))
            }
            Form::Svg | Form::Png => Err(Failure::bad_request("a prediction is no picture: ask /explanations for one")),
        }
    }

    /// The answer of `/explanations`. A row without an explanation has its error instead, and is not in the means.
    pub(crate) fn explanations(
        &self,
        form: Form,
        ask: &Ask,
        explanations: &Each<Explanation>,
    ) -> Result<Response, Failure> {
        match form {
            Form::Plain => {
                let plain = self.plain(explanations);
                Ok(body::typed(StatusCode::OK, "application/json", format!("{plain:#}")))
            }
            Form::Json => Ok(body::json(StatusCode::OK, &self.detailed(ask, explanations))),
            Form::Csv => self.table_of(explanations),
            Form::Html => Ok(page(&*self.figure(ask, explanations)?, &self.remarks(explanations))),
            Form::Svg => Ok(body::typed(StatusCode::OK, "image/svg+xml", self.picture(ask, explanations)?)),
            Form::Png => {
                let png = render::png_from_svg(&self.picture(ask, explanations)?);
                Ok(body::typed(StatusCode::OK, "image/png", png.map_err(|e| Failure::internal(e.to_string()))?))
            }
        }
    }

    /// What TorchServe's handlers answer: a table's mean attribution by feature, a text's words with
    /// their attributions. Rows of a table without an explanation are listed next to the means, under `errors`.
    fn plain(&self, explanations: &Each<Explanation>) -> Value {
        if let Some(means) = means(explanations) {
            let mut plain: Map<String, Value> = means.into_iter().map(|(name, mean, _)| (name, json!(mean))).collect();
            let errors = explanations.iter().enumerate().filter_map(|(row, explanation)| {
                let failure = explanation.as_ref().err()?;
                Some(json!({ "row": row, "error": failure.message() }))
            });
            let errors: Vec<Value> = errors.collect();
            if !errors.is_empty() {
                plain.insert("errors".into(), errors.into());
            }
            return Value::Object(plain);
        }
        let text = |explanation: &Explanation| {
            let (words, importances): (Vec<&str>, Vec<f64>) = words(explanation).unzip();
            json!({ "words": words, "importances": importances, "delta": explanation.delta })
        };
        match explanations.as_slice() {
            [Ok(only)] => text(only),
            several => several.iter().map(|explanation| or_error(explanation, text)).collect(),
        }
    }

    /// The answer with everything that is known.
    fn detailed(&self, ask: &Ask, explanations: &Each<Explanation>) -> Value {
        let mut answer = Map::new();
        answer.insert("method".into(), ask.method.into());
        if let Some(layer) = ask.layer() {
            answer.insert("layer".into(), layer.into());
        }
        answer.insert("baseline".into(), self.baseline(ask));
        if let Some(means) = means(explanations) {
            let of = |pick: fn(&(String, f64, f64)) -> f64| -> Value {
                Value::Object(means.iter().map(|row| (row.0.clone(), json!(pick(row)))).collect())
            };
            answer.insert("mean".into(), of(|(_, mean, _)| *mean));
            answer.insert("spread".into(), of(|(_, _, spread)| *spread));
        }
        answer.insert("rows".into(), self.explained(explanations));
        self.with_model(Value::Object(answer))
    }

    /// Every row's explanation in full.
    pub(crate) fn explained(&self, explanations: &Each<Explanation>) -> Value {
        let rows = explanations.iter().zip(self.rows);
        rows.map(|(row, warned)| or_error(row, |row| explained(self.description, row, warned))).collect()
    }

    fn baseline(&self, ask: &Ask) -> Value {
        match (&ask.baseline, ask.takes("baseline"), self.rows.is_empty()) {
            (_, false, _) | (_, _, true) => Value::Null,
            (Some(Reference::Everywhere(value)), ..) => json!(value),
            (Some(Reference::Row(row)), ..) => self.named(row),
            (Some(Reference::Layer(values)), ..) => json!(values),
            (Some(Reference::Rows(rows)), ..) => rows.iter().map(|row| self.named(row)).collect(),
            (None, ..) if self.description.features.is_empty() => "padding".into(),
            (None, ..) => json!(0),
        }
    }

    fn named(&self, row: &[f32]) -> Value {
        let named = self.description.features.iter().cloned().zip(row.iter().map(|value| json!(value)));
        Value::Object(named.collect())
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

    /// What the reader of each row's explanation must know, and which rows have none.
    fn remarks(&self, explanations: &Each<Explanation>) -> Vec<String> {
        let of_row = |(explanation, warned): (&Result<Explanation, Failure>, &Warned)| match explanation {
            Ok(explanation) => warnings(explanation, warned),
            Err(failure) => vec![no_answer(failure)],
        };
        numbered(explanations.iter().zip(self.rows).map(of_row).collect())
    }

    fn table_of(&self, explanations: &Each<Explanation>) -> Result<Response, Failure> {
        let by_feature = explanations.iter().flatten().find_map(|explanation| match &explanation.parts {
            Parts::Features(features) => Some(features.iter().map(|(name, _)| name.clone())),
            Parts::Words(_) => None,
        });
        let heads = ["row", "prediction"].map(String::from).into_iter();
        let heads = match by_feature {
            Some(names) => heads.chain(names).chain(["convergence_delta", "warnings"].map(String::from)).collect(),
            None => heads.chain(["word", "attribution"].map(String::from)).collect(),
        };
        let mut rows = Vec::new();
        for (index, explanation) in explanations.iter().enumerate() {
            match explanation {
                Ok(explanation) => rows.extend(self.cells(index, explanation).into_iter().map(Ok)),
                Err(failure) => rows.push(Err((index, failure))),
            }
        }
        csv(heads, rows)
    }

    /// A table's row, or one for each word of a text.
    fn cells(&self, row: usize, explanation: &Explanation) -> Vec<Vec<String>> {
        let start = [row.to_string(), self.description.prediction(&explanation.output).1];
        match &explanation.parts {
            Parts::Features(features) => {
                let values = features.iter().map(|(_, value)| value.to_string());
                let delta = explanation.delta.map(|delta| delta.to_string()).unwrap_or_default();
                let warnings = self.rows.get(row).map_or(Vec::new(), |warned| warnings(explanation, warned));
                vec![start.into_iter().chain(values).chain([delta, warnings.join("; ")]).collect()]
            }
            Parts::Words(_) => {
                let cells = |(word, value): (&str, f64)| [word.to_string(), value.to_string()];
                words(explanation).map(|word| start.iter().cloned().chain(cells(word)).collect()).collect()
            }
        }
    }

    /// Bars of the mean attributions, or the texts with their words coloured.
    fn figure(&self, ask: &Ask, explanations: &Each<Explanation>) -> Result<Box<dyn Figure>, Failure> {
        let answered: Vec<&Explanation> = explanations.iter().flatten().collect();
        if let Some(means) = means(explanations) {
            let means = joined(means, answered.first().map_or(&[], |first| &first.groups));
            let values = means.iter().map(|(_, mean)| *mean).collect();
            let model = self.model.map_or(String::new(), |(name, _)| format!("{name}: "));
            let of = if answered.len() > 1 { format!(", mean of {} rows", answered.len()) } else { String::new() };
            let title = format!("{model}{}{of}", ask.method);
            let bars = Series::new(title, values).bars(means.into_iter().map(|(name, _)| name));
            return Ok(Box::new(bars.map_err(|e| Failure::internal(e.to_string()))?));
        }
        let texts = answered.iter().filter_map(|explanation| match &explanation.parts {
            Parts::Words(text) => Some(text.clone()),
            Parts::Features(_) => None,
        });
        if answered.len() > MOST_DRAWN {
            let message = format!("{} texts are too many for one picture: send at most {MOST_DRAWN}", answered.len());
            return Err(Failure::bad_request(message));
        }
        let joined: Option<TokenAttributions> = texts.reduce(|joined, text| joined.with(&text));
        let joined = joined.ok_or_else(|| Failure::internal("there is nothing to draw"))?;
        Ok(Box::new(joined.heatmap()))
    }

    fn picture(&self, ask: &Ask, explanations: &Each<Explanation>) -> Result<String, Failure> {
        let drawn = self.figure(ask, explanations)?.svg();
        let drawn = drawn.ok_or_else(|| Failure::internal("this answer is no picture"))?;
        Ok(render::captioned(drawn, &self.remarks(explanations)))
    }
}

/// The answer for a row, or its error.
fn or_error<T>(row: &Result<T, Failure>, told: impl FnOnce(&T) -> Value) -> Value {
    row.as_ref().map_or_else(Failure::of_row, told)
}

fn no_answer(failure: &Failure) -> String {
    format!("no answer: {}", failure.message())
}

/// The remarks of all rows, with the row's number if there are several.
fn numbered(rows: Vec<Vec<String>>) -> Vec<String> {
    let several = rows.len() > 1;
    let of_row = |(row, warnings): (usize, Vec<String>)| {
        warnings.into_iter().map(move |warning| if several { format!("row {row}: {warning}") } else { warning })
    };
    rows.into_iter().enumerate().flat_map(of_row).collect()
}

/// The most texts in one picture.
const MOST_DRAWN: usize = 100;

/// Mean and standard deviation of each feature's attribution over the rows that have one; none for texts.
fn means(explanations: &Each<Explanation>) -> Option<Vec<(String, f64, f64)>> {
    let explanations: Vec<&Explanation> = explanations.iter().flatten().collect();
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

/// One mean for each feature, under the names of all its columns.
fn joined(means: Vec<(String, f64, f64)>, groups: &[Vec<String>]) -> Vec<(String, f64)> {
    let joint = |(name, mean, _): (String, f64, f64)| match groups.iter().find(|group| group.contains(&name)) {
        Some(group) => (group[0] == name).then(|| (group.join(", "), mean)),
        None => Some((name, mean)),
    };
    means.into_iter().filter_map(joint).collect()
}

fn words(explanation: &Explanation) -> impl Iterator<Item = (&str, f64)> {
    let records = match &explanation.parts {
        Parts::Words(text) => text.records(),
        Parts::Features(_) => &[],
    };
    records.iter().flat_map(|record| record.units()).map(|unit| (unit.text.as_str(), unit.value))
}

fn page(figure: &dyn Figure, remarks: &[String]) -> Response {
    body::typed(StatusCode::OK, "text/html; charset=utf-8", render::page_of(figure, remarks))
}

/// A table of rows; rows without an answer have the reason in an extra column at the end.
fn csv(heads: Vec<String>, rows: Vec<Result<Vec<String>, (usize, &Failure)>>) -> Result<Response, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::internal(format!("the table cannot be written: {e}"));
    let width = heads.len();
    let any_failed = rows.iter().any(Result::is_err);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let cells = |row: Result<Vec<String>, (usize, &Failure)>| match row {
        Ok(mut cells) => {
            cells.resize(if any_failed { width + 1 } else { width }, String::new());
            cells
        }
        Err((row, failure)) => {
            let mut cells = vec![String::new(); width + 1];
            cells[0] = row.to_string();
            cells[width] = failure.message().to_string();
            cells
        }
    };
    let heads = heads.into_iter().chain(any_failed.then(|| "error".to_string())).collect();
    for row in std::iter::once(heads).chain(rows.into_iter().map(cells)) {
        writer.write_record(row).map_err(|e| failed(&e))?;
    }
    let table = writer.into_inner().map_err(|e| failed(&e))?;
    Ok(body::typed(StatusCode::OK, "text/csv; charset=utf-8", table))
}
