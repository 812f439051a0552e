//! How each result is displayed.

use std::collections::BTreeSet;

use candle_core::{DType, Device};

use super::html::number;
use super::shown_as::shown_as;
use super::{Figure, Table};
use crate::engine::{Attributions, Series, host_rows};
use crate::error::Result;
use crate::model::{Inputs, Sequential};
use crate::tabular::{Dataset, History, Passengers};
use crate::text::{Comments, Prediction, StrongestWords, TextInput};

const ROWS_SHOWN: usize = 5;
const COLUMNS_SHOWN: usize = 24;
const FEATURES_SHOWN: usize = 40;

shown_as! {
    Attributions => attributions;
    Series => series;
    Sequential => network;
    Dataset => dataset;
    Inputs => inputs;
    Passengers => passengers;
    Comments => comments;
    TextInput => text_input;
    Prediction => prediction;
    StrongestWords => strongest_words;
}

/// One below the other, as `attribute_classes` gives them.
impl Figure for Vec<Attributions> {
    fn html(&self) -> String {
        self.iter().map(Figure::html).collect()
    }

    fn text(&self) -> String {
        self.iter().map(Figure::text).collect::<Vec<_>>().join("\n\n")
    }
}

fn attributions(result: &Attributions) -> Table {
    let shape = result.tensor().dims();
    let of = result.places().join(", ");
    let mut targets: Vec<&Vec<usize>> = result.targets().iter().collect();
    targets.dedup();
    let target = match targets.as_slice() {
        [] => String::new(),
        [only] => match only.as_slice() {
            [] => String::new(),
            [class] => format!(", target class {class}"),
            index => format!(", target {index:?}"),
        },
        _ => ", one target per example".to_string(),
    };
    let examples =
        if result.batch_size() == 1 { "1 example".to_string() } else { format!("{} examples", result.batch_size()) };
    let caption = format!("{} of {of}: {examples}{target}", result.method());
    let grouping = result.grouping(0).unwrap_or_default();
    let columns: Option<Vec<(String, Series)>> = match shape {
        &[_, width] if width <= FEATURES_SHOWN && result.values().len() == 1 => {
            let column = |part: &Vec<usize>| Some((result.joint_name(part), result.column(*part.first()?).ok()?));
            grouping.parts(width).iter().map(column).collect()
        }
        _ => None,
    };
    let remarks = grouping.remark().into_iter().chain(result.remarks());
    let Some(columns) = columns else {
        let heads = ["attributed", "shape", "sum of each example, on average"];
        let mut table = Table::new(caption, &heads);
        for (index, (place, value)) in result.places().iter().zip(result.values()).enumerate() {
            let mean = sum_of_features(result, index).unwrap_or(f64::NAN) / result.batch_size() as f64;
            table = table.row(|row| row.text(place).text(format!("{:?}", value.dims())).number(mean));
        }
        return table.remarks(result.remarks());
    };
    let largest = columns.iter().fold(0., |largest: f64, (_, column)| largest.max(column.mean().abs()));
    let mut table = Table::new(caption, &["", "mean", "spread", "lowest", "highest"]);
    for (name, column) in &columns {
        let mean = column.mean();
        let variance = column.values().iter().map(|value| (value - mean).powi(2)).sum::<f64>() / column.len() as f64;
        let (lowest, highest) = column.range();
        table = table
            .row(|row| row.text(name).signed(mean, largest).number(variance.sqrt()).number(lowest).number(highest));
    }
    table.remarks(remarks)
}

/// The sum of all attributions to one input or layer, each feature's once.
fn sum_of_features(result: &Attributions, index: usize) -> Result<f64> {
    let (value, grouping) = (&result.values()[index], result.grouping(index)?);
    if grouping.is_trivial() {
        return Ok(value.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.sum_all()?.to_scalar()?);
    }
    let rows = host_rows(std::slice::from_ref(value))?;
    let of_row = |(example, row): (usize, &Vec<f64>)| {
        let parts = grouping.parts_of(example, row.len());
        parts.iter().filter_map(|part| row.get(*part.first()?)).sum::<f64>()
    };
    Ok(rows.iter().enumerate().map(of_row).sum())
}

fn series(series: &Series) -> Table {
    let remark = series.remark();
    let series = &series.by_feature();
    let shown = series.len().min(FEATURES_SHOWN);
    let largest = series.max_abs();
    let mut table = Table::new(series.name(), &["", "value"]);
    for (index, value) in series.values()[..shown].iter().enumerate() {
        let label = series.labels().get(index).cloned().unwrap_or_else(|| index.to_string());
        table = table.row(|row| row.text(label).signed(*value, largest));
    }
    if shown < series.len() {
        table = table.remark(format!("and {} more; mean {}", series.len() - shown, number(series.mean())));
    }
    table.remarks(remark)
}

fn network(network: &Sequential) -> Table {
    let mut table = Table::new("Network", &["layer", "kind", "output", "parameters"]);
    match network.summary() {
        Ok(layers) => {
            for layer in layers {
                let shape = layer.shape.iter().fold(String::from("batch"), |text, dim| format!("{text}, {dim}"));
                table = table.row(|row| {
                    row.text(layer.name).text(layer.kind).text(format!("[{shape}]")).number(layer.parameters as f64)
                });
            }
            table.remark(format!("{} parameters", network.parameter_count()))
        }
        Err(error) => table.remark(error.to_string()),
    }
}

fn dataset(data: &Dataset) -> Table {
    let names = data.feature_names();
    let shown = names.len().min(COLUMNS_SHOWN);
    let heads: Vec<&str> = std::iter::once("label").chain(names[..shown].iter().map(String::as_str)).collect();
    let mut table = Table::new(format!("{} rows, {} features", data.len(), names.len()), &heads);
    let columns: Vec<Series> = names[..shown].iter().filter_map(|name| data.column(name).ok()).collect();
    for row in 0..data.len().min(ROWS_SHOWN) {
        table = table.row(|cells| {
            let cells = cells.text(data.labels()[row].to_string());
            columns.iter().fold(cells, |cells, column| cells.number(column.values()[row]))
        });
    }
    let classes: BTreeSet<u32> = data.labels().iter().copied().collect();
    let counts = classes.into_iter().map(|class| {
        let count = data.labels().iter().filter(|label| **label == class).count();
        format!("{count} of class {class}")
    });
    let counts = counts.collect::<Vec<_>>().join(", ");
    let more = data.len().saturating_sub(ROWS_SHOWN);
    table.remark(if more > 0 { format!("{counts}; {more} rows more") } else { counts })
}

fn inputs(inputs: &Inputs) -> Table {
    let mut table = Table::new("Inputs", &["", "shape", "type"]);
    let attributed = inputs.tensors().iter().map(|tensor| ("input", tensor));
    for (kind, tensor) in attributed.chain(inputs.args().iter().map(|tensor| ("extra argument", tensor))) {
        table =
            table.row(|row| row.text(kind).text(format!("{:?}", tensor.dims())).text(format!("{:?}", tensor.dtype())));
    }
    if inputs.names().is_empty() { table } else { table.remark(inputs.names().join(", ")) }
}

fn passengers(passengers: &Passengers) -> Table {
    let data = passengers.data();
    let caption = format!("{} passengers, {} of them survived", data.len(), passengers.survivors());
    let mut table = Table::new(caption, &["feature", "mean", "lowest", "highest"]);
    for column in data.feature_names().iter().filter_map(|name| data.column(name).ok()) {
        let (lowest, highest) = column.range();
        table = table.row(|row| row.text(column.name()).number(column.mean()).number(lowest).number(highest));
    }
    table
        .remark(format!(
            "Missing and filled with the mean: {} of age, {} of fare",
            passengers.ages_filled(),
            passengers.fares_filled()
        ))
        .remark(format!("Source: {}", passengers.source()))
}

fn comments(comments: &Comments) -> Table {
    let mut table = Table::new(format!("{} comments", comments.len()), &["label", "text"]);
    for comment in comments.first(ROWS_SHOWN).rows() {
        let label = comment.label.map_or("–".to_string(), |label| label.to_string());
        table = table.row(|row| row.text(label).text(&comment.text));
    }
    let labels: BTreeSet<Option<usize>> = comments.rows().iter().map(|comment| comment.label).collect();
    let counts = labels.into_iter().map(|label| {
        let count = comments.rows().iter().filter(|comment| comment.label == label).count();
        label.map_or(format!("{count} without a label"), |label| format!("{count} of label {label}"))
    });
    table.remark(counts.collect::<Vec<_>>().join(", "))
}

fn text_input(input: &TextInput) -> Table {
    let mut table = Table::new("Tokens", &["word", "piece", "id", ""]);
    for text in input.texts() {
        for (index, token) in text.tokens.iter().enumerate() {
            let first = index == 0 || text.tokens[index - 1].word != token.word;
            let word = if first { text.words[token.word].as_str() } else { "" };
            let kind = match token {
                token if token.special => "special",
                token if token.unknown => "unknown",
                _ => "",
            };
            table = table.row(|row| row.text(word).text(&token.piece).text(token.id.to_string()).text(kind));
        }
        if let Some(cut) = text.cut_in_words() {
            table = table.remark(cut);
        }
    }
    table.remark(format!("ids {:?} (texts, tokens)", input.ids().dims()))
}

fn prediction(prediction: &Prediction) -> Table {
    let mut table = Table::new(format!("Predicted: {}", prediction.label), &["class", "probability"]);
    for (label, probability) in &prediction.classes {
        table = table.row(|row| row.text(label).number(*probability));
    }
    table
}

fn strongest_words(strongest: &StrongestWords) -> Table {
    let largest = strongest.words().iter().fold(0., |largest: f64, word| largest.max(word.sum.abs()));
    let caption = format!("The strongest words for «{}» in {} texts", strongest.class(), strongest.texts());
    let mut table = Table::new(caption, &["word", "sum of attributions", "times", "mean"]);
    for word in strongest.words() {
        table = table.row(|row| {
            row.text(&word.word)
                .signed(word.sum, largest)
                .number(word.count as f64)
                .number(word.sum / word.count.max(1) as f64)
        });
    }
    table
}

impl Figure for History {
    fn html(&self) -> String {
        let chart = Series::new("Loss", self.losses().to_vec()).line();
        let chart = chart.map(|chart| chart.title("Training loss").axes("epoch", "cross entropy").html());
        format!("{}{}", chart.unwrap_or_else(|e| super::html::escape(&e.to_string())), accuracies(self).html())
    }

    fn text(&self) -> String {
        accuracies(self).text()
    }
}

fn accuracies(history: &History) -> Table {
    let epochs = history.losses().len();
    let last = history.losses().last().copied().unwrap_or(f64::NAN);
    let caption = format!("{epochs} epochs in {:.2} s, last loss {last:.4}", history.elapsed().as_secs_f64());
    let mut table = Table::new(caption, &["rows", "accuracy"]);
    table = table.row(|row| row.text("train").text(format!("{:.4}", history.train_accuracy())));
    if let Some(accuracy) = history.test_accuracy() {
        table = table.row(|row| row.text("test").text(format!("{accuracy:.4}")));
    }
    table
}
