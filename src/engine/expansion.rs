//! Several points of the path for some rows of the batch, evaluated in one pass.

use candle_core::Tensor;

use crate::error::Result;
use crate::model::Inputs;

/// Some rows of the batch, repeated once for each point of the path: row-minor, so that
/// `[copies · rows, ...]` splits into `[copies, rows, ...]`.
pub(crate) struct Expansion {
    rows: Vec<usize>,
    copies: usize,
    /// Whether the first copy is of the inputs themselves.
    begins_with_inputs: bool,
}

impl Expansion {
    pub(crate) fn new(rows: Vec<usize>, copies: usize) -> Self {
        Self { rows, copies, begins_with_inputs: false }
    }

    /// Some rows of the inputs themselves.
    pub(crate) fn of_inputs(rows: Vec<usize>) -> Self {
        Self::new(rows, 1).beginning_with_inputs()
    }

    /// The same expansion, marked as one whose first copy is of the inputs themselves.
    pub(crate) fn beginning_with_inputs(self) -> Self {
        Self { begins_with_inputs: true, ..self }
    }

    pub(crate) fn begins_with_inputs(&self) -> bool {
        self.begins_with_inputs
    }

    /// The same expansion of a tensor that holds only these rows, so that they count from 0.
    pub(crate) fn in_order(&self) -> Self {
        Self::new((0..self.rows.len()).collect(), self.copies)
    }

    pub(crate) fn rows(&self) -> &[usize] {
        &self.rows
    }

    pub(crate) fn copies(&self) -> usize {
        self.copies
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len() * self.copies
    }

    /// These rows of a tensor `[batch, ...]`, once.
    pub(crate) fn pick(&self, tensor: &Tensor) -> Result<Tensor> {
        let (first, count) = (self.rows[0], self.rows.len());
        if self.rows.iter().enumerate().all(|(offset, &row)| row == first + offset) {
            return Ok(if count == tensor.dim(0)? { tensor.clone() } else { tensor.narrow(0, first, count)? });
        }
        let index: Vec<u32> = self.rows.iter().map(|&row| row as u32).collect();
        Ok(tensor.contiguous()?.index_select(&Tensor::new(index, tensor.device())?, 0)?)
    }

    /// These rows of a tensor `[batch, ...]`, once for each point: `[copies · rows, ...]`.
    pub(crate) fn expand(&self, tensor: &Tensor) -> Result<Tensor> {
        let picked = self.pick(tensor)?;
        if self.copies == 1 {
            return Ok(picked);
        }
        let mut repeats = vec![1; picked.rank()];
        repeats[0] = self.copies;
        Ok(picked.repeat(repeats)?)
    }

    /// The inputs and extra arguments of the call for these rows and points.
    pub(crate) fn expand_inputs(&self, inputs: &Inputs) -> Result<Inputs> {
        let tensors = inputs.tensors().iter().map(|tensor| self.expand(tensor)).collect::<Result<_>>()?;
        self.with_tensors(inputs, tensors)
    }

    /// The expanded call with these tensors, already expanded, instead of its own.
    pub(crate) fn with_tensors(&self, inputs: &Inputs, tensors: Vec<Tensor>) -> Result<Inputs> {
        let args = inputs.args().iter().map(|arg| self.expand(arg)).collect::<Result<_>>()?;
        Ok(inputs.replaced(tensors, args))
    }
}
