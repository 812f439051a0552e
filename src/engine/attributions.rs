//! What a method returns: the attributions, how well they converged, and what was asked.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::convergence::{Convergence, of_each};
use super::remarks::Warning;
use super::{FeatureMask, Grouping, Sampling, Series};
use crate::error::{Error, Result, bail, error};
use crate::model::{Inputs, picked};

/// The attributions of a batch: one tensor for each attributed input or layer, with the batch
/// as first axis; how well they converged; and what was asked.
///
/// In a notebook it shows itself as a table.
#[derive(Clone, Debug)]
pub struct Attributions {
    pub(crate) method: &'static str,
    pub(crate) values: Vec<Tensor>,
    /// What each tensor belongs to: `input 0`, or a layer.
    pub(crate) places: Vec<String>,
    /// Whether they are of the activations of layers, not of the inputs.
    pub(crate) of_layers: bool,
    /// Of layers: the inputs, if they have the attributions' shape, so that a picture could take them for activations.
    pub(crate) alike: Option<Inputs>,
    /// Names along the last axis of the first tensor, empty if there are none.
    pub(crate) names: Arc<Vec<String>>,
    /// What made features of what was attributed: elements of one feature have its number each.
    pub(crate) mask: FeatureMask,
    pub(crate) targets: Vec<Vec<usize>>,
    /// What the model gave for the inputs, where its output was asked about.
    pub(crate) output: Option<Tensor>,
    pub(crate) convergence: Option<Convergence>,
    pub(crate) sampling: Option<Sampling>,
    /// Faults that did not end the call.
    pub(crate) warnings: Vec<Warning>,
}

impl Attributions {
    /// The result of a method without target, path and names.
    pub(crate) fn new(method: &'static str, values: Vec<Tensor>, places: Vec<String>) -> Self {
        Self {
            method,
            values,
            places,
            of_layers: false,
            alike: None,
            names: Arc::default(),
            mask: FeatureMask::default(),
            targets: Vec::new(),
            output: None,
            convergence: None,
            sampling: None,
            warnings: Vec::new(),
        }
    }

    /// The same as attributions of layers, for these inputs.
    pub(super) fn of_layers(self, inputs: &Inputs) -> Self {
        let alike = match (self.values.as_slice(), inputs.tensors()) {
            ([value], [input, ..]) if value.rank() == 2 && value.dims() == input.dims() => {
                Some(Inputs::new([input.detach()]).with_names(inputs.names().iter().cloned()))
            }
            _ => None,
        };
        Self { of_layers: true, alike, ..self }
    }

    /// Every `step`-th example from `first` on.
    pub(super) fn every(&self, step: usize, first: usize) -> Result<Self> {
        let rows: Vec<usize> = (first..self.batch_size()).step_by(step).collect();
        let index: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        let of = |tensor: &Tensor| picked(tensor, &index);
        let convergence = self.convergence.as_ref().map(|convergence| convergence.of(&rows));
        let sampling = self.sampling.as_ref().map(|sampling| {
            Ok::<_, Error>(Sampling {
                errors: sampling.errors.iter().map(of).collect::<Result<_>>()?,
                samples: of_each(&sampling.samples, &rows),
                draws: of_each(&sampling.draws, &rows),
                settled: of_each(&sampling.settled, &rows),
                tolerance: sampling.tolerance,
            })
        });
        let alike = self.alike.as_ref().map(|inputs| {
            Ok::<_, Error>(Inputs::new([of(inputs.first())?]).with_names(inputs.names().iter().cloned()))
        });
        Ok(Self {
            values: self.values.iter().map(of).collect::<Result<_>>()?,
            alike: alike.transpose()?,
            targets: of_each(&self.targets, &rows),
            output: self.output.as_ref().map(of).transpose()?,
            convergence,
            sampling: sampling.transpose()?,
            ..self.clone()
        })
    }

    /// The attributions of each layer, or input, by itself. Where each layer adds up by itself, as LayerConductance's do,
    /// each has its own convergence delta, steps and error estimates. Where several add up only together, none has.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
    /// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
    /// let both = LayerConductance::new(&net, ["hidden", "tanh"]).tolerance(1e-5).attribute(&x, 1)?;
    /// for layer in both.each_layer() {
    ///     assert!(layer.convergence_delta()?.max_abs() < 1e-5, "{}", layer.places()[0]);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn each_layer(&self) -> Vec<Attributions> {
        let of = |index: usize| {
            let alone = self.values.len() == 1;
            let own = self.converging_as(index);
            let convergence = own.convergence.filter(|_| alone || self.adds_up_by_layer());
            Self {
                values: vec![self.values[index].clone()],
                places: vec![self.places[index].clone()],
                names: if index == 0 { self.names.clone() } else { Arc::default() },
                mask: self.mask.of_tensor(index),
                convergence,
                sampling: self
                    .sampling
                    .clone()
                    .map(|sampling| Sampling { errors: vec![sampling.errors[index].clone()], ..sampling }),
                ..own
            }
        };
        (0..self.values.len()).map(of).collect()
    }

    /// Whether each layer adds up by itself.
    fn adds_up_by_layer(&self) -> bool {
        self.convergence.as_ref().is_some_and(|convergence| !convergence.of_layers.is_empty())
    }

    /// The same with the convergence of one layer, where each has its own.
    pub(crate) fn converging_as(&self, index: usize) -> Self {
        let own = self.convergence.as_ref().and_then(|all| all.of_layers.get(index).cloned());
        Self { convergence: own.or_else(|| self.convergence.clone()), ..self.clone() }
    }

    /// The name of the method that made them.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The attributions of the first (mostly the only) input or layer, `[batch, ...]`.
    pub fn tensor(&self) -> &Tensor {
        &self.values[0]
    }

    /// All attributions, one tensor for each attributed input or layer.
    pub fn values(&self) -> &[Tensor] {
        &self.values
    }

    /// The features of one tensor's elements.
    pub(crate) fn grouping(&self, tensor: usize) -> Result<Grouping> {
        let inputs = Inputs::new(self.values.iter().cloned());
        Ok(self.mask.resolve(&inputs, &self.values, &self.names, "input")?.grouping(tensor))
    }

    /// The attributions of one input or layer, by position.
    pub fn value(&self, index: usize) -> Result<&Tensor> {
        self.values.get(index).ok_or_else(|| {
            error!(
                Input,
                "there is no attribution {index}: there are {}, for {}",
                self.values.len(),
                self.places.join(", ")
            )
        })
    }

    /// What each tensor of [`Attributions::values`] belongs to: `input 0`, `layer "sigmoid1"`.
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// How many examples there are.
    pub fn batch_size(&self) -> usize {
        self.values[0].dims()[0]
    }

    /// The index of the output that was attributed for each example; empty for a neuron.
    pub fn targets(&self) -> &[Vec<usize>] {
        &self.targets
    }

    /// The model's output for the inputs, `[batch, ...]`; `None` for a neuron or an activation.
    pub fn output(&self) -> Option<&Tensor> {
        self.output.as_ref()
    }

    /// For each example the sum of its attributions minus what they must add up to,
    /// F(input) − F(baseline). 0 is perfect. With several baselines it is the delta farthest from 0, since in a mean
    /// deltas could cancel; so it is with several layers that each add up by themselves
    /// ([`each_layer`](Self::each_layer)). LRP's is F(input) minus the sum, as in Captum. An error for a method without
    /// such a sum.
    pub fn convergence_delta(&self) -> Result<Series> {
        let delta = self.convergence.as_ref().and_then(|convergence| convergence.delta.clone());
        match delta {
            Some(delta) => Ok(Series::new("convergence delta", delta)),
            None => bail!(Input, "{} has no convergence delta: its values need not add up to anything", self.method),
        }
    }

    /// How many points of the path were evaluated for each example, of several layers for the one that took most; empty for
    /// a method without a path.
    pub fn steps(&self) -> &[usize] {
        self.convergence.as_ref().map_or(&[], |convergence| &convergence.steps)
    }

    /// Whether each example converged within the tolerance; `None` unless a tolerance was asked for.
    pub fn settled(&self) -> Option<&[bool]> {
        if let Some(sampling) = &self.sampling {
            return sampling.tolerance.map(|_| sampling.settled.as_slice());
        }
        self.convergence.as_ref()?.refinement.as_ref().map(|refinement| refinement.settled.as_slice())
    }

    /// The standard error of each attribution of a sampled method, one tensor for each of
    /// [`Attributions::values`]. `NaN` after a single sample; `None` for a method that draws nothing.
    ///
    /// Were many samples drawn again with other seeds, about 95 % of the attributions would lie within 1.96 of it around
    /// the exact number. Errors from few samples are uncertain themselves, and 1.96 of them hold less than that:
    /// [`confidence_intervals`](Self::confidence_intervals) has the right number of them.
    pub fn standard_errors(&self) -> Option<&[Tensor]> {
        self.sampling.as_ref().map(|sampling| sampling.errors.as_slice())
    }

    /// How many samples were drawn for each example; empty for a method that draws nothing.
    pub fn samples(&self) -> &[usize] {
        self.sampling.as_ref().map_or(&[], |sampling| &sampling.samples)
    }

    /// The error estimate of each example; `None` unless a tolerance was asked for.
    pub fn error_estimates(&self) -> Option<&[f64]> {
        self.convergence.as_ref()?.refinement.as_ref().map(|refinement| refinement.errors.as_slice())
    }

    /// The mean over the examples: one number for each column or neuron, with its name. Columns that a feature mask
    /// joins have the number of their feature each, and are one bar of a chart.
    /// Needs attributions `[batch, features]`.
    pub fn mean(&self) -> Result<Series> {
        let values = self.features()?.mean(0)?.to_vec1::<f64>()?;
        let series = Series::new(format!("mean attribution by {}", self.method), values);
        let series = series.grouped(self.grouping(0)?);
        let series = match &self.alike {
            Some(inputs) => series.of_neurons(self.places.join(", "), inputs.names()),
            None => series,
        };
        if self.names.is_empty() { Ok(series) } else { series.with_labels(self.names.iter()) }
    }

    /// One feature's or neuron's attribution in every example, by name or position.
    pub fn column(&self, column: impl Into<Column>) -> Result<Series> {
        let features = self.features()?;
        let width = features.dims()[1];
        let (index, name) = match column.into() {
            Column::Position(index) if index < width => (index, self.joint_name(&[index])),
            Column::Position(index) => {
                bail!(Input, "there is no column {index}: the attributions have {width} columns")
            }
            Column::Name(name) => match self.names.iter().position(|other| *other == name) {
                Some(index) => (index, name),
                None if self.names.is_empty() => bail!(
                    Input,
                    "there is no column \"{name}\": these columns have no names; ask by position, 0 to {}",
                    width - 1
                ),
                None => bail!(Input, "there is no column \"{name}\"; there are: {}", self.names.join(", ")),
            },
        };
        let part = self.grouping(0)?.parts(width).into_iter().find(|part| part.len() > 1 && part.contains(&index));
        let name = part.map_or(name, |part| self.joint_name(&part));
        Ok(Series::new(format!("attribution of {name}"), features.narrow(1, index, 1)?.squeeze(1)?.to_vec1::<f64>()?))
    }

    /// Names along the last axis, empty if there are none.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The names of some columns together.
    pub(crate) fn joint_name(&self, columns: &[usize]) -> String {
        let name = |column: &usize| self.names.get(*column).cloned().unwrap_or_else(|| format!("[{column}]"));
        columns.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    fn features(&self) -> Result<Tensor> {
        let tensor = self.tensor();
        if tensor.rank() != 2 {
            bail!(
                Input,
                "these attributions have the shape {:?}: a mean or a column needs [batch, features]; reduce the other \
                 axes of tensor() first",
                tensor.dims()
            )
        }
        Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?)
    }
}

/// A column by name or by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By name.
    Name(String),
    /// By position, from 0.
    Position(usize),
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        Column::Name(name.to_string())
    }
}

impl From<String> for Column {
    fn from(name: String) -> Self {
        Column::Name(name)
    }
}

impl From<usize> for Column {
    fn from(position: usize) -> Self {
        Column::Position(position)
    }
}
