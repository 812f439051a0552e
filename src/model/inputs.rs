//! The inputs of a model: tensors that are attributed and arguments that are not.

use std::sync::{Arc, LazyLock};

use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, Device, Storage, Tensor};

use super::picked;
use crate::error::{Result, bail, error};

/// What [`Inputs::first`] returns if there are no inputs.
static NOTHING: LazyLock<Tensor> = LazyLock::new(|| {
    let storage = Storage::Cpu(CpuStorage::F32(Vec::new()));
    Tensor::from_storage(storage, 0, BackpropOp::none(), false)
});

/// The inputs of one call: one or several tensors `[batch, ...]` that can be attributed, and
/// extra forward arguments `[batch, ...]` that are only passed to the model.
///
/// A `Tensor`, a `&Tensor`, a `Vec<Tensor>` or an array of tensors turns into `Inputs` by itself.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let x = Tensor::zeros((4, 3), DType::F32, &Device::Cpu)?;
/// let mask = Tensor::ones((4, 1), DType::F32, &Device::Cpu)?;
/// let inputs = Inputs::from(&x).with_args([mask]);
/// assert_eq!(inputs.batch_size()?, 4);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Inputs {
    tensors: Vec<Tensor>,
    args: Vec<Tensor>,
    names: Arc<Vec<String>>,
    /// Which example each row repeats; empty if none is repeated.
    origins: Arc<Vec<u32>>,
    /// Which rows of another call these are, if they are its rows.
    taken: Option<Arc<Taken>>,
}

/// Rows of a call that another call is made of.
#[derive(Clone, Debug)]
struct Taken {
    examples: Vec<u32>,
    /// How many examples that call has.
    count: usize,
}

impl Inputs {
    /// Several tensors to attribute, each `[batch, ...]`.
    pub fn new(tensors: impl IntoIterator<Item = Tensor>) -> Self {
        Self {
            tensors: tensors.into_iter().collect(),
            args: Vec::new(),
            names: Arc::default(),
            origins: Arc::default(),
            taken: None,
        }
    }

    /// Adds extra forward arguments, each `[batch, ...]`. They are never attributed, and are repeated
    /// with the inputs when a method evaluates several points at once. A tensor without a batch axis
    /// belongs in the model itself.
    pub fn with_args(mut self, args: impl IntoIterator<Item = Tensor>) -> Self {
        self.args = args.into_iter().collect();
        self
    }

    /// Names the features along the last axis of the first tensor; results keep these names.
    pub fn with_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names = Arc::new(names.into_iter().map(Into::into).collect());
        self
    }

    /// The same inputs, arguments included, on another device.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let x = Tensor::zeros((4, 3), DType::F32, &Device::Cpu)?;
    /// let inputs = Inputs::from(&x).to_device(&device)?;
    /// assert!(inputs.first().device().same_device(&device));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = |tensors: &[Tensor]| tensors.iter().map(|tensor| tensor.to_device(device)).collect();
        let (tensors, args): (candle_core::Result<_>, candle_core::Result<_>) =
            (moved(&self.tensors), moved(&self.args));
        Ok(self.replaced(tensors?, args?))
    }

    /// The first tensor; most models have only this one. If there is none it is an empty tensor, and
    /// [`Inputs::batch_size`] is an error.
    pub fn first(&self) -> &Tensor {
        self.tensors.first().unwrap_or(&NOTHING)
    }

    /// The tensor at a position, or an error that says how many there are.
    pub fn get(&self, index: usize) -> Result<&Tensor> {
        self.tensors
            .get(index)
            .ok_or_else(|| error!(Input, "the model asked for input {index}, but {} came", self.tensors.len()))
    }

    /// The extra forward argument at a position, or an error that says how many there are.
    pub fn arg(&self, index: usize) -> Result<&Tensor> {
        self.args.get(index).ok_or_else(|| {
            error!(
                Input,
                "the model asked for extra argument {index}, but {} came: add it with Inputs::with_args",
                self.args.len()
            )
        })
    }

    /// All tensors that can be attributed.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All extra forward arguments.
    pub fn args(&self) -> &[Tensor] {
        &self.args
    }

    /// The names given with [`Inputs::with_names`], empty if there are none.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of examples, or an error if the tensors disagree about it.
    pub fn batch_size(&self) -> Result<usize> {
        let Some(first) = self.tensors.first() else {
            bail!(Input, "there are no inputs: pass at least one tensor [batch, ...]")
        };
        let Some(&batch) = first.dims().first() else {
            bail!(Input, "input 0 is a scalar: expected a tensor [batch, ...]")
        };
        for (kind, tensors) in [("input", &self.tensors), ("extra argument", &self.args)] {
            for (index, tensor) in tensors.iter().enumerate() {
                if tensor.dims().first() != Some(&batch) {
                    bail!(
                        Input,
                        "{kind} {index} has the shape {:?}: expected {batch} rows as input 0 has \
                         (what has no batch axis belongs into the model itself)",
                        tensor.dims()
                    )
                }
            }
        }
        if batch == 0 {
            bail!(Input, "the batch is empty: input 0 has the shape {:?}", first.dims())
        }
        Ok(batch)
    }

    /// An error if there are more inputs than a model reads: ignored ones would seem to count.
    pub(crate) fn require(&self, tensors: usize, args: usize) -> Result<()> {
        if self.tensors.len() > tensors || self.args.len() > args {
            bail!(
                Input,
                "this model reads {tensors} input and {args} extra arguments, and {} and {} came (what is not \
                 attributed, a mask for example, goes into Inputs::with_args)",
                self.tensors.len(),
                self.args.len()
            )
        }
        Ok(())
    }

    /// The same call without the graph that its tensors may come from.
    pub(crate) fn detached(&self) -> Self {
        self.replaced(self.tensors.iter().map(Tensor::detach).collect(), self.args.clone())
    }

    /// The same call with other tensors and arguments.
    pub(crate) fn replaced(&self, tensors: Vec<Tensor>, args: Vec<Tensor>) -> Self {
        Self { tensors, args, ..self.clone() }
    }

    /// The same call with each example this many times, one right after another.
    pub(crate) fn repeated(&self, times: usize) -> Result<Self> {
        let origins: Vec<u32> = (0..self.batch_size()?).flat_map(|row| vec![row as u32; times]).collect();
        let repeat = |tensor: &Tensor| picked(tensor, &origins);
        let tensors = self.tensors.iter().map(repeat).collect::<Result<_>>()?;
        let args = self.args.iter().map(repeat).collect::<Result<_>>()?;
        let rows: Vec<usize> = origins.iter().map(|row| *row as usize).collect();
        let taken = self.taken.as_ref().map(|taken| Arc::new(taken.rows(&rows)));
        Ok(Self { taken, ..self.replaced(tensors, args) }.with_origins(origins))
    }

    /// The same call, whose rows are these of another: settings with a row for each example are meant for that one.
    pub(crate) fn taken_from(self, call: &Self, rows: &[usize]) -> Self {
        let taken = match &call.taken {
            Some(taken) => taken.rows(rows),
            None => {
                let example = |row: &usize| call.origins.get(*row).copied().unwrap_or(*row as u32);
                Taken { examples: rows.iter().map(example).collect(), count: call.examples() }
            }
        };
        Self { taken: Some(Arc::new(taken)), ..self }
    }

    /// A tensor with a row for each example, each repeated as the example is; any other as it is.
    pub(crate) fn repeated_like(&self, tensor: &Tensor) -> Result<Tensor> {
        let (examples, count) = match &self.taken {
            Some(taken) => (&taken.examples, taken.count),
            None => (&*self.origins, self.examples()),
        };
        if examples.is_empty() || tensor.dims().first() != Some(&count) {
            return Ok(tensor.clone());
        }
        picked(tensor, examples)
    }

    /// The rows that each example has.
    pub(crate) fn repeats(&self) -> Vec<Vec<usize>> {
        if self.origins.is_empty() {
            return (0..self.examples()).map(|row| vec![row]).collect();
        }
        let mut rows = vec![Vec::new(); self.examples()];
        for (row, origin) in self.origins.iter().enumerate() {
            rows[*origin as usize].push(row);
        }
        rows
    }

    /// How many examples there are, each counted once.
    pub(crate) fn examples(&self) -> usize {
        let last = self.origins.iter().max().map(|last| *last as usize + 1);
        last.unwrap_or_else(|| self.first().dims().first().copied().unwrap_or(0))
    }

    /// Which example each row repeats; empty if none is repeated.
    pub(crate) fn origins(&self) -> &[u32] {
        &self.origins
    }

    /// The same call, whose rows repeat these examples.
    pub(crate) fn with_origins(self, origins: Vec<u32>) -> Self {
        Self { origins: Arc::new(origins), ..self }
    }
}

impl Taken {
    fn rows(&self, rows: &[usize]) -> Self {
        Self { examples: rows.iter().map(|row| self.examples[*row]).collect(), count: self.count }
    }
}

impl From<&Inputs> for Inputs {
    fn from(inputs: &Inputs) -> Self {
        inputs.clone()
    }
}

impl From<Tensor> for Inputs {
    fn from(tensor: Tensor) -> Self {
        Self::new([tensor])
    }
}

impl From<&Tensor> for Inputs {
    fn from(tensor: &Tensor) -> Self {
        Self::new([tensor.clone()])
    }
}

impl From<Vec<Tensor>> for Inputs {
    fn from(tensors: Vec<Tensor>) -> Self {
        Self::new(tensors)
    }
}

impl From<&[Tensor]> for Inputs {
    fn from(tensors: &[Tensor]) -> Self {
        Self::new(tensors.iter().cloned())
    }
}

impl<const N: usize> From<[Tensor; N]> for Inputs {
    fn from(tensors: [Tensor; N]) -> Self {
        Self::new(tensors)
    }
}

impl<const N: usize> From<[&Tensor; N]> for Inputs {
    fn from(tensors: [&Tensor; N]) -> Self {
        Self::new(tensors.into_iter().cloned())
    }
}
