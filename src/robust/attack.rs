//! What attacks share: a loss, its gradient at the inputs, and a step along the gradient's sign.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::engine::{Attributed, Budget, Question, Subject, Target, check_finite};
use crate::error::{Result, bail};
use crate::finite;
use crate::model::{Inputs, IntoModel, Layers, Model};

/// A slope of the loss that is at most this large counts as none.
const FLAT: f64 = 1e-6;

/// The loss of each row of an output, given the output and the targets.
type Loss = dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync;

/// An attack's model, and what can be set about every attack.
#[derive(Clone)]
pub(super) struct Attack {
    model: Arc<dyn Model>,
    /// What is asked: the model, or a loss of the user's above it.
    pub(super) asked: Subject,
    has_loss: bool,
    pub(super) bounds: (f64, f64),
    pub(super) targeted: bool,
    pub(super) masks: Option<Vec<Tensor>>,
    pub(super) budget: Budget,
}

/// What an attack aims at: the question that every step asks at other points.
pub(super) struct Aim {
    inputs: Inputs,
    target: Target,
}

impl Attack {
    pub(super) fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        let model = model.into_model();
        Self {
            asked: Subject::new(model.clone()),
            model,
            has_loss: false,
            bounds: (f64::NEG_INFINITY, f64::INFINITY),
            targeted: false,
            masks: None,
            budget: Budget::default(),
        }
    }

    pub(super) fn set_loss(&mut self, loss: Arc<Loss>) {
        self.asked = self.asked.about(Arc::new(Losing { model: self.model.clone(), loss }));
        self.has_loss = true;
    }

    /// Checks the settings and the inputs. A predicted target is what the model predicts for the inputs, at every step.
    pub(super) fn aim(&self, inputs: &Inputs, target: &Target) -> Result<Aim> {
        self.budget.check()?;
        let (lower, upper) = self.bounds;
        if lower.is_nan() || upper.is_nan() || lower > upper {
            bail!(Input, "the bounds are {lower} and {upper}: expected a lower and an upper one, in this order")
        }
        let batch = inputs.batch_size()?;
        self.check_inputs(inputs)?;
        target.check_count(batch)?;
        let target = match target {
            Target::Predicted => {
                let plain = Subject::new(self.model.clone());
                Question::about_output(&plain, inputs, target, &self.budget)?.settled_target()?
            }
            target => target.clone(),
        };
        if !self.has_loss {
            return Ok(Aim { inputs: inputs.clone(), target });
        }
        let labels = labels(&target, batch)?.to_device(inputs.first().device())?;
        let args = inputs.args().iter().cloned().chain([labels]).collect();
        Ok(Aim { inputs: inputs.replaced(inputs.tensors().to_vec(), args), target: Target::None })
    }

    fn check_inputs(&self, inputs: &Inputs) -> Result<()> {
        for (index, input) in inputs.tensors().iter().enumerate() {
            if !input.dtype().is_float() {
                bail!(
                    Gradient,
                    "input {index} is {:?}, which has no gradient: an attack moves floating-point inputs; for token ids, \
                     attack the embeddings (FromLayer)",
                    input.dtype()
                )
            }
        }
        let Some(masks) = &self.masks else { return Ok(()) };
        let (count, expected) = (masks.len(), inputs.tensors().len());
        if count != expected {
            bail!(Input, "there are {count} masks for {expected} inputs: give one for each")
        }
        for (index, (mask, input)) in masks.iter().zip(inputs.tensors()).enumerate() {
            if mask.dims() != input.dims() {
                bail!(
                    Input,
                    "mask {index} has the shape {:?}: expected that of its input, {:?}",
                    mask.dims(),
                    input.dims()
                )
            }
            let mask = mask.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
            let inner = mask.ne(0.)?.mul(&mask.ne(1.)?)?.flatten_all()?;
            if inner.to_vec1::<u8>()?.contains(&1) {
                bail!(Input, "mask {index} has other values than 0 (stays) and 1 (moves)")
            }
        }
        Ok(())
    }

    /// Moves every point by this much along the sign of the loss's gradient there, up or, for a targeted attack, down.
    pub(super) fn step(&self, aim: &Aim, points: &[Tensor], size: f64) -> Result<Vec<Tensor>> {
        let inputs = aim.inputs.replaced(points.to_vec(), aim.inputs.args().to_vec());
        let question = Question::about_output(&self.asked, &inputs, &aim.target, &self.budget)?;
        let sample = question.at_every_row(Attributed::Inputs, &|question, at| {
            question.input_gradients(question.input_points(at)?, at)
        })?;
        check_finite(&sample.gradients, "gradient")?;
        let outputs = if self.has_loss { None } else { Some(positive_outputs(&question)?) };
        let size = if self.targeted { -size } else { size };
        let moved = points.iter().zip(&sample.gradients).enumerate().map(|(index, (point, gradient))| {
            let mut slope = gradient.to_dtype(if gradient.dtype() == DType::F64 { DType::F64 } else { DType::F32 })?;
            if let Some(outputs) = &outputs {
                // The slope of −ln F.
                slope = slope.neg()?.broadcast_div(&per_row(outputs, &slope)?)?;
            }
            let step = (slope.sign()? * slope.abs()?.gt(FLAT)?.to_dtype(slope.dtype())?)?;
            let step = self.masked(index, &step.affine(size, 0.)?.to_dtype(point.dtype())?)?;
            self.bounded(&(point + step)?)
        });
        moved.collect()
    }

    /// A change of an input, without that of what stays.
    pub(super) fn masked(&self, index: usize, change: &Tensor) -> Result<Tensor> {
        match self.masks.as_ref().and_then(|masks| masks.get(index)) {
            Some(mask) => Ok((change * mask.to_dtype(change.dtype())?.to_device(change.device())?)?),
            None => Ok(change.clone()),
        }
    }

    pub(super) fn bounded(&self, point: &Tensor) -> Result<Tensor> {
        let (lower, upper) = self.bounds;
        Ok(point.clamp(lower, upper)?)
    }
}

/// The target's output of each example; an error if one has no logarithm.
fn positive_outputs(question: &Question) -> Result<Vec<f64>> {
    let outputs = question.values()?;
    if let Some(example) = outputs.iter().position(|output| *output <= 0.) {
        bail!(
            Input,
            "the target's output of example {example} is {}: the loss is minus its logarithm, so expected a number above 0; \
             attack a model that gives probabilities, or give a loss of your own (loss)",
            outputs[example]
        )
    }
    Ok(outputs)
}

/// A number for each row as a tensor `[rows, 1, ...]` that goes with `like`.
pub(super) fn per_row(numbers: &[f64], like: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; like.rank()];
    shape[0] = numbers.len();
    Ok(Tensor::new(numbers, &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())?.reshape(shape)?)
}

/// An error unless a size is above 0.
pub(super) fn require_positive(name: &str, size: f64) -> Result<()> {
    if !size.is_finite() || size <= 0. {
        bail!(Input, "{name} is {size}: expected a finite number above 0")
    }
    Ok(())
}

/// The targets as numbers for a loss: `[batch]`, or `[batch, axes]` for positions of several axes.
fn labels(target: &Target, batch: usize) -> Result<Tensor> {
    let positions: Vec<Vec<usize>> = match target {
        Target::None | Target::Predicted => vec![vec![0]; batch],
        Target::Class(class) => vec![vec![*class]; batch],
        Target::PerExample(classes) => classes.iter().map(|class| vec![*class]).collect(),
        Target::Index(index) => vec![index.clone(); batch],
        Target::PerExampleIndex(indices) => indices.clone(),
    };
    let axes = positions.first().map_or(0, Vec::len);
    if axes == 0 || positions.iter().any(|position| position.len() != axes) {
        bail!(Input, "the targets are {positions:?}: expected positions of the same length, at least 1, for the loss")
    }
    let shape = if axes == 1 { vec![batch] } else { vec![batch, axes] };
    let numbers: Vec<u32> = positions.concat().into_iter().map(|position| position as u32).collect();
    Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
}

/// A loss above a model. Its last argument is the targets.
struct Losing {
    model: Arc<dyn Model>,
    loss: Arc<Loss>,
}

impl Model for Losing {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let count = input.args().len().saturating_sub(1);
        let targets = input.arg(count)?;
        let inner = input.replaced(input.tensors().to_vec(), input.args()[..count].to_vec());
        let loss = (self.loss)(&self.model.forward(&inner, layers)?, targets)?;
        let rows = targets.dims()[0];
        if loss.dims() != [rows] {
            bail!(
                Input,
                "the loss has the shape {:?} for {rows} rows: expected one number for each, [{rows}]",
                loss.dims()
            )
        }
        finite::check(&loss).map_err(|e| e.at("the loss"))?;
        Ok(loss)
    }
}

/// The settings of every attack: builder methods of a type whose `attack` is an [`Attack`].
macro_rules! attack_settings {
    () => {
        /// The loss that the attack raises, or lowers if it is targeted; by default minus the logarithm of the target's
        /// output. The closure gets the output `[rows, ...]` and the targets as U32, `[rows]` for classes (zeros for
        /// `Target::None`) and `[rows, axes]` for positions of several axes, and gives `[rows]`.
        pub fn loss<F>(&self, loss: F) -> Self
        where
            F: Fn(&Tensor, &Tensor) -> $crate::error::Result<Tensor> + Send + Sync + 'static,
        {
            self.with(|attack| attack.set_loss(std::sync::Arc::new(loss)))
        }

        /// The least and the largest value of an input; by default there are none. What is outside comes to the nearer
        /// of them, even where a mask says that it stays.
        pub fn bounds(&self, lower: f64, upper: f64) -> Self {
            self.with(|attack| attack.bounds = (lower, upper))
        }

        /// Whether the target is what the model shall be led to; by default it is what the model shall be led away from.
        pub fn targeted(&self, targeted: bool) -> Self {
            self.with(|attack| attack.targeted = targeted)
        }

        /// Which elements may move (1) and which stay (0): a tensor for each input, of its shape. By default all move.
        pub fn mask(&self, masks: impl Into<Inputs>) -> Self {
            self.with(|attack| attack.masks = Some(masks.into().tensors().to_vec()))
        }

        /// What happens if the gradient disagrees with the loss or the output: an error (the default), or nothing
        /// (`Check::Warn` and `Check::Off`; a tensor carries no remarks).
        pub fn gradient_check(&self, check: $crate::engine::Check) -> Self {
            self.with(|attack| attack.asked = attack.asked.clone().with_check(check))
        }

        /// The most rows that one pass evaluates, at least 1; by default chosen from the memory budget. It changes
        /// memory and speed, not the numbers.
        pub fn internal_batch_size(&self, rows: usize) -> Self {
            self.with(|attack| attack.budget.rows = Some(rows))
        }

        /// How many bytes all passes that run on the CPU may hold together; 256 MiB by
        /// default, 384 for encoder layers, which keep what their gradient needs.
        pub fn memory_budget(&self, bytes: usize) -> Self {
            self.with(|attack| attack.budget.hold(bytes))
        }

        /// The share of a GPU's memory that a pass may take, above 0 and up to 1; 0.5 by default.
        pub fn device_memory_share(&self, share: f64) -> Self {
            self.with(|attack| attack.budget.share_of_device = share)
        }

        /// The most passes that run at once, each on its own thread: 1 to 8, by default as many as there are cores.
        /// It changes speed, not the numbers.
        pub fn workers(&self, workers: usize) -> Self {
            self.with(|attack| attack.budget.workers = Some(workers))
        }

        fn with(&self, change: impl FnOnce(&mut $crate::robust::attack::Attack)) -> Self {
            let mut changed = self.clone();
            change(&mut changed.attack);
            changed
        }
    };
}

pub(super) use attack_settings;
