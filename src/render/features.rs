//! Attributions of features as numbers, with the features' own values, for pictures of them.

use super::bins;
use super::html::number;
use crate::engine::{Attributions, Grouping, host_rows};
use crate::error::{Result, bail};
use crate::model::Inputs;

/// The attributions of every example to each feature.
pub(super) struct Features {
    pub(super) names: Vec<String>,
    /// A row for each example.
    pub(super) attributions: Vec<Vec<f64>>,
    /// The features' own values, a row for each example; empty if they were not given.
    pub(super) values: Vec<Vec<f64>>,
    /// Which columns are one feature.
    grouping: Grouping,
}

/// An example of a result: its position, or a table and the position in it, `(&test, 0)`, which brings the
/// features' own values. The table of a layer's attributions has its activations.
#[derive(Clone, Debug)]
pub struct Example {
    position: usize,
    data: Option<Inputs>,
}

impl From<usize> for Example {
    fn from(position: usize) -> Self {
        Self { position, data: None }
    }
}

impl From<&Inputs> for Example {
    /// The first example of these inputs.
    fn from(inputs: &Inputs) -> Self {
        Self::from((inputs, 0))
    }
}

impl<D: Into<Inputs>> From<(D, usize)> for Example {
    fn from((data, position): (D, usize)) -> Self {
        Self { position, data: Some(data.into()) }
    }
}

/// One example's features.
pub(super) struct Single {
    pub(super) position: usize,
    pub(super) features: Vec<Feature>,
    pub(super) base: f64,
    pub(super) output: f64,
}

/// A feature of one example.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    /// The columns that it is made of, mostly one, with their values.
    columns: Vec<(String, Option<f64>)>,
    pub(super) attribution: f64,
}

impl Features {
    /// The attributions, without values.
    pub(super) fn of(result: &Attributions) -> Result<Self> {
        let shapes: Vec<&[usize]> = result.values().iter().map(|value| value.dims()).collect();
        let &[&[_, width]] = shapes.as_slice() else {
            bail!(
                Input,
                "the attributions of {} have the shapes {shapes:?}: a picture of features needs one tensor [batch, \
                 features]; of a text, sum_hidden gives a number for each word",
                result.places().join(", ")
            )
        };
        if width == 0 {
            bail!(Input, "there is nothing to draw: the attributions are of 0 features")
        }
        let attributions = host_rows(result.values())?;
        finite(&attributions, "attribution", result.names())?;
        let names = (0..width).map(|index| result.joint_name(&[index])).collect();
        Ok(Self { names, attributions, values: Vec::new(), grouping: result.grouping(0)? })
    }

    /// The same with the features' own values, and their names if there were none. The values of neurons are their
    /// activations: the inputs, of the same shape by chance, are an error.
    pub(super) fn with_values(result: &Attributions, data: &Inputs) -> Result<Self> {
        let features = Self::of(result)?;
        let wanted = [features.attributions.len(), features.names.len()];
        let came = data.first().dims();
        let places = result.places().join(", ");
        let activations = "give the layer's activations (LayerActivation), or no values: waterfall(0), force(0)";
        match came == wanted {
            true => {}
            false if result.of_layers => bail!(
                Input,
                "the values have the shape {came:?} and the attributions {wanted:?} are of {places}: {activations}"
            ),
            false => bail!(
                Input,
                "the values have the shape {came:?} and the attributions {wanted:?}: give the examples that were \
                 attributed, with a value for each feature"
            ),
        }
        let values = host_rows(&data.tensors()[..1])?;
        if let Some(inputs) = &result.alike {
            let names = !data.names().is_empty() && data.names() == inputs.names();
            if names || values == host_rows(inputs.tensors())? {
                bail!(
                    Input,
                    "the attributions are of {places}, and what came are the inputs, whose names and values are not its \
                     neurons': {activations}"
                )
            }
        }
        let names = match result.names() {
            [] if data.names().len() == features.names.len() => data.names().to_vec(),
            _ => features.names,
        };
        finite(&values, "value", &names)?;
        Ok(Self { names, values, ..features })
    }

    /// A feature's attribution in every example.
    pub(super) fn attributions_of(&self, feature: usize) -> Vec<f64> {
        self.attributions.iter().map(|row| row[feature]).collect()
    }

    /// A feature's value in every example.
    pub(super) fn values_of(&self, feature: usize) -> Vec<f64> {
        self.values.iter().map(|row| row[feature]).collect()
    }

    /// The columns of each feature, mostly one; of features that are not the same in all examples each alone.
    pub(super) fn parts(&self) -> Vec<Vec<usize>> {
        self.grouping.parts(self.names.len())
    }

    /// The names of a feature's columns.
    pub(super) fn name(&self, columns: &[usize]) -> String {
        columns.iter().map(|column| self.names[*column].as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The columns of a feature by its name, or by that of one of them.
    pub(super) fn columns_of(&self, name: &str) -> Result<Vec<usize>> {
        let is_of = |columns: &&Vec<usize>| {
            self.name(columns) == name || columns.iter().any(|column| self.names[*column] == name)
        };
        match self.parts().iter().find(is_of) {
            Some(columns) => Ok(columns.clone()),
            None => bail!(Input, "there is no feature \"{name}\"; there are: {}", self.names.join(", ")),
        }
    }

    /// What the reader must know of the features.
    pub(super) fn remark(&self) -> Option<String> {
        self.grouping.remark()
    }
}

impl Single {
    /// The features of one example, with the base value that its attributions begin from.
    pub(super) fn of(result: &Attributions, example: &Example) -> Result<Self> {
        let features = match &example.data {
            Some(data) => Features::with_values(result, data)?,
            None => Features::of(result)?,
        };
        let position = example.position;
        let Some(attributions) = features.attributions.get(position) else {
            bail!(Input, "there is no example {position}: there are {}", features.attributions.len())
        };
        if result.convergence_delta().is_err() {
            bail!(
                Input,
                "the numbers of {} do not add up from a base value to the output: draw their bars, or take a method \
                 whose numbers do, such as IntegratedGradients or DeepLift",
                result.method()
            )
        }
        let output = explained_output(result, position)?;
        let column =
            |index: &usize| (features.names[*index].clone(), features.values.get(position).map(|row| row[*index]));
        let parts = features.grouping.parts_of(position, attributions.len());
        // Columns of one feature have its number each.
        let single: Vec<Feature> = parts
            .iter()
            .map(|part| Feature { columns: part.iter().map(column).collect(), attribution: attributions[part[0]] })
            .collect();
        let base = output - single.iter().map(|feature| feature.attribution).sum::<f64>();
        Ok(Self { position, features: single, base, output })
    }
}

impl Feature {
    /// The names of its columns; of several with values, of those that are not 0, if there are any.
    pub(super) fn name(&self) -> String {
        self.shown().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// What follows the name: the values, if they are known.
    pub(super) fn value(&self) -> String {
        let values: Option<Vec<String>> = self.shown().iter().map(|(_, value)| value.map(number)).collect();
        let Some(mut values) = values else { return String::new() };
        values.dedup();
        format!(" = {}", values.join(", "))
    }

    /// The feature's name with its value.
    pub(super) fn label(&self) -> String {
        format!("{}{}", self.name(), self.value())
    }

    fn shown(&self) -> Vec<&(String, Option<f64>)> {
        let there: Vec<_> = self.columns.iter().filter(|(_, value)| value.is_some_and(|value| value != 0.)).collect();
        if there.is_empty() { self.columns.iter().collect() } else { there }
    }
}

/// The number of the output that was attributed for an example.
fn explained_output(result: &Attributions, example: usize) -> Result<f64> {
    let Some(output) = result.output() else {
        bail!(
            Input,
            "the numbers of {} are of a neuron or an activation, not of the model's output: there is no base value to \
             start from",
            result.method()
        )
    };
    let row = &host_rows(std::slice::from_ref(output))?[example];
    let target = result.targets().get(example).map_or(&[][..], Vec::as_slice);
    let axes = output.dims().iter().skip(1);
    let position =
        if row.len() == 1 { 0 } else { axes.zip(target).fold(0, |position, (axis, at)| position * axis + at) };
    match row.get(position) {
        Some(value) if value.is_finite() => Ok(*value),
        Some(value) => bail!(NotFinite, "the output for example {example} is {value}"),
        None => bail!(Input, "the output {:?} has no number {target:?}", output.dims()),
    }
}

/// What was attributed for an example, for a title.
pub(super) fn target_name(result: &Attributions, example: usize) -> String {
    match result.targets().get(example).map_or(&[][..], Vec::as_slice) {
        [] => String::new(),
        [class] => format!(" for class {class}"),
        index => format!(" for {index:?}"),
    }
}

/// An error if some numbers have no place on an axis.
pub(super) fn reaches(what: &str, values: impl Iterator<Item = f64>) -> Result<()> {
    let (low, high) = bins::range(values);
    if !(high - low).is_finite() {
        bail!(Input, "{what} cannot be drawn: its numbers reach from {low:e} to {high:e}")
    }
    Ok(())
}

fn finite(rows: &[Vec<f64>], what: &str, names: &[String]) -> Result<()> {
    for (example, row) in rows.iter().enumerate() {
        if let Some(feature) = row.iter().position(|value| !value.is_finite()) {
            let name = names.get(feature).map_or_else(|| format!("[{feature}]"), |name| format!("\"{name}\""));
            bail!(NotFinite, "the {what} of {name} in example {example} is {}: it cannot be drawn", row[feature])
        }
    }
    Ok(())
}
