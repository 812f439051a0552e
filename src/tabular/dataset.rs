//! A table of examples: named features, and a label for each row.

use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor};

use super::Split;
use crate::engine::Series;
use crate::error::{Result, bail};
use crate::finite;
use crate::model::{Inputs, IntoModel, Model};

/// A table of examples: features `[rows, features]` with their names, and a class for each row.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let features = Tensor::new(&[[1f32, 0.], [0., 1.], [1., 1.]], &Device::Cpu)?;
/// let data = Dataset::new(features, ["left", "right"], vec![0, 1, 1])?;
/// assert_eq!(data.column("right")?.values(), [0., 1., 1.]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dataset {
    features: Tensor,
    names: Arc<Vec<String>>,
    labels: Vec<u32>,
}

impl Dataset {
    /// A table from features `[rows, features]`, a name for each feature and a class for each row.
    pub fn new(features: Tensor, names: impl IntoIterator<Item = impl Into<String>>, labels: Vec<u32>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let &[rows, width] = features.dims() else {
            bail!(Input, "the features have the shape {:?}: expected [rows, features]", features.dims())
        };
        if rows == 0 || names.len() != width || labels.len() != rows {
            bail!(
                Input,
                "the features are {rows} rows of {width}, with {} names and {} labels: expected at least one row, a \
                 name for each feature and a label for each row",
                names.len(),
                labels.len()
            )
        }
        finite::check(&features).map_err(|e| e.at("the features"))?;
        Ok(Self { features, names: Arc::new(names), labels })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none; always false, as [`Dataset::new`] refuses an empty table.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The features `[rows, features]`, with their names, ready to be attributed.
    pub fn features(&self) -> Inputs {
        Inputs::from(&self.features).with_names(self.names.iter())
    }

    /// The features' names.
    pub fn feature_names(&self) -> Vec<String> {
        self.names.to_vec()
    }

    /// The class of each row.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// How many classes the labels have.
    pub fn class_count(&self) -> usize {
        self.labels.iter().max().map_or(0, |largest| *largest as usize + 1)
    }

    /// One feature of every row, by name.
    pub fn column(&self, name: &str) -> Result<Series> {
        let Some(index) = self.names.iter().position(|other| other == name) else {
            bail!(Input, "there is no feature \"{name}\"; there are: {}", self.names.join(", "))
        };
        let column = self.features.narrow(1, index, 1)?.squeeze(1)?.to_dtype(DType::F64)?;
        Ok(Series::new(name, column.to_vec1()?))
    }

    /// Some rows, by position.
    pub fn rows(&self, positions: &[usize]) -> Result<Dataset> {
        if let Some(&outside) = positions.iter().find(|&&position| position >= self.len()) {
            bail!(Input, "there is no row {outside}: the table has {} rows", self.len())
        }
        if positions.is_empty() {
            bail!(Input, "no rows were chosen: a table needs at least one")
        }
        let index: Vec<u32> = positions.iter().map(|&position| position as u32).collect();
        Ok(Self {
            features: self.features.index_select(&Tensor::new(index, &Device::Cpu)?, 0)?,
            names: self.names.clone(),
            labels: positions.iter().map(|&position| self.labels[position]).collect(),
        })
    }

    /// Splits the table into one to train with and one to test with.
    pub fn split(&self, split: Split) -> Result<(Dataset, Dataset)> {
        let (train, test) = split.positions(&self.labels)?;
        Ok((self.rows(&train)?, self.rows(&test)?))
    }

    /// The share of rows, from 0 to 1, for which the model's largest output is that of the label.
    pub fn accuracy<Marker>(&self, model: impl IntoModel<Marker>) -> Result<f64> {
        self.accuracy_of(&model.into_model())
    }

    pub(super) fn accuracy_of(&self, model: &impl Model) -> Result<f64> {
        let output = model.predict(self.features())?;
        if output.rank() != 2 || output.dims()[0] != self.len() {
            bail!(Input, "the model's output is {:?}: expected [{}, classes]", output.dims(), self.len())
        }
        finite::check(&output).map_err(|e| e.at("the model's output (check the weights)"))?;
        let predicted = output.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let right = predicted.iter().zip(&self.labels).filter(|(predicted, label)| predicted == label).count();
        Ok(right as f64 / self.len() as f64)
    }
}

/// The features, so that a table can be attributed and drawn as it is.
impl From<&Dataset> for Inputs {
    fn from(data: &Dataset) -> Self {
        data.features()
    }
}

/// `Neuron 0`, `Neuron 1`, ...: labels for a chart of a layer.
pub fn neuron_names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("Neuron {index}")).collect()
}
