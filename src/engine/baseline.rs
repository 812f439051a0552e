//! What an input is compared with.

use candle_core::Tensor;

use crate::error::{Result, bail};
use crate::finite;
use crate::model::Inputs;

/// What an input is compared with: an input that carries no information.
///
/// | Baseline | Meaning |
/// |---|---|
/// | `Zero` | zeros (the default) |
/// | `Value(v)` | the number everywhere |
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

    /// The baselines in full, each with the inputs' shapes: one, or as many as the distribution has rows.
    pub(crate) fn resolve(&self, inputs: &Inputs) -> Result<Vec<Vec<Tensor>>> {
        let inputs = inputs.tensors();
        match self {
            Baseline::Zero => Ok(vec![inputs.iter().map(Tensor::zeros_like).collect::<candle_core::Result<_>>()?]),
            Baseline::Value(value) => {
                if !value.is_finite() {
                    bail!(NotFinite, "the baseline is {value}: expected a finite number")
                }
                let is_id = value.fract() == 0. && (0. ..=f64::from(u32::MAX)).contains(value);
                if inputs.iter().any(|input| input.dtype().is_int()) && !is_id {
                    bail!(
                        Input,
                        "the baseline is {value}, and an input holds integers: give a whole number of at least 0"
                    )
                }
                let filled = inputs.iter().map(|input| input.zeros_like()?.affine(1., *value));
                Ok(vec![filled.collect::<candle_core::Result<_>>()?])
            }
            Baseline::Tensors(tensors) => Ok(vec![rows_for(tensors, inputs, "the baseline")?]),
            Baseline::Distribution(tensors) => {
                let rows = tensors.first().and_then(|tensor| tensor.dims().first().copied()).unwrap_or(0);
                if rows == 0 || tensors.iter().any(|tensor| tensor.dims().first() != Some(&rows)) {
                    let shapes: Vec<_> = tensors.iter().map(Tensor::dims).collect();
                    bail!(
                        Input,
                        "the baseline distribution has the shapes {shapes:?}: expected [rows, ...] for each input, \
                         with the same number of rows, at least 1"
                    )
                }
                let one_row = |row| {
                    let narrowed = tensors.iter().map(|tensor| tensor.narrow(0, row, 1));
                    rows_for(&narrowed.collect::<candle_core::Result<Vec<_>>>()?, inputs, "the baseline distribution")
                };
                (0..rows).map(one_row).collect()
            }
        }
    }
}

/// Each tensor in the shape of its input.
fn rows_for(tensors: &[Tensor], inputs: &[Tensor], what: &str) -> Result<Vec<Tensor>> {
    if tensors.len() != inputs.len() {
        bail!(Input, "{what} has {} tensors for {} inputs: give one for each input", tensors.len(), inputs.len())
    }
    let resolve = |(index, (tensor, input)): (usize, (&Tensor, &Tensor))| {
        let (got, expected) = (tensor.dims(), input.dims());
        let one_row = got.first() == Some(&1) && got.get(1..) == expected.get(1..);
        if got != expected && !one_row {
            let mut row = expected.to_vec();
            row[0] = 1;
            bail!(
                Input,
                "{what} of input {index} has the shape {got:?}: expected {expected:?} like the input, or one row {row:?}"
            )
        }
        if tensor.dtype() != input.dtype() && (tensor.dtype().is_int() || input.dtype().is_int()) {
            bail!(
                Input,
                "{what} of input {index} is {:?} and the input {:?}: give both the same type",
                tensor.dtype(),
                input.dtype()
            )
        }
        finite::check(tensor).map_err(|e| e.at(format!("{what} of input {index}")))?;
        Ok(tensor.to_dtype(input.dtype())?.broadcast_as(expected)?.contiguous()?)
    };
    tensors.iter().zip(inputs).enumerate().map(resolve).collect()
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
