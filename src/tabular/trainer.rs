//! Training a small network on a table.

use std::time::Duration;

use candle_core::{DType, Device, Tensor};

use super::Dataset;
use crate::deep_stack::{Mark, on_deep_stack};
use crate::engine::Check;
use crate::error::{ErrorKind, Result, bail};
use crate::model::{Inputs, Layers, Model, check_single_copy};
use crate::progress::Progress;
use crate::training::{Adam, Effort, Gradients, Parameters, check_differences, check_reached, cross_entropy};

/// The most rows over which the gradient is compared with the loss.
const ROWS_CHECKED: usize = 32;

/// Trains a model on a table: Adam, cross entropy of its output, one step over all rows per epoch.
///
/// The cross entropy is computed from the model's output as it is (log-softmax, then the label's
/// entry), like PyTorch's `CrossEntropyLoss`. The tutorials apply it to a network that ends in
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
    check: Check,
}

impl Trainer {
    /// Adam with this learning rate, β₁ 0.9, β₂ 0.999, ε 1e-8, for 200 epochs.
    pub fn adam(learning_rate: f64) -> Self {
        Self { learning_rate, epochs: 200, test: None, check: Check::Error }
    }

    /// How many times training goes through the whole table.
    pub fn epochs(&self, epochs: usize) -> Self {
        Self { epochs, ..self.clone() }
    }

    /// A table to test with; the history reports its accuracy.
    pub fn test_on(&self, test: &Dataset) -> Self {
        Self { test: Some(test.clone()), ..self.clone() }
    }

    /// What happens if a parameter's gradient disagrees with differences of the loss: an error (the
    /// default), a remark in the history, or nothing, for a model whose gradient differs on purpose.
    /// The check runs before the first epoch, over 32 rows and for each parameter alone. If that would take more
    /// than a tenth of the training, it takes fewer rows and groups of parameters. Nothing
    /// is reported for a random model (dropout), or if rounding hides the answer.
    pub fn gradient_check(&self, check: Check) -> Self {
        Self { check, ..self.clone() }
    }

    /// Trains the model's own parameters in place. A notebook shows the progress.
    ///
    /// An error if the model lists no parameters, a setting is out of range, a parameter gets no
    /// gradient or a wrong one, or the loss is no longer a number. The weights are then unchanged.
    pub fn fit(&self, model: &impl Model, data: &Dataset) -> Result<History> {
        self.fit_parameters(model, Parameters::of(model), data)
    }

    /// Trains only these parameters: a candle `VarMap`, a `Vec<Var>`, or [`Parameters`] with names. Use it
    /// for a model that does not list its parameters, or to leave some unchanged.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let features = Tensor::new(&[[0f32], [0.2], [0.8], [1.]], &Device::Cpu)?;
    /// let data = Dataset::new(features, ["x"], vec![0, 0, 1, 1])?;
    /// let vars = VarMap::new();
    /// let layer = candle_explain::candle_nn::linear(1, 2, VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
    /// let model = from_fn(move |input, _| Ok(layer.forward(input.first())?));
    /// let history = Trainer::adam(0.1).fit_parameters(&model, &vars, &data)?;
    /// assert_eq!(history.train_accuracy(), 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fit_parameters(
        &self,
        model: &impl Model,
        parameters: impl Into<Parameters>,
        data: &Dataset,
    ) -> Result<History> {
        let parameters = parameters.into().settled(model);
        let vars = parameters.vars();
        let before = vars.iter().map(|var| var.as_detached_tensor().copy()).collect::<candle_core::Result<Vec<_>>>()?;
        check_single_copy()?;
        let result = on_deep_stack(|| self.train(model, &parameters, data));
        if result.is_err() {
            for (var, value) in vars.iter().zip(&before) {
                var.set(value)?;
            }
        }
        result
    }

    fn train(&self, model: &impl Model, parameters: &Parameters, data: &Dataset) -> Result<History> {
        let vars = parameters.vars();
        if vars.is_empty() {
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
        let progress = Progress::new("epoch", self.epochs);
        let table = Examples::new(data)?;
        check_reached(parameters, &|| table.loss(model))?;
        let mut remarks = Vec::new();
        if self.check != Check::Off {
            let effort = Effort::new(parameters, data.len(), self.epochs, ROWS_CHECKED);
            let some = table.some(effort.rows)?;
            // A model that takes only the whole table is checked with all rows.
            let checked = if some.output(model).is_ok() { &some } else { &table };
            let loss = || {
                progress.step(0, || "checking the gradient".to_string())?;
                checked.precise_loss(model)
            };
            match check_differences(parameters, effort, &loss) {
                Err(error) if self.check == Check::Warn && error.kind() == ErrorKind::Gradient => {
                    remarks.push(error.to_string());
                }
                other => other?,
            }
        }
        let mut adam = Adam::new(&vars, self.learning_rate, 0.)?;
        let mut losses = Vec::with_capacity(self.epochs);
        for epoch in 0..self.epochs {
            let loss = table.loss(model)?;
            let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            if !value.is_finite() {
                bail!(
                    NotFinite,
                    "the loss is {value} after {epoch} epochs: take a smaller learning rate than {}",
                    self.learning_rate
                )
            }
            losses.push(value);
            adam.step(&Gradients::of_store(loss.backward()?, &vars), 1.)?;
            progress.step(epoch + 1, || format!("loss {value:.4}"))?;
        }
        Ok(History {
            losses,
            remarks,
            train_accuracy: data.accuracy_of(model)?,
            test_accuracy: self.test.as_ref().map(|test| test.accuracy_of(model)).transpose()?,
            elapsed: progress.elapsed(),
        })
    }
}

/// Rows to train with, and their labels `[rows, 1]`.
struct Examples {
    features: Inputs,
    labels: Tensor,
    classes: usize,
}

impl Examples {
    fn new(data: &Dataset) -> Result<Self> {
        let labels = Tensor::new(data.labels(), &Device::Cpu)?.unsqueeze(1)?;
        Ok(Self { features: data.features(), labels, classes: data.class_count() })
    }

    /// This many of the rows at most, from all over the table.
    fn some(&self, most: usize) -> Result<Self> {
        let rows = self.labels.dims()[0];
        let taken = rows.min(most);
        let index: Vec<u32> = (0..taken).map(|row| (row * rows / taken) as u32).collect();
        let index = Tensor::new(index, &Device::Cpu)?;
        let features = self.features.first().index_select(&index, 0)?;
        let features = self.features.replaced(vec![features], Vec::new());
        Ok(Self { features, labels: self.labels.index_select(&index, 0)?, classes: self.classes })
    }

    fn output(&self, model: &impl Model) -> Result<Tensor> {
        let before = Mark::now()?;
        let output = model.forward(&self.features, &mut Layers::for_training())?;
        before.require_room(&output)?;
        let (rows, classes) = (self.labels.dims()[0], self.classes);
        match output.dims() {
            &[count, width] if count == rows && width >= classes => Ok(output),
            dims => bail!(
                Input,
                "the model's output is {dims:?}: expected [{rows}, classes] with at least {classes} classes"
            ),
        }
    }

    fn loss(&self, model: &impl Model) -> Result<Tensor> {
        cross_entropy(&self.output(model)?, &self.labels, 0.)
    }

    /// The same, summed in `f64`.
    fn precise_loss(&self, model: &impl Model) -> Result<Tensor> {
        cross_entropy(&self.output(model)?.to_dtype(DType::F64)?, &self.labels, 0.)
    }
}

/// How a training went: the loss before each epoch, the accuracies after the last.
#[derive(Clone, Debug)]
pub struct History {
    losses: Vec<f64>,
    remarks: Vec<String>,
    train_accuracy: f64,
    test_accuracy: Option<f64>,
    elapsed: Duration,
}

impl History {
    /// The cross entropy before each epoch's step.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// The share of right predictions on the training rows, after the last epoch.
    pub fn train_accuracy(&self) -> f64 {
        self.train_accuracy
    }

    /// The same on the rows of [`Trainer::test_on`], if there are any.
    pub fn test_accuracy(&self) -> Option<f64> {
        self.test_accuracy
    }

    /// What the reader of these numbers must know: gradients that [`Check::Warn`] let through.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// How long it took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}
