//! Training a small network on a table.

use std::time::Duration;

use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use super::Dataset;
use crate::error::{Result, bail};
use crate::model::{Layers, Model};
use crate::progress::Progress;

/// Trains a model on a table: Adam, cross entropy of its output, all rows in every epoch.
///
/// The cross entropy is taken of the model's output as it is (log-softmax, then the label's
/// entry), as PyTorch's `CrossEntropyLoss`; the tutorials apply it to a network that ends in
/// softmax.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let features = Tensor::new(&[[0f32], [0.2], [0.8], [1.]], &Device::Cpu)?;
/// let data = Dataset::new(features, ["x"], vec![0, 0, 1, 1])?;
/// let net = Sequential::builder(1).linear("linear", 2).build(Seed(1))?;
/// let history = Trainer::adam(0.1).epochs(200).fit(&net, &data)?;
/// assert_eq!(history.train_accuracy(), 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trainer {
    learning_rate: f64,
    epochs: usize,
    test: Option<Dataset>,
}

impl Trainer {
    /// Adam with this learning rate, β₁ 0.9, β₂ 0.999, ε 1e-8, for 200 epochs.
    pub fn adam(learning_rate: f64) -> Self {
        Self { learning_rate, epochs: 200, test: None }
    }

    /// How often the whole table is gone through.
    pub fn epochs(&self, epochs: usize) -> Self {
        Self { epochs, ..self.clone() }
    }

    /// A table that is only tested with, so that the history can tell its accuracy.
    pub fn test_on(&self, test: &Dataset) -> Self {
        Self { test: Some(test.clone()), ..self.clone() }
    }

    /// Trains the model's own parameters in place. In a notebook the progress is printed.
    ///
    /// An error if the model lists no parameters, a setting is out of range, or the loss is no
    /// longer a number; the weights are then as they were.
    pub fn fit(&self, model: &impl Model, data: &Dataset) -> Result<History> {
        self.fit_parameters(model, model.parameters(), data)
    }

    /// Trains these parameters of the model, for one that does not list them: those of a candle
    /// `VarMap`, for example.
    pub fn fit_parameters(&self, model: &impl Model, parameters: Vec<Var>, data: &Dataset) -> Result<History> {
        let before =
            parameters.iter().map(|var| var.as_detached_tensor().copy()).collect::<candle_core::Result<Vec<_>>>()?;
        let result = self.train(model, &parameters, data);
        if result.is_err() {
            for (var, value) in parameters.iter().zip(&before) {
                var.set(value)?;
            }
        }
        result
    }

    fn train(&self, model: &impl Model, parameters: &[Var], data: &Dataset) -> Result<History> {
        crate::model::check_single_copy()?;
        if parameters.is_empty() {
            bail!(
                Input,
                "the model lists no parameters to train: implement Model::parameters, or pass them to fit_parameters"
            )
        }
        if self.epochs == 0 || !(self.learning_rate.is_finite() && self.learning_rate > 0.) {
            bail!(
                Input,
                "{} epochs at a learning rate of {}: expected at least 1, and a number above 0",
                self.epochs,
                self.learning_rate
            )
        }
        let settings = ParamsAdamW { lr: self.learning_rate, weight_decay: 0., ..ParamsAdamW::default() };
        let mut adam = AdamW::new(parameters.to_vec(), settings)?;
        let features = data.features();
        let labels = Tensor::new(data.labels(), &Device::Cpu)?.unsqueeze(1)?;
        let mut progress = Progress::new("epoch", self.epochs);
        let mut losses = Vec::with_capacity(self.epochs);
        for epoch in 0..self.epochs {
            let output = model.forward(&features, &mut Layers::for_training())?;
            let loss = cross_entropy(&output, &labels, data)?;
            let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            if !value.is_finite() {
                bail!(
                    NotFinite,
                    "the loss is {value} after {epoch} epochs: take a smaller learning rate than {}",
                    self.learning_rate
                )
            }
            losses.push(value);
            let gradients = loss.backward()?;
            if epoch == 0 && parameters.iter().all(|parameter| gradients.get(parameter).is_none()) {
                bail!(
                    Gradient,
                    "no gradient reaches any of the {} parameters: are they this model's own, and does its forward \
                     track them (Linear::forward does, Linear::forward_frozen does not)?",
                    parameters.len()
                )
            }
            adam.step(&gradients)?;
            progress.step(epoch + 1, || format!("loss {value:.4}"));
        }
        let accuracy = |table: &Dataset| table.accuracy_of(&model.forward(&table.features(), &mut Layers::plain())?);
        Ok(History {
            losses,
            train_accuracy: accuracy(data)?,
            test_accuracy: self.test.as_ref().map(accuracy).transpose()?,
            elapsed: progress.elapsed(),
        })
    }
}

/// −mean over the rows of the label's entry of log-softmax.
fn cross_entropy(output: &Tensor, labels: &Tensor, data: &Dataset) -> Result<Tensor> {
    let classes = data.class_count();
    match output.dims() {
        &[rows, width] if rows == data.len() && width >= classes => {}
        dims => bail!(
            Input,
            "the model's output is {dims:?}: expected [{}, classes] with at least {classes} classes",
            data.len()
        ),
    }
    let largest = output.detach().max_keepdim(D::Minus1)?;
    let shifted = output.broadcast_sub(&largest)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let log_probability = shifted.gather(labels, 1)?.sub(&log_sum)?;
    Ok(log_probability.mean_all()?.neg()?)
}

/// How a training went: the loss before each epoch, the accuracies after the last.
#[derive(Clone, Debug)]
pub struct History {
    losses: Vec<f64>,
    train_accuracy: f64,
    test_accuracy: Option<f64>,
    elapsed: Duration,
}

impl History {
    /// The cross entropy before each epoch's step.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// The share of right predictions on the rows trained with, after the last epoch.
    pub fn train_accuracy(&self) -> f64 {
        self.train_accuracy
    }

    /// The same on the rows of [`Trainer::test_on`], if there are any.
    pub fn test_accuracy(&self) -> Option<f64> {
        self.test_accuracy
    }

    /// How long it took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}
