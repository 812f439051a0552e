//! What an input is compared with.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::Lines;
use crate::error::{Result, bail};
use crate::finite;
use crate::model::{Inputs, picked};

/// What to do where a distribution of baselines is missing or empty.
const GIVE_ROWS: &str = "give baseline(Baseline::distribution(&rows)) with rows [rows, ...] like those of the inputs, \
                         for example of the training data";

/// What an input is compared with; ideally it carries no information.
///
/// | Baseline | Meaning |
/// |---|---|
/// | `Zero` | zeros (the default) |
/// | `Value(v)` | this number everywhere |
/// | `Tensors` | one tensor per input: of the input's shape, or with one row that serves every example |
/// | `Distribution` | several rows per input; attributions are averaged over them (their cost is multiplied) |
#[derive(Clone, Debug, Default)]
pub enum Baseline {
    /// Zeros.
    #[default]
    Zero,
    /// One number everywhere.
    Value(f64),
    /// One tensor per input: `[batch, ...]`, or `[1, ...]` for every example.
    Tensors(Vec<Tensor>),
    /// One tensor `[rows, ...]` per input: every example is compared with every row.
    Distribution(Vec<Tensor>),
}

impl Baseline {
    /// Rows to average over, for one input tensor.
    pub fn distribution(rows: &Tensor) -> Self {
        Baseline::Distribution(vec![rows.clone()])
    }

    /// A distribution that is still to be given.
    pub(crate) fn not_given() -> Self {
        Baseline::Distribution(Vec::new())
    }

    /// An error unless a baseline was given to a method that has none by default.
    pub(crate) fn require_given(&self, method: &str) -> Result<()> {
        match self {
            Baseline::Distribution(tensors) if tensors.is_empty() => {
                bail!(Input, "{method} needs a distribution of baselines, and none came: {GIVE_ROWS}")
            }
            _ => Ok(()),
        }
    }

    /// An error unless it is a distribution, over whose rows a method averages.
    pub(crate) fn require_distribution(&self, method: &str, of_one: &str) -> Result<()> {
        match self {
            Baseline::Distribution(_) => self.require_given(method),
            Baseline::Zero | Baseline::Value(_) | Baseline::Tensors(_) => bail!(
                Input,
                "{method} needs a distribution of baselines, and one baseline for each example came: {GIVE_ROWS}; for \
                 one baseline take {of_one}"
            ),
        }
    }

    /// The baselines, checked against the inputs and brought into their types and onto their devices.
    pub(crate) fn resolve(&self, inputs: &Inputs) -> Result<Baselines> {
        let call = inputs;
        let inputs = inputs.tensors();
        match self {
            Baseline::Zero => {
                let zeros = inputs.iter().map(|input| input.narrow(0, 0, 1)?.zeros_like());
                Ok(Baselines { tensors: zeros.collect::<candle_core::Result<_>>()?, rows: Rows::Shared })
            }
            Baseline::Value(value) => {
                let filled = inputs.iter().enumerate().map(|(index, input)| {
                    require_fits(*value, input.dtype(), index)?;
                    let shape = [&[1], &input.dims()[1..]].concat();
                    let filled = Tensor::zeros(shape, input.dtype(), &Device::Cpu)?.affine(1., *value)?;
                    Ok(filled.to_device(input.device())?)
                });
                Ok(Baselines { tensors: filled.collect::<Result<_>>()?, rows: Rows::Shared })
            }
            Baseline::Tensors(tensors) => {
                let repeated = tensors.iter().map(|tensor| call.repeated_like(tensor)).collect::<Result<Vec<_>>>()?;
                let full = for_inputs(&repeated, inputs, "the baseline")?;
                let full = full.iter().zip(inputs).map(|(tensor, input)| tensor.broadcast_as(input.dims()));
                Ok(Baselines { tensors: full.collect::<candle_core::Result<_>>()?, rows: Rows::PerExample })
            }
            Baseline::Distribution(tensors) => {
                let shapes: Vec<_> = tensors.iter().map(Tensor::dims).collect();
                let rows = shapes.first().and_then(|shape| shape.first().copied()).unwrap_or(0);
                if shapes.iter().any(|shape| shape.first() != Some(&rows)) {
                    bail!(
                        Input,
                        "the baseline distribution has the shapes {shapes:?}: expected [rows, ...] for each input, \
                         with the same number of rows"
                    )
                }
                if rows == 0 {
                    bail!(Input, "the distribution of baselines has no row, its shapes are {shapes:?}: {GIVE_ROWS}")
                }
                let first_rows = tensors.iter().map(|tensor| tensor.narrow(0, 0, 1));
                let first_rows = first_rows.collect::<candle_core::Result<Vec<_>>>()?;
                for_inputs(&first_rows, inputs, "the baseline distribution")?;
                let tensors = tensors.iter().zip(inputs).enumerate();
                let fitted =
                    tensors.map(|(index, (tensor, input))| fitted(tensor, input, "the baseline distribution", index));
                Ok(Baselines { tensors: fitted.collect::<Result<_>>()?, rows: Rows::Distribution(rows) })
            }
        }
    }
}

/// Baselines of the inputs' types, `[rows, ...]` for each input.
pub(crate) struct Baselines {
    tensors: Vec<Tensor>,
    rows: Rows,
}

/// Which baseline rows an example is compared with.
enum Rows {
    /// The only one.
    Shared,
    PerExample,
    /// Each of this many rows.
    Distribution(usize),
}

impl Baselines {
    /// The lines from these baselines to the inputs of a batch.
    pub(crate) fn lines(&self, inputs: &Inputs) -> Lines {
        let batch = inputs.first().dims()[0];
        // A part of a batch may have fewer rows than the batch has examples.
        Lines::new(batch, self.count()).of_repeated((batch / inputs.examples().max(1)).max(1))
    }

    /// How many baselines each example is compared with.
    pub(crate) fn count(&self) -> usize {
        match self.rows {
            Rows::Shared | Rows::PerExample => 1,
            Rows::Distribution(rows) => rows,
        }
    }

    /// The rows that examples are compared with, `[rows, ...]` for each input.
    pub(crate) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Which of these rows is an example's baseline of this number.
    pub(crate) fn row(&self, example: usize, baseline: usize) -> usize {
        match self.rows {
            Rows::Shared => 0,
            Rows::PerExample => example,
            Rows::Distribution(_) => baseline,
        }
    }

    /// The starts of consecutive lines, `[lines, ...]` for each input.
    pub(crate) fn starts(&self, lines: &Range<usize>) -> Result<Vec<Tensor>> {
        match self.rows {
            Rows::PerExample => {
                let start = |tensor: &Tensor| Ok(tensor.narrow(0, lines.start, lines.len())?.contiguous()?);
                self.tensors.iter().map(start).collect()
            }
            Rows::Shared | Rows::Distribution(_) => self.starts_of(&lines.clone().collect::<Vec<_>>()),
        }
    }

    /// The starts of these lines, `[lines, ...]` for each input.
    pub(crate) fn starts_of(&self, lines: &[usize]) -> Result<Vec<Tensor>> {
        let start = |tensor: &Tensor| {
            let rows = match self.rows {
                Rows::Shared => {
                    let shape = [&[lines.len()], &tensor.dims()[1..]].concat();
                    return Ok(tensor.broadcast_as(shape)?.contiguous()?);
                }
                Rows::PerExample => lines.iter().map(|line| *line as u32).collect::<Vec<_>>(),
                Rows::Distribution(rows) => lines.iter().map(|line| (line % rows) as u32).collect(),
            };
            picked(tensor, &rows)
        };
        self.tensors.iter().map(start).collect()
    }
}

/// An error unless a type can hold a number.
fn require_fits(value: f64, dtype: DType, input: usize) -> Result<()> {
    if !value.is_finite() {
        bail!(NotFinite, "the baseline is {value}: expected a finite number")
    }
    if dtype.is_float() {
        let held = Tensor::new(value, &Device::Cpu)?.to_dtype(dtype)?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        if !held.is_finite() {
            bail!(
                Input,
                "the baseline is {value:e}, and input {input} is {dtype:?}, which holds no number of that size"
            )
        }
        return Ok(());
    }
    /// Up to here f64 has every whole number.
    const EXACT: f64 = (1u64 << 53) as f64;
    let (least, most) = match dtype {
        DType::U8 => (0., f64::from(u8::MAX)),
        DType::I16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
        DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        DType::I64 => (-EXACT, EXACT),
        _ => (0., f64::from(u32::MAX)),
    };
    if value.fract() != 0. || !(least..=most).contains(&value) {
        bail!(
            Input,
            "the baseline is {value}, and input {input} is {dtype:?}: give a whole number from {least} to {most}"
        )
    }
    Ok(())
}

/// Each tensor, of the input's shape or with one row, in the type of its input.
fn for_inputs(tensors: &[Tensor], inputs: &[Tensor], what: &str) -> Result<Vec<Tensor>> {
    if tensors.len() != inputs.len() {
        bail!(Input, "{what} has {} tensors for {} inputs: give one for each input", tensors.len(), inputs.len())
    }
    let resolve = |(index, (tensor, input)): (usize, (&Tensor, &Tensor))| {
        let (got, expected) = (tensor.dims(), input.dims());
        let one_row = got.first() == Some(&1) && got.get(1..) == expected.get(1..);
        if got != expected && !one_row {
            let row = [&[1], &expected[1..]].concat();
            let once = if expected[0] == 1 { String::new() } else { format!(", or one row {row:?}") };
            bail!(Input, "{what} of input {index} has the shape {got:?}: expected {expected:?} like the input{once}")
        }
        fitted(tensor, input, what, index)
    };
    tensors.iter().zip(inputs).enumerate().map(resolve).collect()
}

/// The tensor in the type of its input, which must be able to hold it.
fn fitted(tensor: &Tensor, input: &Tensor, what: &str, index: usize) -> Result<Tensor> {
    if tensor.dtype() != input.dtype() && (tensor.dtype().is_int() || input.dtype().is_int()) {
        bail!(
            Input,
            "{what} of input {index} is {:?} and the input {:?}: give both the same type",
            tensor.dtype(),
            input.dtype()
        )
    }
    finite::check(tensor).map_err(|e| e.at(format!("{what} of input {index}")))?;
    let fitted = tensor.detach().to_dtype(input.dtype())?.contiguous()?.to_device(input.device())?;
    finite::check(&fitted).map_err(|e| {
        e.at(format!(
            "{what} of input {index} is {:?}, and the input {:?} cannot hold it",
            tensor.dtype(),
            input.dtype()
        ))
    })?;
    Ok(fitted)
}

impl From<&Baseline> for Baseline {
    fn from(baseline: &Baseline) -> Self {
        baseline.clone()
    }
}

impl From<f64> for Baseline {
    fn from(value: f64) -> Self {
        Baseline::Value(value)
    }
}

impl From<i32> for Baseline {
    fn from(value: i32) -> Self {
        Baseline::Value(f64::from(value))
    }
}

impl From<Tensor> for Baseline {
    fn from(tensor: Tensor) -> Self {
        Baseline::Tensors(vec![tensor])
    }
}

impl From<&Tensor> for Baseline {
    fn from(tensor: &Tensor) -> Self {
        Baseline::Tensors(vec![tensor.clone()])
    }
}

impl From<Vec<Tensor>> for Baseline {
    fn from(tensors: Vec<Tensor>) -> Self {
        Baseline::Tensors(tensors)
    }
}

impl From<&Inputs> for Baseline {
    fn from(inputs: &Inputs) -> Self {
        Baseline::Tensors(inputs.tensors().to_vec())
    }
}

impl From<Inputs> for Baseline {
    fn from(inputs: Inputs) -> Self {
        Self::from(&inputs)
    }
}
